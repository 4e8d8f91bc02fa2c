"""Progress: on a terminal it shows bars a second, elsewhere nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def said(*words: str, terminal: bool) -> str:
    """What a command writes to standard error."""
    command = [sys.executable, "-m", "engine.cli.main", *words]
    if not terminal:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stderr
    screen, stderr = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, cwd=ROOT, env=environment) as run:
        os.close(stderr)
        written = b""
        try:
            while part := os.read(screen, 65536):
                written += part
        except OSError:
            pass  # how Linux says that the other end is closed
    os.close(screen)
    assert run.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


@pytest.mark.parametrize("command", ["convert", "backtest"])
def test_progress_is_for_terminals(command: str, tmp_path: Path) -> None:
    strategy = tmp_path / "mine.py"
    strategy.write_text(
        "from agents.strategy import Strategy\n\n\nclass Mine(Strategy):\n    def on_bar(self, context): pass\n"
    )
    bars = ROOT / "replays" / "es-synthetic" / "bars.parquet"
    words = {
        "convert": ("data", "convert", str(bars), "--overwrite", "--out", str(tmp_path / "bars.csv")),
        "backtest": (
            "backtest", "--data", "es-synthetic", "--agent", f"{strategy}:Mine", "--no-report", "--overwrite",
            "--out", str(tmp_path / "run"),
        ),
    }[command]  # fmt: skip
    shown = said(*words, terminal=True)
    assert command in shown and re.search(r"\d/50000 bars", shown)
    assert "━" in shown and "━" not in said(*words, terminal=False)
