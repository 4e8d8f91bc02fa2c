"""`grandmodel train --seeds` as a user runs it: each seed is the training of its own, and nothing that ends is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.base.aside import held_folder
from engine.base.config import merge
from engine.base.errors import UsageError
from tests.engine.cli.children import called, dying, printed, refused
from tests.training.trainer.small import SMALL
from tests.waiting import LIMIT_S, until
from training.evaluation.seeds import interquartile_mean

COMMAND = [sys.executable, "-m", "engine.cli.main", "train"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def write(folder: Path, **params: Any) -> str:
    """A configuration file."""
    path = folder / "training.yaml"
    path.write_text(yaml.safe_dump(merge(SMALL, {"training_params": {"credit": "account", **params}})))
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two seeds, and the JSON object of the command."""
    folder = tmp_path_factory.mktemp("seeds")
    return folder, printed("train", "-c", write(folder), "--seeds", "2", "--workers", "2", "--out", str(folder / "out"))


@contextmanager
def begun(config: str, out: Path, seeds: int, workers: int) -> Iterator[subprocess.Popen[str]]:
    """The command in the background; it and what it started are gone in the end, whatever a test finds."""
    process = subprocess.Popen(
        [*COMMAND, "-c", config, "--seeds", str(seeds), "--workers", str(workers), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        yield process
    finally:
        for worker in workers_of(process):
            os.kill(worker, signal.SIGKILL)
        process.kill()
        process.communicate()


def workers_of(process: subprocess.Popen[str]) -> set[int]:
    """The processes that train for a command."""
    children = [path.read_text().split() for path in Path(f"/proc/{process.pid}/task").glob("*/children")]
    return {int(child) for found in children for child in found}


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def free(folder: Path) -> bool:
    """Whether no process trains there."""
    try:
        with held_folder(folder, "a test"):
            return True
    except UsageError:
        return False


def statuses(folder: Path) -> list[str]:
    return [run["status"] for run in json.loads((folder / "seeds.json").read_text())["runs"]]


def test_each_seed_is_the_training_of_its_own(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, tree = trained
    assert [run["seed"] for run in tree["runs"]] == [5, 6]
    alone = printed("train", "-c", str(folder / "training.yaml"), "--seed", "6", "--out", str(tmp_path / "alone"))
    run = tree["runs"][1]
    assert run["weights_sha256"] == alone["weights_sha256"]
    assert run["reward"]["value"] == pytest.approx(alone["final_evaluation"]["mean_reward"])
    assert run["total_return"]["value"] == pytest.approx(alone["final_evaluation"]["mean_total_return"])
    assert (run["status"], run["part"], run["seats"]) == ("finished", "test", ["strategic", "tactical", "risk"])


def test_the_summary_is_that_of_the_seeds(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, tree = trained
    rewards = [run["reward"]["value"] for run in tree["runs"]]
    total = tree["summary"]
    assert total["reward"] == interquartile_mean(rewards).tree()
    assert (total["seeds"], total["trials"], tree["complete"]) == (2, 2, True)
    assert total["best"]["seed"] == 5 + rewards.index(max(rewards))
    for name, found in total["above"].items():
        assert found["seeds"] == sum(run["over"][name]["value"] > 0 for run in tree["runs"])
    held = json.loads((folder / "out" / "seeds.json").read_text())
    assert {key: tree[key] for key in held} == held
    page = (folder / "out" / "seeds.md").read_text()
    assert "interquartile mean" in page
    assert "one trial of 2" in page
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["seed-5", "seed-6", "seeds.json", "seeds.md"]


def test_a_finished_seed_is_not_run_again(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, tree = trained
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    before = files(out / "seed-5")
    code, said, complained = called(
        "train", "-c", str(folder / "training.yaml"), "--seed", "5", "--seeds", "3", "--out", str(out)
    )
    assert code == 0, complained
    assert complained.count("finished:") == 1 and "seed 7 finished" in complained
    assert "2 of 3 seeds were finished already" in complained
    assert "interquartile" in said
    assert files(out / "seed-5") == before
    again = json.loads((out / "seeds.json").read_text())
    assert again["runs"][:2] == tree["runs"]
    # fewer seeds do not make the others disappear from what the best one is a trial of
    fewer = printed("train", "-c", str(folder / "training.yaml"), "--seeds", "1", "--out", str(out))
    assert fewer["runs"] == again["runs"] and fewer["summary"]["trials"] == 3


def test_a_killed_seed_resumes_from_its_checkpoint(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, tree = trained
    config, out = str(folder / "training.yaml"), tmp_path / "out"
    words = ["train", "-c", config, "--seed", "6", "--out", str(out / "seed-6")]
    ended = subprocess.run(
        [*dying("training.trainer.trainer", "Trainer", "save_checkpoint", 2), *words],
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    before = files(out / "seed-6" / "checkpoints")
    assert len(before) == 1
    found = printed("train", "-c", config, "--seed", "6", "--seeds", "1", "--out", str(out))
    assert found["runs"][0]["weights_sha256"] == tree["runs"][1]["weights_sha256"]
    assert before.items() <= files(out / "seed-6" / "checkpoints").items()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_every_seed_saves_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    config, out = write(tmp_path, total_episodes=100_000, checkpoint_frequency=100_000), tmp_path / "out"
    histories = [out / name / "history.jsonl" for name in ("seed-5", "seed-6")]
    with begun(config, out, seeds=3, workers=2) as process:
        until(lambda: process.poll() is not None or all(one.exists() and one.stat().st_size > 500 for one in histories))
        process.send_signal(number)
        said, complained = process.communicate(timeout=LIMIT_S)
        # those whose parent is gone notice it by themselves
        until(lambda: all(free(one.parent) for one in histories))
    assert not said
    if number == signal.SIGKILL:
        assert statuses(out) == ["waiting"] * 3
    else:
        assert process.returncode == 130, complained
        assert f"--out {out} continues" in complained
        assert statuses(out) == ["interrupted", "interrupted", "waiting"]
    assert all(len(list(one.parent.glob("checkpoints/*.ckpt"))) == 1 for one in histories)
    assert not list(out.glob("seed-7*"))


def test_a_second_ctrl_c_ends_what_does_not_stop(tmp_path: Path) -> None:
    config, out = write(tmp_path, total_episodes=100_000), tmp_path / "out"
    history = out / "seed-5" / "history.jsonl"
    with begun(config, out, seeds=2, workers=1) as process:
        until(lambda: process.poll() is not None or (history.exists() and history.stat().st_size > 500))
        (worker,) = workers_of(process)
        os.kill(worker, signal.SIGSTOP)  # it cannot save anything now
        process.send_signal(signal.SIGINT)
        stderr = process.stderr
        assert stderr is not None
        until(lambda: "stopping" in stderr.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=LIMIT_S) == 130
        assert not Path(f"/proc/{worker}").exists()
    assert not list(out.glob("seed-6*"))


def test_a_seed_that_fails_does_not_stop_the_others(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, tree = trained
    foreign = tmp_path / "out" / "seed-5" / "mine.txt"
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    words = ("train", "-c", str(folder / "training.yaml"), "--seeds", "2", "--out", str(tmp_path / "out"))
    code, said, complained = called(*words)
    assert code == 1
    assert "seed 5 failed: the folder holds other files than a training begins with" in complained
    assert str(foreign.parent) in complained and "mine.txt" in complained
    assert "Traceback" not in complained
    assert "not in the figures, since not finished: seeds 5" in said
    held = json.loads((tmp_path / "out" / "seeds.json").read_text())
    assert statuses(tmp_path / "out") == ["failed", "finished"]
    assert held["runs"][1]["weights_sha256"] == tree["runs"][1]["weights_sha256"]
    foreign.unlink()
    assert printed(*words)["summary"]["seeds"] == 2


def test_a_process_that_is_killed_is_one_seed_that_failed(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, tree = trained
    config, out = str(folder / "training.yaml"), tmp_path / "out"
    with begun(config, out, seeds=2, workers=1) as process:
        until(lambda: process.poll() is not None or (out / "seed-5" / "config.yaml").exists())
        (worker,) = workers_of(process)
        os.kill(worker, signal.SIGKILL)
        _, complained = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert f"seed 5 failed: its process ended with code {-signal.SIGKILL}" in complained
    assert statuses(out) == ["failed", "finished"]
    again = printed("train", "-c", config, "--seeds", "2", "--out", str(out))
    assert [run["weights_sha256"] for run in again["runs"]] == [run["weights_sha256"] for run in tree["runs"]]


def test_mistakes_are_refused_before_anything_is_written(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = trained
    words = ("train", "-c", str(folder / "training.yaml"))
    out = ("--out", str(tmp_path / "new"))
    assert "add --seeds N" in refused(*words, *out, "--workers", "2")
    assert "the same command again" in refused(*words, *out, "--seeds", "2", "--resume", str(folder / "out" / "seed-5"))
    assert "cuda:99" in refused(*words, *out, "--seeds", "2", "--device", "cuda:99")
    assert "episode_length" in refused(*words, *out, "--seeds", "2", "--set", "training_params.episode_length=9000")
    assert not (tmp_path / "new").exists()
    before = files(folder / "out")
    there = ("--seeds", "2", "--out", str(folder / "out"))
    assert "training_params.total_episodes" in refused(*words, *there, "--set", "training_params.total_episodes=13")
    assert "other files" in refused(*words, "--seeds", "2", "--out", str(folder / "out" / "seed-5"))
    assert files(folder / "out") == before
