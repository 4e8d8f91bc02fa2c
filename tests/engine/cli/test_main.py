"""Errors of the command line: as JSON with `--json`, and with the nearest name for what was misspelt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli.main import main


def failed(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that is expected to fail."""
    monkeypatch.setattr("sys.argv", ["grandmodel", *words.split()])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a strategy, a configuration and a file of bars."""
    (tmp_path / "dip.py").write_text(
        "from agents.strategy import Strategy\nclass Dip(Strategy):\n    def on_bar(self, context): pass\n"
    )
    (tmp_path / "config.yaml").write_text("agent: flat\n")
    (tmp_path / "bars.csv").write_text("timestamp,open,high,low,close\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


JSON_COMMANDS = [
    "backtest --data nowhere.csv",
    "compare --data nowhere.csv",
    "compare nowhere elsewhere",
    "runs nowhere",
    "paper --feed nothing://x --out live",
    "publish --data nowhere.csv --feed nothing://x",
    "ctl nowhere status",
    "reset-halt nowhere",
    "explain nowhere 1",
    "evaluate --models nowhere",
    "train --config nowhere.yaml",
    "export nowhere",
    "journal verify nowhere",
    "journal replay nowhere",
    "journal export nowhere out",
    "journal mend nowhere",
    "data inspect nowhere.csv",
    "data validate nowhere.csv",
    "models show nowhere",
    "backtest --no-such-option",
    "backtset",
    "ctl",
]


@pytest.mark.parametrize("words", JSON_COMMANDS)
@pytest.mark.usefixtures("folder")
def test_json_prints_its_errors_as_json(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = failed(f"{words} --json", monkeypatch, capsys)
    error = json.loads(out)["error"]
    assert code == error["exit_code"] == 2
    assert error["what"]
    assert error["what"].splitlines()[0] in err
    plain_code, plain_out, _ = failed(words, monkeypatch, capsys)
    assert (plain_code, plain_out) == (2, "")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("backtset", "'backtest'"),
        ("journal verfy x", "'verify'"),
        ("backtest --dta x", "--data"),
        ("backtest --data es-synthetc", "es-synthetic"),
        ("backtest --data bars.cvs", "bars.csv"),
        ("backtest --data es-synthetic --agent sma_cros", "sma_cross"),
        ("backtest --data es-synthetic --agent sma_cross:fst=3", "'fast'"),
        ("backtest --data es-synthetic --agent dpi.py:Dip", "dip.py"),
        ("backtest --data es-synthetic --agent dip.py:Dup", "did you mean Dip?"),
        ("backtest --data es-synthetic --instrument EZ", "did you mean ES?"),
        ("backtest --config confg.yaml", "config.yaml"),
        ("backtest --data es-synthetic --set limits.max_drawdwn=0.1", "'max_drawdown'"),
        ("backtest --data es-synthetic --labels opne", "did you mean 'open'?"),
        ("backtest --data es-synthetic --timezone Europe/Berln", "Europe/Berlin"),
        ("models show trained-4", "trained-3"),
        ("ctl live hlat", "did you mean halt?"),
        ("explain runs/20240102-flt 1", "20240102-flat"),
        ("report runs", "20240102-flat"),
    ],
)
def test_errors_name_the_nearest(
    words: str, named: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder / "runs" / "20240102-flat"
    run.mkdir(parents=True)
    for name in ("manifest.json", "fills.parquet"):
        (run / name).touch()
    code, out, err = failed(words, monkeypatch, capsys)
    assert (code, out) == (2, "")
    assert named in err
    assert [path.name for path in run.parent.iterdir()] == [run.name]


def test_what_a_terminal_would_obey_is_escaped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["grandmodel", "backtest", "--data", "\x1b]0;title\x07\x9b31m.csv"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "\\x1b]0;title\\x07\\x9b31m.csv" in said
    assert all(char.isprintable() or char == "\n" for char in said)
    assert folder.is_dir()


@pytest.mark.parametrize("typed", ["--set alerts.webhook ", "--set=alerts.webhook ", "--set alerts.webhook= "])
@pytest.mark.parametrize("json_too", ["", " --json"])
def test_a_secret_after_a_forgotten_equals_sign_is_not_shown(
    typed: str, json_too: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typer's own message about the extra argument would repeat the address."""
    words = f"paper --out live {typed}https://h.example/hidden{json_too}"
    code, out, error = failed(words, monkeypatch, capsys)
    assert code == 2
    assert "hidden" not in out + error
    assert "key=value" in error
