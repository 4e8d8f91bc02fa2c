from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engine.base.errors import UsageError
from engine.cli.report import report
from tests.engine.runs import run_folder

app = typer.Typer()
app.command()(report)


def test_writes_the_page_and_prints_the_summary(tmp_path: Path) -> None:
    run_folder(tmp_path, rows=200)
    done = CliRunner().invoke(app, [str(tmp_path)], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report.html").stat().st_size > 1_000_000


def test_json_is_the_metrics_and_nothing_else(tmp_path: Path) -> None:
    run_folder(tmp_path, rows=200)
    done = CliRunner().invoke(app, [str(tmp_path), "--json"])
    assert json.loads(done.stdout) == json.loads((tmp_path / "metrics.json").read_text())


def test_opens_the_report_in_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", opened.append)
    run_folder(tmp_path, rows=200)
    assert CliRunner().invoke(app, [str(tmp_path), "--open"]).exit_code == 0
    assert opened == [(tmp_path / "report.html").resolve().as_uri()]


def test_a_folder_that_is_no_run_is_explained(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(done.exception, UsageError) and "not a run folder" in str(done.exception)
