"""The parts that decide a run's result, made for each other: agent, simulator, pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents.strategy import Strategy
from engine.app.agents import Activations, build_agent
from engine.app.config import RunConfig
from engine.base.log import logger
from engine.loop.cuts import Cuts, EveryBars, NoCuts
from engine.loop.pipeline import CutHook, Pipeline
from engine.types.agent import Agent
from engine.types.blocks import BarBlock
from engine.types.calendar import Sessions, bars_per_year, sessions_for
from engine.types.instruments import Instrument
from portfolio.simulator import Simulator
from portfolio.tradable import obstacle
from portfolio.trades import TradeBook

log = logger("run")


@dataclass(frozen=True)
class Wiring:
    """What turns bars into steps, and what it hangs on."""

    agent: Agent
    simulator: Simulator
    pipeline: Pipeline
    activations: Activations
    sessions: Sessions


def wire(
    config: RunConfig,
    instruments: Mapping[str, Instrument],
    timeframe_ns: int,
    first_ns: int,
    agent: Agent | None = None,
    on_cut: CutHook | None = None,
    first_seq: int = 0,
) -> Wiring:
    """Build and bind the parts of a run.

    Args:
        config: What decides.
        instruments: By symbol, in the order of the blocks.
        timeframe_ns: Length of the bars, nanoseconds.
        first_ns: Close of the run's first bar, nanoseconds UTC; sessions are known from there on.
        agent: An agent object in place of the configured specification.
        on_cut: Called at declared cuts in place of the look into the model store.
        first_seq: Number of the first row that will come.
    """
    traded = list(instruments.values())
    sessions = sessions_for(traded, first_ns)
    agent = agent or build_agent(config)
    agent.bind(tuple(instruments), traded, timeframe_ns)
    simulator = Simulator(config, traded, sessions.closes, bars_per_year(sessions, timeframe_ns))
    activations = Activations(agent, follow_store=config.cuts.follow_store)
    pipeline = Pipeline(agent, simulator, cuts_of(config), on_cut or activations.on_cut, first_seq)
    return Wiring(agent, simulator, pipeline, activations, sessions)


def cuts_of(config: RunConfig) -> Cuts:
    """Where models and weights may change."""
    return EveryBars(config.cuts.every_bars) if config.cuts.every_bars else NoCuts()


def trade_book(instruments: Mapping[str, Instrument]) -> TradeBook:
    """What folds fills into round trips, for these instruments."""
    return TradeBook([item.multiplier * item.fx_rate for item in instruments.values()])


def warn_of_obstacles(config: RunConfig, instruments: Mapping[str, Instrument], block: BarBlock, agent: Agent) -> None:
    """Warn where the account cannot open the smallest position at the first close of a symbol.

    Prices may change that, and a strategy may ask for several units, so it is no error.
    """
    units = not isinstance(agent, Strategy)
    for s, (symbol, instrument) in enumerate(instruments.items()):
        closes = block.close[block.present[:, s], s]
        if not len(closes) or not closes[0] > 0.0:
            continue
        found = obstacle(config, instrument, float(closes[0]), units=units)
        if found is not None:
            log.warning("nothing can be traded", symbol=symbol, because=found.what, to_do=found.hint)
