from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.models import loading, metadata
from agents.models.graphs import risk_graph
from agents.models.loading import load_ensemble
from agents.models.metadata import (
    ENSEMBLE_FILE,
    FeatureSchema,
    listing,
    metadata_file,
    model_file,
    read_ensemble,
    render,
    required_files,
    seal,
    sha256,
    write_seat,
)
from agents.models.production import SeatConfig, load_seat
from agents.models.store import UNTRAINED
from agents.serving.onnx_model import OnnxModel
from agents.serving.risk_network import RiskNetwork, write_risk_weights
from agents.spec import AGENTS
from engine.app.models import KeptModels
from engine.base.errors import DataError
from tests.agents.models.conftest import MakeVersion, reseal, seat_metadata
from tests.agents.serving.networks import network, observations, risk_parts, risk_weights

FILES = sorted(path.name for path in UNTRAINED.iterdir())


def test_the_version_that_ships_is_whole() -> None:
    loaded = load_ensemble(UNTRAINED, check_batches=True)
    assert (loaded.version, loaded.metadata.untrained) == ("untrained-2", True)
    assert isinstance(loaded.strategic, OnnxModel) and loaded.strategic.tile is None
    assert isinstance(loaded.tactical, OnnxModel) and isinstance(loaded.risk, RiskNetwork)
    assert loaded.sha256 == read_ensemble(UNTRAINED)[1]
    for seat in (loaded.strategic, loaded.tactical):
        assert len(seat.run(observations(seat.name, 3))["action"]) == 3


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.37, 0.999999])
def test_a_changed_byte_is_noticed_in_every_file(version: Path, name: str, place: float) -> None:
    path = version / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_ensemble(version)
    assert str(path) in str(caught.value) and caught.value.hint


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_noticed(version: Path, name: str) -> None:
    (version / name).write_bytes((version / name).read_bytes()[:-1])
    with pytest.raises(DataError, match=name):
        load_ensemble(version)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(version: Path, name: str) -> None:
    (version / name).unlink()
    with pytest.raises(DataError, match="missing") as caught:
        load_ensemble(version)
    assert str(version / name) in str(caught.value)


@pytest.mark.parametrize("name", ["macro_model.onnx", "risk_model.pth", "notes.txt"])
def test_a_file_that_nobody_named_is_refused(version: Path, name: str) -> None:
    (version / name).write_bytes(b"?")
    with pytest.raises(DataError, match=name):
        load_ensemble(version)


def test_hidden_files_of_the_system_do_no_harm(version: Path) -> None:
    (version / ".DS_Store").write_bytes(b"?")
    assert load_ensemble(version).version == "untrained-2"


def test_a_seat_may_be_empty(version: Path) -> None:
    for name in required_files("tactical"):
        (version / name).unlink()
    reseal(version)
    loaded = load_ensemble(version)
    assert loaded.tactical is None and loaded.strategic is not None and loaded.risk is not None


def test_weights_for_a_later_training_are_verified_too(version: Path) -> None:
    path = version / "strategic_model.pth"
    path.write_bytes(b"weights")
    reseal(version)
    assert load_ensemble(version).version == "resealed"
    path.write_bytes(b"Weights")
    with pytest.raises(DataError, match=r"strategic_model\.pth"):
        load_ensemble(version)


def test_other_features_are_refused_and_the_difference_is_named(version: Path) -> None:
    metadata = seat_metadata(version, "strategic")
    content = {**metadata.features.content, "features": ["rsi_21", *metadata.features.content["features"][1:]]}
    other = FeatureSchema(sha256="0" * 64, content=content)
    write_seat(version, metadata.model_copy(update={"features": other}))
    reseal(version)
    with pytest.raises(DataError, match="feature 1 is rsi_21 instead of rsi_14") as caught:
        load_ensemble(version)
    assert "strategic_metadata.json" in str(caught.value)


def test_an_ensemble_for_other_features_is_refused(version: Path) -> None:
    metadata = seat_metadata(version, "tactical")
    content = {**metadata.features.content, "formulas_version": 0}
    old = metadata.model_copy(update={"features": FeatureSchema(sha256="1" * 64, content=content)})
    now = (version / metadata_file("tactical")).read_bytes()
    write_seat(version, old)
    reseal(version)
    # the description keeps the old features, and the seat's own file has the present ones
    (version / metadata_file("tactical")).write_bytes(now)
    tree = json.loads((version / ENSEMBLE_FILE).read_bytes())
    tree["files"][metadata_file("tactical")] = sha256(now)
    tree["digest"] = sha256(render({key: value for key, value in tree.items() if key != "digest"}).encode())
    (version / ENSEMBLE_FILE).write_text(render(tree), encoding="utf-8")
    with pytest.raises(DataError, match="formulas_version is 0 instead of 1") as caught:
        load_ensemble(version)
    assert ENSEMBLE_FILE in str(caught.value) and "train it again" in str(caught.value)


