"""`grandmodel train` as a user runs it: what it prints, that it survives being killed, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.models.loading import load_ensemble
from engine.app.checkpoints import find
from engine.base.aside import held_folder
from engine.base.config import load, merge
from tests.engine.cli.children import called, dying
from tests.training.trainer.small import SMALL
from tests.waiting import LIMIT_S, until
from training.checkpoint import load as load_checkpoint
from training.checkpoint import save
from training.config import TrainingConfig
from training.trainer.history import read_history

COMMAND = [sys.executable, "-m", "engine.cli.main", "train"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def write(folder: Path, **changes: Any) -> Path:
    """A configuration file."""
    path = folder / "training.yaml"
    path.write_text(yaml.safe_dump(merge(SMALL, changes)))
    return path


@dataclass(frozen=True)
class Done:
    """What a command ended with, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def grandmodel(*arguments: str | Path) -> Done:
    """Run the command to its end, in this process: starting another takes longer than most of what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        return Done(*called("train", *map(str, arguments)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A training that was left alone, and its JSON object."""
    folder = tmp_path_factory.mktemp("train")
    command = [*COMMAND, "-c", str(write(folder)), "--out", str(folder / "run"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_json_is_alone_on_standard_output_and_holds_what_scripts_need(run: tuple[Path, dict[str, Any]]) -> None:
    folder, found = run
    assert {"episodes", "env_steps", "seconds", "evaluation", "checkpoint", "weights_sha256"} <= set(found)
    assert found["episodes"] >= 12
    history = read_history(folder / "run" / "history.jsonl")
    assert found["env_steps"] == max(record.get("env_steps", 0) for record in history)
    assert Path(found["checkpoint"]).is_file()
    models = load_ensemble(Path(found["models"]))
    assert not models.metadata.untrained
    assert models.metadata.seed == 5
    assert found["final_evaluation"]["part"] == "test"
    assert found["final_evaluation"]["episodes"] >= 1
    page = (folder / "run" / "evaluation" / "evaluation.html").read_text()
    assert "run" in page
    assert "<script" in page


def test_killed_and_resumed_it_ends_with_the_same_weights_and_history(
    run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, whole = run
    out = tmp_path / "run"
    # it ends itself, since a slow test could come too late
    words = ["train", "-c", str(folder / "training.yaml"), "--out", str(out), "--json"]
    second_checkpoint = dying("training.trainer.trainer", "Trainer", "save_checkpoint", 2)
    ended = subprocess.run(
        [*second_checkpoint, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert len(list(out.glob("checkpoints/*.ckpt"))) == 1
    done = grandmodel("--resume", out, "--json")
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["env_steps"] == whole["env_steps"]
    kept = ("kind", "episode", "rewards", "terms", "mean_reward", "ppo", "sac", "dqn", "epsilon")
    histories = [
        [{key: record.get(key) for key in kept} for record in read_history(path / "history.jsonl")]
        for path in (folder / "run", out)
    ]
    assert histories[0] == histories[1]


def test_without_json_it_says_what_was_learned_and_where_it_lies(tmp_path: Path) -> None:
    config = write(tmp_path, training_params={"total_episodes": 3})
    done = grandmodel("-c", config, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stdout
    assert "kept networks of episode" in done.stdout
    assert str(tmp_path / "run" / "checkpoints") in done.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["trainin_params.total_episodes=5"], "did you mean 'training_params'"),
        (["agents.risk_agent.learning_rate=-1"], "agents.risk_agent.learning_rate"),
        (["data.sources.0.generator=monte_carl"], "monte_carlo"),
        (["data.sources.7.generator=gap"], "data.sources"),
        (["training_params.episode_length=9000"], "episode_length"),
        (["data.sources=[{type: historical, path: nowhere.csv}]"], "data.sources.0.path=FILE"),
        (["agents.tactical_agent.network_architecture.hidden_layers=[0]"], "hidden_layers"),
        (["experience_replay={buffer_size: 7, min_size_to_train: 2}"], "batch_size (8) cannot exceed"),
        (["experience_replay.buffer_size=100000000000"], "experience_replay.buffer_size"),
        (["data.sources=[{type: synthetic, scenarios: 1}]"], "none is left to train on: give more scenarios"),
        (["data.sources=[{type: synthetic, scenarios: 2}]"], "none is left to train on: give more scenarios"),
    ],
)
def test_mistakes_end_with_2_and_say_what_to_do(tmp_path: Path, settings: list[str], said: str) -> None:
    flags = [part for setting in settings for part in ("--set", setting)]
    done = grandmodel("-c", write(tmp_path), "--out", tmp_path / "run", "--json", *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["exit_code"] == 2


def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_is_offered(
    run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = run
    paths = sorted((folder / "run" / "checkpoints").glob("*.ckpt"))
    for path in paths:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    last = tmp_path / paths[-1].name
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    done = grandmodel("--resume", last)
    assert done.returncode == 2
    assert paths[-2].name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_copy_of_a_training_goes_on_in_its_own_folder(run: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, whole = run
    before = (folder / "run" / "history.jsonl").read_bytes()
    copy = tmp_path / "copy"
    shutil.copytree(folder / "run", copy)
    first = sorted((copy / "checkpoints").glob("*.ckpt"))[0]
    done = grandmodel("--resume", first, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["run_dir"] == str(copy)
    assert found["weights_sha256"] == whole["weights_sha256"]
    assert (folder / "run" / "history.jsonl").read_bytes() == before
    # what the copy had of later episodes is set aside: the newest checkpoint is the newest of this course
    assert [path.name for path in sorted(copy.glob("checkpoints/*.old"))]
    assert find(copy, print).path == Path(found["checkpoint"])


def test_a_resume_that_is_refused_leaves_everything_as_it_was(run: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run[0] / "run", copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    first = sorted((copy / "checkpoints").glob("*.ckpt"))[0]
    for change, said in (
        ("data.sources.0.length=3700", "other data"),
        ("data.preprocessing.normalize=false", "other features"),
        ("agents.risk_agent.network_architecture.hidden_layers=[8, 8]", "does not fit"),
    ):
        done = grandmodel("--resume", first, "--set", change)
        assert done.returncode == 2
        assert said in done.stderr and first.name in done.stderr
        assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def changed(source: Path, target: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    """A checkpoint that is whole, with another note or state."""
    checkpoint = load_checkpoint(source)
    note, state = dict(checkpoint.note), dict(checkpoint.state)
    change(note, state)
    return save(target, state, note)


def without(where: str, key: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(note: dict[str, Any], state: dict[str, Any]) -> None:
        del {"note": note, "state": state}[where][key]

    return change


def test_a_checkpoint_that_lacks_something_is_refused(run: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    first = sorted((run[0] / "run" / "checkpoints").glob("*.ckpt"))[0]
    whole = load_checkpoint(first)
    places = [("note", key) for key in ("config", "episode", "training_data")]
    places += [("state", key) for key in whole.state if key not in {"turns"}]
    assert len(places) > 10
    for where, key in places:
        path = changed(first, tmp_path / where / key / "checkpoints" / first.name, without(where, key))
        done = grandmodel("--resume", path)
        assert done.returncode == 2, (where, key, done.stderr)
        assert "Traceback" not in done.stderr and first.name in done.stderr, (where, key, done.stderr)


def test_a_note_does_not_choose_where_a_training_writes(run: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    victim, own = run[0] / "run", tmp_path / "models"
    first = sorted((victim / "checkpoints").glob("*.ckpt"))[0]
    before = {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()}

    def points_there(note: dict[str, Any], _: dict[str, Any]) -> None:
        note["run"] = str(victim)

    path = changed(first, own / first.name, points_there)
    done = grandmodel("--resume", path)
    assert done.returncode == 2
    assert "names a run folder whose history does not know it" in done.stderr and "--out" in done.stderr
    done = grandmodel("--resume", path, "--out", tmp_path / "new", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_dir"] == str(tmp_path / "new")
    assert {path: path.read_bytes() for path in victim.rglob("*") if path.is_file()} == before


def test_checkpoints_in_a_place_of_their_own_lead_to_their_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write(tmp_path, training_params={"total_episodes": 6})
    done = grandmodel("-c", config, "--json", "--set", "training_params.checkpoint_frequency=3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    checkpoint = Path(found["checkpoint"])
    assert checkpoint.parent.parent == Path("models/checkpoints")
    done = grandmodel("--resume", checkpoint, "--json", "--set", "training_params.total_episodes=9")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_dir"] == found["run_dir"]


def test_checkpoints_that_another_process_writes_are_left_alone(
    run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run[0] / "run", copy)
    for folder in (copy, copy / "checkpoints"):
        with held_folder(folder, "a training"):
            done = grandmodel("--resume", copy)
        assert done.returncode == 2
        assert "a training is being written to this folder by another process" in done.stderr


def test_a_training_that_is_refused_writes_nothing(tmp_path: Path) -> None:
    done = grandmodel("-c", write(tmp_path), "--out", tmp_path / "run", "--set", "training_params.episode_length=9000")
    assert done.returncode == 2
    assert not (tmp_path / "run").exists()


def test_the_run_folder_keeps_the_whole_configuration(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    kept = load(TrainingConfig, [folder / "run" / "config.yaml"])
    assert kept == load(TrainingConfig, [folder / "training.yaml"])


def test_a_second_training_does_not_write_over_the_first(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    done = grandmodel("-c", folder / "training.yaml", "--out", folder / "run")
    assert done.returncode == 2
    assert "--resume" in done.stderr


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = grandmodel("-c", write(tmp_path), "--out", tmp_path / "run", "--device", "cuda:99")
    assert done.returncode == 2
    assert "cuda:99" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_saves_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    config = write(tmp_path, training_params={"total_episodes": 100000, "checkpoint_frequency": 100000})
    process = subprocess.Popen(
        [*COMMAND, "-c", str(config), "--out", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    history = tmp_path / "run" / "history.jsonl"
    until(lambda: process.poll() is not None or (history.exists() and history.stat().st_size > 500))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert "--resume" in stderr
    assert len(list((tmp_path / "run" / "checkpoints").glob("*.ckpt"))) == 1
