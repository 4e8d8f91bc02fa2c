"""Roles in the model store and roles in runs: evidence from a run for the store, and what a session tells the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.models.metadata import read_ensemble
from agents.models.store import ModelStore
from engine.app.config import RunConfig
from engine.base.errors import GrandModelError, UsageError
from engine.base.files import read_json
from engine.base.log import logger
from engine.base.nearest import nearest_folder
from engine.loop.rivals import PROMOTIONS, RoleChange

STORE_AGENT = "ensemble"
"""The specification whose models are those of the store's champion."""
MANIFEST = "manifest.json"
FIGURES = ("blocks", "e_value", "threshold", "mean", "deviation", "correlation", "drawdown", "equity")


def now() -> str:
    """The present time, as the history has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def evidence_from(
    run: Path, version: str, store: ModelStore, status: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """How a challenger stands in a run.

    Args:
        run: Its folder.
        version: Of the models.
        status: Of a session that runs there; else its manifest is read.

    Raises:
        UsageError: If the run has no such challenger.
    """
    sha256 = read_ensemble(store.path(version))[1]
    path = run / MANIFEST
    if status is None and not path.is_file():
        raise UsageError(
            "no run to take evidence from",
            where=str(run),
            expected=f"a folder of a run, with its {MANIFEST}, or of a session that runs",
            hint=nearest_folder(run, MANIFEST)
            or "`grandmodel runs` lists the runs that there are; without --run, a version is promoted without evidence",
        )
    tree = read_json(path) if status is None else status
    rows = [row for row in tree.get("challengers", []) if row.get("e_value") is not None]
    found = next((row for row in rows if row.get("sha256") == sha256), None)
    if found is None:
        raise UsageError(
            f"{version} was no challenger in this run",
            where=str(run),
            expected=f"models with sha256 {sha256}",
            found=", ".join(str(row["name"]) for row in rows) or "no challengers",
            hint=f"`--challenger ensemble:{version}` makes it one of a backtest or a session",
        )
    return {"run": str(run), **{name: found[name] for name in FIGURES}}


def started_before(config: RunConfig) -> int:
    """Challengers ever started before a session, as far as its store counts them.

    Only a session whose agent is the store's champion counts with the store.
    """
    if config.agent != STORE_AGENT:
        return 0
    try:
        store = ModelStore()
        challenging = {name for name, role in store.roles().items() if role == "challenger"}
        own = {name for spec in config.challengers.agents if (name := _version_of(spec, store)) in challenging}
        return max(0, store.started() - len(own))
    except (GrandModelError, OSError) as error:
        logger("models").warning("the store does not tell how many challengers there were", reason=str(error))
        return 0


def begin_challenges(config: RunConfig, session: Path) -> None:
    """Note in the store the challenges that a session starts; those of models that it does not hold are passed over."""
    if config.agent != STORE_AGENT:
        return
    try:
        store = ModelStore()
        for spec in config.challengers.agents:
            name = _version_of(spec, store)
            if name is not None and name != store.active():
                store.challenge(name, now(), by=f"session {session.name}")
    except (GrandModelError, OSError) as error:
        logger("models").warning("the challenges were not noted in the store", reason=str(error))


def _version_of(spec: str, store: ModelStore) -> str | None:
    """The version of the store that a specification names; None of another agent."""
    head, _, name = spec.partition(":")
    return name if head == STORE_AGENT and name in store.versions() else None


def tell_store(changes: Sequence[RoleChange], models: Mapping[str, str], config: RunConfig, session: Path) -> None:
    """Note in the store what a session decided whose agent is the store's champion.

    Told again, nothing happens; a store that fails changes nothing that is traded.

    Args:
        changes: Of roles, in order.
        models: Hashes of models by the names of their agents.
        session: Its folder.
    """
    if config.agent != STORE_AGENT:
        return
    store = ModelStore()
    for change in changes:
        try:
            _tell(change, models.get(change.name), session, store)
        except (GrandModelError, OSError) as error:
            logger("models").warning("a change of roles was not noted in the store", reason=str(error))


def _tell(change: RoleChange, sha256: str | None, session: Path, store: ModelStore) -> None:
    name = None if sha256 is None else _named(sha256, store)
    evidence = {"session": str(session.resolve()), "row": change.seq, "role": change.role}
    known = [{key: one.evidence.get(key) for key in evidence} for one in store.history()]
    if name is None or evidence in known:
        return
    figures = {"blocks": change.blocks, "e_value": change.e_value, "threshold": change.threshold}
    whole = {**evidence, **figures}
    by = f"{change.by} in {session.name}"
    if change.role == "champion" and change.because in PROMOTIONS:
        store.promote(name, now(), change.because, by, whole)
    elif change.role == "champion":
        store.rollback(now(), change.because, by, whole)
    elif change.role == "retired" and store.roles().get(name) == "challenger":
        store.retire(name, now(), change.because, by, whole)


def _named(sha256: str, store: ModelStore) -> str | None:
    """Name of the version with a hash."""
    for version in store.versions():
        try:
            if read_ensemble(store.path(version))[1] == sha256:
                return version
        except GrandModelError:
            continue
    return None
