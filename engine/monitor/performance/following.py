"""The performance monitor on the steps of a run, as they happen or as a journal has them."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.base.errors import DataError
from engine.base.restoring import array_of, parts_of
from engine.base.state import State
from engine.monitor.performance.calibration import Calibration
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.monitor.performance.whole_trades import WholeTrades
from engine.types.calendar import Sessions
from engine.types.contracts import TradeFolder
from engine.types.records import LEDGER_COLUMNS, Records
from engine.types.step import StepBlock

if TYPE_CHECKING:
    from engine.monitor.drift.detector import DriftDetector  # which most runs have no use for

EQUITY = LEDGER_COLUMNS.index("equity")
TRADE, DECISION, DAY = range(3)
"""Order of the events of one row: trades close before anybody decides, and what is worth a day is known at its end."""
Event = tuple[int, int, tuple[Any, ...]]


def feed(monitor: PerformanceMonitor, events: list[Event]) -> None:
    """Give a monitor events in order of time, those of one row in order of their kind.

    Args:
        events: Time (nanoseconds UTC), kind and values; those of one kind in order. They are sorted.
    """
    if len(events) > 1:
        events.sort(key=itemgetter(0, 1))  # stable
    for ts_event, kind, values in events:
        if kind == TRADE:
            monitor.trade(ts_event, *values)
        elif kind == DECISION:
            monitor.decision(ts_event, *values)
        else:
            monitor.day(ts_event, *values)


class StepMonitor:
    """Follows the steps of one run.

    Args:
        monitor: What is followed by it.
        trades: Folds fills into round trips; a new one, used by nothing else.
        sessions: Where trading days end.
        symbols: Number of symbols.
        drift: Watches for drift; None for no such watch.

    Attributes:
        monitor, drift: As given.
        calibration: Of the strategic network.
        next_seq: Number of the row that comes next.
        last_ns: Close of the last row, nanoseconds UTC; 0 before the first.
    """

    def __init__(
        self,
        monitor: PerformanceMonitor,
        trades: TradeFolder,
        sessions: Sessions,
        symbols: int,
        drift: DriftDetector | None = None,
    ) -> None:
        self.monitor, self.drift, self.calibration = monitor, drift, Calibration(symbols)
        self.next_seq = 0
        self.last_ns = 0
        self._trades, self._sessions = WholeTrades(trades, symbols), sessions
        self._session, self._close, self._equity = -1, 0, 0.0

    def update(self, step: StepBlock) -> None:
        """Follow the rows of a step; how rows are cut into steps does not show."""
        if self._session < 0 and step.bars.seq > 0:  # the first rows are gone
            self._trades.begin_late()
            self.monitor.begin_late(float(step.ledger[0, EQUITY]))
        feed(self.monitor, [*self._days(step), *_closed(self._trades.update(step.fills)), *decided(step.outputs)])
        self.calibration.update(step)
        if self.drift is not None:
            self.drift.update(step)
        self.next_seq = step.bars.seq + len(step)

    def _days(self, step: StepBlock) -> Iterator[Event]:
        """Trading days of which a later row shows that they have ended."""
        times, equity = step.bars.ts_event, step.ledger[:, EQUITY]
        last = int(times[-1])
        if self._session < 0 or last > self._close:  # else the session goes on, as nearly always
            numbers = self._sessions.index(times)
            if self._session >= 0 and numbers[0] != self._session:
                yield self.last_ns, DAY, (self._equity,)
            for row in np.flatnonzero(numbers[1:] != numbers[:-1]).tolist():
                yield int(times[row]), DAY, (float(equity[row]),)
            self._session = int(numbers[-1])
            self._close = self._session_close()
        self._equity, self.last_ns = float(equity[-1]), last

    def snapshot(self) -> State:
        """The carried state."""
        row = [self.next_seq, self.last_ns, self._session, self._close]
        return {
            "monitor": self.monitor.snapshot(),
            "trades": self._trades.snapshot(),
            "calibration": self.calibration.snapshot(),
            "drift": None if self.drift is None else self.drift.snapshot(),
            "row": np.array(row),
            "equity": np.array([self._equity]),
        }

    def restore(self, state: Any) -> None:
        """Continue from a snapshot. After an error it is of no use.

        Raises:
            DataError: If it is not one of a monitor made alike, with these instruments and sessions.
        """
        parts = parts_of(state, ("monitor", "trades", "calibration", "drift", "row", "equity"))
        row = array_of(parts["row"], np.zeros(4, np.int64), "row")
        self.monitor.restore(parts["monitor"])
        self._trades.restore(parts["trades"])
        self.calibration.restore(parts["calibration"])
        if (self.drift is None) != (parts["drift"] is None):
            raise DataError("the saved state of the monitor has another watch for drift")
        if self.drift is not None:
            self.drift.restore(parts["drift"])
        self.next_seq, self.last_ns, self._session, self._close = row.tolist()
        self._equity = float(array_of(parts["equity"], np.zeros(1), "equity")[0])
        if self._close != self._session_close():
            raise DataError(
                "the saved state of the monitor was made with other sessions",
                expected=f"a session that ends at {self._session_close()}",
                found=str(self._close),
            )

    def _session_close(self) -> int:
        """End of the session of the last row; what numbers of sessions count from could change."""
        known = 0 <= self._session < len(self._sessions.closes)
        return int(self._sessions.closes[self._session]) if known else 0


def _closed(trades: Records) -> Iterator[Event]:
    if len(trades):
        for ts_event, profit in zip(trades["exit_ts"].tolist(), trades["profit"].tolist(), strict=True):
            yield ts_event, TRADE, (profit,)


def decided(outputs: Records) -> Iterator[Event]:
    """AGENT_OUTPUT records as events."""
    if len(outputs):
        names = ("ts_event", "seat", "symbol", "action_0", "confidence")
        for ts_event, *values in zip(*(outputs[name].tolist() for name in names), strict=True):
            yield ts_event, DECISION, tuple(values)
