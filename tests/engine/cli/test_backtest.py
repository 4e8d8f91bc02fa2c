"""`grandmodel backtest` as a user types it: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import LIMIT_S

ROOT = Path(__file__).resolve().parents[3]


def grandmodel(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.cli.main", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "COLUMNS": "100"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd or ROOT, env=environment, timeout=LIMIT_S, check=False
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bars") / "bars.csv"
    made = grandmodel("data", "synthesize", "--bars", "2000", "--seed", "3", "--instrument", "ES", "--out", str(file))
    assert made.returncode == 0, made.stderr
    return file


def test_json_is_alone_on_standard_output(small: Path, tmp_path: Path) -> None:
    done = grandmodel("backtest", "--data", str(small), "--instrument", "ES", "--out", str(tmp_path / "r"), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    wanted = "run_dir bars fills trades final_equity total_return sharpe max_drawdown fees quarantined seconds"
    assert set(wanted.split()) | {"bars_per_second", "ledger_sha256"} <= result.keys()
    assert result["bars"] == 2000
    names = {path.name for path in (tmp_path / "r").iterdir()}
    tables = {f"{name}.parquet" for name in ("ledger", "fills", "orders", "trades", "decisions")}
    assert tables | {"manifest.json", "metrics.json", "report.html"} <= names
    assert json.loads((tmp_path / "r" / "manifest.json").read_text())["ledger_sha256"] == result["ledger_sha256"]
    again = grandmodel(
        "backtest", "--data", str(small), "--instrument", "ES", "--out", str(tmp_path / "r"), "--json", "--block", "1",
        "--overwrite",
    )  # fmt: skip
    assert json.loads(again.stdout)["ledger_sha256"] == result["ledger_sha256"]
    assert grandmodel("verify", str(tmp_path / "r")).returncode == 0


def test_a_killed_run_leaves_the_old_one_whole(small: Path, tmp_path: Path) -> None:
    words = ("backtest", "--data", str(small), "--instrument", "ES", "--out", str(tmp_path / "r"))
    first = grandmodel(*words)
    assert first.returncode == 0, first.stderr
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    again = grandmodel(*words)
    assert again.returncode == 2 and "--overwrite" in again.stderr
    strategy = tmp_path / "deadly.py"
    strategy.write_text(
        "import os, signal\nfrom agents.strategy import Strategy\n\n\nclass Deadly(Strategy):\n    rows = 0\n\n"
        "    def on_bar(self, context):\n        self.rows += 1\n        if self.rows == 1500:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = grandmodel(*words, "--agent", f"{strategy}:Deadly", "--block", "100", "--overwrite")
    assert killed.returncode == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before
    assert grandmodel("verify", str(tmp_path / "r")).returncode == 0
    replaced = grandmodel(*words, "--agent", "buy_and_hold", "--overwrite")
    assert replaced.returncode == 0, replaced.stderr
    assert json.loads((tmp_path / "r" / "manifest.json").read_text())["agent"] == "buy_and_hold"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["deadly.py", "r"]


def test_summary_is_printed_and_fits(small: Path, tmp_path: Path) -> None:
    done = grandmodel("backtest", "--data", str(small), "--instrument", "ES", "--out", str(tmp_path / "r"))
    assert done.returncode == 0
    for words in ("Total return", "Sharpe", "Max drawdown", "Win rate", "Buy and hold"):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_dashboard_without_a_terminal_prints_lines(small: Path, tmp_path: Path) -> None:
    done = grandmodel(
        "backtest", "--data", str(small), "--instrument", "ES", "--out", str(tmp_path / "r"), "--dashboard"
    )
    assert done.returncode == 0, done.stderr
    assert "Total return" in done.stdout


def broken(small: Path, tmp_path: Path) -> Path:
    lines = small.read_text().splitlines()
    cells = lines[10].split(",")
    lines[10] = ",".join([cells[0], cells[1], "0.01", *cells[3:]])
    file = tmp_path / "broken.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_bad_rows_are_quarantined_or_stop_a_strict_run(small: Path, tmp_path: Path) -> None:
    file = broken(small, tmp_path)
    base = ("backtest", "--data", str(file), "--instrument", "ES", "--json", "--no-report")
    lenient = grandmodel(*base, "--out", str(tmp_path / "r"))
    assert json.loads(lenient.stdout)["quarantined"] == 1
    record = json.loads((tmp_path / "r" / "quarantine.jsonl").read_text())
    assert record["line"] == 11
    strict = grandmodel(*base, "--out", str(tmp_path / "s"), "--strict")
    assert strict.returncode == 2
    assert "line 11" in strict.stderr
    assert "11" in json.loads(strict.stdout)["error"]["where"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no data"),
        (("--data", "nowhere.csv"), "nowhere.csv"),
        (("--data", "qwxyz.csv"), f"looked for in {ROOT}; recordings that ship: es-drift, es-synthetic"),
        (("--data", "no/where.csv"), "there is no folder no"),
        (("--data", "README.md"), "README.md"),
        (("--data", "es-synthetic", "--instrument", "EZ"), "did you mean ES"),
        (("--data", "es-synthetic", "--agent", "sma_crosss"), "did you mean sma_cross"),
        (("--data", "es-synthetic", "--set", "limits.max_leverag=2"), "did you mean 'max_leverage'"),
        (("--data", "es-synthetic", "--set", "nonsense"), "key=value"),
        (("--data", "es-synthetic", "--labels", "middle"), "labels"),
        (("--data", "es-synthetic", "--start", "yesterday"), "--start: expected a date or a time such as"),
        (("--data", "es-synthetic", "--start", "2030-01-01"), "2030-01-01"),
        (
            ("--data", "es-synthetic", "--fee", "7"),
            "--fee: expected a fraction less than 1; 0.001 means 0.1 % (found 7.0)",
        ),
        (
            ("--data", "es-synthetic", "--set", "execution.slippage.range=5"),
            "a fraction less than or equal to 1; 0.001",
        ),
        (("--data", "es-synthetic", "--set", "limits.max_drawdown=20"), "a fraction less than or equal to 1; 0.001"),
        (("--data", "es-synthetic", "--fee", "-1"), "--fee: expected greater than or equal to 0 (found -1.0)"),
        (("--data", "es-synthetic", "--speed", "warp"), "speed"),
        (("--data", "es-synthetic", "--config", "nowhere.yaml"), "expected: a YAML file of keys and values"),
        (("--data", "es-synthetic", "--out", "engine"), "other files"),
        (("--dataa", "x"), "No such option"),
    ],
)
def test_mistakes_end_in_a_message_and_exit_code_2(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    out = () if "--out" in arguments else ("--out", str(tmp_path / "r"))
    done = grandmodel("backtest", *arguments, *out)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_help_shows_an_example_and_config_is_shown() -> None:
    assert "Example" in grandmodel("backtest", "--help").stdout
    shown = grandmodel("config", "show", "--set", "limits.max_drawdown=0.25")
    assert "max_drawdown: 0.25" in shown.stdout
    assert json.loads(grandmodel("config", "schema").stdout)["additionalProperties"] is False


def test_doctor_finds_this_installation_well() -> None:
    done = grandmodel("doctor", "--json")
    findings = json.loads(done.stdout)
    assert findings["recordings"]["ok"] is True
    assert findings["instruments"]["text"] == "6E, BTC-PERP, ES, EURUSD, GBPUSD, GENERIC"


def test_ctrl_c_ends_with_a_word_and_no_result(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine.cli.main", "backtest", "--data", "es-synthetic", "--speed", "60", "-vv"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    with subprocess.Popen(
        [*command, "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:  # the first step says that the loop is running
            if line.startswith("debug: step"):
                break
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "manifest.json").exists()
