"""Strategies in plain Python, called row by row with the bar, the account, positions and open orders at hand."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from agents.base import Ready
from engine.blocks import BarBlock
from engine.errors import GrandModelError, UsageError
from engine.instruments import Instrument
from engine.records import COMMAND, CommandKind, OrderType, Records, TimeInForce
from engine.simulator import Simulator
from engine.step import StepBlock
from engine.timeframe import MINUTE_NS

COMMAND_FIELDS = frozenset(COMMAND.names or ())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of one symbol; `ts_event` is its close time in nanoseconds UTC."""

    symbol: str
    ts_event: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Position:
    """A position: signed contracts, average entry price, last close, profit realised so far before fees."""

    symbol: str
    quantity: float
    avg_price: float
    mark: float
    realized: float


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """A working order; prices of 0 mean none, `parent` names the entry order of a bracket leg."""

    id: int
    symbol: str
    side: Literal["buy", "sell"]
    type: str
    quantity: float
    filled: float
    limit: float
    stop: float
    reduce_only: bool
    parent: int


class Context:
    """What a strategy sees of one row, and how it trades. Valid only during `on_bar`."""

    def __init__(self, symbols: Sequence[str], instruments: Sequence[Instrument]) -> None:
        self.symbols = tuple(symbols)
        self.instruments = dict(zip(symbols, instruments, strict=True))
        self._index = {symbol: s for s, symbol in enumerate(symbols)}
        self._commands: list[Records] = []
        self._block: BarBlock
        self._simulator: Simulator
        self._row = 0

    def enter(self, simulator: Simulator, block: BarBlock) -> None:
        """Called by the strategy's base class before the rows of a block."""
        self._simulator, self._block = simulator, block

    def move_to(self, row: int) -> None:
        """Called by the strategy's base class before each row."""
        self._row = row
        self._commands.clear()

    def commands(self) -> Records:
        """What was asked for in this row, COMMAND records."""
        return np.concatenate(self._commands) if self._commands else np.empty(0, COMMAND)

    @property
    def seq(self) -> int:
        """Number of the row, counted from 0."""
        return self._block.seq + self._row

    @property
    def ts_event(self) -> int:
        """Close time of the row, nanoseconds UTC."""
        return int(self._block.ts_event[self._row])

    @property
    def time(self) -> datetime:
        """Close time of the row, UTC (to the microsecond)."""
        return EPOCH + timedelta(microseconds=self.ts_event // 1000)

    @property
    def cash(self) -> float:
        """Capital plus realised profit minus fees, account currency."""
        return float(self._simulator.account["cash"][0])

    @property
    def equity(self) -> float:
        """Cash plus unrealised profit at the marks, account currency."""
        return float(self._simulator.account["equity"][0])

    @property
    def halted(self) -> bool:
        """Whether a hard limit has stopped trading."""
        return bool(self._simulator.account["halted"][0])

    def bar(self, symbol: str | None = None) -> Bar | None:
        """The symbol's bar in this row, or None if it has none; by default the first symbol's."""
        s, i, block = self._at(symbol), self._row, self._block
        if not block.present[i, s]:
            return None
        values = (float(column[i, s]) for column in (block.open, block.high, block.low, block.close, block.volume))
        return Bar(self.symbols[s], self.ts_event, *values)

    def position(self, symbol: str | None = None) -> Position:
        """The position in a symbol."""
        s = self._at(symbol)
        record = self._simulator.positions[s]
        return Position(
            self.symbols[s],
            float(record["quantity"]),
            float(record["avg_price"]),
            float(record["mark"]),
            float(record["realized"]),
        )

    def orders(self, symbol: str | None = None) -> list[WorkingOrder]:
        """Working orders, in order of id; of one symbol or of all."""
        s = None if symbol is None else self._at(symbol)
        return [_working(o, self.symbols) for o in self._simulator.orders if s is None or o["symbol"] == s]

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

    def _at(self, symbol: str | None) -> int:
        if symbol is None:
            return 0
        if symbol not in self._index:
            raise UsageError(f"no symbol {symbol!r}", expected=", ".join(self.symbols))
        return self._index[symbol]

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


def _working(order: Any, symbols: Sequence[str]) -> WorkingOrder:
    return WorkingOrder(
        int(order["id"]),
        symbols[int(order["symbol"])],
        "buy" if order["side"] > 0 else "sell",
        OrderType(int(order["type"])).name.lower(),
        float(order["quantity"]),
        float(order["filled"]),
        float(order["limit"]),
        float(order["stop"]),
        bool(order["reduce_only"]),
        int(order["parent"]),
    )


class Strategy(Ready, ABC):
    """Base class of a user's own strategy: override `on_bar`, and `on_start` if there is something to prepare."""

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Learn what is traded, and start."""
        self._context = Context(symbols, instruments)
        self.on_start(self._context)

    def on_start(self, context: Context) -> None:
        """Called once before the first bar."""

    @abstractmethod
    def on_bar(self, context: Context) -> None:
        """Called after every row, when its bars are known and marked."""

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Advance row by row and let `on_bar` decide after each."""
        context = self._context
        context.enter(simulator, block)
        simulator.begin(block)
        for row in range(len(block)):
            simulator.advance(block, row)
            context.move_to(row)
            self._decide(context)
            commands = context.commands()
            if len(commands):
                simulator.submit(commands)
        return simulator.take()

    def _decide(self, context: Context) -> None:
        try:
            self.on_bar(context)
        except GrandModelError:
            raise
        except Exception as error:
            raise UsageError(
                f"the strategy fails: {type(error).__name__}: {error}",
                where=f"{last_place(error)}, at row {context.seq} ({context.time:%Y-%m-%d %H:%M} UTC)",
            ) from error


def last_place(error: BaseException) -> str:
    """File and line in which an exception arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "unknown"
