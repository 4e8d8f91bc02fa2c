"""The performance monitor: closed trades, trading days and decisions in; figures, alerts and advice out.

Pure: it knows no clock and no files, so that the same events give the same state wherever they come from, the steps of
a running session, its journal or the tables of a run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.base.errors import DataError
from engine.base.restoring import MADE, check_made, describe, parts_of
from engine.base.state import State
from engine.monitor.performance.advice import Advice, advise
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.figures import CODES, Confidence, Consistency, Figure, Sharpe, WinRate
from engine.monitor.performance.thresholds import LEVELS, Change, Level
from engine.types.moments import iso
from engine.types.records import SeatName

MOST_ALARMS = 200
"""Changes that are remembered."""
SEATS: Mapping[int, str] = {int(seat): seat.name.lower() for seat in SeatName}


class Alarm(NamedTuple):
    """A change of a figure, with what it rests on.

    Attributes:
        number: Counted from 1.
        change: What began or ended.
        trades: Closed trades of the window then.
        result: Their profit, account currency: what the time in question has cost, or earned.
    """

    number: int
    change: Change
    trades: int
    result: float

    def tree(self) -> dict[str, Any]:
        """JSON-able."""
        tree = {"number": self.number, "time": iso(self.change.ts_event), **self.change._asdict()}
        del tree["ts_event"]
        return {**tree, "code": self.change.code or None, "trades": self.trades, "result": self.result}


class PerformanceMonitor:
    """Watches how a strategy does.

    Args:
        config: Thresholds and windows.
        periods_per_year: Trading days in a year, for the Sharpe ratio.
        initial_capital: Equity before the first day, account currency.

    Attributes:
        alarms: The latest changes, oldest first.
        raised: How many changes there were.
    """

    def __init__(self, config: MonitorConfig, periods_per_year: float, initial_capital: float) -> None:
        self.config = config
        self._made = {
            "monitor": config.model_dump(mode="json", exclude={"enabled"}),
            "periods_per_year": periods_per_year,
            "initial_capital": initial_capital,
        }
        self.alarms: deque[Alarm] = deque(maxlen=MOST_ALARMS)
        self.raised = 0
        self._profits: deque[float] = deque(maxlen=config.win_rate.last)
        alpha = config.alpha
        self._win_rate = WinRate(config.win_rate, alpha, self._report)
        self._sharpe = Sharpe(config.sharpe, periods_per_year, initial_capital, alpha, self._report)
        self._consistency = Consistency(config.consistency, alpha, self._report)
        self._confidence = {
            number: Confidence(seat, config.confidence, alpha, self._report) for number, seat in SEATS.items()
        }

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All of them, in the order in which they are shown."""
        return (self._win_rate, self._sharpe, self._consistency, *self._confidence.values())

    def begin_late(self, equity: float) -> None:
        """The first rows are missing: the first day that is seen begins with this equity, account currency."""
        self._sharpe.begin(equity)

    def trade(self, ts_event: int, profit: float) -> None:
        """A trade has closed.

        Args:
            ts_event: When, nanoseconds UTC.
            profit: Net of fees, account currency.
        """
        self._profits.append(profit)
        self._win_rate.push(ts_event, profit)

    def day(self, ts_event: int, equity: float) -> None:
        """A trading day has ended.

        Args:
            ts_event: Close of its last row, nanoseconds UTC.
            equity: After it, account currency.
        """
        self._sharpe.push(ts_event, equity)

    def decision(self, ts_event: int, seat: int, symbol: int, action: float, confidence: float) -> None:
        """A seat of the ensemble has decided.

        Args:
            ts_event: When, nanoseconds UTC.
            seat: A SeatName.
            symbol: Number of the symbol; -1 for the whole book.
            action: Of the strategic seat the side, -1, 0 or 1.
            confidence: 0..1.
        """
        if seat == SeatName.STRATEGIC:
            self._consistency.push(ts_event, symbol, action)
        self._confidence[seat].push(ts_event, confidence)

    def alerts(self, level: Level) -> list[str]:
        """Codes of the alerts that stand on a level, in the guide's order."""
        standing = {one.code for figure in self.figures for one in figure.thresholds if getattr(one, level)}
        return [code for code in CODES if code in standing]

    def advice(self, level: Level) -> Advice | None:
        """The guide's advice from what stands on a level; None while no figure has a value."""
        if all(figure.value is None for figure in self.figures if figure.thresholds):
            return None
        low = any(getattr(one, level) for one in self._win_rate.thresholds if not one.code)
        return advise(self.alerts(level), low_win_rate=low)

    def tree(self) -> dict[str, Any]:
        """As it stands, JSON-able."""
        return {
            **{level: {"alerts": self.alerts(level), "advice": self.advice(level)} for level in LEVELS},
            "figures": [figure.tree() for figure in self.figures],
            "changes": self.raised,
            "alarms": [alarm.tree() for alarm in self.alarms],
        }

    def snapshot(self) -> State:
        """The carried state."""
        alarms = [[one.number, list(one.change), one.trades, one.result] for one in self.alarms]
        figures = {figure.name: figure.snapshot() for figure in self.figures}
        return {
            MADE: describe(self._made),
            "figures": figures,
            "alarms": alarms,
            "raised": self.raised,
            "profits": list(self._profits),
        }

    def restore(self, state: Any) -> None:
        """Continue from a snapshot. After an error the monitor is of no use.

        Raises:
            DataError: If it is not one of a monitor made alike.
        """
        parts = parts_of(state, (MADE, "figures", "alarms", "raised", "profits"))
        check_made(parts[MADE], self._made)
        saved = parts_of(parts["figures"], tuple(figure.name for figure in self.figures))
        try:
            for figure in self.figures:
                figure.restore(saved[figure.name])
            self.alarms.clear()
            self.alarms.extend(Alarm(a, Change(*change), b, c) for a, change, b, c in parts["alarms"])
            self.raised = int(parts["raised"])
            self._profits.clear()
            self._profits.extend(parts["profits"])
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(f"the saved state of the monitor cannot be used: {error}") from error

    def _report(self, change: Change) -> None:
        self.raised += 1
        self.alarms.append(Alarm(self.raised, change, len(self._profits), sum(self._profits)))
