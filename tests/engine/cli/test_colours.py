"""Output into a pipe holds no escape codes, with NO_COLOR and without."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.cli.children import ROOT, RUN

DATA = ("--data", "es-synthetic", "--instrument", "ES", "--end", "2024-01-05")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "xterm-256color"}])
def test_a_pipe_gets_plain_text(folder: Path, variable: dict[str, str]) -> None:
    strategy = ROOT / "tests" / "agents" / "strategies" / "breakout.py"
    agent = ("--agent", f"{strategy}:Breakout")
    environment = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR"}}
    run, compared = str(folder / "run"), str(folder / "compared")
    for words in (
        ("backtest", *DATA, *agent, "--out", run, "--overwrite", "-v"),
        ("compare", *DATA, "--agent", "sma_cross:fast=5|10,slow=30", "--out", compared),
        ("runs", str(folder)),
        ("verify", run),
        ("verify", str(folder / "nowhere")),
    ):
        done = subprocess.run(
            [*RUN, *words], capture_output=True, text=True, cwd=ROOT, env={**environment, **variable}, check=False
        )
        assert done.returncode == (2 if words[-1].endswith("nowhere") else 0), done.stderr
        assert "\x1b" not in done.stdout + done.stderr, words
        if words == ("verify", run):
            assert "warning: the strategy file that the run names is executed, since its hash" in done.stderr
            assert not any(line.startswith("{") for line in done.stderr.splitlines())
