"""Environments against the oracle: what is seen, filled and owned to the last bit, rewards to 1e-9."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.ensemble.config import EnsembleConfig
from engine.types.blocks import Ints
from engine.types.instruments import Instrument, load_instrument
from engine.types.records import FILL
from portfolio.config import PortfolioConfig
from tests.training.environment.markets import PLAIN, make_bars, make_market
from tests.training.environment.oracle import OracleEnv, View, views
from training.config import RewardShaping
from training.environment.market import Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv

WITH_COSTS: dict[str, Any] = {"fees": {"per_contract": 0.2, "rate": 0.0005}, "initial_margin": {"rate": 0.2}}
INSTRUMENTS = {
    "plain": PLAIN,
    "costly": Instrument.model_validate({**PLAIN.model_dump(), **WITH_COSTS, "multiplier": 10.0}),
    "generic": load_instrument("GENERIC"),
}
PORTFOLIOS: dict[str, dict[str, Any]] = {
    "fixed": {"sizing": {"mode": "fixed", "value": 50.0}},
    "slipping": {
        "sizing": {"mode": "equity_fraction", "value": 1.0},
        "execution": {"slippage": {"ticks": 1, "bps": 2, "range": 0.05}, "limit_fill": "through"},
    },
    "thin": {
        "sizing": {"mode": "equity_fraction", "value": 2.0},
        "execution": {"participation": 0.02, "max_open_orders": 3},
        "limits": {"max_position": 900, "max_leverage": 1.5},
    },
    "halting": {
        "sizing": {"mode": "equity_fraction", "value": 3.0},
        "limits": {"max_drawdown": 0.01, "max_daily_loss": 0.008},
    },
    "called": {"sizing": {"mode": "equity_fraction", "value": 5.0}},
    "volatility": {"sizing": {"mode": "volatility_target", "value": 0.3, "volatility_span": 60}},
}
SHAPINGS = (
    RewardShaping(),
    RewardShaping(profit_weight=0.3, risk_penalty=2.0, sharpe_bonus=3.0, max_drawdown_penalty=0.7),
)


@cache
def market(instrument: str, gaps: float, cadence: str) -> tuple[Market, list[Any], list[View]]:
    """Two sources of different bars, and the oracle's view of them."""
    chosen = INSTRUMENTS[instrument]
    blocks = [make_bars(3500, 11, chosen, gaps=gaps), make_bars(3900, 12, chosen, gaps=gaps, volatility=4e-3)]
    seen = [view for block in blocks for view in views(chosen, block, cadence)]
    return make_market(blocks, chosen, cadence), blocks, seen


def random_actions(generator: np.random.Generator, envs: int) -> Actions:
    tactical = generator.uniform([-0.2, 0.0, 0.0], [1.2, 0.06, 2.2], (envs, 3)).astype(np.float32)
    tactical[generator.random(envs) < 0.4, 0] = 1.0
    levels = generator.integers(0, 5, envs)
    return Actions(generator.integers(0, 3, envs), tactical, np.where(generator.random(envs) < 0.3, 4, levels))


def compare(env: VectorEnv, e: int, oracle: OracleEnv) -> None:
    """Everything that can be seen of one environment in one row."""
    row = oracle.row
    assert int(env.rows[e]) == row and int(env.steps[e]) == oracle.steps
    assert env.strategic[e].tobytes() == oracle.view.strategic.tobytes(), f"strategic, row {row}"
    assert env.tactical[e].tobytes() == oracle.view.tactical.tobytes(), f"tactical, row {row}"
    for name in oracle.account.dtype.names:
        assert env.accounts[e][name] == oracle.account[name][0], f"{name}, row {row}"
    assert env.orders(e).tobytes() == oracle.orders.tobytes(), f"orders, row {row}"
    np.testing.assert_array_equal(env.risk[e], oracle.risk, err_msg=f"row {row}")
    assert (bool(env.terminated[e]), bool(env.truncated[e])) == (oracle.terminated, oracle.truncated)
    assert tuple(env.due[e]) == ((False,) * 3 if oracle.over else oracle.due), f"row {row}"
    np.testing.assert_allclose(env.terms[e], oracle.terms, rtol=1e-9, atol=1e-12, err_msg=f"row {row}")
    np.testing.assert_allclose(env.rewards[e], np.sum(oracle.terms, axis=1), rtol=1e-9, atol=1e-11)


def same_fills(env: VectorEnv, e: int, oracle: OracleEnv) -> bool:
    return env.fills(e).tobytes() == np.array(oracle.fills, FILL).tobytes()


CASES = {
    "instrument": st.sampled_from(sorted(INSTRUMENTS)),
    "portfolio": st.sampled_from(sorted(PORTFOLIOS)),
    "shaping": st.sampled_from(SHAPINGS),
    "gaps": st.sampled_from([0.0, 0.12]),
    "cadence": st.sampled_from(["tactical", "bar"]),
    "rebalance": st.sampled_from([0.0, 0.1, 0.5]),
    "envs": st.integers(1, 3),
    "single": st.booleans(),
    "customary": st.booleans(),
    "seed": st.integers(0, 1000),
}


@given(**CASES)
@settings(max_examples=40)
def test_the_environments_are_the_oracle(
    instrument: str,
    portfolio: str,
    shaping: RewardShaping,
    gaps: float,
    cadence: str,
    rebalance: float,
    envs: int,
    single: bool,
    customary: bool,
    seed: int,
) -> None:
    bars, blocks, seen = market(instrument, gaps, cadence)
    ensemble = EnsembleConfig.model_validate({"risk_cadence": cadence, "rebalance": rebalance})
    config = PortfolioConfig.model_validate(PORTFOLIOS[portfolio])
    env = VectorEnv(bars, config, Rewards.of(shaping), ensemble, envs, record_fills=True)
    generator = np.random.default_rng(seed)
    starts = generator.choice(bars.starts((0, len(bars)), 60) if customary else possible_starts(bars, 60), envs)
    lengths = generator.integers(60, 140, envs).clip(max=np.array([stop_of(bars, s) - s - 1 for s in starts]))
    oracles = [
        OracleEnv(bars.instrument, blocks, config, shaping, ensemble, bars.bars_per_year, seen) for _ in range(envs)
    ]
    env.reset(np.arange(envs), starts, lengths)
    for oracle, start, length in zip(oracles, starts, lengths, strict=True):
        oracle.reset(int(start), int(length))
    while not all(oracle.over for oracle in oracles):
        for e, oracle in enumerate(oracles):
            compare(env, e, oracle)
        actions = random_actions(generator, envs)
        (env.step if single else env.advance)(actions)
        for e, oracle in enumerate(oracles):
            go(oracle, actions, e, single)
    for e, oracle in enumerate(oracles):
        compare(env, e, oracle)
        assert same_fills(env, e, oracle)
        assert env.equity[e, : oracle.steps + 1].tobytes() == np.array(oracle.equity).tobytes()


def possible_starts(bars: Market, length: int) -> Ints:
    """Every row where both agents have a window, whether or not one became known just there."""
    rows = np.flatnonzero((bars.strategic_end >= 0) & (bars.tactical_end >= 0))
    return np.array([row for row in rows.tolist() if row + length < stop_of(bars, row)])


def stop_of(bars: Market, row: int) -> int:
    return next(segment.stop for segment in bars.segments if row < segment.stop)


def go(oracle: OracleEnv, actions: Actions, e: int, single: bool) -> None:
    """One bar, or as many as pass until somebody is due."""
    while not oracle.over:
        oracle.step(int(actions.strategic[e]), actions.tactical[e], int(actions.risk[e]))
        if single or any(oracle.due):
            return
