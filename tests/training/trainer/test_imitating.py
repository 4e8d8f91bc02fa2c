"""The strategic agent begins as a network that does what a regression would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.base.state import State
from tests.training.trainer.small import small_config, small_trainer
from tests.training.trainer.test_in_turns import exact
from training.checkpoint import load
from training.config import Imitation
from training.regression.decisions import stretches
from training.regression.regression import fit
from training.regression.terms import flat, quadratic
from training.trainer.build import build_trainings
from training.trainer.imitating import cost_of_trading, imitate, linear_sum
from training.trainer.setup import TrainingSetup
from training.trainer.trainer import Tree

SHORT = {"updates": 200}


def setup_of(generator: str, **parameters: float) -> TrainingSetup:
    source = {"type": "synthetic", "generator": generator, "scenarios": 20, "length": 6000, "parameters": parameters}
    changes = {"credit": "exact", "total_episodes": 24}
    agents = {"strategic_agent": {"network_architecture": {"hidden_layers": [64, 32, 16], "activation": "relu"}}}
    shaping = {"transaction_cost": 1e-4}
    tree = {"data": {"sources": [source]}, "training_params": changes, "agents": agents, "reward_shaping": shaping}
    return TrainingSetup.prepare(small_config(**tree))


@pytest.fixture(scope="module")
def trending() -> TrainingSetup:
    return setup_of("trending", drift_bps=2.0)


def test_the_network_does_what_the_regression_does(trending: TrainingSetup) -> None:
    learner = build_trainings(trending, "cpu", compiled=False).strategic.learner
    found = imitate(trending, learner, Imitation(updates=300))
    assert found is not None and found.errors > 3.0 and found.earned > 0.0
    assert found.agreement > 0.9
    market, terms = trending.market, {"linear": flat, "quadratic": quadratic}[found.regression]
    regression = fit(market, trending.parts.training, cost_of_trading(trending), terms)
    unseen = [part for one in trending.parts.validation for part in stretches(market, one)]
    wanted = np.concatenate([regression.sides(market, part.rows) for part in unseen])
    windows = market.strategic_windows(market.strategic_end[np.concatenate([part.rows for part in unseen])])
    assert (learner.act(windows, explore=False).actions - 1 == wanted).mean() > 0.85


def test_where_nothing_can_be_earned_nothing_is_imitated() -> None:
    setup = setup_of("random_walk")
    learner = build_trainings(setup, "cpu", compiled=False).strategic.learner
    before = learner.weights()
    found = imitate(setup, learner, Imitation())
    assert found is not None and found.agreement == 0.0 and "equal probabilities" in found.text()
    assert all(np.array_equal(before[name], values) for name, values in learner.weights().items())


def test_a_sum_of_a_window_is_what_the_regression_forecasts(trending: TrainingSetup) -> None:
    market = trending.market
    regression = fit(market, trending.parts.training, 1e-4, flat)
    rows = np.concatenate([part.rows for one in trending.parts.training for part in stretches(market, one)])
    windows = market.strategic_windows(market.strategic_end[rows])
    weights, offset = linear_sum(regression, windows)
    forecasts = regression.forecasts(market, rows)
    found = windows.reshape(len(rows), -1) @ weights.ravel() + offset
    assert found == pytest.approx(forecasts / forecasts.std(), abs=0.02)


def test_a_training_begins_so_once_and_tells(tmp_path: Path) -> None:
    trainer, heard = small_trainer(tmp_path / "whole", exact(SHORT, scenarios=90))
    weights = trainer.run().weights_sha256
    (told,) = heard.of("imitation")
    assert told["episode"] == 0 and "imitating a regression" in told["text"]
    assert heard.of("evaluation")[0]["episode"] == 0
    stopped, heard = small_trainer(tmp_path / "stopped", exact(SHORT, scenarios=90))
    stopped.stop_requested = True
    saved = stopped.run().checkpoint
    assert len(heard.of("imitation")) == 1
    again, heard = small_trainer(tmp_path / "again", exact(SHORT, scenarios=90))
    again.restore(*_loaded(saved))
    assert again.run().weights_sha256 == weights
    assert not heard.of("imitation")


def test_it_can_be_left_out(tmp_path: Path) -> None:
    trainer, heard = small_trainer(tmp_path, exact(total_episodes=24))
    trainer.run()
    assert not heard.of("imitation")


def test_costs_are_those_of_a_fill() -> None:
    config = small_config(
        instrument="ES",
        portfolio={"execution": {"slippage": {"ticks": 1, "bps": 2}}, "sizing": {"mode": "fixed", "value": 2}},
        reward_shaping={"transaction_cost": None},
        training_params={"credit": "exact"},
    )
    setup = TrainingSetup.prepare(config)
    price, es = float(setup.market.bars.close.mean()), setup.market.instrument
    expected = es.fees.per_contract / (price * es.multiplier) + es.fees.rate + es.tick_size / price + 2e-4
    assert cost_of_trading(setup) == pytest.approx(expected)


def _loaded(path: Path) -> tuple[State, Tree, Path]:
    found = load(path)
    return found.state, found.note, found.path
