"""How a strategy trades: orders, wanted positions, cancellations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.context.market import RowView
from agents.context.sizes import Asked, contracts_for, stop_distance
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.contracts import Simulator
from engine.types.instruments import Instrument
from engine.types.records import COMMAND, CommandKind, OrderType, Records, TimeInForce

HINTS = {
    "units": "target(units) asks for a position in units of the configured sizing",
    "sl": "stop_loss is a price, stop_distance a fraction of the fill price",
    "tp": "take_profit is a price, target_distance a fraction of the fill price",
}
ORDER_FIELDS = frozenset(COMMAND.names or ()) - {"kind", "symbol", "ts_event", "type", "tif"}


class Trading(RowView):
    """Collects what a strategy asks for in one row."""

    def __init__(self, symbols: Sequence[str], instruments: Sequence[Instrument]) -> None:
        super().__init__(symbols, instruments)
        self.commands: list[Records] = []

    def enter(self, simulator: Simulator, block: BarBlock) -> None:
        """Called by the strategy's base class before the rows of a block."""
        super().enter(simulator, block)
        self.commands.clear()

    def joined_commands(self) -> Records:
        """What was asked for in this row, COMMAND records."""
        given = self.commands
        if len(given) == 1:
            return given[0]
        joined: Records = np.empty(len(given), COMMAND)
        for place, command in enumerate(given):
            joined[place] = command[0]
        return joined

    def target(self, units: float, symbol: str | None = None, **fields: Any) -> None:
        """Ask for a position in units of the base size; see `order` for the fields."""
        self._command(CommandKind.TARGET, symbol, quantity=units, **fields)

    def buy(
        self,
        quantity: float | None = None,
        symbol: str | None = None,
        *,
        fraction: float | None = None,
        notional: float | None = None,
        risk: float | None = None,
        **fields: Any,
    ) -> None:
        """Buy contracts, or as many as a fraction of equity, a notional or a risk amounts to.

        A size that is not in contracts is worked out at the limit of the order, else its stop, else the last close, and
        rounded down to the instrument's size step. It is shortened to what margin affords when it fills. Below the
        smallest size the order is rejected (BELOW_MIN_SIZE). The configuration's `sizing` holds for `target` only.

        Args:
            quantity: Contracts.
            symbol: By default the first.
            fraction: Notional as a fraction of equity: 0.5 is half of it.
            notional: Account currency.
            risk: Fraction of equity lost if the protective stop is hit (`stop_loss`, `stop_distance` or
                `trail_distance`; the nearest counts), before fees and slippage. A stop that does not lie on the losing
                side is rejected (BAD_PRICE).
            **fields: Those of `order`.

        Raises:
            UsageError: If there is not exactly one size, `risk` has no stop, or a field is not known.
        """
        self._sized(1, Asked(quantity, fraction, notional, risk), symbol, fields)

    def sell(
        self,
        quantity: float | None = None,
        symbol: str | None = None,
        *,
        fraction: float | None = None,
        notional: float | None = None,
        risk: float | None = None,
        **fields: Any,
    ) -> None:
        """Sell; as `buy`."""
        self._sized(-1, Asked(quantity, fraction, notional, risk), symbol, fields)

    def order(self, quantity: float, symbol: str | None = None, **fields: Any) -> None:
        """Order signed contracts.

        Args:
            quantity: Contracts; negative sells.
            symbol: By default the first.
            **fields: `limit`, `stop`, `trail` (they decide the type: none is a market order, both limit and stop a
                stop-limit), `tif` ("gtc", "day", "gtd", "ioc", "fok"), `expire_ts`, `reduce_only`, `stop_loss` and
                `take_profit` (prices), `stop_distance`, `target_distance` and `trail_distance` (fractions of the
                fill price), `tag`.

        Raises:
            UsageError: If a field is not known.
        """
        self._command(CommandKind.ORDER, symbol, quantity=quantity, **fields)

    def close(self, symbol: str | None = None) -> None:
        """Cancel the symbol's orders and close its position at the market."""
        self._command(CommandKind.CLOSE, symbol)

    def cancel(self, order_id: int) -> None:
        """Cancel one order."""
        self._command(CommandKind.CANCEL, None, order_id=order_id)

    def cancel_all(self, symbol: str | None = None) -> None:
        """Cancel all working orders of a symbol."""
        self._command(CommandKind.CANCEL_ALL, symbol)

    def _sized(self, side: int, asked: Asked, symbol: str | None, fields: dict[str, Any]) -> None:
        asked.check()
        if asked.quantity is not None:
            self.order(side * asked.quantity, symbol, **fields)
            return
        s = self._at(symbol)
        item, mark = self.instruments[self.symbols[s]], self._position(s)[2]
        price = float(fields.get("limit") or fields.get("stop") or mark)
        distance = 0.0 if asked.risk is None else stop_distance(side, price, fields)
        contracts = contracts_for(asked, self.equity, price, item.multiplier * item.fx_rate, distance)
        if asked.risk is not None and mark and not distance > 0.0:
            # the smallest order with a stop that cannot be: the simulator refuses it and records why
            contracts, fields = max(item.min_size, item.size_step), {**fields, "stop_loss": math.nan}
        self._command(CommandKind.UP_TO, symbol, quantity=side * contracts, **fields)

    def _command(self, kind: CommandKind, symbol: str | None, **fields: Any) -> None:
        command = np.zeros(1, COMMAND)
        command["kind"], command["symbol"] = kind, self._at(symbol)
        tif = fields.pop("tif", "gtc")
        try:
            command["tif"] = TimeInForce[str(tif).upper()]
        except KeyError:
            raise UsageError("no such time in force", expected="gtc, day, gtd, ioc or fok", found=repr(tif)) from None
        for name, value in fields.items():
            if name not in ORDER_FIELDS:
                raise UsageError(
                    f"an order has no field {name!r}",
                    expected=", ".join(sorted({*ORDER_FIELDS, "tif"} - {"quantity", "order_id"})),
                    hint=HINTS.get(name),
                )
            try:
                command[name] = value
            except (TypeError, ValueError):
                raise UsageError(f"{name} must be a number", found=repr(value)) from None
            if name == "quantity" and not np.isfinite(command[name][0]):
                raise UsageError(
                    "an order needs a number of contracts or units",
                    found=repr(value),
                    hint="an indicator is NaN until it has enough bars: wait with `if not math.isnan(value)`",
                )
        command["type"] = _order_type(fields)
        self.commands.append(command)


def _order_type(fields: dict[str, Any]) -> OrderType:
    if fields.get("trail"):
        return OrderType.TRAILING_STOP
    limit, stop = fields.get("limit"), fields.get("stop")
    if limit and stop:
        return OrderType.STOP_LIMIT
    if limit:
        return OrderType.LIMIT
    return OrderType.STOP if stop else OrderType.MARKET
