"""The overview is that of the commands that exist, and a command imports what it needs and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from engine.cli.app import app
from engine.cli.commands import COMMANDS, overview

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"exchange_calendars", "numba", "onnxruntime", "pandas", "plotly", "polars", "pyarrow", "scipy.linalg", "torch"}
SPY = """
import sys
from engine.cli.main import main
try:
    main()
finally:
    sys.stderr.write("\\nimported " + " ".join(sys.modules))
"""


def imported(*words: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", SPY, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("imported ")[2].split())


def test_help_is_one_text_and_imports_no_library() -> None:
    run = CliRunner().invoke(app, ["--help"])
    assert run.exit_code == 0
    assert run.stdout == overview() + "\n"
    assert not imported("--help") & (HEAVY | {"typer", "rich", "pydantic", "numpy", "asyncio"})
    assert max(len(line) for line in overview().splitlines()) <= 80


def test_every_command_is_there_under_its_name() -> None:
    root: Any = typer.main.get_command(app)
    assert list(root.commands) == list(COMMANDS)
    for name, command in root.commands.items():
        assert command.name == name
        assert command.help
        assert f"  {name} " in overview()


def test_an_unknown_command_names_the_nearest() -> None:
    run = CliRunner().invoke(app, ["backtst"])
    assert run.exit_code == 2
    assert "Did you mean 'backtest'?" in run.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    run = CliRunner().invoke(app, [name, "--help"], prog_name="grandmodel")
    assert run.exit_code == 0
    assert f"grandmodel {name}" in run.stdout
