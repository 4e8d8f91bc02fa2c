"""Trades and quotes folded to bars, in the order in which they arrive."""

from __future__ import annotations

from typing import Literal

import msgspec

from feeds.live.checks import Refused
from feeds.live.merging.rows import Numbers
from feeds.live.messages import QuoteMessage, TradeMessage


class TickBar(msgspec.Struct, gc=False, array_like=True):
    """A bar that is still being made; its volume is NaN if quotes make it."""

    kind: Literal["trade", "quote"]
    open: float
    high: float
    low: float
    close: float
    volume: float

    def add(self, price: float, size: float) -> None:
        """Fold one tick in."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size


class TickBars:
    """Bars in the making, by the close time of their row and by column.

    Attributes:
        ids: The last trade id of each column that has numbered trades.
    """

    def __init__(self) -> None:
        self.rows: dict[int, dict[int, TickBar]] = {}
        self.ids: dict[int, int] = {}

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
            kind, price, size = "quote", 0.5 * tick.bid + 0.5 * tick.ask, float("nan")
        row = self.rows.setdefault(close_ns, {})
        bar = row.get(column)
        if bar is None:
            row[column] = TickBar(kind, price, price, price, price, size)
        elif bar.kind == kind:
            bar.add(price, size)
        else:
            raise Refused("mixed_kinds", f"a {bar.kind}, as this bar is made of them", f"a {kind}")
        if isinstance(tick, TradeMessage) and tick.id is not None:
            self.ids[column] = tick.id

    def finish(self, close_ns: int) -> dict[int, Numbers]:
        """Take out a row whose time is over, as whole bars by column."""
        bars = self.rows.pop(close_ns, {})
        return {column: (bar.open, bar.high, bar.low, bar.close, bar.volume) for column, bar in bars.items()}
