"""The simulator: validates, allocates and calls the kernels. Rules: docs/simulator.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.base.compiled import entry_point, form, interpreted
from engine.base.errors import ConfigError, DataError, UsageError
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.instruments import Instrument
from engine.types.records import (
    COMMAND,
    FILL,
    LEDGER_COLUMNS,
    ORDER,
    ORDER_EVENT,
    POSITION,
    Bars,
    BookRows,
    Operation,
    Records,
)
from engine.types.step import StepBlock
from portfolio.buffers import FloatSlabs, record_buffer
from portfolio.config import PortfolioConfig, instrument_records, rules_record
from portfolio.depth import MOST_LEVELS, book_rows, nothing_taken
from portfolio.initial import (
    COMMANDS_PER_ROW,
    check_currency,
    command_buffer,
    initial_account,
    order_capacity,
)
from portfolio.kernels.book import Book, has_room, places_needed, row_reserve
from portfolio.kernels.operations import apply_operation
from portfolio.kernels.scan import advance_rows, apply_commands, scan_decide, scan_targets
from portfolio.kernels.seen import scan_decide_seen

BUFFER_ROWS = 4096
MOST_BUFFER_ROWS = 65_536

_has_room = interpreted(has_room)
_places_needed = interpreted(places_needed)


class Simulator:
    """One account, its positions and working orders, advanced by bars and commands.

    Args:
        config: Execution, sizing, limits, initial capital.
        instruments: One per symbol, in symbol order.
        session_ends: Inclusive ends of sessions, nanoseconds UTC, ascending.
        bars_per_year: Bars a year holds, for the volatility target.

    Raises:
        ConfigError: If an instrument's currency is not the account's and no rate is given.
    """

    def __init__(
        self,
        config: PortfolioConfig,
        instruments: Sequence[Instrument],
        session_ends: Ints,
        bars_per_year: float = 365.0 * 1440.0,
    ) -> None:
        for instrument in instruments:
            check_currency(instrument, config)
        symbols = len(instruments)
        self.config = config
        self._names = [instrument.name for instrument in instruments]
        capacity = order_capacity(config, symbols)
        self._commands = command_buffer(symbols)
        self._missing = nothing_taken(symbols) if config.execution.fills == "book" else None
        self._levels = 0 if self._missing is None else MOST_LEVELS
        reserve = row_reserve(capacity, len(self._commands), self._levels)
        self._book = Book(
            account=initial_account(config),
            positions=np.zeros(symbols, POSITION),
            orders=np.zeros(capacity, ORDER),
            instruments=instrument_records(list(instruments)),
            rules=rules_record(config, bars_per_year),
            # a copy, so that kernels are compiled for one type: the arrays of a calendar may be read-only
            session_ends=np.array(session_ends, np.int64),
            fills=np.empty(BUFFER_ROWS + reserve, FILL),
            events=np.empty(2 * BUFFER_ROWS + reserve, ORDER_EVENT),
            decisions=np.empty(BUFFER_ROWS + reserve, COMMAND),
            counts=np.zeros(4, np.int64),
        )
        self._block: BarBlock | None = None
        self._bars: Bars | BookRows
        self._reached = 0
        self._ledger: Floats = np.empty((0, 8))
        self._positions: Floats = np.empty((0, symbols))
        self._slabs = FloatSlabs()
        self._advance: Callable[..., Any] | None = None
        self._advancing: tuple[Any, Callable[..., Any]] | None = None
        self._apply: Callable[..., Any] | None = None
        self._scanning: tuple[Any, tuple[Any, ...], Callable[..., int]] | None = None
        self._given = [0, 0, 0]
        self._reserve = reserve
        self._taken: tuple[list[Records], list[Records], list[Records]] = ([], [], [])

    @property
    def account(self) -> Records:
        """The ACCOUNT record, shape (1,), live."""
        account: Records = self._book.account
        return account

    @property
    def positions(self) -> Records:
        """The POSITION records, shape (S,), live."""
        positions: Records = self._book.positions
        return positions

    @property
    def orders(self) -> Records:
        """The working ORDER records, live."""
        working: Records = self._book.orders[: int(self._book.account["orders"][0])]
        return working

    def begin(self, block: BarBlock) -> None:
        """Make a block the one whose rows are advanced next."""
        self._block = block
        self._bars = block.kernel_view() if self._missing is None else book_rows(block, self._missing)
        self._advance = None
        self._ledger = self._slabs.matrix(len(block), len(LEDGER_COLUMNS))
        self._positions = self._slabs.matrix(len(block), len(block.symbols))
        self._reached = 0

    def advance(self, block: BarBlock, row: int) -> None:
        """Fill, mark and check limits in one row; the caller decides next."""
        if block is not self._block:
            self.begin(block)
        self._reached = row
        self.catch_up(row)

    def catch_up(self, row: int) -> None:
        """Advance every row of the block up to this one that was not advanced yet, as if one by one."""
        stop = row + 1
        while self._reached < stop:
            compiled = self._advance or self._advance_for()
            self._reached = compiled(
                self._book, self._bars, self._reached, stop, self._ledger, self._positions, self._commands
            )
            if self._reached < stop:
                self._flush()

    def submit(self, commands: Records) -> None:
        """Apply commands after the row that was advanced last; their `order_id` is filled in."""
        ts = int(self._book.account["ts_event"][0])
        for start in range(0, len(commands), COMMANDS_PER_ROW):
            part = commands[start : start + COMMANDS_PER_ROW]
            if not _has_room(self._book, self._commands):
                self._flush()
            if part.dtype is not COMMAND or not part.flags.carray:
                apply_commands(self._book, part, len(part), ts)
                continue
            if self._apply is None:
                self._apply = entry_point(apply_commands, self._book, part, len(part), ts)
            self._apply(self._book, part, len(part), ts)

    def _advance_for(self) -> Callable[..., Any]:
        """The compiled code that advances rows of this block, found as that of a scan is."""
        market, known = form(self._bars), self._advancing
        if known is None or known[0] != market:
            arguments = (self._book, self._bars, 0, 0, self._ledger, self._positions, self._commands)
            known = self._advancing = (market, entry_point(advance_rows, *arguments))
        self._advance = known[1]
        return known[1]

    def run_targets(self, block: BarBlock, targets: Floats) -> StepBlock:
        """Process a whole block for wanted positions in units, shape (rows, S); NaN keeps the last."""
        return self._scan(block, scan_targets, targets, ())

    def run_compiled(self, block: BarBlock, signals: Any, decide: Any, params: Any, memory: Any) -> StepBlock:
        """Process a whole block with a compiled strategy inside the scan.

        Args:
            signals: What the strategy computed from the market only; float64 of shape (rows, S, K), or what `decide`
                was compiled for.
            decide: A compiled function with a signature of agents.compiled.
            params: Its constants; float64, or likewise.
            memory: Its carried state; float64, or likewise; changed.
        """
        return self._scan(block, scan_decide, signals, (decide, params, memory))

    def run_compiled_seen(
        self, block: BarBlock, seen: BarBlock, signals: Any, decide: Any, params: Any, memory: Any
    ) -> StepBlock:
        """`run_compiled` for a strategy that sees other bars than those that fill, mark and stop.

        Args:
            seen: The same rows as the strategy sees them.
        """
        return self._scan(block, scan_decide_seen, signals, (seen.kernel_view(), decide, params, memory))

    def _scan(self, block: BarBlock, scan: Callable[..., int], signals: Any, tail: tuple[Any, ...]) -> StepBlock:
        self.begin(block)
        row = 0
        while row < len(block):
            arguments = (
                self._book,
                self._bars,
                signals,
                row,
                len(block),
                self._ledger,
                self._positions,
                self._commands,
                *tail,
            )
            reached = self._scan_for(scan, signals, tail, arguments)(*arguments)
            if reached < len(block):
                self._flush()
            row = reached
        return self.take()

    def _scan_for(
        self, scan: Callable[..., int], signals: Any, tail: tuple[Any, ...], arguments: tuple[Any, ...]
    ) -> Callable[..., int]:
        """The compiled code of a scan: to find it by the types of its arguments takes as long as several rows."""
        # the agent passes the same parameters, memory and `decide` in every block; the rest is this object's own
        market = (scan, form(self._bars), form(signals))
        known = self._scanning
        if known and known[0] == market and all(a is b for a, b in zip(tail, known[1], strict=True)):
            return known[2]
        compiled: Callable[..., int] = entry_point(scan, *arguments)
        self._scanning = (market, tail, compiled)
        return compiled

    def operate(self, kind: Operation, ts_event: int) -> None:
        """Apply an operator's command between two rows; its effects are part of the next `take`.

        Args:
            ts_event: Time of the row advanced last, nanoseconds UTC; 0 before the first.

        Raises:
            UsageError: If RESET_HALT finds nothing to reset, or a book that is not empty or not solvent.
        """
        if kind == Operation.RESET_HALT:
            self._check_reset()
        if not _has_room(self._book, self._commands):
            self._flush()
        apply_operation(self._book, int(kind), ts_event)

    def _check_reset(self) -> None:
        if not self.account["halted"][0]:
            raise UsageError("there is no halt to reset", expected="an account whose kill switch has tripped")
        quantities = zip(self._names, self.positions["quantity"].tolist(), strict=True)
        left = [f"{quantity:g} {name}" for name, quantity in quantities if quantity]
        working = np.count_nonzero(self.orders["state"])
        if left or working:
            raise UsageError(
                "the halt cannot be reset before the book is empty",
                expected="no position and no working order",
                found=f"positions: {', '.join(left) or 'none'}; working orders: {working}",
                hint="each position is closed at the open of its symbol's next bar; reset the halt after that",
            )
        equity = float(self.account["equity"][0])
        if equity <= 0.0:
            raise UsageError("the account is bankrupt", expected="equity above 0", found=f"{equity:.2f}")

    def take(self) -> StepBlock:
        """Everything that happened in the current block, as new arrays."""
        if self._block is None:
            raise ConfigError("no block has been processed yet")
        self._hand_out()
        dtypes = (FILL, ORDER_EVENT, COMMAND)
        fills, events, decisions = (_joined(parts, d) for parts, d in zip(self._taken, dtypes, strict=True))
        self._taken = ([], [], [])
        step = StepBlock(
            self._block,
            self._ledger,
            self._positions,
            fills,
            events,
            decisions,
            account=copied(self._book.account, 1),
            position_records=copied(self._book.positions, len(self._book.positions)),
            orders=copied(self._book.orders, int(self._book.account["orders"][0])),
        )
        self._block = None
        return step

    def _hand_out(self) -> None:
        buffers = (self._book.fills, self._book.events, self._book.decisions)
        counts = self._book.counts.tolist()
        wrong = counts.pop()
        if wrong:
            raise UsageError(
                "the agent gave a command that cannot be obeyed",
                expected=f"symbol 0 to {len(self._book.positions) - 1}, and a kind of engine.types.records.CommandKind",
                found=f"{wrong} other commands",
            )
        for parts, buffer, start, count in zip(self._taken, buffers, self._given, counts, strict=True):
            if count > start:
                parts.append(buffer[start:count])
        self._given = counts

    def _flush(self) -> None:
        """Hand out what the buffers hold and begin new ones: records handed out never change."""
        self._hand_out()
        rows = MOST_BUFFER_ROWS
        self._grow()
        self._book = self._book._replace(
            fills=record_buffer(rows + self._reserve, FILL),
            events=record_buffer(2 * rows + self._reserve, ORDER_EVENT),
            decisions=record_buffer(rows + self._reserve, COMMAND),
        )
        self._book.counts[:] = 0
        self._given = [0, 0, 0]
        self._advance = self._advancing = self._apply = self._scanning = None

    def _grow(self) -> None:
        """A larger table of orders, where the next row might bring more of them than it has places for."""
        symbols, working = len(self._book.positions), int(self.account["orders"][0])
        needed = _places_needed(working, symbols, len(self._commands))
        if symbols > 1 and needed > len(self._book.orders):
            orders = np.zeros(2 * needed, ORDER)
            orders[:working] = self.orders
            self._book = self._book._replace(orders=orders)
            self._reserve = row_reserve(len(orders), len(self._commands), self._levels)

    def snapshot(self) -> State:
        """The whole state: account, positions and working orders."""
        return snapshot_of({}, self._carried())

    def restore(self, state: State) -> None:
        """Return to a state that `snapshot` gave, for the same instruments and rules.

        Raises:
            DataError: If it is not one of so many symbols, or has more orders than there is room for.
        """
        found, book = arrays_of(state, {}, self._carried(), grows={"orders"}), self._book
        orders = found["orders"]
        if len(orders) > len(book.orders):
            if len(book.positions) == 1:
                raise DataError(
                    "the snapshot has more working orders than the rules allow",
                    expected=f"at most {len(book.orders)}",
                    found=str(len(orders)),
                )
            book = self._book = book._replace(orders=np.zeros(2 * len(orders), ORDER))
            self._reserve = row_reserve(len(book.orders), len(self._commands), self._levels)
            self._flush()
            book = self._book
        book.account[:], book.positions[:] = found["account"], found["positions"]
        if self._missing is not None:
            self._missing[:] = found["taken"]
        book.orders[:] = np.zeros(1, ORDER)
        book.orders[: len(orders)] = orders

    def _carried(self) -> dict[str, Any]:
        carried: dict[str, Any] = {"account": self.account, "positions": self.positions, "orders": self.orders}
        return carried if self._missing is None else carried | {"taken": self._missing}


def copied(records: Records, count: int) -> Records:
    """The first records as a new array; by bytes, since NumPy copies structured arrays field by field."""
    if count == 0:
        return np.empty(0, records.dtype)
    return records.view(np.uint8)[: count * records.itemsize].copy().view(records.dtype)


def _joined(parts: list[Records], dtype: np.dtype[np.void]) -> Records:
    if not parts:
        return np.empty(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
