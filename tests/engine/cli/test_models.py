from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agents.models.metadata import seal
from agents.models.store import BUNDLED, ModelStore
from agents.models.untrained import write_untrained
from engine.api.calls import backtest
from engine.base.errors import CheckFailed, DataError, GrandModelError, UsageError
from engine.cli.models import app
from feeds.memory import MemorySource
from tests.bars import random_bars

WIDE = {"COLUMNS": "160"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a second version; the tests find it through the environment."""
    write_untrained(tmp_path / "made", seed=1, version="second")
    store = ModelStore(tmp_path / "store")
    store.add(tmp_path / "made")
    monkeypatch.setenv("GRANDMODEL_MODELS", str(store.root))
    return store.root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=WIDE)


def ok(*arguments: object) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def failure(*arguments: object) -> GrandModelError:
    error = run(*arguments).exception
    assert isinstance(error, GrandModelError), error
    return error


def test_list_marks_the_active_version(root: Path) -> None:
    rows = json.loads(ok("list", "--json"))
    found = [(row["version"], row["active"]) for row in rows]
    assert found == [("second", False), ("trained-3", True), ("untrained-2", False)]
    ok("activate", "second", "--note", "try")
    rows = json.loads(ok("list", "--json"))
    assert [row["active"] for row in rows] == [True, False, False] and rows[0]["activated"].endswith("+00:00")
    marked = [line for line in ok("list").splitlines() if line.startswith("champion")]
    assert len(marked) == 1 and "second" in marked[0]
    assert ModelStore(root).history()[0].note == "try"


def test_a_version_whose_evaluation_did_not_pay_is_activated_with_a_warning(root: Path, tmp_path: Path) -> None:
    assert "never learned anything" in run("activate", "second").output
    sound = run("activate", "trained-3").output
    assert "evaluate it before it trades" not in sound and "no stress test of it" in sound
    for version, metrics in (
        ("poor", {"mean_return": -0.012, "episodes": 60.0, "trades": 3.0}),
        ("idle", {"mean_return": 0.0, "trades": 0.0}),
        ("holding", {"mean_return": 0.16, "trades": 0.0, "exposure": 0.98}),
        ("unseen", {}),
    ):
        write_untrained(tmp_path / version, seed=1, version=version)
        seal(tmp_path / version, version, created_by="test", untrained=False, metrics=metrics)
        ModelStore(root).add(tmp_path / version)
    assert (
        "did not pay: a mean return of -1.20% an episode over 60 validation episodes" in run("activate", "poor").output
    )
    assert "it never traded" in run("activate", "idle").output
    assert "no evaluation is recorded" in run("activate", "unseen").output
    assert "it never traded" in run("rollback").output
    # a position that is never closed is no closed trade
    assert "evaluate it before it trades" not in run("activate", "holding").output
    rows = {row["version"]: row for row in json.loads(ok("list", "--json"))}
    assert rows["trained-3"]["doubts"] is None and rows["poor"]["mean_return"] == -0.012
    assert "-1.20%" in ok("list") and "did not pay" in ok("show", "poor")


def test_list_shows_a_damaged_version_beside_the_whole_ones(root: Path) -> None:
    (root / "second" / "ensemble.json").write_text("{")
    rows = json.loads(ok("list", "--json"))
    assert "not valid JSON" in rows[0]["error"] and rows[1]["error"] is None
    assert "damaged" in ok("list")


def test_show_tells_what_a_version_is(root: Path) -> None:
    facts = json.loads(ok("show", "second", "--json"))
    assert (facts["version"], facts["seed"], facts["untrained"]) == ("second", 1, True)
    assert Path(facts["folder"]) == root / "second"
    assert "untrained-2 (untrained" in ok("show", "untrained-2")
    text = ok("show")
    assert "trained-3" in text and "(untrained" not in text and "strategic_model.onnx" in text


def test_verify_takes_the_active_version_a_name_or_a_folder(root: Path) -> None:
    assert "trained-3: 11 files are whole" in ok("verify")
    assert "second: 8 files are whole" in ok("verify", "second")
    assert "trained-3: 11 files are whole" in ok("verify", BUNDLED)


def test_damage_is_the_result_of_verify_and_wrong_data_for_every_other_command(root: Path) -> None:
    path = root / "second" / "risk_weights.npz"
    for damage in (lambda: path.write_bytes(path.read_bytes() + b"x"), path.unlink):
        damage()
        found = failure("verify", "second")
        assert isinstance(found, CheckFailed) and found.exit_code == 1 and str(path) in str(found)
        for command in ("activate", "challenge"):
            refused = failure(command, "second")
            assert isinstance(refused, DataError) and refused.exit_code == 2 and str(path) in str(refused)
    assert failure("verify", "nobody").exit_code == 2


def test_list_fits_a_terminal_of_80_columns(root: Path, tmp_path: Path) -> None:
    write_untrained(tmp_path / "other", seed=1, version="other")
    ModelStore(root).add(tmp_path / "other")
    ok("activate", "second")
    (root / "other" / "ensemble.json").write_text("{")
    done = CliRunner().invoke(app, ["list"], env={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    assert len(lines) == 5 and max(map(len, lines)) <= 80
    rows = {row["version"]: row for row in json.loads(ok("list", "--json"))}
    for line, version in zip(lines[1:], sorted(rows), strict=True):
        row = rows[version]
        assert row["role"] in line and (row["sha256"] or "")[:8] in line
        assert (row["activated"] or "")[:16].replace("T", " ") in line
    assert "other is damaged: not valid JSON" in done.stderr


def test_activate_and_rollback(root: Path) -> None:
    assert ok("activate", "second").startswith("second is active since 20")
    assert ok("rollback", "--note", "worse").startswith("trained-3 is active since 20")
    assert [entry.note for entry in ModelStore(root).history()] == ["", "worse"]
    error = failure("rollback")
    assert isinstance(error, UsageError) and error.exit_code == 2 and "no activation" in str(error)


def test_an_unknown_version_is_refused_and_the_nearest_named(root: Path) -> None:
    for command in ("activate", "show", "verify"):
        error = failure(command, "secnd")
        assert isinstance(error, UsageError) and "did you mean second?" in str(error)


def test_add_takes_another_store(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert "`grandmodel models activate second`" in ok("add", root / "second", "--store", other)
    listed = json.loads(ok("list", "--store", other, "--json"))
    assert [row["version"] for row in listed] == ["second", "trained-3", "untrained-2"]
    shutil.rmtree(root / "second")
    assert isinstance(failure("add", root / "second", "--store", other), DataError)


def test_a_challenge_its_evidence_and_its_end_are_kept(root: Path, tmp_path: Path) -> None:
    assert "no challenger" in failure("promote", "second").what
    begun = run("challenge", "second", "--note", "trained on May").output
    assert "number 1 of all ever started" in begun
    assert "has to reach E 32.9: about 932, 341, 209 blocks" in begun
    ok("challenge", "second")  # again, nothing happens
    store = ModelStore(root)
    assert store.started() == 1 and store.roles() == {"second": "challenger", "trained-3": "champion"}
    bars = random_bars(300, first_ns=1_704_067_260_000_000_000)
    backtest(
        MemorySource(bars),
        agent="flat",
        challengers={"agents": (f"ensemble:{store.path('second')}",), "block_bars": 10},
        out=tmp_path / "run",
    )
    leads = failure("challenge", "trained-3")
    assert leads.what == "trained-3 is the champion" and "grandmodel models list" in (leads.hint or "")
    assert "grandmodel runs" in (failure("promote", "second", "--run", str(tmp_path / "none" / "run")).hint or "")
    assert "no challenger in this run" in failure("promote", "second", "--run", str(backtest_of_others(tmp_path))).what
    assert "it may be no better" in run("promote", "second", "--run", str(tmp_path / "run")).output
    assert store.roles() == {"second": "champion"} and store.active() == "second"
    ok("rollback", "--note", "worse")
    assert store.roles() == {"second": "retired", "trained-3": "champion"}
    ok("challenge", "untrained-2")
    ok("retire", "untrained-2")
    entries = store.history()
    assert [one.event for one in entries] == ["challenge", "promote", "rollback", "challenge", "retire"]
    assert entries[1].evidence["threshold"] == pytest.approx(32.8987, rel=1e-4)
    assert [one.number for one in entries] == [1, None, None, 2, None]
    shown = ok("history")
    assert "trained on May" in shown and "number 2" in shown
    assert [one["by"] for one in json.loads(ok("history", "--json"))] == ["operator"] * 5


def backtest_of_others(tmp_path: Path) -> Path:
    bars = random_bars(60, first_ns=1_704_067_260_000_000_000)
    backtest(MemorySource(bars), agent="flat", challengers={"agents": ("buy_and_hold",)}, out=tmp_path / "other")
    return tmp_path / "other"
