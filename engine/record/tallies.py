"""Running tallies of a run: session ends, drawdowns, exposure and a chart of bounded length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.record.kernels import chart_rows, fold_orders, tally_rows
from engine.record.records import CHART_LINES, CLOSED_ORDER, DRAWDOWN, SESSION_END, TALLY
from engine.types.blocks import Bools, Floats, Ints
from engine.types.calendar import DAY_NS, Sessions
from engine.types.records import Reason, Records, Role

CHART_POINTS = 50_000
FEWEST_POINTS = 2_000
CHART_VALUES = 200_000
EVENT_KINDS = 16
REASONS = max(Reason) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Consecutive rows as the tallies take them.

    Attributes:
        ts_event: Close times, nanoseconds UTC, shape (rows,).
        ledger: Columns LEDGER_COLUMNS, shape (rows, 8).
        positions: Signed contracts, shape (rows, S).
        bars: Open, high, low, close, shape (rows, S, 4); NaN where absent.
        volume: Shape (rows, S); NaN where absent or unknown.
        present: Shape (rows, S).
    """

    ts_event: Ints
    ledger: Floats
    positions: Floats
    bars: Floats
    volume: Floats
    present: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Tallies:
    """The figures of a run, without its trades.

    Attributes:
        initial_capital: Account currency.
        symbols: S names.
        sessions: SESSION_END records, one per session (or UTC day) that has rows.
        tally: The TALLY record, shape (1,).
        drawdowns: DRAWDOWN of equity and of buy-and-hold at the close of every row, shape (2,).
        events: Number of order events by OrderEventKind and Reason, shape (16, reasons).
        roles: Number of submitted orders by Role, shape (roles,).
        account: The ACCOUNT record after the last row, shape (1,); None for a run without rows.
        orders_working: Orders that had not ended.
        open_positions: Symbols with a position after the last row.
    """

    initial_capital: float
    symbols: tuple[str, ...]
    sessions: Records
    tally: Records
    drawdowns: Records
    events: Ints
    roles: Ints
    account: Records | None
    orders_working: int
    open_positions: int


