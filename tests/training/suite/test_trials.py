"""Trials of the suite: run as the command does, judged as it says."""

from __future__ import annotations

from typing import Any

from training.suite.families import FAMILIES
from training.suite.scores import cells, failures, header, in_order, share
from training.suite.trials import QUICK, Trial, config_of, run_trials

SMALL = (
    "training.parallel_envs=16",
    "training_params.total_episodes=24",
    "training_params.episode_length=300",
    "training_params.evaluation_episodes=4",
    "training_params.evaluation_frequency=12",
    "agents.strategic_agent.rollout_steps=64",
)


def row(family: str, seed: int, earned: float, optimum: float, trades: float) -> dict[str, Any]:
    return {"family": family, "seed": seed, "return": earned, "optimum_prices": optimum, "trades": trades}


def test_a_family_fails_by_more_than_one_seed_in_ten() -> None:
    good = [row("regime_drift", seed, 9.1, 10.0, 3.0) for seed in range(9)]
    bad = [row("regime_drift", 9 + number, 8.9, 10.0, 3.0) for number in range(2)]
    assert failures([*good, bad[0]]) == []
    assert failures([bad[0]]) == [
        "regime_drift: seed 9 earns 8.90 % an episode, 89% of the 10.00 that prices allow (at least 90% wanted)"
    ]
    assert "seed 9" in failures([*good, *bad])[0] and "seed 10" in failures([*good, *bad])[0]


def test_where_nothing_can_be_earned_trading_fails_and_no_return_does() -> None:
    assert share(row("random_walk", 1, 0.0, 0.0, 0.0)) is None
    assert failures([row("random_walk", 1, 0.0, 0.0, 0.0), row("regime_below_fee", 1, 0.0, 0.0, 0.4)]) == []
    assert "trades 3.0 times" in failures([row("random_walk", 1, 0.5, 0.0, 3.0)])[0]


def test_trials_come_with_everything_that_stands_beside_them() -> None:
    (found,) = run_trials([Trial("regime_drift", 2, SMALL, rules=False, scenarios=24)], 1)
    assert {"flat", "random", "buy_and_hold", "best_constant", "linear", "quadratic", "optimum_prices"} <= set(found)
    assert (found["family"], found["seed"]) == ("regime_drift", 2)
    assert len(found["seats"]) == 3
    assert len(cells(found)) == len(header())
    assert cells(found)[header().index("rule")] == "-"
    assert in_order([found, found | {"seed": 1}])[0]["seed"] == 1


def test_the_quick_tier_has_a_market_to_learn_and_one_to_leave_alone() -> None:
    assert [FAMILIES[name].earns for name in QUICK] == [True, False]
    config = config_of(Trial("trending", 3, ("seed=7",)))
    assert {source.generator for source in config.data.sources if source.type == "synthetic"} == {"trending"}
    assert config.seed == 7
    assert config.reward_shaping.risk_penalty == 0.0
    assert config_of(Trial("trending", 3, penalties=True)).reward_shaping.risk_penalty > 0.0
