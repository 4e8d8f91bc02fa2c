"""Signs of a collapse: found where they are, and only there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.evaluation.episodes import result, use
from tests.training.trainer.small import small_config
from training.evaluation.results import EpisodeResult
from training.trainer.watch import IN_A_ROW, LEAST_UPDATES, RECENT, Sign, Watch

UPDATES = LEAST_UPDATES


def watch(**changes: Any) -> Watch:
    return Watch(small_config(**changes))


def episodes(reward: float = 1.0, **actions: Any) -> list[EpisodeResult]:
    return [result(reward, start=1000 * k, actions=use(**actions)) for k in range(4)]


def seen(own: Watch, results: list[EpisodeResult], times: int, agents: tuple[str, ...] = ("strategic",)) -> list[Sign]:
    return [sign for _ in range(times) for sign in own.evaluated(agents, results, UPDATES)]


def test_staying_out_counts_once_evaluations_agree_and_is_told_once() -> None:
    own, idle = watch(), episodes(0.0, strategic=(0, 400, 0))
    assert seen(own, idle, IN_A_ROW - 1) == []
    (sign,) = seen(own, idle, 5)
    assert (sign.name, sign.agent, sign.grave) == ("NEVER_TRADES", "strategic", True)
    own.forget("strategic")
    assert [sign.name for sign in seen(own, idle, IN_A_ROW)] == ["NEVER_TRADES"]


def test_an_evaluation_with_trades_in_between_starts_the_count_again() -> None:
    own, idle = watch(), episodes(0.0, strategic=(0, 400, 0))
    for results in (idle, episodes(1.0, strategic=(100, 200, 100)), idle):
        assert seen(own, results, 1) == []


def test_young_networks_and_agents_that_do_not_learn_are_not_judged() -> None:
    own, idle = watch(), episodes(0.0, strategic=(0, 400, 0), risk=(400, 0, 0, 0, 0))
    assert [own.evaluated(("strategic",), idle, UPDATES - 1) for _ in range(4)] == [[]] * 4
    assert seen(own, idle, 4, ("tactical",)) == []


@pytest.mark.parametrize(("reward", "grave"), [(-0.5, True), (2.0, False)])
def test_always_the_same_side_is_grave_unless_it_earns(reward: float, grave: bool) -> None:
    (sign,) = seen(watch(), episodes(reward, strategic=(0, 0, 400)), IN_A_ROW)
    assert (sign.name, sign.grave) == ("CONSTANT_STRATEGIC", grave)
    assert "always decides long" in sign.text


def test_a_risk_agent_that_keeps_everybody_out_is_found() -> None:
    (sign,) = seen(watch(), episodes(0.0, risk=(400, 0, 0, 0, 0)), IN_A_ROW, ("strategic", "tactical", "risk"))
    assert (sign.name, sign.agent, sign.grave) == ("ALWAYS_FLAT_RISK", "risk", True)


def test_a_share_that_grows_without_profit_is_told_before_it_is_all() -> None:
    course = [(60, 300, 40), (40, 340, 20), (20, 370, 10)]
    for rewards, names in (((0.5, 0.4, 0.3), ["NARROWING_STRATEGIC"]), ((0.3, 0.4, 0.5), [])):
        own, found = watch(), []
        for shares, reward in zip(course, rewards, strict=True):
            found += seen(own, episodes(reward, strategic=shares), 1)
        assert [(sign.name, sign.grave) for sign in found] == [(name, False) for name in names]


def test_an_entropy_weight_that_explodes_is_found_where_it_is_tuned() -> None:
    tuned = watch(agents={"tactical_agent": {"alpha": "auto"}})
    course = [0.5, 0.05, 0.2, 1.5, 3.0]
    found = [tuned.updated("sac", {"alpha": alpha}) for alpha in course]
    assert [[sign.name for sign in signs] for signs in found] == [[], [], [], ["EXPLODING_ALPHA"], []]
    assert all(watch().updated("sac", {"alpha": alpha}) == [] for alpha in course)


def test_losing_beyond_chance_is_told_after_three_evaluations() -> None:
    poor = [result(-1.0 - 0.1 * k, start=1000 * k, actions=use()) for k in range(6)]
    unsure = [result(0.5 * (-1) ** k - 0.1, start=1000 * k, actions=use()) for k in range(6)]
    own = watch()
    assert seen(own, poor, 2) == []
    assert seen(own, unsure, 1) == []
    assert seen(own, poor, 2) == []
    (sign,) = seen(own, poor, 3)
    assert (sign.name, sign.grave) == ("LOSING_STRATEGIC", False)


PPO = {"policy_loss": 0.01, "value_loss": 0.5, "gradient_norm": 0.4, "explained_variance": 0.6}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({"explained_variance": -0.1}, ["DEAD_VALUES"]),
        ({"value_loss": 4.0, "gradient_norm": 6.0}, ["VALUES_DROWN_POLICY"]),
        ({"value_loss": 4.0, "gradient_norm": 0.4}, []),
    ],
)
def test_values_that_are_dead_or_drown_the_policy(changes: dict[str, float], names: list[str]) -> None:
    together, exact = watch(), watch(training_params={"credit": "exact"})
    found = [sign for _ in range(RECENT + 3) for sign in together.updated("ppo", PPO | changes)]
    assert [sign.name for sign in found] == names and not any(sign.grave for sign in found)
    assert [sign for _ in range(RECENT) for sign in exact.updated("ppo", PPO | changes)] == []


def test_a_watch_goes_on_from_its_snapshot() -> None:
    idle = episodes(0.0, strategic=(0, 400, 0))
    one, other = watch(), watch()
    seen(one, idle, 1)
    other.restore(one.snapshot())
    assert [sign.name for sign in seen(other, idle, 1)] == ["NEVER_TRADES"]
    assert other.snapshot() != one.snapshot()
    one.restore(other.snapshot())
    assert seen(one, idle, 3) == []
