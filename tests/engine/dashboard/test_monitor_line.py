"""One line of the screen for the performance monitor: what is low is coloured, and it always fits."""

from __future__ import annotations

import pytest

from engine.dashboard.cells import BAD, PLAIN, WARN, width_of
from engine.dashboard.following import Following
from engine.dashboard.monitor_line import MonitorSummary, monitor_line
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.view import MONITOR_FROM, frame

VALUES = {"win_rate": 0.41, "sharpe_ratio": 1.3, "decision_consistency": 0.66, "model_confidence.strategic": None}
LOW = MonitorSummary(
    VALUES, ("LOW_WIN_RATE", "INCONSISTENT_DECISIONS"), ("LOW_WIN_RATE",), "RETRAINING_RECOMMENDED", ("X.volume",)
)


def styles(summary: MonitorSummary) -> dict[str, object]:
    return {part.text: part.style for part in monitor_line(summary, 200)}


def test_what_is_low_is_coloured_by_how_sure_that_is() -> None:
    found = styles(LOW)
    assert (found["0.41"], found["0.66"], found["1.30"]) == (BAD, WARN, PLAIN)
    assert found["retraining recommended"] == WARN and "X.volume" in found and "confidence " not in found
    assert "too little data for advice" in styles(MonitorSummary({}, (), (), None))


@pytest.mark.parametrize("width", [1, 12, 40, 80, 160])
def test_it_fits(width: int) -> None:
    assert width_of(monitor_line(LOW, width)) == width


def test_the_screen_of_a_session_has_it_where_there_is_room() -> None:
    state = DashboardState(RunInfo("paper", "ensemble", ("X",)))
    following = Following(state)

    def shown(height: int) -> str:
        lines = frame(state, 160, height, 0.0)
        assert len(lines) == height
        return "\n".join("".join(part.text for part in line) for line in lines)

    following.look("trading", "", {})
    assert "monitor" not in shown(45)
    version = state.version
    following.look("trading", "", {}, monitor=LOW)
    assert state.version == version + 1
    assert "monitor   win rate 0.41   Sharpe 1.30" in shown(45) and "win rate 0.41" not in shown(MONITOR_FROM - 1)
    following.look("trading", "", {}, monitor=LOW)
    assert state.version == version + 1
