"""What the monitor says: figures that have no value, advice beside an alert, numbers that are written alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.app.monitoring import Monitored
from engine.base.errors import CheckFailed
from engine.cli.ctl import phrase
from engine.cli.monitor import latest
from engine.monitor.numbers import e_value_text, percent
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.monitor.performance.words import advice_text, figure_rows
from engine.types.records import SeatName

DAY_NS = 86_400_000_000_000


def fresh() -> PerformanceMonitor:
    return PerformanceMonitor(MonitorConfig(), 252.0, 100_000.0)


def look(monitor: PerformanceMonitor, agent: str) -> Monitored:
    return Monitored(Path("run"), "run", False, 1, None, "USD", agent, monitor, None, [], None, {})


def test_why_a_sharpe_ratio_is_not_known() -> None:
    monitor = fresh()
    for day in range(36):
        monitor.day(day * DAY_NS, 100_000.0)
        [row] = figure_rows(monitor)
        assert row.cells[:3] == ("Sharpe ratio", "not known", f"{day + 1} days") and row.level == "unknown"
        assert row.status == (f"too few: {day + 1} of 20" if day < 19 else "the returns do not vary")


def test_an_alert_and_advice_that_is_content_are_both_understood() -> None:
    monitor = fresh()
    for row in range(400):  # a decision for the other side at every bar
        monitor.decision(row * DAY_NS, SeatName.STRATEGIC, 0, 1.0 if row % 2 else -1.0, 0.9)
    assert monitor.alerts("proved") == ["INCONSISTENT_DECISIONS"]
    said = "advice: PERFORMANCE_ACCEPTABLE, since one alert alone does not ask for retraining"
    assert advice_text(monitor, "proved") == said and advice_text(fresh(), "proved") == "too little data for advice"
    with pytest.raises(CheckFailed) as caught:
        look(monitor, "ensemble:v1").check()
    error = caught.value
    assert error.what == "proved: INCONSISTENT_DECISIONS" and error.found == said
    assert error.hint is not None and "train" not in error.hint


@pytest.mark.parametrize(
    ("agent", "hint"), [("ensemble", "train the ensemble again"), ("sma_cross:fast=2", "sma_cross:fast=2 has nothing")]
)
def test_only_what_was_trained_is_to_be_trained_again(agent: str, hint: str) -> None:
    monitor = fresh()
    for trade in range(300):
        monitor.trade(trade * DAY_NS, -1.0)
    with pytest.raises(CheckFailed, match="proved: LOW_WIN_RATE") as caught:
        look(monitor, agent).check()
    assert caught.value.found == "advice: RETRAINING_RECOMMENDED" and str(caught.value.hint).startswith(hint)


@given(st.floats(0.0, 1e9), st.floats(1.0, 1e5))
@settings(max_examples=50, deadline=None)
def test_e_values_are_plain_numbers_that_keep_their_order(e_value: float, needed: float) -> None:
    found, limit = (float(e_value_text(value).replace(",", "")) for value in (e_value, needed))
    assert "e" not in e_value_text(e_value)
    assert found >= limit if e_value >= needed else found <= limit


def test_numbers_are_written_one_way() -> None:
    written = [e_value_text(value) for value in (0.967, 9.994, 12.4, 1184.2, 2_834_773.0)]
    assert written == ["0.97", "9.99", "12", "1,184", "2,834,773"]
    assert percent(0.2264, 1) == "22.6 %" and percent(0.22) == "22 %"
    headings = [latest(most, count, "change", "changes") for most, count in ((10, 1), (10, 10), (10, 1200))]
    assert headings == ["1 change:", "10 changes:", "the latest 10 of 1,200 changes:"]


def test_the_answer_of_a_session_is_in_words() -> None:
    summary = {"alerts": [], "alerts_by_value": ["LOW_WIN_RATE", "LOW_SHARPE_RATIO"], "values": {"win_rate": 0.4}}
    assert phrase(summary) == "alerts none, alerts by value LOW_WIN_RATE and LOW_SHARPE_RATIO, values (win_rate 0.40)"
    assert phrase({"A_B": 1.0}) == "A_B 1.00"
