"""Markets, policies and the backtest that environments are held against."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.config import EnsembleConfig
from agents.ensemble.ensemble import Ensemble
from agents.ensemble.state import blank_signals
from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.store import UNTRAINED
from engine.types.blocks import BarBlock, Floats, Ints, concat
from engine.types.calendar import bars_per_year, sessions_for
from engine.types.instruments import Instrument, load_instrument
from engine.types.records import Records
from engine.types.timeframe import MINUTE_NS
from feeds.synthetic import SyntheticBars, SyntheticConfig
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from training.environment.market import Cadence, Market
from training.environment.rewards import Rewards
from training.environment.vector import Actions, VectorEnv

MONDAY = 1_704_067_200_000_000_000
FIRST_ROWS, SECOND_ROWS = 7000, 6500
FIRST_SEED, SECOND_SEED = 1, 101


@cache
def synthetic(name: str, rows: int, seed: int, missing: float = 0.005, volatility: float = 0.4) -> BarBlock:
    """Minutes of one instrument, some of them missing."""
    config = SyntheticConfig(missing=missing, volatility=volatility)
    return concat(list(SyntheticBars(load_instrument(name), rows, MONDAY, seed, config).blocks(1 << 20)))


@cache
def market(name: str = "ES", missing: float = 0.005, cadence: Cadence = "tactical") -> Market:
    """A market of two sources of other bars, over the same days."""
    first = synthetic(name, FIRST_ROWS, FIRST_SEED, missing)
    second = synthetic(name, SECOND_ROWS, SECOND_SEED, missing)
    return Market.build(load_instrument(name), [("first", first), ("second", second)], cadence)


@cache
def bundled() -> LoadedEnsemble:
    """The untrained networks that ship."""
    return load_ensemble(UNTRAINED)


def make_env(
    market: Market, envs: int, portfolio: PortfolioConfig | None = None, *, record_fills: bool = False
) -> VectorEnv:
    ensemble = EnsembleConfig(risk_cadence=market.risk_cadence)
    portfolio = portfolio or PortfolioConfig(initial_capital=1_000_000)
    return VectorEnv(market, portfolio, Rewards(), ensemble, envs, record_fills=record_fills)


def random_actions(generator: np.random.Generator, envs: int) -> Actions:
    box = generator.random((envs, 3)) * [1.2, 0.06, 2.2]
    box[generator.random(envs) < 0.3, 0] = 1.0
    return Actions(generator.integers(0, 3, envs), box.astype(np.float32), generator.integers(0, 5, envs))


def network_actions(models: LoadedEnsemble, env: VectorEnv) -> Actions:
    assert models.strategic is not None and models.tactical is not None and models.risk is not None
    return Actions(
        models.strategic.run(env.strategic)["action"],
        models.tactical.run(env.tactical)["action"],
        models.risk.run(env.risk)["action"],
    )


class Backtest(NamedTuple):
    """What the loop's own ensemble and simulator come to from a row on."""

    equity: Floats
    fees: Floats
    fills: Records
    outputs: Records
    account: Records


def backtest(
    models: LoadedEnsemble,
    instrument: Instrument,
    bars: BarBlock,
    start: int,
    length: int,
    portfolio: PortfolioConfig,
    cadence: str = "tactical",
) -> Backtest:
    """Trade rows start to start + length with an account that stood idle; the market before is known."""
    ensemble = Ensemble(models, EnsembleConfig.model_validate({"risk_cadence": cadence}))
    ensemble.bind(bars.symbols, [instrument])
    first_ns = int(bars.ts_event[0])
    sessions = sessions_for([instrument], first_ns)
    simulator = Simulator(portfolio, [instrument], sessions.closes, bars_per_year(sessions, MINUTE_NS))
    ensemble._seats = ensemble._make_seats(first_ns)
    for seat in ensemble._seats.values():
        seat.push(bars.slice(0, start))
    if start:
        nothing_decided = blank_signals(start, 1)
        parts = (ensemble._decide, ensemble._params, ensemble._memory)
        simulator.run_compiled(bars.slice(0, start), nothing_decided, *parts)
    step = ensemble.step(simulator, bars.slice(start, start + length + 1))
    return Backtest(step.ledger[:, 1], step.ledger[:, 4], step.fills, step.outputs, step.account)


def all_of(envs: int, start: int, length: int) -> tuple[Ints, Ints, Ints]:
    return np.arange(envs), np.full(envs, start), np.full(envs, length)


def same_bytes(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
