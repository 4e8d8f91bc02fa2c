"""Models of a session: which of them take over at a cut, and copies with which it resumes whatever the store holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from agents.ensemble.ensemble import Ensemble
from agents.models.loading import load_ensemble, verified_contents
from agents.models.metadata import ENSEMBLE_FILE, read_ensemble
from agents.models.store import resolve_ensemble
from engine.base.errors import DataError, GrandModelError
from engine.base.log import logger
from engine.loop.weights import Activation, FixedWeights, Weights
from engine.types.contracts import Agent

FOLDER = "models"
NAME_DIGITS = 16
Lookup = Callable[[int, str], Path | None]
"""Given a row and the hash of the present models, the folder of the models that take over there, or None."""


class ModelSwaps:
    """Lets other models of an ensemble take over at cuts.

    Args:
        tolerant: Whether models that cannot be found or loaded leave the present ones in place, with a warning.
    """

    def __init__(self, ensemble: Ensemble, lookup: Lookup, *, tolerant: bool) -> None:
        self._ensemble, self._lookup, self._tolerant = ensemble, lookup, tolerant
        self._refused = ""

    def at_cut(self, seq: int) -> Activation | None:
        """Take over what the lookup finds.

        Raises:
            GrandModelError: If it cannot be loaded, unless `tolerant`.
        """
        ensemble = self._ensemble
        if not ensemble.learned_seats:
            return None
        try:
            folder = self._lookup(seq, str(ensemble.model_provenance.get("sha256")))
            if folder is not None:
                ensemble.swap(load_ensemble(folder))
            self._refused = ""
        except GrandModelError as error:
            if not self._tolerant:
                raise
            if str(error) != self._refused:  # reported once, not at every cut
                self._refused = str(error)
                logger("models").warning(
                    "the active version cannot be loaded, the present one stays", reason=str(error)
                )
        if ensemble.on_cut() is None:
            return None
        made_of = ensemble.model_provenance
        return Activation(seq, str(made_of["version"]), str(made_of["sha256"]))


def follow_store(
    agent: Agent, keep: Callable[[Path], Path] | None = None, find: Callable[[], Path] | None = None
) -> Weights:
    """At every cut, look for another active version in the model store.

    Args:
        agent: Only an ensemble can change its models.
        keep: Copies a version to where it stays; gives the copy's folder.
        find: Where the active version lies; the model store by default.
    """
    if not isinstance(agent, Ensemble):
        return FixedWeights()
    active = find or (lambda: resolve_ensemble(None))

    def lookup(_: int, present: str) -> Path | None:
        folder = active()
        # by content: another version may come under the same name
        if read_ensemble(folder)[1] == present:
            return None
        return keep(folder) if keep else folder

    return ModelSwaps(agent, lookup, tolerant=True)


def recorded_weights(agent: Agent, by_row: dict[int, str], find: Callable[[str], Path]) -> Weights:
    """Models take over exactly where a journal says that they did.

    Args:
        agent: Only an ensemble can change its models.
        by_row: Hash of the models by the row from which they decided.
        find: Folder of the models with a hash.
    """
    if not isinstance(agent, Ensemble):
        return FixedWeights()
    return ModelSwaps(agent, lambda seq, _: find(by_row[seq]) if seq in by_row else None, tolerant=False)


class KeptModels:
    """Versions of the ensemble in a session folder, by their hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def keep(self, version: Path) -> Path:
        """Copy a version here, whole or not at all, unless it is here already.

        Args:
            version: Its folder.

        Returns:
            The folder of the copy.

        Raises:
            GrandModelError: As `load_ensemble`.
        """
        metadata, digest = read_ensemble(version)
        kept = self._folder / digest[:NAME_DIGITS]
        if not kept.is_dir():
            part = kept.with_name(kept.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            verified_contents(version, metadata)  # says what is wrong before anything is copied
            part.mkdir(parents=True)
            # what the version consists of, and nothing that lies beside it
            for name in (*metadata.files, ENSEMBLE_FILE):
                shutil.copyfile(version / name, part / name)
            load_ensemble(part)  # what was copied, not what was there: the source may have changed meanwhile
            part.rename(kept)
        return kept

    def find(self, sha256: str) -> Path:
        """Folder of a version that was kept.

        Raises:
            DataError: If it is gone.
        """
        kept = self._folder / sha256[:NAME_DIGITS]
        if not kept.is_dir() or read_ensemble(kept)[1] != sha256:
            raise DataError(
                "the models that this session used are missing or have changed",
                where=str(kept),
                expected=f"sha256 {sha256}",
                hint="restore the session folder from a copy",
            )
        return kept
