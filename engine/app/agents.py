"""Building the agent that a configuration names: rule agents, user-defined classes, and the ensemble."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.ensemble.config import EnsembleConfig, SeatsConfig
from agents.registry import make_agent
from agents.spec import AGENTS
from engine.app.config import RunConfig
from engine.base.config import parse
from engine.base.files import sha256_file
from engine.types.contracts import Agent

if TYPE_CHECKING:
    from agents.ensemble.ensemble import Ensemble
    from agents.ensemble.seats import StoodIn


def build_agent(config: RunConfig, models: Path | None = None) -> Agent:
    """The agent of a configuration.

    `ensemble` is the active version of the model store, `ensemble:NAME` another version or a folder, and
    `ensemble:FILE.yaml` a production configuration.

    Args:
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


def stood_in(agent: Agent) -> dict[str, StoodIn]:
    """The seats of an ensemble in which a stand-in decides in place of a network; none of other agents."""
    ensemble = as_ensemble(agent)
    return {} if ensemble is None else ensemble.stood_in


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
            seats[seat] = entry.agent if entry.enabled else AGENTS[seat].rule
    models = Networks(version=path.stem, sha256=digest.hexdigest(), **networks) if networks else None
    chosen = parse(SeatsConfig, seats, where=str(path))
    return Ensemble(models, config.model_copy(update={"seats": chosen}))
