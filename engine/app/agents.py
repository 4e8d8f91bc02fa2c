"""Building the agent that a configuration names: rule agents, user-defined classes, and the ensemble."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.ensemble.config import EnsembleConfig, SeatsConfig
from agents.registry import make_agent
from engine.app.config import RunConfig
from engine.app.manifest import sha256_file
from engine.base.config import parse
from engine.base.errors import GrandModelError
from engine.base.log import logger
from engine.types.agent import Agent

if TYPE_CHECKING:
    from agents.ensemble.ensemble import Ensemble

STAND_ASIDE = {"strategic": None, "tactical": "buy_and_hold", "risk": "level:4"}


def build_agent(config: RunConfig, models: Path | None = None) -> Agent:
    """The agent of a configuration.

    `ensemble` is the active version of the model store, `ensemble:NAME` another version or a folder, and
    `ensemble:FILE.yaml` a production configuration.

    Args:
        config: Names the agent.
        models: Folder of the version to load in place of the one that is named.

    Raises:
        GrandModelError: If there is no such agent, or its models are damaged or made for another schema.
    """
    head, _, tail = config.agent.partition(":")
    if head != "ensemble":
        return make_agent(config.agent, seed=config.seed)
    from agents.ensemble.ensemble import Ensemble  # noqa: PLC0415 - its kernels wait until one runs
    from agents.models.loading import load_ensemble  # noqa: PLC0415 - likewise

    if tail.endswith((".yaml", ".yml")):
        return _from_production(Path(tail), config.ensemble)
    folder = models or models_folder(config)
    return Ensemble(None if folder is None else load_ensemble(folder), config.ensemble)


def models_folder(config: RunConfig) -> Path | None:
    """Folder of the version that `build_agent` loads; None for an agent without one, or with networks named by file."""
    head, _, tail = config.agent.partition(":")
    if head != "ensemble" or tail.endswith((".yaml", ".yml")) or all(config.ensemble.seats.model_dump().values()):
        return None
    return _resolve(tail)


def _resolve(name: str | None = None) -> Path:
    """The folder of a version of the model store, the active one by default."""
    from agents.models.store import resolve_ensemble  # noqa: PLC0415 - only an ensemble has models

    return resolve_ensemble(name)


def as_ensemble(agent: Agent) -> Ensemble | None:
    """The agent, if it is an ensemble; none is in a process that never imported the class."""
    module = sys.modules.get("agents.ensemble.ensemble")
    return agent if module is not None and isinstance(agent, module.Ensemble) else None


class Activations:
    """Lets other models take over at cuts, and keeps the list of when which did.

    Args:
        agent: Only an ensemble can change its models.
        follow_store: Whether to look for another active version in the model store at every cut.
        find: Where the active version lies; the model store by default.

    Attributes:
        made: One entry for every take-over: the row from which it holds, version and hash.
    """

    def __init__(self, agent: Agent, follow_store: bool = False, find: Callable[[], Path] | None = None) -> None:
        self._ensemble = as_ensemble(agent)
        self._find = (find or _resolve) if follow_store or find else None
        self.made: list[dict[str, Any]] = []
        self._refused = ""

    def on_cut(self, seq: int) -> None:
        """Called by the pipeline before the row `seq`; a damaged version is refused and the present one stays."""
        if self._ensemble is None:
            return
        if self._find is not None:
            self._look(self._ensemble, self._find)
        if self._ensemble.on_cut() is not None:
            self.made.append({"seq": seq, **self._ensemble.model_provenance})

    def _look(self, ensemble: Ensemble, find: Callable[[], Path]) -> None:
        if not ensemble.learned_seats:
            return
        from agents.models.loading import load_ensemble  # noqa: PLC0415 - only an ensemble has models
        from agents.models.metadata import read_ensemble  # noqa: PLC0415 - likewise

        try:
            folder = find()
            # by content: another version may come under the same name
            if read_ensemble(folder)[1] != ensemble.model_provenance.get("sha256"):
                ensemble.swap(load_ensemble(folder))
            self._refused = ""
        except GrandModelError as error:
            if str(error) != self._refused:  # reported once, not at every cut
                self._refused = str(error)
                logger("models").warning(
                    "the active version cannot be loaded, the present one stays", reason=str(error)
                )


def _from_production(path: Path, config: EnsembleConfig) -> Ensemble:
    """Seats by file: networks, rule agents, or empty ones that stand aside (scale 1 at the market; full exposure)."""
    from agents.ensemble.ensemble import Ensemble, Networks  # noqa: PLC0415 - its kernels wait until one runs
    from agents.models.metadata import RISK_WEIGHTS  # noqa: PLC0415 - likewise
    from agents.models.production import load_production, load_seat  # noqa: PLC0415 - likewise

    networks: dict[str, Any] = {}
    seats: dict[str, str | None] = config.seats.model_dump()
    digest = hashlib.sha256()
    for seat, entry in load_production(path).items():
        if entry.enabled and entry.onnx_path is not None:
            networks[seat] = load_seat(seat, entry)
            served = [entry.onnx_path] + [entry.onnx_path.with_name(RISK_WEIGHTS)] * (seat == "risk")
            for file in served:
                digest.update(f"{seat} {sha256_file(file)}\n".encode())
        elif seats[seat] is None:
            seats[seat] = entry.agent if entry.enabled else STAND_ASIDE[seat]
    models = Networks(version=path.stem, sha256=digest.hexdigest(), **networks) if networks else None
    chosen = parse(SeatsConfig, seats, where=str(path))
    return Ensemble(models, config.model_copy(update={"seats": chosen}))
