"""The figures against plain definitions, both levels of an alert, and the guide's advice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from engine.base.config import parse
from engine.base.errors import ConfigError
from engine.monitor.performance.advice import advise
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.figures import CODES
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.types.records import SeatName
from portfolio.ratios import risk_adjusted, session_returns

STRATEGIC = int(SeatName.STRATEGIC)
RNG = np.random.default_rng(7)


def monitor(**settings: object) -> PerformanceMonitor:
    return PerformanceMonitor(parse(MonitorConfig, settings, where="test"), 252.0, 100_000.0)


def values(found: PerformanceMonitor) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in found.figures}


def decide(found: PerformanceMonitor, sides: list[float], symbol: int = 0, confidence: float = 0.8) -> None:
    for at, side in enumerate(sides):
        found.decision(at, STRATEGIC, symbol, side, confidence)


def consistent(sides: list[float], bars: int) -> list[bool]:
    """For every decision for a side that is old enough: that none of the next ones was for the other."""
    due = [at for at in range(len(sides) - bars) if sides[at]]
    return [all(sides[at] * later >= 0 for later in sides[at + 1 : at + 1 + bars]) for at in due]


def test_figures_are_what_their_definitions_say() -> None:
    found = monitor()
    profits = RNG.normal(1.0, 10.0, 130)
    for at, profit in enumerate(profits):
        found.trade(at, float(profit))
    assert values(found)["win_rate"] == pytest.approx(np.mean(profits[-50:] > 0))
    equity = 100_000 * np.cumprod(1 + RNG.normal(0.001, 0.01, 90))
    for at, worth in enumerate(equity):
        found.day(at, float(worth))
    returns = session_returns(equity, 100_000.0)[-60:]
    assert values(found)["sharpe_ratio"] == pytest.approx(risk_adjusted(returns, 252.0)["sharpe"])
    sides = RNG.choice([-1.0, 0.0, 1.0], 400, p=[0.05, 0.15, 0.8]).tolist()
    others = RNG.choice([-1.0, 0.0, 1.0], 400).tolist()
    decide(found, sides)
    assert values(found)["decision_consistency"] == pytest.approx(np.mean(consistent(sides, 6)[-100:]))
    decide(found, others, symbol=1)  # a symbol never reverses another's decisions
    assert values(found)["decision_consistency"] == pytest.approx(np.mean(consistent(others, 6)[-100:]))
    confidences = RNG.random(150)
    for at, one in enumerate(confidences):
        found.decision(at, int(SeatName.RISK), -1, 3.0, float(one))
    assert values(found)["model_confidence.risk"] == pytest.approx(confidences[-100:].mean())
    assert values(found)["model_confidence.strategic"] == pytest.approx(0.8)


def test_no_value_before_there_are_enough_observations_and_no_sharpe_of_returns_that_do_not_vary() -> None:
    found = monitor()
    for at in range(19):
        found.trade(at, -1.0)
    assert values(found)["win_rate"] is None and not found.alarms and found.advice("below") is None
    found.trade(19, -1.0)
    assert values(found)["win_rate"] == 0.0 and found.alerts("below") == ["LOW_WIN_RATE"]
    for at in range(40):
        found.day(at, 100_000.0)
    assert values(found)["sharpe_ratio"] is None


def test_below_begins_under_the_threshold_ends_above_the_margin_and_does_not_flap_between() -> None:
    found = monitor(win_rate={"last": 100, "least": 2, "margin": 0.02}, alpha=1e-9)
    seen = []
    for won in [0] * 56 + [1] * 44 + [0, 1] * 3 + [1] * 4:  # 0.44, up to 0.45 and so on
        found.trade(len(seen), 1.0 if won else -1.0)
        seen.append((values(found)["win_rate"], "LOW_WIN_RATE" in found.alerts("below")))
    known = [one for one in seen if one[0] is not None]
    for (_, before), (value, now) in pairwise(known):
        assert value is not None
        assert now == (value < 0.45 or (before and value < 0.45 + 0.02))
    assert [low for value, low in known if value is not None and 0.45 < value < 0.47][-1]
    assert not known[-1][1]


def test_a_proof_stands_until_the_figure_has_recovered_and_then_begins_anew() -> None:
    found = monitor()
    for at in range(40):
        found.trade(at, -5.0)
    proved = [alarm for alarm in found.alarms if alarm.change.level == "proved"]
    assert [alarm.change.threshold for alarm in proved] == [0.45, 0.5]
    assert all(alarm.change.e_value >= 100 and alarm.change.alpha == 0.01 for alarm in proved)
    assert proved[0].result == -100.0 and proved[0].trades == 20 and proved[0].change.value == 0.0
    assert found.alerts("proved") == ["LOW_WIN_RATE"] and found.advice("proved") == "RETRAINING_RECOMMENDED"
    for at in range(40, 140):
        found.trade(at, 5.0)
    ended = [alarm for alarm in found.alarms if alarm.change.level == "proved" and not alarm.change.begins]
    assert {alarm.change.threshold for alarm in ended} == {0.45, 0.5}
    assert found.alerts("proved") == [] and found.advice("proved") == "PERFORMANCE_ACCEPTABLE"


@pytest.mark.parametrize(
    ("alerts", "low", "advice"),
    [
        ([], False, "PERFORMANCE_ACCEPTABLE"),
        ([], True, "RETRAINING_RECOMMENDED"),
        (CODES[1:2], False, "PERFORMANCE_ACCEPTABLE"),
        (CODES[:1], True, "RETRAINING_RECOMMENDED"),
        ([CODES[3], CODES[3]], False, "PERFORMANCE_ACCEPTABLE"),  # two seats of low confidence are one alert
        (CODES[1:3], False, "IMMEDIATE_RETRAINING_REQUIRED"),
        (CODES, True, "IMMEDIATE_RETRAINING_REQUIRED"),
    ],
)
def test_advice_is_the_guides(alerts: list[str], low: bool, advice: str) -> None:
    assert advise(alerts, low_win_rate=low) == advice


def test_the_guides_thresholds_are_the_defaults() -> None:
    tree = monitor().tree()
    below = {one["code"]: one["threshold"] for figure in tree["figures"] for one in figure["thresholds"] if one["code"]}
    assert below == dict(zip(CODES, (0.45, 0.5, 0.7, 0.6), strict=True))


def test_the_settings_of_the_page_are_the_defaults() -> None:
    page = (Path(__file__).parents[4] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    tree = yaml.safe_load(page.split("```yaml\n", 1)[1].split("```", 1)[0])
    assert tree["monitor"] == MonitorConfig().model_dump(mode="json")


def test_a_wrong_configuration_is_named() -> None:
    with pytest.raises(ConfigError, match=r"least \(80\) must not exceed last \(50\)"):
        monitor(win_rate={"least": 80})
    with pytest.raises(ConfigError, match="below"):
        monitor(win_rate={"below": 45})


def test_how_often_each_level_is_wrong() -> None:
    """A strategy that wins half its trades: the value falls below 0.45 sooner or later, the proof does not come."""
    below = proved = 0
    for _ in range(60):
        found = monitor()
        for at, won in enumerate(RNG.random(450) < 0.5):
            found.trade(at, 1.0 if won else -1.0)
        codes = [(alarm.change.code, alarm.change.level) for alarm in found.alarms]
        below += ("LOW_WIN_RATE", "below") in codes
        proved += ("LOW_WIN_RATE", "proved") in codes
    assert below >= 57
    assert proved <= 1
