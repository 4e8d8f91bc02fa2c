"""Challengers of a run: built from their specifications, and how one of them takes the champion's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from agents.base import MarketAgent
from agents.models.metadata import read_ensemble
from engine.app.agents import as_ensemble, build_agent
from engine.app.config import RunConfig
from engine.base.errors import GrandModelError, UsageError, recast
from engine.base.quoting import quoted
from engine.challengers.arena import Arena, Candidates
from engine.challengers.books import Contender
from engine.challengers.standing import Standing
from engine.learning.learner import JobLearner
from engine.learning.records import job_records
from engine.loop.driver import Driver
from engine.loop.learner import Entrant, LearningEvent
from engine.loop.rivals import RoleChange
from engine.types.contracts import Agent, Simulator, restore_agent, snapshot_of_agent
from engine.types.instruments import Instrument
from engine.types.records import Operation


@dataclass(frozen=True)
class ChallengersKnown:
    """What a run that goes on, or is repeated, knows of its challengers.

    Attributes:
        models: Folders of the versions of those that are ensembles, by specification; else they are looked up.
        started: Challengers that were ever started before the run.
        failed: By name, the change that retired a challenger because it failed.
    """

    models: Mapping[str, Path] = field(default_factory=dict)
    started: int = 0
    failed: Mapping[str, RoleChange] = field(default_factory=dict)


NO_CHALLENGERS = ChallengersKnown()


class Stage:
    """Accounts and agents for an arena (`engine.challengers.arena.Stage`).

    Args:
        find_models: Folder of the models with a hash, for versions that enter in the middle of the run; None where none
            can.
        built: Agents of such versions that are built already, by hash; each is used once.

    Attributes:
        make_account: Makes an account; known from the first bar on.
    """

    def __init__(
        self,
        config: RunConfig,
        instruments: Sequence[Instrument],
        symbols: Sequence[str],
        timeframe_ns: int,
        find_models: Callable[[str], Path] | None = None,
        built: dict[str, Agent] | None = None,
    ) -> None:
        self._config, self._instruments = config, list(instruments)
        self._symbols, self._timeframe_ns = tuple(symbols), timeframe_ns
        self._find_models, self._built = find_models, {} if built is None else built
        self.make_account: Callable[[], Simulator] | None = None

    def contender(self, entrant: Entrant) -> Contender:
        """A version that enters in the middle of the run.

        Raises:
            GrandModelError: If its models are gone.
        """
        if self._find_models is None:
            raise UsageError("no version can enter this run", found=entrant.name)
        own = self._config.model_copy(update={"agent": "ensemble"})
        build = partial(self._entering, _Build(own, self._find_models(entrant.sha256)), entrant.sha256)
        head = self._config.agent.partition(":")[0]
        why = _no_cuts(self._config) or (None if head == "ensemble" else "the champion has no networks")
        return Contender(entrant.name, build, entrant.version, entrant.sha256, why, entrant.candidate)

    def _entering(self, build: Callable[[], Agent], sha256: str) -> Agent:
        return self._built.pop(sha256, None) or build()

    def acquaint(self, agent: Agent, champion: Agent) -> None:
        """Let an ensemble that enters know the market as the champion's does, if that is one with the same seats."""
        ours, theirs = as_ensemble(agent), as_ensemble(champion)
        if ours is not None and theirs is not None and ours.config.seats == theirs.config.seats:
            ours.acquaint(theirs)

    def account(self) -> Simulator:
        """A new account."""
        if self.make_account is None:
            raise AssertionError("accounts are opened with the first bar")
        return self.make_account()

    def bind(self, agent: Agent) -> None:
        """Let an agent learn what is traded."""
        agent.bind(self._symbols, self._instruments, self._timeframe_ns)

    def stand_by(self, agent: Agent) -> Agent:
        """The agent itself; of an ensemble, whose networks are about to be replaced, a copy with its own.

        Raises:
            UsageError: If it cannot be copied.
        """
        ensemble = as_ensemble(agent)
        if ensemble is None:
            return agent
        state = snapshot_of_agent(ensemble)
        if state is None:
            raise UsageError("the state of an agent in one of the champion's seats cannot be copied")
        copy = type(ensemble)(ensemble.models, ensemble.config)
        self.bind(copy)
        restore_agent(copy, state)
        return copy

    def take_over(self, champion: Agent, newcomer: Agent, simulator: Simulator) -> Agent:
        """Let a newcomer decide in the champion's account.

        Of an ensemble only the networks take over, as an activated version does: stops and targets of the account's
        positions stay known. An agent that depends on the market alone takes over as it is, and the account moves to
        what it wants with its next decision, at its cost.
        """
        ours, theirs = as_ensemble(champion), as_ensemble(newcomer)
        if ours is not None and theirs is not None and theirs.models is not None:
            ours.swap(theirs.models)
            ours.on_cut()
            return champion
        simulator.operate(Operation.HAND_OVER, int(simulator.account["ts_event"][0]))
        return newcomer


