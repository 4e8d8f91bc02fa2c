"""Backtests that learn: the loop waits for each job, so that the same bars give the same candidates and ledger."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.metadata import read_ensemble
from agents.models.untrained import write_untrained
from engine.api.calls import backtest
from engine.app.verify import verify
from engine.base.errors import ConfigError, GrandModelError, UsageError
from engine.learning.job import job_seed
from feeds.export import write_bars
from feeds.memory import MemorySource
from tests.bars import random_bars
from tests.engine.app.learning import standin

BARS = random_bars(900, 1, first_ns=1_704_067_260_000_000_000)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A version to begin with; trainers compute with the stand-in."""
    folder = tmp_path_factory.mktemp("parent") / "first"
    write_untrained(folder, seed=40, version="first")
    with standin.standing_in():
        yield folder


def run(parent: Path, out: Path | None = None, block: int = 900, **learning: Any) -> dict[str, Any]:
    """The manifest of a backtest that learns."""
    return backtest(MemorySource(BARS), **standin.settings(parent, **learning), block=block, out=out).manifest


def test_jobs_are_recorded_with_what_decided_them_and_what_came_of_them(parent: Path, tmp_path: Path) -> None:
    manifest = run(parent, tmp_path / "run", keep=3)
    jobs = manifest["learning"]
    assert [one["job"] for one in jobs] == list(range(40, 900, 40))
    assert {one["status"] for one in jobs[:-1]} == {"admitted", "refused"}
    assert jobs[-1]["status"] == "running"  # its candidate would be used at row 900
    for one in jobs[:-1]:
        number = one["job"]
        assert (one["first"], one["last"]) == (max(0, number - 60), number - 1)
        assert (one["row"], one["late"], one["seed"]) == (number + 20, None, job_seed(42, number))
        folder = tmp_path / "run" / "learning" / str(number)
        assert json.loads((folder / "learned.json").read_text())["sha256"] == one["sha256"]
        if one["status"] == "admitted":
            assert one["name"] == f"learned-{number}"
            assert read_ensemble(folder / "candidate")[1] == one["sha256"]
        else:
            assert (one["reason"], one["figures"]) == ("gate", {"gain": -0.5})
    refused = [one["job"] for one in jobs[:-1] if one["status"] == "refused"]
    assert len(refused) > 3
    kept = [number for number in refused if (tmp_path / "run" / "learning" / str(number) / "candidate").is_dir()]
    assert kept == refused[-3:]
    parents = {one["parent_sha256"] for one in jobs}
    assert read_ensemble(parent)[1] in parents
    names = [one["name"] for one in manifest["challengers"]]
    assert sum(name.startswith("learned-") for name in names) == sum(one["status"] == "admitted" for one in jobs)
    trading = [one for one in manifest["challengers"] if one["role"] == "challenger"]
    assert len(trading) <= 2
    assert any("makes way for learned-" in one["because"] for one in manifest["challengers"])


def test_verify_computes_the_jobs_again(parent: Path, tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.parquet", iter([BARS.slice(0, 640)]))
    out = tmp_path / "run"
    found = backtest(tmp_path / "bars.parquet", **standin.settings(parent, takes_over="gate"), labels="close", out=out)
    assert found.manifest["activations"]
    assert verify(str(out)).passed


@settings(max_examples=3, deadline=None)
@given(block=st.integers(1, 300))
def test_blocks_and_processes_mean_nothing(parent: Path, block: int) -> None:
    expected = run(parent)
    found = run(parent, block=block)
    for key in ("ledger_sha256", "learning", "roles", "challengers", "activations"):
        assert found[key] == expected[key]


def test_a_candidate_of_the_gate_takes_over_where_it_enters(parent: Path) -> None:
    manifest = run(parent, takes_over="gate")
    admitted = [one for one in manifest["learning"] if one["status"] == "admitted"]
    promoted = [one for one in manifest["roles"] if one["role"] == "champion" and one["by"] == "job"]
    assert promoted
    assert promoted[0]["name"] == admitted[0]["name"]
    assert promoted[0]["seq"] == admitted[0]["row"]
    assert promoted[0]["because"] == "its training job has found it better"
    first = manifest["activations"][0]
    assert (first["seq"], first["sha256"]) == (admitted[0]["row"], admitted[0]["sha256"])
    later = [one["parent_sha256"] for one in manifest["learning"] if one["job"] > admitted[0]["row"]]
    assert later[0] == admitted[0]["sha256"]  # jobs go on from the champion


def test_a_champion_without_a_promotion_is_not_touched(parent: Path) -> None:
    chosen = standin.settings(parent) | {"learning": None}
    alone = backtest(MemorySource(BARS), **chosen)
    watched = standin.settings(parent)
    watched["challengers"] |= {"alpha": 1e-12}
    beside = backtest(MemorySource(BARS), **watched)
    assert not [one for one in beside.manifest["roles"] if one["role"] == "champion"]
    assert any(one["status"] == "admitted" for one in beside.manifest["learning"])
    assert beside.ledger_sha256 == alone.ledger_sha256


def test_a_job_that_fails_is_recorded_and_one_whose_process_dies_ends_the_run(parent: Path) -> None:
    manifest = run(parent, training={"how": "raise"})
    assert {one["status"] for one in manifest["learning"]} == {"failed", "running"}
    assert "ValueError: no luck" in manifest["learning"][0]["because"]
    with pytest.raises(GrandModelError, match="was killed by signal 9"):
        run(parent, training={"how": "always_die"})


def test_what_cannot_learn_is_refused_at_the_start(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="these networks cannot learn"):
        run(parent, training={"unfit": True})
    chosen = standin.settings(parent)
    with pytest.raises(ConfigError, match=r"learning needs cuts\.every_bars"):
        backtest(MemorySource(BARS), **{**chosen, "cuts": {"session_rolls": True}})
    with pytest.raises(ConfigError, match="needs an ensemble of networks"):
        backtest(MemorySource(BARS), **{**chosen, "agent": "flat"})
    with pytest.raises(ConfigError, match="which is no multiple of"):
        backtest(MemorySource(BARS), **{**chosen, "cuts": {"every_bars": 7}})
    with pytest.raises(ConfigError, match="both decide"):
        backtest(MemorySource(BARS), **{**chosen, "cuts": {"every_bars": 10, "follow_store": True}})
    seats = {"strategic": "flat", "tactical": "flat", "risk": "level:2"}
    with pytest.raises(UsageError, match="without networks"):
        backtest(MemorySource(BARS), **{**chosen, "ensemble": {"seats": seats}})
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("engine.app.extras.find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(UsageError, match="no torch") as missing:
        run(parent)
    assert missing.value.exit_code == 2
