from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from agents.features.stream import FeatureStream
from agents.features.windows import Windows
from agents.models.loading import LoadedEnsemble, load_ensemble
from agents.models.metadata import ENSEMBLE_FILE, read_ensemble
from agents.models.production import load_production, load_seat
from agents.serving.onnx_model import OnnxModel
from agents.spec import AGENTS
from engine.app.checkpoints import find
from engine.base.errors import DataError, GrandModelError, UsageError
from engine.cli.app import app
from engine.types.blocks import concat
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from feeds.synthetic import SyntheticBars
from tests.agents.serving.networks import observations
from tests.training.learned import DATA, by_torch, checkpoint
from training.checkpoint import Checkpoint, save
from training.export import export, learned, untrained_seats, version_name, write_production
from training.learners.constant import constant_of

ROWS = 10_000
START_NS = 1_704_276_000 * 10**9
OTHER_NETWORKS = {
    "strategic_agent": {"network_architecture": {"hidden_layers": [96, 40], "activation": "tanh", "dropout": 0.3}},
    "tactical_agent": {"network_architecture": {"hidden_layers": [30], "activation": "relu"}},
    "risk_agent": {"network_architecture": {"hidden_layers": [48, 16], "activation": "relu"}},
}
FILES = {
    *(f"{seat}_{rest}" for seat in AGENTS for rest in ("model.onnx", "model.pth", "metadata.json")),
    "risk_weights.npz",
    ENSEMBLE_FILE,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, LoadedEnsemble]:
    folder = tmp_path_factory.mktemp("export")
    found = checkpoint(folder / "checkpoint-0000500.ckpt")
    export(found, folder / "production", "mine")
    return found, load_ensemble(folder / "production")


@pytest.fixture(scope="module")
def windows() -> dict[str, NDArray[np.float32]]:
    """Real feature windows of a market that was made up."""
    bars = concat(list(SyntheticBars(load_instrument("ES"), 40_000, START_NS, 5).blocks(4096)))
    sessions = sessions_for([load_instrument("ES")], START_NS)
    found = {}
    for seat in ("strategic", "tactical"):
        length, features = AGENTS[seat].observation
        rows = FeatureStream(seat, bars.symbols, sessions).push(bars)
        found[seat] = Windows(length, features, 1).push(rows).observations
    rng = np.random.default_rng(3)
    found["risk"] = np.abs(rng.normal(0, 0.05, (2_000, 10))).astype(np.float32)
    return found


