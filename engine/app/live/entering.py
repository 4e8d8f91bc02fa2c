"""Versions of the ensemble that an operator lets enter a session."""

from __future__ import annotations

from pathlib import Path

from agents.models.metadata import read_ensemble
from agents.models.store import resolve_ensemble
from engine.app.challengers import about_challenger, arena_of
from engine.app.models import KeptModels
from engine.app.wiring import Setup
from engine.base.errors import UsageError
from engine.loop.driver import Driver
from engine.loop.learner import LearningEvent


def ordered_entry(driver: Driver, setup: Setup, folder: Path, version: str, by: str) -> LearningEvent:
    """The order that lets a version enter at the next cut; the session keeps a copy of it.

    Args:
        driver: Of the session.
        setup: Of the session.
        folder: Of the session.
        version: Name in the model store, or a folder.
        by: Who wants it.

    Raises:
        GrandModelError: If there is no such version, it cannot be loaded, or it may not enter.
    """
    arena, name = arena_of(driver), f"ensemble:{version}"
    if arena is None:
        raise UsageError(
            "no version can enter this session",
            expected="a session that began with --challenger, --learn or challengers.promote=true",
        )
    cuts = setup.config.cuts
    if cuts.every_bars is None and not cuts.session_rolls:
        raise UsageError("no version can enter this session: it has no cuts", expected="cuts.every_bars")
    if name in arena.trading:
        raise UsageError(f"{name} trades already", found=", ".join(sorted(arena.trading)))
    with about_challenger(name):
        if not version:
            raise UsageError("no version is named", expected="the name of a version: `grandmodel models list`")
        kept = KeptModels(folder).keep(resolve_ensemble(version))
        metadata, digest = read_ensemble(kept)
    because = "the operator named it"
    return LearningEvent(driver.next_seq, "ordered", because, by, None, name, metadata.version, digest)
