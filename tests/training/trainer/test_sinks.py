from __future__ import annotations

import importlib.machinery
import json
import math
import os
import struct
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.base.errors import UsageError
from tests.waiting import LIMIT_S
from training.config import LoggingConfig
from training.trainer.event_file import crc32c, framed
from training.trainer.history import HistorySink, read_history, scalars
from training.trainer.sinks import Guarded, TensorBoardSink, WandbSink, open_sinks, wandb_mode


def episode(number: int, **more: Any) -> dict[str, Any]:
    return {
        "kind": "episode",
        "episode": number,
        "env_steps": 100 * number,
        "rewards": {"strategic": 0.5, "tactical": -1.0, "risk": float(number)},
        "terms": {"profit": 1.0, "cost": -0.25},
        "epsilon": 0.5,
        **more,
    }


EVALUATION = {"kind": "evaluation", "episode": 4, "mean_reward": 1.5, "sharpe": None, "best": True}
CHECKPOINT = {"kind": "checkpoint", "episode": 4, "path": "models/checkpoints/checkpoint-4.ckpt"}
LOSSES = {"kind": "losses", "episode": 4, "ppo": {"entropy": 1.0, "policy_loss": math.nan}, "dqn": {"loss": 0.1}}


def test_history_is_one_object_a_line_on_its_way_at_once(tmp_path: Path) -> None:
    sink = HistorySink(tmp_path / "run" / "history.jsonl")
    sink.write(episode(1, extra=np.float32(0.5), bad=math.inf, path=Path("x")))
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == episode(1, extra=0.5, bad=None, path="x")
    sink.write(LOSSES)
    assert read_history(tmp_path / "run" / "history.jsonl")[1]["ppo"] == {"entropy": 1.0, "policy_loss": None}
    sink.close()


def story() -> list[dict[str, Any]]:
    records = []
    for number in range(1, 9):
        records.append(episode(number))
        if number % 4 == 0:
            records += [{**LOSSES, "episode": number}, {**EVALUATION, "episode": number}]
            records.append({**CHECKPOINT, "episode": number})
    return records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(cut=st.integers(0, 1_000_000))
def test_a_history_cut_anywhere_after_the_checkpoint_and_resumed_is_whole(tmp_path: Path, cut: int) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    whole.unlink(missing_ok=True)
    records = story()
    sink = HistorySink(whole)
    for record in records:
        sink.write(record)
    sink.close()
    content = whole.read_bytes()
    first = content.index(b"\n", content.index(b'"kind":"checkpoint","episode":4')) + 1
    path.write_bytes(content[: first + cut % (len(content) - first + 1)])
    resumed = HistorySink(path, resumed=4)
    for record in records:
        if record["episode"] > 4:
            resumed.write(record)
    resumed.close()
    assert path.read_bytes() == content


def test_resuming_without_a_history_begins_one(tmp_path: Path) -> None:
    sink = HistorySink(tmp_path / "history.jsonl", resumed=5)
    sink.write(episode(6))
    sink.close()
    assert [record["episode"] for record in read_history(tmp_path / "history.jsonl")] == [6]