def answers(found: Checkpoint, seat: str, rows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    activation = found.note["config"]["agents"][f"{seat}_agent"]["network_architecture"]["activation"]
    return by_torch(seat, found.state["learners"][seat]["weights"], found.state["statistics"][seat], rows, activation)


def agree(served: dict[str, NDArray[Any]], ours: dict[str, NDArray[Any]]) -> None:
    assert set(served) == set(ours)
    for name, values in ours.items():
        if values.dtype == np.int64:
            np.testing.assert_array_equal(served[name], values)
        else:
            np.testing.assert_allclose(served[name], values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seat", list(AGENTS))
def test_what_is_served_decides_as_the_learner_does(
    made: tuple[Checkpoint, LoadedEnsemble], windows: dict[str, NDArray[np.float32]], seat: str
) -> None:
    found, loaded = made
    model = getattr(loaded, seat)
    rows = np.concatenate([windows[seat], observations(seat, ROWS - min(len(windows[seat]), 2000), seed=4)])
    assert len(rows) >= ROWS and len(windows[seat]) >= 1000
    ours = answers(found, seat, rows)
    agree(model.run(rows), ours)
    if seat != "tactical":
        counts = np.bincount(ours["action"])
        assert (counts > 0).sum() >= 2, "networks that always do the same would prove little"


def test_both_files_of_the_risk_network_agree(made: tuple[Checkpoint, LoadedEnsemble]) -> None:
    rows = observations("risk", ROWS, seed=8)
    model = OnnxModel((made[1].folder / "risk_model.onnx").read_bytes(), "risk")
    assert made[1].risk is not None
    agree(made[1].risk.run(rows), model.run(rows))


@pytest.mark.parametrize("seat", list(AGENTS))
def test_other_architectures(tmp_path: Path, seat: str) -> None:
    found = checkpoint(tmp_path / "x.ckpt", 3, OTHER_NETWORKS)
    export(found, tmp_path / "out", "other")
    rows = observations(seat, 500, seed=4)
    agree(getattr(load_ensemble(tmp_path / "out"), seat).run(rows), answers(found, seat, rows))


def test_a_masked_feature_is_not_seen(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "x.ckpt")
    found.state["statistics"]["strategic"]["mean"][5] = 0
    found.state["statistics"]["strategic"]["std"][5] = 1e30
    export(found, tmp_path / "out", "masked")
    model = load_ensemble(tmp_path / "out").strategic
    rows = observations("strategic", 50)
    other = rows.copy()
    other[:, :, 5] = 123.0
    assert model is not None
    np.testing.assert_array_equal(model.run(rows)["probabilities"], model.run(other)["probabilities"])


def test_the_folder_holds_what_a_version_holds(made: tuple[Checkpoint, LoadedEnsemble]) -> None:
    folder, facts = made[1].folder, made[1].metadata
    assert {path.name for path in folder.iterdir()} == FILES
    assert (facts.version, facts.seed, facts.untrained, facts.training_data) == ("mine", 7, False, (DATA,))
    assert facts.metrics == {"episode": 500.0, "mean_reward": 1.25, "deviation": None}
    assert facts.versions["torch"] and facts.versions["onnx_opset"] == "17"
    about = json.loads((folder / "strategic_metadata.json").read_text())
    assert (
        about["algorithm"] == "PPO" and about["hidden_layers"] == [256, 128, 64, 32] and about["activation"] == "relu"
    )
    served = 624 * 256 + 256 + 256 * 128 + 128 + 128 * 64 + 64 + 64 * 32 + 32 + 32 * 3 + 3
    assert about["parameters"] == served and about["untrained"] is False
    assert json.loads((folder / "tactical_metadata.json").read_text())["activation"] == "tanh"


@pytest.mark.parametrize("seat", list(AGENTS))
def test_torch_loads_the_weights_without_running_anything(made: tuple[Checkpoint, LoadedEnsemble], seat: str) -> None:
    found = torch.load(made[1].folder / f"{seat}_model.pth", weights_only=True)
    state = made[0].state
    expected = {
        **state["learners"][seat]["weights"],
        **{f"statistics.{name}": values for name, values in state["statistics"][seat].items()},
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), values)


class Runs:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_a_pth_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Runs()}, tmp_path / "bad.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "bad.pth", weights_only=True)
    assert not Path("ran").exists()


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path, made: tuple[Checkpoint, LoadedEnsemble]) -> None:
    export(made[0], tmp_path / "again", "mine")
    for path in made[1].folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_the_best_networks_are_exported_unless_the_last_are_asked_for(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "x.ckpt", kept=True)
    best, last = learned(found), learned(found, last=True)
    name = "policy.0.weight"
    np.testing.assert_array_equal(best["strategic"].weights[name], found.state["kept"]["weights"]["strategic"][name])
    np.testing.assert_array_equal(
        last["strategic"].weights[name], found.state["learners"]["strategic"]["weights"][name]
    )
    assert version_name(found).startswith("trained-300-") and version_name(found, last=True).startswith("trained-500-")
    assert export(found, tmp_path / "out").metrics == {"episode": 300.0, "mean_reward": 2.5, "max_drawdown": 0.1}
    assert export(found, tmp_path / "out", last=True, overwrite=True).metrics == {"episode": 500.0}
    found.state["kept"]["evaluation"] = None
    assert version_name(found) == version_name(found, last=True)


def test_whose_turn_has_not_come_is_exported_as_what_stands_in(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "x.ckpt", kept=True)
    found.state["turns"] = {
        "agent": "tactical",
        "verdicts": [{"agent": "strategic"}],
        "constants": {"strategic": [1.0], "tactical": [1.0, 0.05, 1.5], "risk": [4.0]},
    }
    assert untrained_seats(found) == {}  # the best networks were put together when they were evaluated
    assert untrained_seats(found, last=True) == {"risk": (4.0,)}
    last = learned(found, last=True)
    assert {seat: constant_of(seat, one.weights) for seat, one in last.items()} == {
        "strategic": None,
        "tactical": None,
        "risk": (4.0,),
    }
    export(found, tmp_path / "out", last=True)
    served = load_ensemble(tmp_path / "out")
    assert served.risk is not None
    assert set(served.risk.run(observations("risk", 20))["action"].tolist()) == {4}
    facts = json.loads((tmp_path / "out" / "risk_metadata.json").read_text())
    assert facts["constant"] == [4.0]
    assert "constant" not in json.loads((tmp_path / "out" / "strategic_metadata.json").read_text())


def test_the_command_says_which_seats_hold_a_stand_in(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "x.ckpt", kept=True)
    constants = {"strategic": [1.0], "tactical": [1.0, 0.05, 1.5], "risk": [4.0]}
    state = {**found.state, "turns": {"agent": "strategic", "verdicts": [], "constants": constants}}
    save(tmp_path / "turns.ckpt", state, found.note)
    words = ["export", str(tmp_path / "turns.ckpt"), "--out", str(tmp_path / "out"), "--last"]
    said = " ".join(CliRunner().invoke(app, words).output.split())
    assert "tactical: its turn to learn had not come, so the seat holds its stand-in, always 1, 0.05, 1.5" in said
    assert "risk: its turn" in said and "strategic: its turn" not in said
    best = CliRunner().invoke(app, [*words[:-1], "--overwrite", "--json"])
    assert json.loads(best.stdout)["stand_ins"] == {}


