"""Copies of the models that a live session uses, so that it can resume whatever happens to the model store."""

from __future__ import annotations

import shutil
from pathlib import Path

from agents.models.metadata import read_ensemble
from engine.base.errors import DataError

FOLDER = "models"
NAME_DIGITS = 16


class KeptModels:
    """Versions of the ensemble in a session folder, by their hash.

    Args:
        folder: Of the session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def keep(self, version: Path) -> Path:
        """Copy a version here, whole or not at all, unless it is here already.

        Args:
            version: Its folder.

        Returns:
            The folder of the copy.
        """
        digest = read_ensemble(version)[1]
        kept = self._folder / digest[:NAME_DIGITS]
        if not kept.is_dir():
            part = kept.with_name(kept.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(version, part)
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
