"""Rules, regression and optima in the same episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import UsageError
from tests.training.data.configs import synthetic
from tests.training.suite.setups import setup_of
from training.evaluation.episodes import run_episodes
from training.evaluation.policies import Constants
from training.evaluation.starts import evaluation_starts
from training.suite.families import held_out_setup, training_sources
from training.suite.play import play
from training.suite.yardsticks import best_constant, unit_share, yardsticks
from training.trainer.setup import TrainingSetup


@pytest.fixture(scope="module")
def regimes() -> TrainingSetup:
    return setup_of([synthetic("regime_drift", 40, length=12_000, parameters={"mean_minutes": 960.0})])


@pytest.fixture(scope="module")
def found(regimes: TrainingSetup) -> dict[str, float]:
    return yardsticks(regimes, episodes=30)


def test_knowledge_is_worth_what_it_should_be(found: dict[str, float]) -> None:
    assert found["flat"] == 0.0
    assert found["best_constant"] == 0.0
    assert found["random"] < -0.1  # fees of every change of mind
    assert found["expected_full"] > found["expected_minutes"] >= found["expected_prices"] > 7.0
    # 30 episodes of a deviation of about 4 %
    for name in ("full", "prices", "minutes"):
        assert found[f"optimum_{name}"] == pytest.approx(found[f"expected_{name}"], abs=2.5)
    assert found["optimum_full"] > found["optimum_prices"]
    assert 0.6 * found["optimum_prices"] < found["linear"] < found["optimum_full"]
    assert found["buy_and_hold"] < 0.5 * found["linear"]


def test_a_plan_is_played_as_episodes_are(regimes: TrainingSetup) -> None:
    starts = evaluation_starts(regimes.market, regimes.parts.test, 2000, 4)
    actions = {"strategic": (2.0,), "tactical": (1.0, 0.05, 2.0), "risk": (4.0,)}
    policy = Constants(None, actions)  # type: ignore[arg-type] # nothing is left to decide
    config = regimes.config
    results = run_episodes(regimes.market, config.portfolio, regimes.rewards, config.ensemble, policy, starts, 2000)
    earned = play(regimes, [lambda rows: np.ones(len(rows), np.int64)] * 4, starts)
    assert earned.tolist() == [one.total_return for one in results]
    assert np.abs(earned).min() > 1e-4


def test_nothing_is_the_optimum_of_a_random_walk() -> None:
    found = yardsticks(setup_of([synthetic("random_walk", 30, length=6000)]), episodes=10)
    assert [value for name, value in found.items() if name.startswith(("optimum", "expected"))] == [0.0] * 6
    assert abs(found["linear"]) < 1.0


def test_what_has_no_known_law_has_no_optimum() -> None:
    found = yardsticks(setup_of([synthetic("volatile", 30, length=6000)]), episodes=4)
    assert list(found) == ["flat", "random", "buy_and_hold", "best_constant", "linear", "quadratic"]


def test_beliefs_about_phases_have_no_expectation() -> None:
    found = yardsticks(setup_of([synthetic("trend_sideways", 30, length=6000)]), episodes=8)
    assert "expected_full" in found
    assert "expected_prices" not in found
    assert found["optimum_full"] > found["optimum_minutes"] > 0.0


def test_markets_that_are_held_out_have_their_own_optimum(regimes: TrainingSetup) -> None:
    sources = [one.model_dump() for one in training_sources("regime_drift", 3, scenarios=24)]
    setup = setup_of(sources)
    judged = held_out_setup(setup, "regime_drift", scenarios=8)
    assert [stop - start for start, stop in judged.parts.test] == [12_000] * 8
    assert not judged.parts.training
    found = yardsticks(setup, judged, episodes=20)
    assert found["optimum_full"] == pytest.approx(found["expected_full"], abs=3.0)
    assert 0.0 < found["linear"] < found["optimum_full"]
    assert 0.0 < found["quadratic"] < found["optimum_full"]


def test_the_best_constant_needs_a_drift_beyond_chance(regimes: TrainingSetup) -> None:
    assert best_constant(regimes) == 0
    premium = {"turbulent_drift_bps": 0.0}
    assert best_constant(setup_of([synthetic("volatility_premium", 30, length=6000, parameters=premium)])) == 1


def test_a_unit_is_a_share_of_the_capital(regimes: TrainingSetup) -> None:
    starts = evaluation_starts(regimes.market, regimes.parts.test, 2000, 3)
    assert unit_share(regimes, starts).tolist() == [0.5] * 3
    portfolio = regimes.config.portfolio
    fixed, wild = (
        replace(
            regimes,
            config=regimes.config.model_copy(
                update={
                    "portfolio": portfolio.model_copy(
                        update={"sizing": portfolio.sizing.model_copy(update={"mode": mode, "value": 100.0})}
                    )
                }
            ),
        )
        for mode in ("fixed", "volatility_target")
    )
    prices = regimes.market.bars.close[starts, 0]
    assert unit_share(fixed, starts) == pytest.approx(100.0 * prices / portfolio.initial_capital)
    with pytest.raises(UsageError, match="follow the volatility"):
        unit_share(wild, starts)
