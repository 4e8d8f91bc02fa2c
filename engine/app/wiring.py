"""The parts that decide a run's result, made for each other: agent, simulator and the driver that steps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agents.strategy import Strategy
from engine.app.agents import as_ensemble, build_agent
from engine.app.challengers import NO_CHALLENGERS, ChallengersKnown, Stage, make_arena
from engine.app.config import RunConfig
from engine.app.indicators import indicators_of
from engine.base.log import logger
from engine.learning.learner import JobLearner
from engine.loop.cuts import Cuts
from engine.loop.driver import Account, Driver
from engine.monitor.performance.config import MonitorConfig
from engine.types.blocks import BarBlock
from engine.types.calendar import Sessions, bars_per_year, sessions_for
from engine.types.contracts import Agent
from engine.types.instruments import Instrument
from feeds.indicators.joining import Indicators
from portfolio.simulator import Simulator
from portfolio.tradable import Obstacle, obstacle
from portfolio.trades import TradeBook

if TYPE_CHECKING:
    from engine.monitor.drift.detector import DriftDetector

log = logger("run")


@dataclass(frozen=True)
class Setup:
    """What a run consists of, fixed when it begins.

    Attributes:
        config: What decides.
        instruments: By symbol, in the order of the blocks.
        timeframe_ns: Length of the bars, nanoseconds.
        models: Folder of the ensemble's version at the beginning; None for an agent without one, or the named one.
        began_with: Folder of the version at the very beginning, where another one has taken over since.
        challengers: What is known of the challengers besides their configuration.
        find_models: Folder of the models with a hash, for versions that enter in the middle of the run.
        built: Agents of such versions, by hash, that were built before they enter, so that no row waits for it.
        stands_in: Whether, as live, the stand-in of a seat takes over from a network whose answers cannot be used;
            otherwise the run ends there.
        indicators: Economic indicators to be joined to the bars; None reads those of the configuration.
    """

    config: RunConfig
    instruments: Mapping[str, Instrument]
    timeframe_ns: int
    models: Path | None = None
    stands_in: bool = False
    began_with: Path | None = None
    challengers: ChallengersKnown = NO_CHALLENGERS
    find_models: Callable[[str], Path] | None = None
    built: dict[str, Agent] = field(default_factory=dict)
    indicators: Indicators | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return tuple(self.instruments)


def make_driver(setup: Setup, agent: Agent | None = None) -> Driver:
    """The core of a run; models stay as they are until its `weights` are replaced.

    Args:
        agent: An agent object in place of the configured specification.
    """
    config, traded = setup.config, list(setup.instruments.values())
    deciding = agent or build_agent(config, setup.models)
    ensemble = as_ensemble(deciding)
    if ensemble is not None:
        ensemble.stands_in = setup.stands_in

    indicators = setup.indicators if setup.indicators is not None else Indicators(indicators_of(config.indicators))

    def make_account(sessions: Sessions) -> Simulator:
        return Simulator(config, traded, sessions.closes, bars_per_year(sessions, setup.timeframe_ns))

    stage = Stage(config, traded, setup.symbols, setup.timeframe_ns, setup.find_models, setup.built)
    arena = learner = None
    if config.has_arena:
        first = setup.began_with or setup.models
        arena = make_arena(config, deciding, first, stage, setup.challengers)
        learner = JobLearner(config.learning, config.seed)

    def open_account(first_ns: int) -> Account:
        sessions = sessions_for(traded, first_ns)
        deciding.bind(setup.symbols, traded, setup.timeframe_ns)
        stage.make_account = partial(make_account, sessions)
        cuts = Cuts(config.cuts.every_bars, sessions.closes if config.cuts.session_rolls else None)
        return Account(make_account(sessions), sessions, cuts)

    return Driver(deciding, open_account, rivals=arena, learner=learner, join=indicators)


def trade_book(instruments: Mapping[str, Instrument]) -> TradeBook:
    """What folds fills into round trips, for these instruments."""
    return TradeBook([item.multiplier * item.fx_rate for item in instruments.values()])


def drift_detector(setup: Setup, settings: MonitorConfig) -> DriftDetector | None:
    """What watches a run for drift; None where the settings name no reference.

    Raises:
        UsageError: If there is no such file, or it is of another market.
        DataError: If it holds something else.
    """
    if settings.drift.reference is None:
        return None
    from engine.monitor.drift.detector import DriftDetector  # noqa: PLC0415 - most runs have no use for it
    from engine.monitor.drift.reference import read_reference  # noqa: PLC0415 - likewise

    reference = read_reference(Path(settings.drift.reference))
    return DriftDetector(reference, setup.symbols, setup.timeframe_ns)


def warn_of_obstacles(config: RunConfig, instruments: Mapping[str, Instrument], block: BarBlock, agent: Agent) -> None:
    """Warn where the account cannot open the smallest position at the first close of a symbol.

    Prices may change that, and a strategy may ask for several units, so it is no error.
    """
    for symbol, found in _obstacles(config, instruments, block, units=not isinstance(agent, Strategy)):
        log.warning("nothing can be traded", symbol=symbol, because=found.what, to_do=found.hint)


def limits_in_the_way(config: RunConfig, instruments: Mapping[str, Instrument], block: BarBlock) -> list[str]:
    """The hard limits that cut every order of a symbol to nothing at its first close, each with what would help."""
    found = _obstacles(config, instruments, block, units=False)
    return [f"{one.what} ({one.hint})" for _, one in found if one.key.startswith("limits.")]


def limits_entry(in_the_way: list[str]) -> dict[str, list[str]]:
    """What the manifest says of limits in the way; nothing where there are none."""
    return {"limits_in_the_way": in_the_way} if in_the_way else {}


def _obstacles(
    config: RunConfig, instruments: Mapping[str, Instrument], block: BarBlock, *, units: bool
) -> Iterator[tuple[str, Obstacle]]:
    for s, (symbol, instrument) in enumerate(instruments.items()):
        closes = block.close[block.present[:, s], s]
        if not len(closes) or not closes[0] > 0.0:
            continue
        found = obstacle(config, instrument, float(closes[0]), units=units)
        if found is not None:
            yield symbol, found
