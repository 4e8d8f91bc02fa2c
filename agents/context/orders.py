"""How a strategy trades: orders, wanted positions, cancellations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.context.market import Market
from engine.errors import UsageError
from engine.instruments import Instrument
from engine.records import COMMAND, CommandKind, OrderType, Records, TimeInForce

COMMAND_FIELDS = frozenset(COMMAND.names or ())


class Trading(Market):
    """Collects what a strategy asks for in one row."""

    def __init__(self, symbols: Sequence[str], instruments: Sequence[Instrument]) -> None:
        super().__init__(symbols, instruments)
        self._commands: list[Records] = []

    def move_to(self, row: int) -> None:
        """Called by the strategy's base class before each row."""
        self._row = row
        if self._commands:
            self._commands.clear()

    def commands(self) -> Records:
        """What was asked for in this row, COMMAND records."""
        given = self._commands
        if len(given) == 1:
            return given[0]
        joined: Records = np.empty(len(given), COMMAND)
        for place, command in enumerate(given):
            joined[place] = command[0]
        return joined

    @property
    def has_commands(self) -> bool:
        """Whether anything was asked for in this row."""
        return bool(self._commands)

    def target(self, units: float, symbol: str | None = None, **fields: Any) -> None:
        """Ask for a position in units of the base size; see `order` for the fields."""
        self._command(CommandKind.TARGET, symbol, quantity=units, **fields)

    def buy(self, quantity: float, symbol: str | None = None, **fields: Any) -> None:
        """Order contracts; see `order`."""
        self.order(abs(quantity), symbol, **fields)

    def sell(self, quantity: float, symbol: str | None = None, **fields: Any) -> None:
        """Order contracts; see `order`."""
        self.order(-abs(quantity), symbol, **fields)

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

    def _command(self, kind: CommandKind, symbol: str | None, **fields: Any) -> None:
        command = np.zeros(1, COMMAND)
        command["kind"], command["symbol"] = kind, self._at(symbol)
        tif = fields.pop("tif", "gtc")
        try:
            command["tif"] = TimeInForce[str(tif).upper()]
        except KeyError:
            raise UsageError("no such time in force", expected="gtc, day, gtd, ioc or fok", found=repr(tif)) from None
        for name, value in fields.items():
            if name not in COMMAND_FIELDS or name in {"kind", "symbol", "ts_event", "type"}:
                raise UsageError(f"an order has no field {name!r}", expected="one of those that Context.order lists")
            try:
                command[name] = value
            except (TypeError, ValueError):
                raise UsageError(f"{name} must be a number", found=repr(value)) from None
        command["type"] = _order_type(fields)
        self._commands.append(command)


def _order_type(fields: dict[str, Any]) -> OrderType:
    if fields.get("trail"):
        return OrderType.TRAILING_STOP
    limit, stop = fields.get("limit"), fields.get("stop")
    if limit and stop:
        return OrderType.STOP_LIMIT
    if limit:
        return OrderType.LIMIT
    return OrderType.STOP if stop else OrderType.MARKET
