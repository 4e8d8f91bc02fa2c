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
from tests.waiting import LIMIT_S

ROOT = Path(__file__).resolve().parents[3]
NEEDED = {"numba", "pyarrow"}
HEAVY = NEEDED | {"exchange_calendars", "onnxruntime", "pandas", "plotly.graph_objs", "polars", "scipy.linalg", "torch"}
LIGHT = {"asyncio", "numpy", "pydantic", "rich", "typer"}
UNNEEDED = {
    "agents.ensemble.kernels",
    "agents.features.kernels.strategic",
    "agents.serving.kernels",
    "numba.np.arrayobj",  # what Numba compiles with
    "rich",
    "structlog",
}
MOST_MODULES = 960
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
        [sys.executable, "-c", SPY, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("imported ")[2].split())


def test_help_is_one_text_and_imports_no_library() -> None:
    run = CliRunner().invoke(app, ["--help"])
    assert run.exit_code == 0
    assert run.stdout == overview() + "\n"
    assert not imported("--help") & (HEAVY | LIGHT)
    assert max(len(line) for line in overview().splitlines()) <= 80


def test_every_command_is_there_under_its_name() -> None:
    root: Any = typer.main.get_command(app)
    assert root.list_commands(None) == list(COMMANDS)
    for name in COMMANDS:
        command = root.get_command(None, name)
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


def bars(path: Path) -> Path:
    """A file of 60 one-minute bars."""
    lines = [f"2024-01-02T10:{m:02d}:00Z,{100 + m % 7},{101 + m % 7},{99 + m % 7},{100 + m % 7},10" for m in range(60)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]) + "\n")
    return path


def test_a_backtest_of_a_rule_imports_only_what_it_needs(tmp_path: Path) -> None:
    words = (
        "backtest",
        "--data",
        str(bars(tmp_path / "b.csv")),
        "--agent",
        "sma_cross",
        "--out",
        str(tmp_path / "run"),
    )
    imported(*words)  # the first run on a machine compiles, which takes more
    found = imported(*words, "--overwrite")
    assert not found & (HEAVY - NEEDED)
    assert (tmp_path / "run" / "report.html").exists()


def test_a_small_backtest_with_json_imports_no_more_than_it_did(tmp_path: Path) -> None:
    data, out = str(bars(tmp_path / "b.csv")), str(tmp_path / "run")
    words = ("backtest", "--data", data, "--labels", "close", "--out", out, "--overwrite", "--json")
    imported(*words)  # the first run on a machine compiles, which takes more
    found = imported(*words)
    unwanted = found & (UNNEEDED | (HEAVY - NEEDED))
    assert not unwanted
    assert len(found) < MOST_MODULES


def test_a_strategy_has_pandas_and_products_of_matrices_as_ever(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numba, numpy as np, pandas as pd, pyarrow as pa\n"
        "from grandmodel import Strategy\n\n\n"
        "@numba.njit\n"
        "def product(a, b):\n    return a @ b\n\n\n"
        "class Mine(Strategy):\n"
        "    def on_bar(self, context):\n"
        "        assert pa.table(pd.DataFrame({'x': [1]})).num_rows == 1\n"
        "        assert product(np.eye(2), np.eye(2)).trace() == 2.0\n"
    )
    data, agent = str(bars(tmp_path / "b.csv")), f"{tmp_path / 'mine.py'}:Mine"
    imported("backtest", "--data", data, "--agent", agent, "--out", str(tmp_path / "run"), "--no-report")