class RowTallies:
    """Folds rows into tallies and a chart; how they are cut does not show in the result.

    Buy-and-hold spreads the initial capital equally over the symbols, buys each at its first close (cash
    until then) and holds it without leverage, fees or slippage. Drawdowns start from the initial capital.

    Args:
        symbols: Number of symbols.
        initial_capital: Account currency.
        sessions: Where the trading days end; None for UTC days.
        chart_points: Most points the chart may have, even; by default fewer for many symbols.
    """

    def __init__(
        self,
        symbols: int,
        initial_capital: float,
        sessions: Sessions | None,
        chart_points: int | None = None,
    ) -> None:
        points = chart_points or min(CHART_POINTS, max(FEWEST_POINTS, CHART_VALUES // max(symbols, 1) // 2 * 2))
        self.tally = np.zeros(1, TALLY)
        self.drawdowns = np.zeros(2, DRAWDOWN)
        self.drawdowns["peak"] = initial_capital
        self._initial = initial_capital
        self._sessions = sessions
        self._first, self._mark = np.zeros(symbols), np.zeros(symbols)
        self._ended: list[Records] = []
        self._chart_state = np.array([1, 0, 0], dtype=np.int64)
        self._chart_times = np.empty(points, dtype=np.int64)
        self._chart_lines = np.empty((points, len(CHART_LINES)))
        self._chart_prices = np.empty((points, symbols, 4))
        self._chart_volumes = np.empty((points, symbols))

    def update(self, rows: Rows) -> None:
        """Fold further rows."""
        count = len(rows.ts_event)
        lines, ended = np.empty((count, len(CHART_LINES))), np.empty(count, SESSION_END)
        number = tally_rows(
            rows.ts_event,
            rows.ledger,
            rows.positions,
            rows.bars[:, :, 3],
            rows.present,
            self._session_numbers(rows.ts_event),
            self._initial,
            self.tally,
            self.drawdowns,
            self._first,
            self._mark,
            lines,
            ended,
        )
        if number:
            self._ended.append(ended[:number].copy())
        chart_rows(
            rows.ts_event,
            lines,
            rows.bars,
            rows.volume,
            self._chart_state,
            self._chart_times,
            self._chart_lines,
            self._chart_prices,
            self._chart_volumes,
        )

    def _session_numbers(self, ts_event: Ints) -> Ints:
        return (ts_event - 1) // DAY_NS if self._sessions is None else self._sessions.index(ts_event)

    def session_ends(self) -> Records:
        """SESSION_END records so far; the last is that of the current session."""
        if not self.tally["rows"][0]:
            return np.empty(0, SESSION_END)
        last = np.empty(1, SESSION_END)
        last["ts_event"] = self.tally["last_ts"]
        last["equity"], last["buy_and_hold"] = self.tally["equity"], self.tally["buy_and_hold"]
        return np.concatenate([*self._ended, last])

    def chart(self) -> tuple[Ints, Floats, Floats, Floats]:
        """Times (points,), CHART_LINES (points, 4), open, high, low, close (points, S, 4) and volumes (points, S)."""
        points = int(self._chart_state[2]) + int(self._chart_state[1] > 0)
        return (
            self._chart_times[:points],
            self._chart_lines[:points],
            self._chart_prices[:points],
            self._chart_volumes[:points],
        )

    def snapshot(self) -> State:
        """The carried state, the chart included."""
        return snapshot_of(self._made(), self._carried())

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of tallies of so many symbols, this capital and these sessions.
        """
        grows = {"ended", "times", "lines", "prices", "volumes"}
        found = arrays_of(state, self._made(), self._carried(), grows=grows)
        self.tally, self.drawdowns = found["tally"], found["drawdowns"]
        self._first, self._mark, self._chart_state = found["first"], found["mark"], found["chart"]
        self._ended = [found["ended"]]
        points = len(found["times"])
        self._chart_times[:points] = found["times"]
        self._chart_lines[:points] = found["lines"]
        self._chart_prices[:points] = found["prices"]
        self._chart_volumes[:points] = found["volumes"]
        # sessions go by number: counted from elsewhere, the current one would end too early or not at all
        if self._session_close() != (theirs := int(found["session_close"][0])):
            raise DataError(
                "the snapshot was made with other sessions",
                expected=f"the session of the last row ends at {self._session_close()}",
                found=str(theirs),
            )

    def _made(self) -> dict[str, Any]:
        return {"initial_capital": self._initial, "chart_points": len(self._chart_times)}

    def _carried(self) -> dict[str, NDArray[Any]]:
        times, lines, prices, volumes = self.chart()
        return {
            "tally": self.tally,
            "drawdowns": self.drawdowns,
            "first": self._first,
            "mark": self._mark,
            "ended": np.concatenate([np.empty(0, SESSION_END), *self._ended]),
            "session_close": np.array([self._session_close()]),
            "chart": self._chart_state,
            "times": times,
            "lines": lines,
            "prices": prices,
            "volumes": volumes,
        }

    def _session_close(self) -> int:
        """End of the session of the last row, nanoseconds UTC; 0 before the first and after the last known one."""
        number = int(self.tally["session"][0])
        if not self.tally["rows"][0]:
            return 0
        if self._sessions is None:
            return (number + 1) * DAY_NS
        return int(self._sessions.closes[number]) if number < len(self._sessions.closes) else 0

    def finished_drawdowns(self) -> Records:
        """The drawdowns, with a decline that still lasts counted up to the last row."""
        drawdowns = self.drawdowns.copy()
        lasting = (self.tally["last_ts"] - drawdowns["peak_ts"]) * drawdowns["under"]
        drawdowns["longest_ns"] = np.maximum(drawdowns["longest_ns"], lasting)
        return drawdowns


class OrderFolder:
    """Folds order events into one record per order."""

    def __init__(self) -> None:
        self.counts = np.zeros((EVENT_KINDS, REASONS), dtype=np.int64)
        self.roles = np.zeros(len(Role), dtype=np.int64)
        self._working = np.zeros(64, CLOSED_ORDER)
        self._count = 0

    def update(self, events: Records) -> Records:
        """CLOSED_ORDER records of the orders that ended with these ORDER_EVENT records, in that order."""
        if not len(events):
            return np.empty(0, CLOSED_ORDER)
        room = self._count + len(events) + 1
        if room > len(self._working):
            grown = np.zeros(2 * room, CLOSED_ORDER)
            grown[: self._count] = self._working[: self._count]
            self._working = grown
        done = np.empty(len(events), CLOSED_ORDER)
        self._count, ended = fold_orders(events, self._working, self._count, done, self.counts, self.roles)
        return done[:ended].copy()

    def working(self) -> Records:
        """Orders that have not ended, in order of submission."""
        return self._working[: self._count].copy()

    def snapshot(self) -> State:
        """The carried state."""
        return snapshot_of({}, self._carried())

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of an order folder.
        """
        found = arrays_of(state, {}, self._carried(), grows={"working"})
        self.counts, self.roles, self._working = found["counts"], found["roles"], found["working"]
        self._count = len(self._working)

    def _carried(self) -> dict[str, NDArray[Any]]:
        return {"counts": self.counts, "roles": self.roles, "working": self._working[: self._count]}
