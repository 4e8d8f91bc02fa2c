"""Versions of the ensemble for tests: a copy of the one that ships, and others made on the spot."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.models.metadata import SeatMetadata, metadata_file, seal
from agents.models.store import UNTRAINED, ModelStore
from agents.models.untrained import write_untrained

MakeVersion = Callable[[str], Path]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A copy of the version that ships, to be spoiled."""
    return Path(shutil.copytree(UNTRAINED, tmp_path / "version"))


@pytest.fixture(scope="session")
def make_version(tmp_path_factory: pytest.TempPathFactory) -> MakeVersion:
    """Versions by name, each with weights of its own; not to be changed."""
    root = tmp_path_factory.mktemp("versions")

    def make(name: str) -> Path:
        if not (root / name).exists():
            write_untrained(root / name, seed=sum(name.encode()), version=name)
        return root / name

    return make


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def reseal(folder: Path, version: str = "resealed") -> None:
    """Describe a folder anew, so that its hashes fit whatever lies in it."""
    seal(folder, version, created_by="a test", untrained=True)


def seat_metadata(folder: Path, seat: str) -> SeatMetadata:
    return SeatMetadata.model_validate_json((folder / metadata_file(seat)).read_bytes())
