"""Tuned rules: chosen on the training part, and charged as episodes are."""

from __future__ import annotations

import numpy as np
import pytest

from agents.registry import make_market_agent
from engine.base.errors import UsageError
from tests.training.data.configs import synthetic
from tests.training.suite.setups import setup_of
from training.evaluation.baselines import run_baseline
from training.evaluation.starts import evaluation_starts
from training.suite.play import play
from training.suite.rules import RULES, earned, tune, tuned_rules, variants
from training.trainer.setup import TrainingSetup


@pytest.fixture(scope="module")
def regimes() -> TrainingSetup:
    return setup_of([synthetic("regime_drift", 30, length=6000, parameters={"mean_minutes": 960.0})])


def test_holding_earns_what_the_baseline_does(regimes: TrainingSetup) -> None:
    starts = evaluation_starts(regimes.market, regimes.parts.test, 2000, 5)
    agent = make_market_agent("buy_and_hold:size=1")
    held = run_baseline("buy_and_hold", regimes.market, regimes.config.portfolio, regimes.rewards, starts, 2000)
    assert earned(regimes, agent, starts, held=False).tolist() == [one.total_return for one in held]


def test_a_rule_that_is_held_changes_where_the_strategic_agent_decides(regimes: TrainingSetup) -> None:
    starts = evaluation_starts(regimes.market, regimes.parts.test, 2000, 5)
    agent = make_market_agent("buy_and_hold:size=2")
    assert np.array_equal(
        earned(regimes, agent, starts, held=True),
        play(regimes, [lambda rows: np.ones(len(rows), np.int64)] * 5, starts),
    )
    cross = make_market_agent("sma_cross:fast=5,slow=120,size=2")
    assert not np.array_equal(earned(regimes, cross, starts, held=True), earned(regimes, cross, starts, held=False))


def test_what_is_tuned_follows_trends_where_there_are_some_and_reverses_where_prices_revert() -> None:
    rules = ("flat", "sma_cross:fast=1|30,slow=120|480,size=2,reverse=false|true")
    found = {
        name: tune(setup_of([synthetic(name, 30, length=6000)]), held=True, rules=rules)
        for name in ("regime_drift", "mean_reversion", "random_walk")
    }
    assert found["regime_drift"].spec.endswith("reverse=false") and found["regime_drift"].earned > 3.0
    assert found["mean_reversion"].spec.endswith("reverse=true") and found["mean_reversion"].earned > 1.0
    assert 0.0 <= found["random_walk"].earned < 1.0  # the luck of the best of 9
    assert {one.variants for one in found.values()} == {9}


def test_both_cadences_stand_beside_each_other(regimes: TrainingSetup) -> None:
    found = tuned_rules(regimes, episodes=10)
    assert found["rule"] > 2.0 and found["rule_held"] > 2.0
    assert found["rule_spec"].startswith("sma_cross") and found["rule_error"] > 0.0


def test_combinations_that_an_agent_refuses_are_left_out() -> None:
    assert all(int(spec.split("fast=")[1].split(",")[0]) < 1440 for spec in variants() if "fast" in spec)
    assert {rule.partition(":")[0] for rule in RULES} == {spec.partition(":")[0] for spec in variants()}
    with pytest.raises(UsageError, match="1 <= fast < slow"):
        variants(("sma_cross:fast=30,slow=10|20",))
