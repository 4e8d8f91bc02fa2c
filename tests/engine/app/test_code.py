"""Code that a run names is executed only where its hash is recorded and the same, or where that is asked for."""

from __future__ import annotations

import json
import py_compile
import sys
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from engine.api.calls import backtest
from engine.app.code import allow_code, code_entries, imported_files, named_files
from engine.app.config import BacktestConfig
from engine.app.journal.mending import mend
from engine.app.journal.verifying import audit, export_whole, replay_whole
from engine.app.live import open_or_resume as opening
from engine.app.live.commands import operate_stopped
from engine.app.live.paper import run_paper
from engine.app.verify import verify
from engine.base.config import parse
from engine.base.errors import CheckFailed, DataError, UsageError
from engine.cli.app import app
from engine.types.records import Operation
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import case, live_bars

STRATEGY = """
from pathlib import Path

from agents.strategy import Strategy

Path({mark!r}).touch()


class Mine(Strategy):
    def on_bar(self, context):
        if context.position == 0:
            context.buy(1)
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that exists once the strategy was imported."""
    return tmp_path / "was-executed"


@pytest.fixture
def strategy(tmp_path: Path, mark: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(STRATEGY.format(mark=str(mark)))
    return file


def _run(strategy: Path, mark: Path, folder: Path) -> dict[str, Any]:
    backtest("es-synthetic", "ES", f"{strategy}:Mine", out=folder)
    mark.unlink()
    tree: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return tree


def _config(agent: str) -> BacktestConfig:
    return parse(BacktestConfig, {"agent": agent}, where="test")


def test_recorded_code_is_announced_and_runs(strategy: Path, mark: Path, tmp_path: Path) -> None:
    manifest = _run(strategy, mark, tmp_path / "run")
    assert [entry["path"] for entry in manifest["code"]] == [str(strategy)]
    with capture_logs() as told:
        assert verify(str(tmp_path / "run")).passed and mark.exists()
    announced = next(line for line in told if line["event"].startswith("the strategy file"))
    assert (announced["log_level"], announced["file"]) == ("warning", str(strategy))
    assert announced["event"].endswith("is executed, since its hash is the recorded one")
    with capture_logs() as told:
        assert verify(str(tmp_path / "run"), trust_code=True).passed
    assert any(line["event"].endswith("is executed, since --trust-code was given") for line in told)


@pytest.mark.parametrize("code", [[], None, [{"path": "other.py", "absolute": "other.py", "sha256": ""}], "all", [1]])
def test_without_its_hash_it_is_not_imported(strategy: Path, mark: Path, tmp_path: Path, code: object) -> None:
    manifest = _run(strategy, mark, tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({**manifest, "code": code}))
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "run")])
    assert isinstance(result.exception, UsageError | CheckFailed | DataError) and not mark.exists()
    if not code:
        assert "--trust-code" in str(result.exception)
        assert CliRunner().invoke(app, ["verify", str(tmp_path / "run"), "--trust-code"]).exit_code == 0
        assert mark.exists()


def test_another_file_than_the_recorded_one_is_not_imported(strategy: Path, mark: Path, tmp_path: Path) -> None:
    manifest = _run(strategy, mark, tmp_path / "run")
    other = tmp_path / "other.py"
    other.write_text(strategy.read_text())
    manifest["config"]["agent"] = f"{other}:Mine"
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="not its hash"):
        verify(str(tmp_path / "run"))
    strategy.write_text(strategy.read_text() + "\n")
    with pytest.raises(CheckFailed, match="--trust-code"):
        verify(str(tmp_path / "run"))
    assert not mark.exists()


def test_bytecode_beside_the_file_is_not_executed(strategy: Path, mark: Path, tmp_path: Path) -> None:
    _run(strategy, mark, tmp_path / "run")
    evil, executed = tmp_path / "evil.py", tmp_path / "evil-was-executed"
    evil.write_text(f"from pathlib import Path\nPath({str(executed)!r}).touch()\n" + strategy.read_text())
    cached = cache_from_source(str(strategy))
    py_compile.compile(str(evil), cached, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert verify(str(tmp_path / "run")).passed
    assert mark.exists() and not executed.exists()


@pytest.mark.parametrize("code", ["recorded", "changed", "not recorded"])
def test_a_session_runs_recorded_code_only(
    strategy: Path, mark: Path, tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code == "not recorded":  # as in a journal that a stranger made
        monkeypatch.setattr(opening, "code_entries", lambda _: [])
    short, folder = case(live_bars(20), agent=f"{strategy}:Mine"), tmp_path / "live"
    short.run(folder, end={"bars": 10})
    mark.unlink()
    if code == "changed":
        strategy.write_text(strategy.read_text() + "\n")
    doings: list[Callable[[bool], object]] = [
        lambda trust: replay_whole(folder, trust_code=trust),
        lambda trust: export_whole(folder, tmp_path / "out", trust_code=trust),
        lambda trust: operate_stopped(folder, Operation.PAUSE, "test", trust_code=trust),
        lambda trust: mend(folder, reread=True, trust_code=trust),
    ]
    if code != "changed":
        doings.append(lambda trust: run_paper(short.config(), folder, source=ListSource([]), trust_code=trust))
    for doing in doings:
        if code == "recorded":
            doing(False)
        else:
            with pytest.raises((UsageError, CheckFailed), match="--trust-code"):
                doing(False)
            assert not mark.exists()
            doing(True)
        assert mark.exists()
        mark.unlink()
    audit(folder)
    assert not mark.exists()


def test_a_seat_through_a_production_configuration_counts(strategy: Path, mark: Path, tmp_path: Path) -> None:
    production = tmp_path / "production.yaml"
    production.write_text("models:\n  strategic_agent: {agent: 'mine.py:Mine'}\n")
    config = _config(f"ensemble:{production}")
    assert named_files(config) == [production, strategy]
    entries = code_entries(config)
    allow_code(config, entries, "here")
    with pytest.raises(UsageError, match=r"mine\.py"):
        allow_code(config, entries[:1], "here")
    seats = parse(
        BacktestConfig, {"ensemble": {"seats": {"tactical": f"{strategy}:Mine"}}, "agent": "ensemble"}, "test"
    )
    assert named_files(seats) == [strategy]
    with pytest.raises(UsageError):
        allow_code(seats, [], "here")
    assert not mark.exists()


def test_neighbours_are_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "mine_helpers"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import value\n")
    (package / "inner.py").write_text("from . import deeper\nvalue = 1\n")
    (package / "deeper.py").write_text("raise RuntimeError('executed')\n")
    file = tmp_path / "strategy.py"
    file.write_text("import os, numpy\n\n\ndef late():\n    import mine_helpers.inner\n")
    found = imported_files(file)
    assert found == [package / "__init__.py", package / "deeper.py", package / "inner.py"]
    assert "mine_helpers" not in sys.modules
    config = _config(f"{file}:Mine")
    entries = code_entries(config)
    assert len(entries) == 4
    allow_code(config, entries, "here")
    (package / "deeper.py").write_text("changed = True\n")
    with pytest.raises(CheckFailed, match=r"deeper\.py"):
        allow_code(config, entries, "here")


def test_a_rule_agent_needs_no_code() -> None:
    allow_code(_config("sma_cross"), [], "here")
    allow_code(_config("sma_cross"), None, "here")
