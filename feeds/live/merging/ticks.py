"""Trades and quotes folded to bars, in the order in which they arrive.

A file of the same ticks gives the same bars, further columns included, bit for bit: `feeds.ticks.kernels` does the
same arithmetic in the same order.
"""

from __future__ import annotations

from math import nan
from typing import Literal

import msgspec

from feeds.live.checks import Refused
from feeds.live.merging.rows import Numbers
from feeds.live.messages import QuoteMessage, TradeMessage


class TickBar(msgspec.Struct, gc=False, array_like=True):
    """A bar that is still being made; its volume is NaN if quotes make it.

    The number of trades, the volume bought less that sold, the sum of price times size and the last quote are NaN where
    they are not known.
    """

    kind: Literal["trade", "quote"]
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: float = nan
    signed: float = nan
    value: float = nan
    bid: float = nan
    ask: float = nan

    def add(self, price: float, size: float) -> None:
        """Fold one tick in."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size

    def numbers(self) -> Numbers:
        """The bar and its extra columns, `engine.types.extras.TICK_COLUMNS`."""
        vwap = self.value / self.volume if self.volume > 0.0 else nan
        more = (self.trades, self.signed, self.value, vwap, self.bid, self.ask, self.ask - self.bid)
        return (self.open, self.high, self.low, self.close, self.volume, *more)


class Flow(msgspec.Struct, gc=False, array_like=True):
    """The last price of a symbol's trades, and the direction in which it last changed: 1, -1, or 0 before it did."""

    last: float = 0.0
    direction: int = 0

    def take(self, price: float, side: int) -> int:
        """Who took in a trade: as it says, else by the last change of price; 0 where neither tells."""
        if self.last > 0.0:
            if price > self.last:
                self.direction = 1
            elif price < self.last:
                self.direction = -1
        self.last = price
        return side or self.direction


class TickBars:
    """Bars in the making, by the close time of their row and by column.

    Attributes:
        ids: The last trade id of each column that has numbered trades.
        flows: Who took, by column, as far as that is known from the changes of price.
    """

    def __init__(self) -> None:
        self.rows: dict[int, dict[int, TickBar]] = {}
        self.ids: dict[int, int] = {}
        self.flows: dict[int, Flow] = {}

    def check_id(self, column: int, trade: TradeMessage) -> None:
        """Check that a numbered trade is a new one.

        Raises:
            Refused: duplicate.
        """
        last = self.ids.get(column)
        if trade.id is not None and last is not None and trade.id <= last:
            raise Refused("duplicate", f"a trade id above {last}", f"id {trade.id}")

    def fold(self, close_ns: int, column: int, tick: TradeMessage | QuoteMessage) -> None:
        """Fold a tick into its bar. A quote counts with its mid price.

        Raises:
            Refused: mixed_kinds, if the bar is made of the other kind.
        """
        kind: Literal["trade", "quote"] = "trade"
        if isinstance(tick, TradeMessage):
            price, size = tick.price, tick.size
        else:
            kind, price, size = "quote", 0.5 * tick.bid + 0.5 * tick.ask, nan
        row = self.rows.setdefault(close_ns, {})
        bar = row.get(column)
        if bar is None:
            bar = row[column] = TickBar(kind, price, price, price, price, 0.0 + size)
            if kind == "trade":
                bar.trades, bar.value = 0.0, 0.0
        elif bar.kind == kind:
            bar.add(price, size)
        else:
            raise Refused("mixed_kinds", f"a {bar.kind}, as this bar is made of them", f"a {kind}")
        if isinstance(tick, TradeMessage):
            self._note(bar, column, tick)
        else:
            bar.bid, bar.ask = tick.bid, tick.ask

    def _note(self, bar: TickBar, column: int, trade: TradeMessage) -> None:
        """What a trade adds beside price and volume."""
        flow = self.flows.get(column) or self.flows.setdefault(column, Flow())
        sign = flow.take(trade.price, trade.side)
        if sign:
            signed = sign * trade.size
            bar.signed = signed if bar.signed != bar.signed else bar.signed + signed  # NaN is not known
        bar.trades += 1.0
        bar.value += trade.price * trade.size
        if trade.id is not None:
            self.ids[column] = trade.id

    def finish(self, close_ns: int) -> dict[int, Numbers]:
        """Take out a row whose time is over, as whole bars with their extra columns, by column."""
        bars = self.rows.pop(close_ns, {})
        return {column: bar.numbers() for column, bar in bars.items()}
