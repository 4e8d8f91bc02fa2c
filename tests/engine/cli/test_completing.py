"""Shell completion: the script, and what a shell is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.registry import RULES
from engine.cli.commands import COMPLETING
from engine.cli.completing import AGENTS, agents, data_files, instruments

ROOT = Path(__file__).parents[3]


def shell(folder: Path, *command: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    # the name of a program decides the name of its variable
    code = "import sys; sys.argv[0] = 'grandmodel'; from engine.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.stdout


def asked(folder: Path, *words: str) -> list[str]:
    line = " ".join(("grandmodel", *words))
    variables = {COMPLETING: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    return shell(folder, **variables).split()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_asks_the_command(name: str, tmp_path: Path) -> None:
    assert COMPLETING in shell(tmp_path, "completion", name)


def test_a_shell_completes_commands_options_and_values(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Breakout(gm.Strategy):\n    pass\nclass Other:\n    pass\n")
    assert asked(tmp_path, "back") == ["backtest"]
    assert asked(tmp_path, "backtest", "--ag") == ["--agent"]
    assert asked(tmp_path, "backtest", "--agent", "sm") == ["sma_cross"]
    assert asked(tmp_path, "backtest", "--agent", "mi") == ["mine.py:Breakout"]
    assert asked(tmp_path, "backtest", "--instrument", "BTC") == ["BTC-PERP"]
    assert asked(tmp_path, "backtest", "--data", "es-s") == ["es-synthetic"]


def test_values_are_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bars.csv").write_text("")
    (tmp_path / "es.yaml").write_text("")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "deep.py").write_text("class Deep(MarketAgent): ...\n")
    assert set(AGENTS) == {*RULES, "ensemble"}
    assert data_files("b") == ["bars.csv"] or data_files("b")[-1] == "bars.csv"
    assert ".hidden" not in data_files("")
    assert instruments("A=BTC") == ["A=BTC-PERP"]
    assert instruments("e") == ["es.yaml"]
    assert agents("more/") == ["more/deep.py:Deep"]
    assert agents("more/deep.py:") == ["more/deep.py:Deep"]
    assert agents("nowhere/") == []