def test_the_history_of_another_training_is_set_aside(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        sink = HistorySink(tmp_path / "history.jsonl")
        sink.write(episode(number))
        sink.close()
    found = {path.name: read_history(path)[0]["episode"] for path in tmp_path.iterdir()}
    assert found == {"history-1.jsonl": 1, "history-2.jsonl": 2, "history.jsonl": 3}


def test_scalars_have_names_in_groups() -> None:
    assert scalars(episode(2)) == {
        "episode/env_steps": 200.0,
        "rewards/strategic": 0.5,
        "rewards/tactical": -1.0,
        "rewards/risk": 2.0,
        "terms/profit": 1.0,
        "terms/cost": -0.25,
        "episode/epsilon": 0.5,
    }
    assert scalars(EVALUATION) == {"evaluation/mean_reward": 1.5}
    assert scalars(LOSSES) == {"ppo/entropy": 1.0, "dqn/loss": 0.1}
    assert scalars(CHECKPOINT) == {}


def test_crc32c_gives_the_values_of_rfc_3720() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


def payloads(path: Path) -> list[bytes]:
    """Records of an event file; lengths and sums are verified."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        payload = content[at + 12 : at + 12 + length]
        assert framed(payload) == content[at : at + 16 + length]
        found.append(payload)
        at += 16 + length
    return found


def read_back(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), purge_orphaned_data=True)
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_an_event_file_holds_a_version_a_start_and_the_scalars(tmp_path: Path) -> None:
    sink = TensorBoardSink(tmp_path, clock=lambda: 1.5)
    for record in (episode(1), episode(300), CHECKPOINT, LOSSES):
        sink.write(record)
    found = payloads(sink.path)
    sink.close()
    assert len(found) == 5 and sink.path.name.startswith("events.out.tfevents.0000000001")
    assert found[0] == b"\x09" + struct.pack("<d", 1.5) + b"\x10\x00\x1a\x0dbrain.Event:2"
    assert found[1] == b"\x09" + struct.pack("<d", 1.5) + b"\x10\x00\x3a\x02\x08\x01"
    assert b"\x10\xac\x02" in found[3] and b"\x0a\x0crewards/risk\x15" + struct.pack("<f", 300.0) in found[3]


def test_tensorboard_reads_it_and_a_resumed_training_continues_it(tmp_path: Path) -> None:
    sink = TensorBoardSink(tmp_path, clock=lambda: 1000.0)
    for number in range(1, 8):
        sink.write(episode(number))
    sink.write({**EVALUATION, "mean_reward": 1e300})
    sink.close()
    again = TensorBoardSink(tmp_path, resumed=4, clock=lambda: 2000.0)
    again.write(episode(5, rewards={"risk": 50.0}))
    again.close()
    found = read_back(tmp_path)
    assert found["rewards/risk"] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 50.0)]
    assert found["evaluation/mean_reward"][0][1] == pytest.approx(3.4028234e38)


class Fails:
    def __init__(self) -> None:
        self.calls = 0

    def write(self, record: dict[str, Any]) -> None:
        self.calls += 1
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_sink_that_fails_is_left_out_and_said_so_once() -> None:
    inner, said = Fails(), list[str]()
    sink = Guarded(inner, said.append)
    for number in (1, 2, 3):
        sink.write(episode(number))
    sink.close()
    assert inner.calls == 1 and len(said) == 1 and "the training continues" in said[0] and "No space" in said[0]
    Guarded(Fails(), said.append).close()
    assert "could not be closed" in said[1]


def test_only_the_environment_sends_a_run_away() -> None:
    assert wandb_mode({}) == "offline"
    assert wandb_mode({"WANDB_API_KEY": "x"}) == "online"
    assert wandb_mode({"WANDB_API_KEY": "x", "WANDB_MODE": "offline"}) == "offline"
    assert wandb_mode({"WANDB_MODE": "disabled"}) == "disabled"


class FakeRun:
    def __init__(self, **options: Any) -> None:
        self.options, self.logged, self.finished = options, list[dict[str, Any]](), False
        self.id, self.dir = options["id"] or "made-up", options["dir"]

    def define_metric(self, name: str, step_metric: str) -> None:
        self.options["step"] = (name, step_metric)

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[FakeRun]:
    """Stands for the package; takes the runs that are opened."""
    opened: list[FakeRun] = []

    def init(**options: Any) -> FakeRun:
        opened.append(FakeRun(**options))
        return opened[-1]

    module = types.ModuleType("wandb")
    module.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    module.init, module.Settings = init, dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return opened


def test_wandb_gets_scalars_by_episode_and_resumes_its_run(tmp_path: Path, runs: list[FakeRun]) -> None:
    sink = WandbSink(tmp_path, {"seed": 1}, "desk")
    sink.write(episode(3))
    sink.write(CHECKPOINT)
    sink.close()
    (run,) = runs
    assert (
        run.options["mode"] == "offline" and run.options["project"] == "desk" and run.options["config"] == {"seed": 1}
    )
    assert run.options["settings"]["console"] == "off" and run.options["id"] is None and run.finished
    assert run.options["step"] == ("*", "episode")
    assert run.logged == [{"episode": 3, **scalars(episode(3))}]
    WandbSink(tmp_path, {}, resumed=3)
    assert runs[1].options["id"] == "made-up"
    WandbSink(tmp_path, {})
    assert runs[2].options["id"] is None


def test_without_wandb_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.trainer.sinks.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed") as caught:
        open_sinks(LoggingConfig(wandb=True), tmp_path, {}, print)
    assert "pip install wandb" in str(caught.value) and not list(tmp_path.iterdir())


def test_wandb_works_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    code = f"""
from pathlib import Path
from training.trainer.sinks import WandbSink
sink = WandbSink(Path({str(tmp_path)!r}), {{"seed": 1}})
sink.write({episode(3)!r})
sink.close()
"""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("WANDB")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_the_configuration_chooses_the_sinks(tmp_path: Path, runs: list[FakeRun]) -> None:
    sinks = open_sinks(LoggingConfig(), tmp_path, {}, print, clock=lambda: 1.0)
    assert len(sinks) == 2 and not runs
    for sink in sinks:
        sink.write(episode(1))
        sink.close()
    assert (tmp_path / "history.jsonl").read_text() and list((tmp_path / "tensorboard").glob("*tfevents*"))
    assert len(open_sinks(LoggingConfig(tensorboard=False), tmp_path / "b", {}, print)) == 1
    assert len(open_sinks(LoggingConfig(wandb=True), tmp_path / "c", {}, print, project="desk")) == 3
    assert runs[0].options["project"] == "desk"