@pytest.mark.parametrize("name", [model_file(seat) for seat in AGENTS])
def test_a_truncated_network_is_refused_although_its_hash_fits(version: Path, name: str) -> None:
    (version / name).write_bytes((version / name).read_bytes()[:-4000])
    reseal(version)
    with pytest.raises(DataError, match="not an ONNX model: a field is cut off") as caught:
        load_ensemble(version)
    assert name in str(caught.value)


def test_a_network_in_the_wrong_seat_is_refused(version: Path) -> None:
    (version / model_file("tactical")).write_bytes(network("strategic"))
    reseal(version)
    with pytest.raises(DataError, match=r"tactical_model\.onnx"):
        load_ensemble(version)


def test_two_different_risk_networks_are_noticed(version: Path) -> None:
    (version / model_file("risk")).write_bytes(network("risk"))
    reseal(version)
    with pytest.raises(DataError, match="hold different networks"):
        load_ensemble(version)
    write_risk_weights(version / "risk_weights.npz", risk_weights())
    reseal(version)
    assert load_ensemble(version).risk is not None
    (version / model_file("risk")).write_bytes(risk_graph(*risk_parts(seed=1)))
    reseal(version)
    with pytest.raises(DataError, match="hold different networks"):
        load_ensemble(version)


def test_a_seat_that_is_not_known_is_refused(version: Path) -> None:
    _rewrite(version, lambda tree: tree["schemas"].update(macro=tree["schemas"]["risk"]))
    with pytest.raises(DataError, match="macro"):
        load_ensemble(version)


def test_files_outside_the_folder_are_not_read(version: Path) -> None:
    (version.parent / "outside").write_bytes(b"x")
    _rewrite(version, lambda tree: tree["files"].update({"../outside": "2" * 64}))
    with pytest.raises(DataError, match="outside"):
        load_ensemble(version)


def test_metadata_of_a_seat_must_be_named(version: Path) -> None:
    _rewrite(version, lambda tree: tree["files"].pop(metadata_file("risk")))
    with pytest.raises(DataError, match=r"does not name risk_metadata\.json"):
        load_ensemble(version)


def test_answers_that_depend_on_the_batch_lead_to_tiles(make_version: MakeVersion, monkeypatch: Any) -> None:
    folder = make_version("tiles")
    monkeypatch.setattr(loading, "batch_invariant", lambda model: model.tile is not None)
    assert load_ensemble(folder).strategic.tile is None  # type: ignore[union-attr] # the seat has a network
    assert load_ensemble(folder, check_batches=True).strategic.tile == 32  # type: ignore[union-attr] # likewise
    monkeypatch.setattr(loading, "batch_invariant", lambda model: False)
    loaded = load_ensemble(folder, check_batches=True)
    assert loaded.tactical is not None and loaded.tactical.tile == 1
    rows = observations("tactical", 5)
    expected = load_ensemble(folder).tactical.run(rows)  # type: ignore[union-attr] # likewise
    np.testing.assert_array_equal(loaded.tactical.run(rows)["action"], expected["action"])


def _rewrite(folder: Path, edit: Any) -> None:
    """Change a description and give it the digest that fits."""
    tree = read_ensemble(folder)[0].model_dump(mode="json")
    edit(tree)
    tree["digest"] = metadata._digest(tree)
    (folder / ENSEMBLE_FILE).write_text(render(tree))


def test_sealing_again_changes_the_whole(version: Path) -> None:
    before = load_ensemble(version).sha256
    seal(version, "untrained-2", created_by="another", untrained=True)
    assert load_ensemble(version).sha256 != before


@pytest.mark.parametrize("name", [ENSEMBLE_FILE, "risk_weights.npz", "risk_metadata.json", "strategic_model.onnx"])
def test_a_named_pipe_in_place_of_a_file_is_refused_at_once(version: Path, tmp_path: Path, name: str) -> None:
    """It would be waited for, for ever; and what cannot be read must not pass for a version without a description."""
    (version / name).unlink()
    os.mkfifo(version / name)
    with pytest.raises(DataError, match="a named pipe in place of a file"):
        load_ensemble(version)
    with pytest.raises(DataError, match="a named pipe in place of a file"):
        load_seat("risk", SeatConfig(onnx_path=version / "risk_model.onnx"))
    with pytest.raises(DataError, match="a named pipe in place of a file"):
        KeptModels(tmp_path / "session").keep(version)


def test_a_session_keeps_what_a_version_consists_of_and_nothing_beside(version: Path, tmp_path: Path) -> None:
    os.mkfifo(version / ".pipe")
    (version / ".hidden").write_text("not ours")
    kept = KeptModels(tmp_path / "session").keep(version)
    assert sorted(path.name for path in kept.iterdir()) == listing(version)
    assert load_ensemble(kept).sha256 == load_ensemble(version).sha256
