from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.features.schema import schema, schema_hash
from agents.models.metadata import (
    ENSEMBLE_FILE,
    read_ensemble,
    read_seat,
    render,
    required_files,
    seal,
)
from agents.models.store import UNTRAINED
from agents.spec import AGENTS
from engine.base.errors import DataError, GrandModelError, UsageError


def test_the_description_names_every_file_and_the_features(version: Path) -> None:
    metadata, digest = read_ensemble(version)
    assert digest == hashlib.sha256((version / ENSEMBLE_FILE).read_bytes()).hexdigest()
    assert {*metadata.files, ENSEMBLE_FILE} == {path.name for path in version.iterdir()}
    for name, expected in metadata.files.items():
        assert hashlib.sha256((version / name).read_bytes()).hexdigest() == expected
    assert metadata.seats == tuple(AGENTS)
    for seat in AGENTS:
        assert metadata.schemas[seat].content == schema(seat)
        assert metadata.schemas[seat].sha256 == schema_hash(seat)


def test_what_is_sealed_is_read(version: Path) -> None:
    (version / "strategic_model.pth").write_bytes(b"weights")
    sealed = seal(
        version,
        "v1",
        created_by="training",
        untrained=False,
        seed=3,
        training_data=["a" * 64],
        metrics={"sharpe": 1.25, "skew": None},
        versions={"torch": "2"},
    )
    found, _ = read_ensemble(version)
    assert found == sealed
    assert (found.metrics, found.versions, found.training_data) == (
        {"sharpe": 1.25, "skew": None},
        {"torch": "2"},
        ("a" * 64,),
    )
    assert "strategic_model.pth" in found.files


def test_the_same_files_and_facts_give_the_same_bytes(version: Path) -> None:
    contents = []
    for _ in range(2):
        seal(version, "v1", created_by="x", untrained=True)
        contents.append((version / ENSEMBLE_FILE).read_bytes())
    assert contents[0] == contents[1]


@settings(max_examples=200)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_of_the_description_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: float, flip: int
) -> None:
    content = bytearray((UNTRAINED / ENSEMBLE_FILE).read_bytes())
    content[int(place * len(content))] ^= flip
    folder = tmp_path_factory.mktemp("spoiled")
    (folder / ENSEMBLE_FILE).write_bytes(content)
    with pytest.raises(DataError, match=r"ensemble\.json"):
        read_ensemble(folder)


@pytest.mark.parametrize("edit", ["layout", "value"])
def test_an_edited_description_is_refused(version: Path, edit: str) -> None:
    path = version / ENSEMBLE_FILE
    tree = json.loads(path.read_bytes())
    if edit == "value":
        tree["untrained"] = False
    path.write_text(json.dumps(tree) if edit == "layout" else render(tree))
    with pytest.raises(DataError, match="changed after it was written"):
        read_ensemble(version)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 2}', b"\xff", b'{"seed": 1e999}', b"[" * 100_000])
def test_a_file_that_is_no_description_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ENSEMBLE_FILE).write_bytes(content)
    with pytest.raises(DataError, match=r"ensemble\.json"):
        read_ensemble(tmp_path)


def test_a_folder_without_description_is_no_ensemble(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        read_ensemble(tmp_path)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "-x"])
def test_a_version_is_called_so_that_a_folder_can_be(version: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        seal(version, name, created_by="x", untrained=True)


def test_a_folder_without_networks_cannot_be_sealed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no network"):
        seal(tmp_path, "v1", created_by="x", untrained=True)


def test_metadata_of_a_seat_must_be_its_own(version: Path) -> None:
    path = version / "risk_metadata.json"
    assert read_seat(path.read_bytes(), path, "risk").hidden_layers == (64, 32)
    for content, seat in ((path.read_bytes(), "tactical"), (b"{}", "risk"), (b"", "risk")):
        with pytest.raises(GrandModelError, match="risk_metadata"):
            read_seat(content, path, seat)


def test_only_risk_needs_weights_beside_its_network() -> None:
    assert [seat for seat in AGENTS if "risk_weights.npz" in required_files(seat)] == ["risk"]
