"""What the screen of a live session shows beside its rows: its state, its feed, and refused messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.challengers.standing import Standing
from engine.challengers.takeovers import Takeover
from engine.dashboard.alerts import AlertLevel
from engine.dashboard.learner_panel import LearnerSummary
from engine.dashboard.monitor_line import MonitorSummary
from engine.dashboard.state import DashboardState

LETTERS, MISSING = "letters.", "missing"


class Following:
    """Keeps a screen up to date with a session that is read from time to time."""

    def __init__(self, state: DashboardState) -> None:
        self._state = state
        self._counters: dict[str, int] = {}

    def look(
        self,
        standing: str,
        feed: str,
        counters: Mapping[str, int],
        challengers: Sequence[Standing] = (),
        monitor: MonitorSummary | None = None,
        learner: LearnerSummary | None = None,
        takeovers: Sequence[Takeover] = (),
    ) -> None:
        """Show the session as it is now; what its counters count since the last look becomes an alert.

        Args:
            standing: As `DashboardState.standing`.
            feed: What the feed says of itself; empty while bars can come in.
            counters: The session's running counts.
            challengers: How champion and challengers stand; the last ones stay where nothing tells.
            monitor: What its performance monitor says.
            learner: What its learner does; the last one stays where nothing tells.
            takeovers: From which rows on others decided.
        """
        if challengers:
            self._state.set_challengers(challengers)
        self._state.set_standing(standing)
        self._state.set_feed(feed)
        self._state.set_monitor(monitor)
        self._state.set_takeovers(takeovers)
        if learner is not None:
            self._state.set_learner(learner)
        for name, count in counters.items():
            more = count - self._counters.get(name, 0)
            if more > 0 and name.startswith(LETTERS):
                self._state.quarantine(f"messages, {name.removeprefix(LETTERS)}", more)
            elif more > 0 and name == MISSING:
                self._state.tell(AlertLevel.WARNING, "bars are missing", count=more)
        self._counters = dict(counters)