def make_arena(
    config: RunConfig, agent: Agent, began_with: Path | None, stage: Stage, known: ChallengersKnown
) -> Arena:
    """Champion and challengers of a run.

    Args:
        agent: Who decides now.
        began_with: Folder of the version with which the run began; None for an agent without one, or as it is named.

    Raises:
        GrandModelError: If a challenger cannot be built, or cannot trade these symbols; it is named.
    """
    challengers = []
    for spec in config.challengers.agents:
        own = config.model_copy(update={"agent": spec})
        folder = known.models.get(spec)
        build = _Build(own, folder)
        with about_challenger(spec):
            made = build()
            stage.bind(made)
        challengers.append((_contender(spec, made, build, _only_watched(config, agent, made)), made))
    limits = config.limits
    bound = config.challengers.bound_for(limits.max_daily_loss, limits.max_drawdown)
    champion = _contender(config.agent, agent, _Build(config, began_with), None)
    if began_with is not None and champion.sha256 is not None:
        metadata, digest = read_ensemble(began_with)  # another one may have taken over since
        champion = replace(champion, version=metadata.version, sha256=digest)
    learning = config.learning
    candidates = None if learning is None else Candidates(learning.max_candidates, learning.takes_over == "gate")
    return Arena(
        config.challengers,
        bound,
        champion,
        challengers,
        stage,
        started=known.started,
        failed=known.failed,
        candidates=candidates,
    )


@dataclass(frozen=True)
class _Build:
    config: RunConfig
    models: Path | None

    def __call__(self) -> Agent:
        return build_agent(self.config, self.models)


def _contender(spec: str, agent: Agent, build: Callable[[], Agent], only_watched: str | None) -> Contender:
    made_of = agent.model_provenance
    version, sha256 = str(made_of.get("version", "")), made_of.get("sha256")
    return Contender(spec, build, version, None if sha256 is None else str(sha256), only_watched)


def _only_watched(config: RunConfig, champion: Agent, newcomer: Agent) -> str | None:
    """Why a challenger cannot take the champion's place; None if it can."""
    if (why := _no_cuts(config)) is not None:
        return why
    ours, theirs = as_ensemble(champion), as_ensemble(newcomer)
    if ours is not None and theirs is not None:
        return None if ours.learned_seats else "the champion has no networks that could be replaced"
    if isinstance(champion, MarketAgent) and isinstance(newcomer, MarketAgent):
        return None
    return f"{_kind(newcomer)} cannot take over the account of {_kind(champion)}"


def _no_cuts(config: RunConfig) -> str | None:
    """Why nobody can take the champion's place in a run, whoever it is; None if somebody can."""
    if config.cuts.follow_store:
        return "the run follows the model store, which says what is in production"
    if config.cuts.every_bars is None and not config.cuts.session_rolls:
        return "the run has no cuts, and roles change only there"
    return None


def _kind(agent: Agent) -> str:
    if as_ensemble(agent) is not None:
        return "an ensemble"
    return "an agent of the market alone" if isinstance(agent, MarketAgent) else "a strategy with orders of its own"


@contextmanager
def about_challenger(spec: str) -> Iterator[None]:
    """Let errors that arise within say that they are about a challenger."""
    try:
        yield
    except GrandModelError as error:
        found = recast(error, type(error))
        where = f"challenger {quoted(spec) if not spec.strip() else spec}"
        found.where = where if error.where is None else f"{where}: {error.where}"
        raise found from error


def arena_of(driver: Driver) -> Arena | None:
    """The arena of a driver; None where nobody trades beside its agent."""
    return driver.rivals if isinstance(driver.rivals, Arena) else None


def learner_of(driver: Driver) -> JobLearner | None:
    """Who learns in a run, or lets versions in that an operator names; None where nobody may enter."""
    return driver.learner if isinstance(driver.learner, JobLearner) else None


def learning_entries(driver: Driver, events: Sequence[LearningEvent] | None = None) -> dict[str, Any]:
    """What a manifest holds of training jobs and of versions that were named; nothing where there were none.

    Args:
        driver: Of the run.
        events: Those recorded; by default those that the driver has not given to anybody yet.
    """
    records = job_records(driver.take_learning_events() if events is None else events)
    return {"learning": records} if records else {}


def models_of(driver: Driver) -> dict[str, str]:
    """Hashes of the models of champion and challengers, by name; without those that have none."""
    arena = arena_of(driver)
    return {} if arena is None else arena.models


def standings_of(driver: Driver) -> list[Standing]:
    """Champion and challengers as they stand; empty where nobody trades beside the agent, or before the first bar."""
    arena = arena_of(driver)
    if arena is None or not driver.begun:
        return []
    driver.follow()
    return arena.standings(float(driver.simulator.account["equity"][0]), driver.ledger_sha256)


def challengers_entries(driver: Driver, changes: Sequence[RoleChange] | None = None) -> dict[str, Any]:
    """What a manifest holds of challengers: how they stand, and every change of roles; nothing without them.

    Args:
        changes: Those recorded; by default those that the driver has not given to anybody yet.
    """
    arena = arena_of(driver)
    if arena is None:
        return {}
    found = arena.take_changes() if changes is None else changes
    return {
        "challengers": [one.tree() for one in standings_of(driver)],
        "roles": [one._asdict() for one in found],
    }
