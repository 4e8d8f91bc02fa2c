"""The same networks over the same bars, in the environment and in `run_backtest`: the same bytes, whatever the market.

The episode begins at the row of the first decision of the backtest, whose account stood idle until then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.models.loading import load_ensemble
from agents.models.store import UNTRAINED
from agents.serving.risk_network import RiskNetwork
from engine.app.config import BacktestConfig
from engine.base.paths import shipped
from engine.types.blocks import concat
from engine.types.records import SeatName
from feeds.replay import HistoricalReplay
from tests.agents.ensemble.scripted import risk_network
from tests.bars import MINUTE
from tests.training.environment.markets import make_bars
from tests.training.environment.served import Hashed, Played, backtest
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv

SEATS = (("strategic", SeatName.STRATEGIC), ("tactical", SeatName.TACTICAL), ("risk", SeatName.RISK))


Networks = tuple[Any, Any, RiskNetwork]


class Replayed:
    """One episode by the same networks, and what they saw."""

    def __init__(self, market: Market, config: BacktestConfig, played: Played, models: Networks):
        self.env = VectorEnv(market, config, Rewards(), config.ensemble, 1, record_fills=True)
        self.rows: dict[str, list[int]] = {name: [] for name, _ in SEATS}
        self.seen: dict[str, list[Any]] = {name: [] for name, _ in SEATS}
        self.actions: dict[str, list[Any]] = {name: [] for name, _ in SEATS}
        start = played.first
        self.env.reset([0], [start], [len(market) - 1 - start])
        while not (self.env.terminated[0] or self.env.truncated[0]):
            answers = [
                model.run(getattr(self.env, name))["action"] for (name, _), model in zip(SEATS, models, strict=True)
            ]
            for k, (name, _) in enumerate(SEATS):
                if self.env.due[0, k]:
                    self.rows[name].append(int(self.env.rows[0]))
                    self.seen[name].append(getattr(self.env, name)[0].copy())
                    self.actions[name].append(answers[k][0])
            self.env.advance(Actions(*answers))


def assert_same(market: Market, config: BacktestConfig, played: Played, models: Networks) -> Replayed:
    found = Replayed(market, config, played, models)
    stop = played.first + int(found.env.steps[0])
    for name, seat in SEATS:
        # at its last row an episode is over, and the backtest still decides
        rows = [row for row in played.rows(seat).tolist() if row < stop]
        assert found.rows[name] == sorted(set(rows)), name
    windows = {"strategic": played.strategic, "tactical": played.tactical}
    for name, seen in windows.items():
        # one row may complete two windows, of which the later one counts
        spoke = played.outputs["seq"][played.outputs["seat"] == SeatName[name.upper()]].tolist()
        by_row = dict(zip(spoke, seen, strict=True))
        for row, window in zip(found.rows[name], found.seen[name], strict=True):
            assert window.tobytes() == by_row[row].tobytes(), f"{name}, row {row}"
    told = played.outputs[played.outputs["seat"] == SeatName.RISK]
    told = told[(told["seq"] >= played.first) & (told["seq"] < stop)]
    assert told["action_0"].tolist() == found.actions["risk"]
    equity = found.env.equity[0, : int(found.env.steps[0]) + 1]
    assert equity.tobytes() == played.ledger[played.first : stop + 1, 1].tobytes()
    fills = played.fills[played.fills["seq"] <= stop]
    assert found.env.fills(0).tobytes() == fills.tobytes()
    return found


def confidences(played: Played, found: Replayed, risk: RiskNetwork) -> None:
    """The risk agent's confidence is a function of all ten metrics: the same bytes, the same metrics."""
    stop = played.first + int(found.env.steps[0])
    told = played.outputs[played.outputs["seat"] == SeatName.RISK]
    told = told[(told["seq"] >= played.first) & (told["seq"] < stop)]
    values = risk.q_values(np.array(found.seen["risk"]))
    best = values.max(axis=1, keepdims=True)
    np.testing.assert_allclose(1.0 / np.exp(values - best).sum(axis=1), told["confidence"], rtol=1e-14)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaps and every bar": {"gaps": 0.1, "ensemble": {"risk_cadence": "bar", "rebalance": 0.0}},
    "slippage": {"execution": {"slippage": {"ticks": 1, "bps": 1}, "participation": 0.05}, "gaps": 0.02},
    "kill switch": {"limits": {"max_drawdown": 0.1}, "sizing": {"mode": "equity_fraction", "value": 4.0}},
    "bars of 5 minutes": {"minutes": 5},
    "volatility target": {"sizing": {"mode": "volatility_target", "value": 0.5, "volatility_span": 500}},
}


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("seed", [1, 2])
def test_networks_see_and_do_the_same(case: str, seed: int) -> None:
    given = dict(CASES[case])
    gaps, timeframe_ns = given.pop("gaps", 0.0), given.pop("minutes", 1) * MINUTE
    settings = {"sizing": {"mode": "equity_fraction", "value": 1.0}, "initial_capital": 250_000, **given}
    config = BacktestConfig.model_validate({"instrument": "BTC-PERP", **settings})
    instrument = config.instrument_for()
    bars = make_bars(4200, seed, instrument, gaps=gaps, start=40_000.0)
    bars = replace(bars, ts_event=bars.ts_event * (timeframe_ns // MINUTE))
    models = (Hashed("strategic", seed), Hashed("tactical", seed), risk_network(seed))
    played = backtest(bars, config, *models, timeframe_ns)
    market = Market.build(instrument, [("bars", bars)], config.ensemble.risk_cadence, timeframe_ns)
    found = assert_same(market, config, played, models)
    confidences(played, found, models[2])
    assert len(found.env.fills(0)) > 20
    assert len(set(found.actions["risk"])) > 1 or timeframe_ns > MINUTE
    assert bool(found.env.terminated[0]) == (case == "kill switch")


def test_the_bundled_ensemble_on_the_recording() -> None:
    folder = shipped("replays") / "es-synthetic"
    config = BacktestConfig.model_validate({"instrument": "ES", "initial_capital": 1_000_000})
    replay = HistoricalReplay([folder / "bars.parquet"], config.instrument_for("ES"), config.replay, symbol="ES")
    bars = concat(list(replay.blocks(4096))).slice(0, 9000)
    loaded = load_ensemble(UNTRAINED)
    assert loaded.strategic is not None and loaded.tactical is not None and loaded.risk is not None
    models = (loaded.strategic, loaded.tactical, loaded.risk)
    played = backtest(bars, config, *models, MINUTE)
    found = assert_same(Market.build(config.instrument_for("ES"), [("ES", bars)]), config, played, models)
    confidences(played, found, loaded.risk)
    assert len(found.env.fills(0)) > 20
