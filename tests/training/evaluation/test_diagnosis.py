from __future__ import annotations

from typing import Any

import pytest

from tests.training.evaluation.episodes import histogram, result, use
from training.evaluation.diagnosis import diagnose
from training.evaluation.results import EpisodeResult


def named(results: list[EpisodeResult]) -> list[str]:
    return [finding.name for finding in diagnose(results)]


def episodes(count: int = 6, **changes: Any) -> list[EpisodeResult]:
    return [result(1.0 + k, start=1000 * k, **changes) for k in range(count)]


def test_a_healthy_ensemble_has_no_findings() -> None:
    assert diagnose(episodes()) == []
    assert diagnose([]) == []


EDGE = histogram((0, 400), (9, 2))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("CONSTANT_STRATEGIC", {"actions": use(strategic=(0, 0, 40))}),
        ("CONSTANT_STRATEGIC", {"actions": use(strategic=(1, 0, 999))}),
        ("CONSTANT_TACTICAL", {"actions": use(tactical_deviation=(0.0, 1e-5, 0.01))}),
        ("SATURATED_TACTICAL", {"actions": use(tactical=(use().tactical[0], EDGE, use().tactical[0]))}),
        ("CONSTANT_RISK", {"actions": use(risk=(0, 0, 0, 50, 0))}),
        ("ALWAYS_FLAT_RISK", {"actions": use(risk=(50, 0, 0, 0, 0))}),
        ("NEVER_TRADES", {"trades": 0, "exposure": 0.0}),
        ("HALTED_EPISODES", {"halted": "max_drawdown"}),
        ("LOSES_TO_COSTS", {"total_return": -0.001, "fees": 0.01}),
    ],
)
def test_each_finding(name: str, changes: dict[str, Any]) -> None:
    found = named(episodes(**changes))
    assert name in found
    # returns that are all alike are also surely below 0
    assert set(found) <= {name, "WORSE_THAN_FLAT"}


@pytest.mark.parametrize(
    ("agent", "action", "changes"),
    [
        ("strategic", (2.0,), {"actions": use(strategic=(0, 0, 40))}),
        ("tactical", (1.0, 0.05, 1.0), {"actions": use(tactical_deviation=(0.0, 0.0, 0.0))}),
        ("risk", (3.0,), {"actions": use(risk=(0, 0, 0, 50, 0))}),
    ],
)
def test_a_constant_that_was_decided_is_not_told_to_learn_more(
    agent: str, action: tuple[float, ...], changes: dict[str, Any]
) -> None:
    (fault,), (decided,) = diagnose(episodes(**changes)), diagnose(episodes(**changes), {agent: action})
    assert fault.name == decided.name == f"CONSTANT_{agent.upper()}"
    assert "does not react" in fault.message
    assert "the constant took the seat" in decided.message and "does not react" not in decided.message


def test_staying_out_that_was_decided_is_said_to_be() -> None:
    idle = episodes(trades=0, exposure=0.0)
    assert "reward_shaping" in diagnose(idle)[0].message
    assert "no direction was worth its cost" in diagnose(idle, {"strategic": (1.0,)})[0].message


def test_agents_that_had_no_turn_are_not_told_of_one() -> None:
    seats = {"strategic": (1.0,), "tactical": (1.0, 0.05, 1.0), "risk": (4.0,)}
    alike = use(strategic=(0, 40, 0), tactical_deviation=(0.0, 0.0, 0.0), risk=(0, 0, 0, 0, 50))
    found = named(episodes(trades=0, exposure=0.0, actions=alike))
    assert {"CONSTANT_TACTICAL", "CONSTANT_RISK"} <= set(found)
    decided = [one.name for one in diagnose(episodes(trades=0, exposure=0.0, actions=alike), seats)]
    assert set(decided) == {"NEVER_TRADES", "CONSTANT_STRATEGIC"}


def test_losing_beyond_chance() -> None:
    sure = [result(start=1000 * k, total_return=-0.01 - 0.001 * k, fees=0.0) for k in range(8)]
    unsure = [result(start=1000 * k, total_return=0.01 * (-1) ** k - 0.001, fees=0.0) for k in range(8)]
    overlapping = [result(start=k, total_return=-0.01 - 0.001 * k, fees=0.0) for k in range(8)]
    assert named(sure) == ["WORSE_THAN_FLAT"]
    assert named(unsure) == named(overlapping) == []


def test_a_position_that_is_never_closed_is_trading() -> None:
    assert named(episodes(trades=0, exposure=0.9)) == []


def test_a_baseline_has_no_agents_to_find_fault_with() -> None:
    assert named(episodes(actions=None)) == []
    assert named(episodes(actions=None, trades=0, exposure=0.0)) == ["NEVER_TRADES"]


def test_no_decision_at_all_is_not_a_constant_one() -> None:
    none = use(strategic=(0, 0, 0), risk=(0,) * 5, tactical=(histogram(),) * 3)
    assert named(episodes(actions=none)) == []
