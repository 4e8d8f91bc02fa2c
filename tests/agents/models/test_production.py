from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from agents.models.production import SeatConfig, load_production, load_seat
from agents.models.store import UNTRAINED
from agents.serving.onnx_model import OnnxModel
from agents.serving.risk_network import RiskNetwork
from agents.spec import AGENTS
from engine.base.errors import ConfigError, DataError, UsageError
from engine.base.paths import shipped
from tests.agents.serving.networks import observations

SHIPPED = shipped("configs") / "production" / "marl_models.yaml"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory to which the training has exported."""
    shutil.copytree(UNTRAINED, tmp_path / "models" / "production")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "production.yaml"
    path.write_text(text)
    return path


def test_the_configuration_that_ships_loads_what_training_exports(work: Path) -> None:
    seats = load_production(SHIPPED)
    assert list(seats) == list(AGENTS)
    for seat, config in seats.items():
        assert config.enabled and config.onnx_path == Path(f"models/production/{seat}_model.onnx")
        assert config.model_path == Path(f"models/production/{seat}_model.pth")
        model = load_seat(seat, config)
        assert isinstance(model, RiskNetwork if seat == "risk" else OnnxModel)
        assert len(model.run(observations(seat, 4))["action"]) == 4


def test_before_training_the_missing_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="the strategic network does not exist") as caught:
        load_production(SHIPPED)
    assert "models.strategic_agent.onnx_path" in str(caught.value) and "train and export" in str(caught.value)


def test_paths_beside_the_file_come_before_the_working_directory(work: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = write(tmp_path / "elsewhere", "models: {risk_agent: {onnx_path: models/production/risk_model.onnx}}")
    assert load_production(path)["risk"].onnx_path == Path("models/production/risk_model.onnx")
    shutil.copytree(UNTRAINED, tmp_path / "elsewhere" / "models" / "production")
    assert load_production(path)["risk"].onnx_path == path.parent / "models/production/risk_model.onnx"


def test_seats_may_be_mixed_or_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    path = write(
        tmp_path,
        "models:\n"
        "  strategic_agent: {agent: 'sma_cross:fast=5,slow=20'}\n"
        "  tactical_agent: {agent: 'mine.py:Mine:size=2'}\n"
        "  risk_agent: {enabled: false, onnx_path: nowhere.onnx}\n",
    )
    seats = load_production(path)
    assert seats["strategic"].agent == "sma_cross:fast=5,slow=20"
    assert seats["tactical"].agent == f"{tmp_path / 'mine.py'}:Mine:size=2"
    assert not seats["risk"].enabled
    assert not load_production(write(tmp_path, "models: {}"))["strategic"].enabled


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: {strategc_agent: {}}", "did you mean 'strategic_agent'"),
        ("models: {risk_agent: {onnx_pth: x}}", "did you mean 'onnx_path'"),
        ("models: {risk_agent: {enabled: true}}", "needs `onnx_path` or `agent`"),
        ("models: {risk_agent: {agent: flat, onnx_path: x}}", "either"),
        ("risk_agent: {agent: flat}", "models"),
        ("", "models"),
        ("[", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_production(write(tmp_path, text))


def test_a_changed_network_is_not_served(work: Path) -> None:
    seats = load_production(SHIPPED)
    path = work / "models/production/tactical_model.onnx"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"tactical_model\.onnx"):
        load_seat("tactical", seats["tactical"])


def test_without_a_description_of_the_whole_the_seats_metadata_suffice(work: Path) -> None:
    folder = work / "models/production"
    (folder / "ensemble.json").unlink()
    seats = load_production(SHIPPED)
    rows = observations("strategic", 3)
    ours = load_seat("strategic", seats["strategic"]).run(rows)["probabilities"]
    np.testing.assert_array_equal(
        ours, OnnxModel(UNTRAINED / "strategic_model.onnx", "strategic").run(rows)["probabilities"]
    )
    (folder / "strategic_metadata.json").unlink()
    with pytest.raises(DataError, match="missing") as caught:
        load_seat("strategic", seats["strategic"])
    assert "strategic_metadata.json" in str(caught.value)
    (folder / "risk_weights.npz").unlink()
    with pytest.raises(DataError, match=r"risk_weights\.npz"):
        load_seat("risk", seats["risk"])


def test_a_seat_without_a_network_cannot_be_loaded() -> None:
    with pytest.raises(UsageError, match="has no network"):
        load_seat("risk", SeatConfig(agent="flat"))
