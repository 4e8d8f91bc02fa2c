"""Networks with declared features over the same bars, in the environment and in `run_backtest`: the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.features.declared import FeaturesConfig
from agents.spec import AGENTS, agents_seeing
from engine.app.config import BacktestConfig
from engine.base.errors import DataError
from engine.types.blocks import BarBlock
from tests.agents.ensemble.scripted import risk_network
from tests.bars import MINUTE
from tests.training.environment.markets import make_bars
from tests.training.environment.served import Hashed, backtest
from tests.training.environment.test_parity_with_backtest import assert_same, confidences
from training.environment.market import Market
from training.environment.parallel import TradingEnv
from training.environment.spaces import observation_space

AGENTS_SEEING = agents_seeing(
    FeaturesConfig.model_validate(
        {"strategic": [{"column": "rate", "scale": 3.0}], "tactical": [{"column": "rate"}, {"column": "microprice"}]}
    )
)
CONFIG = BacktestConfig.model_validate(
    {"instrument": "BTC-PERP", "sizing": {"mode": "equity_fraction", "value": 1.0}, "initial_capital": 250_000}
)


def bars(seed: int) -> BarBlock:
    found = make_bars(4200, seed, CONFIG.instrument_for(), gaps=0.02, start=40_000.0)
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(found.close.shape) < 0.01, rng.normal(0.0, 5.0, found.close.shape), np.nan)
    rate = np.full(found.close.shape, np.nan)
    last = np.nan
    for row in range(300, len(found)):  # not known at first, then it stands until the next value
        last = last if np.isnan(steps[row, 0]) else steps[row, 0]
        rate[row] = last
    return replace(found, extra={"rate": rate, "microprice": found.close + rng.normal(0.0, 5.0, found.close.shape)})


@pytest.mark.parametrize("seed", [1, 2])
def test_networks_see_and_do_the_same(seed: int) -> None:
    block = bars(seed)
    models = (Hashed(AGENTS_SEEING["strategic"], seed), Hashed(AGENTS_SEEING["tactical"], seed), risk_network(seed))
    played = backtest(block, CONFIG, *models, MINUTE)
    market = Market.build(CONFIG.instrument_for(), [("bars", block)], agents=AGENTS_SEEING)
    found = assert_same(market, CONFIG, played, models)
    confidences(played, found, models[2])
    assert len(found.env.fills(0)) > 20
    assert found.env.strategic.shape == (1, 48, 14) and found.env.tactical.shape == (1, 60, 9)
    assert len(np.unique(market.strategic_rows[:, 13])) > 5


def test_the_environment_declares_what_it_shows() -> None:
    market = Market.build(CONFIG.instrument_for(), [("bars", bars(1))], agents=AGENTS_SEEING)
    env = TradingEnv(market, CONFIG, length=200)
    seen, _ = env.reset()
    for name, space in env.observation_spaces.items():
        assert space == observation_space(AGENTS_SEEING[name])
        assert space.contains(seen[name])
    plain = Market.build(CONFIG.instrument_for(), [("bars", bars(1))])
    assert plain.strategic_rows.tobytes() == market.strategic_rows[:, :13].tobytes()
    assert plain.agents == dict(AGENTS)
    assert plain.digest != market.digest


def test_a_source_without_the_column_is_named() -> None:
    lacking = replace(bars(1), extra={})
    with pytest.raises(DataError, match="strategic agent needs a column 'rate'") as refused:
        Market.build(CONFIG.instrument_for(), [("walk 7", lacking)], agents=AGENTS_SEEING)
    assert "walk 7" in str(refused.value)
