"""A policy in an environment does what it does in the backtest, to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.spec import TACTICAL_AGENT
from engine.types.blocks import concat
from engine.types.instruments import load_instrument
from engine.types.records import ACCOUNT, Records
from feeds.replay import HistoricalReplay
from portfolio.config import PortfolioConfig
from tests.training.environment.playing import (
    SECOND_ROWS,
    SECOND_SEED,
    backtest,
    bundled,
    make_env,
    market,
    network_actions,
    same_bytes,
    synthetic,
)
from training.environment.market import Market
from training.environment.vector import Actions, VectorEnv

PORTFOLIOS: dict[str, dict[str, Any]] = {
    "plain": {},
    "costs": {"execution": {"slippage": {"ticks": 1, "range": 0.05}, "participation": 0.02}},
    "volatility": {"sizing": {"mode": "volatility_target", "value": 0.3}, "limits": {"max_leverage": 3}},
    "halts": {"sizing": {"mode": "equity_fraction", "value": 4.0}, "limits": {"max_drawdown": 0.01}},
    "daily": {"sizing": {"mode": "equity_fraction", "value": 2.0}, "limits": {"max_daily_loss": 0.003}},
}

LEFT_ALONE = [name for name in ACCOUNT.names or () if name not in {"next_order_id", "orders"}]
"""Of an account by a decision in the last row, which the backtest takes and an environment does not."""


def portfolio(name: str) -> PortfolioConfig:
    return PortfolioConfig.model_validate({"initial_capital": 1_000_000, **PORTFOLIOS[name]})


def said(outputs: Records, seat: int) -> list[tuple[int, float, float, float]]:
    """What a seat said in each row; of two bars completed in one row the later one counts."""
    chosen = outputs[outputs["seat"] == seat]
    return list({row[0]: row for row in chosen[["seq", "action_0", "action_1", "action_2"]].tolist()}.values())


def heard(
    env: VectorEnv, actions: Actions, e: int, first: int, into: list[list[tuple[int, float, float, float]]]
) -> None:
    """Note what the agents that are due say, as the ensemble's outputs do."""
    row = int(env.rows[e]) - first
    if env.due[e, 0]:
        into[0].append((row, float(actions.strategic[e]) - 1.0, 0.0, 0.0))
    if env.due[e, 1]:
        timing, stop, scale = np.clip(
            actions.tactical[e].astype(np.float64), TACTICAL_AGENT.low, TACTICAL_AGENT.high
        ).tolist()
        into[1].append((row, timing, stop, scale))
    if env.due[e, 2]:
        into[2].append((row, float(actions.risk[e]), 0.0, 0.0))


@pytest.mark.parametrize("name", PORTFOLIOS)
@pytest.mark.parametrize(("instrument", "cadence", "missing"), [("ES", "tactical", 0.02), ("BTC-PERP", "bar", 0.2)])
@pytest.mark.parametrize("single", [True, False])
def test_the_same_networks_come_to_the_same_bits(
    name: str, instrument: str, cadence: str, missing: float, single: bool
) -> None:
    found = market(instrument, missing=missing, cadence=cadence)
    bars = synthetic(instrument, SECOND_ROWS, SECOND_SEED, missing)
    segment, length = found.segments[1], 1000
    starts = found.starts((segment.start, segment.stop), length)[:3]
    env = make_env(found, len(starts), portfolio(name), record_fills=True)
    env.reset(np.arange(len(starts)), starts, np.full(len(starts), length))
    decided: list[list[list[tuple[int, float, float, float]]]] = [[[], [], []] for _ in starts]
    while not (env.terminated | env.truncated).all():
        actions = network_actions(bundled(), env)
        for e in range(len(starts)):
            heard(env, actions, e, segment.start, decided[e])
        env.step(actions) if single else env.advance(actions)
    fills = 0
    for e, start in enumerate((starts - segment.start).tolist()):
        steps = int(env.steps[e])
        wanted = backtest(bundled(), load_instrument(instrument), bars, start, steps, portfolio(name), cadence)
        assert same_bytes(env.equity[e, : steps + 1].copy(), wanted.equity.copy())
        assert same_bytes(env.fills(e), wanted.fills)
        assert env.accounts[LEFT_ALONE][e].tolist() == wanted.account[LEFT_ALONE][0].tolist()
        fills += len(wanted.fills)
        if env.truncated[e]:
            assert steps == length
        else:
            assert name in {"halts", "daily"} and wanted.account["halted"][0]
        # nobody decides in the last row of an episode
        before = wanted.outputs[wanted.outputs["seq"] < start + steps]
        for seat in (1, 2, 3):
            assert decided[e][seat - 1] == said(before, seat)
    assert fills > 5


def test_kill_switches_trip_somewhere() -> None:
    found = market("ES", missing=0.02)
    starts = found.starts((0, len(found)), 1500)
    env = make_env(found, len(starts), portfolio("halts"))
    env.reset(np.arange(len(starts)), starts, np.full(len(starts), 1500))
    while not (env.terminated | env.truncated).all():
        env.advance(network_actions(bundled(), env))
    assert env.terminated.any()
    assert (env.accounts["halted"][env.terminated] > 0).all() and not env.accounts["halted"][env.truncated].any()


def test_a_recording_that_ships() -> None:
    source = HistoricalReplay(Path("replays/es-synthetic/bars.parquet"), load_instrument("ES"))
    bars = concat(list(source.blocks(4096)))
    found = Market.build(load_instrument("ES"), [("recording", bars)])
    start, length = int(found.starts((0, len(found)), 2000)[0]), 2000
    env = make_env(found, 1, record_fills=True)
    env.reset(0, start, length)
    while not env.truncated[0]:
        env.advance(network_actions(bundled(), env))
    config = PortfolioConfig(initial_capital=1_000_000)
    wanted = backtest(bundled(), load_instrument("ES"), bars, start, length, config)
    assert same_bytes(env.equity[0].copy(), wanted.equity.copy())
    assert same_bytes(env.fills(0), wanted.fills) and len(wanted.fills) > 10