def test_a_version_is_replaced_and_nothing_else_is(tmp_path: Path, made: tuple[Checkpoint, LoadedEnsemble]) -> None:
    out = tmp_path / "production"
    export(made[0], out, "one")
    with pytest.raises(UsageError, match="--overwrite"):
        export(made[0], out, "two")
    export(made[0], out, "two", overwrite=True)
    assert read_ensemble(out)[0].version == "two" and sorted(path.name for path in tmp_path.iterdir()) == ["production"]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        export(made[0], tmp_path / "work", "three")
    with pytest.raises(UsageError):
        export(made[0], out, "not a name", overwrite=True)
    assert read_ensemble(out)[0].version == "two" and (tmp_path / "work" / "thesis.txt").exists()


def spoiled(found: Checkpoint, path: Path, change: str) -> Checkpoint:
    state, note = found.state, json.loads(json.dumps(found.note))
    weights = {seat: {"weights": dict(one["weights"])} for seat, one in state["learners"].items()}
    statistics = {seat: dict(one) for seat, one in state["statistics"].items()}
    if change == "not finite":
        weights["risk"]["weights"]["value.0.bias"] = np.array([np.nan], np.float32)
    elif change == "missing layer":
        del weights["tactical"]["weights"]["mean.0.bias"]
    elif change == "other shape":
        weights["strategic"]["weights"]["shared.1.weight"] = np.zeros((3, 3), np.float32)
    elif change == "deviation 0":
        statistics["risk"]["std"] = np.zeros(10, np.float32)
    elif change == "no seat":
        del weights["risk"]
    else:
        note["config"] = {}
    return Checkpoint({"learners": weights, "statistics": statistics}, note, path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("not finite", "value.0.bias"),
        ("missing layer", "mean.0.bias"),
        ("other shape", "shared.1.weight"),
        ("deviation 0", "std of the risk features"),
        ("no seat", "'risk' is missing"),
        ("no config", "'agents' is missing"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, made: tuple[Checkpoint, LoadedEnsemble], change: str, word: str
) -> None:
    with pytest.raises(DataError, match="(?s)" + word.replace(".", r"\.")) as caught:
        export(spoiled(made[0], tmp_path / "bad.ckpt", change), tmp_path / "out", "x")
    assert "bad.ckpt" in str(caught.value) and not (tmp_path / "out").exists()


def test_the_production_configuration_loads_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: tuple[Checkpoint, LoadedEnsemble]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (Path("models/production"), tmp_path / "my models: # 'new' \"ünd\""):
        export(made[0], folder, "mine")
        write_production(Path("configs/production/marl_models.yaml"), folder)
        seats = load_production(Path("configs/production/marl_models.yaml"))
        for seat, config in seats.items():
            assert config.enabled and config.model_path == folder / f"{seat}_model.pth"
            load_seat(seat, config)


def run(*arguments: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, ["export", *arguments])
    return result.exit_code, result.stdout, result.exception


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "run" / "checkpoints" / "checkpoint-0000500.ckpt", 1)
    bad = save(tmp_path / "run" / "checkpoints" / "checkpoint-0001000.ckpt", {}, {})
    bad.write_bytes(bad.read_bytes()[:-9])
    code, text, _ = run("run", "--production", "marl.yaml", "--add", "--json")
    facts = json.loads(text)
    assert code == 0 and facts["version"].startswith("trained-500-")
    assert facts["folder"] == "models/production" and facts["checkpoint"].endswith("checkpoint-0000500.ckpt")
    assert (Path("models/store") / facts["version"] / ENSEMBLE_FILE).is_file()
    assert load_production(Path("marl.yaml"))["risk"].onnx_path == Path("models/production/risk_model.onnx")
    code, text, _ = run(facts["checkpoint"], "--out", "elsewhere", "--version", "nightly")
    assert code == 0 and text.startswith("nightly: 11 files in elsewhere")


def test_a_folder_of_seeds_points_at_its_trainings(tmp_path: Path) -> None:
    for seed in (5, 6):
        save(tmp_path / "seeds" / f"seed-{seed}" / "checkpoints" / "checkpoint-1.ckpt", {}, {})
    with pytest.raises(UsageError, match="holds no checkpoint") as error:
        find(tmp_path / "seeds", print)
    assert str(tmp_path / "seeds" / "seed-5") in (error.value.hint or "")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("none.ckpt", DataError, "does not exist"),
        ("empty", UsageError, "holds no checkpoint"),
        ("bad", DataError, "state is damaged"),
        ("bad/checkpoint-1.ckpt", DataError, "state is damaged"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[GrandModelError], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    bad = save(tmp_path / "bad" / "checkpoint-1.ckpt", {}, {})
    bad.write_bytes(bad.read_bytes()[:-9])
    _, _, raised = run(name)
    assert isinstance(raised, error) and words in str(raised)
    assert not Path("models").exists()
