"""The oracle is the backtest: the same networks over the same bars, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from engine.app.config import BacktestConfig
from engine.types.instruments import load_instrument
from engine.types.records import SeatName
from tests.agents.ensemble.runs import without_rows
from tests.agents.ensemble.scripted import risk_network
from tests.bars import MINUTE, random_bars
from tests.training.environment.oracle import OracleEnv
from tests.training.environment.served import Hashed, backtest
from training.config import RewardShaping


@pytest.mark.parametrize("cadence", ["tactical", "bar"])
def test_the_oracle_is_the_backtest(cadence: str) -> None:
    instrument = load_instrument("BTC-PERP")
    bars = without_rows(random_bars(3400, 3, start=40_000, tick=instrument.tick_size), 0.03, 3)
    config = BacktestConfig.model_validate(
        {"initial_capital": 1_000_000, "instrument": "BTC-PERP", "ensemble": {"risk_cadence": cadence}, "cuts": {}}
    )
    strategic, tactical, risk = Hashed("strategic"), Hashed("tactical"), risk_network(1)
    played = backtest(bars, config, strategic, tactical, risk, MINUTE)
    env = OracleEnv(instrument, [bars], config, RewardShaping(), config.ensemble)
    env.reset(played.first, len(bars) - 1 - played.first)
    while not env.over:
        action = int(strategic.run(env.view.strategic[None])["action"][0])
        tactics = tactical.run(env.view.tactical[None])["action"][0]
        env.step(action, tactics, int(risk.run(env.risk[None])["action"][0]))
    assert len(played.fills) > 20
    assert np.array(env.equity).tobytes() == played.ledger[played.first :, 1].tobytes()
    assert np.array(env.fills).tobytes() == played.fills.tobytes()
    assert len(set(played.outputs["action_0"][played.outputs["seat"] == SeatName.RISK])) > 1
