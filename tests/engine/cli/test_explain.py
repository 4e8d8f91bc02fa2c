"""`grandmodel explain`, and what the command says when an ensemble cannot run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agents.models.store import UNTRAINED
from engine.api.calls import backtest
from feeds.memory import MemorySource
from tests.agents.ensemble.runs import seat
from tests.bars import random_bars
from tests.engine.cli.test_backtest import grandmodel

WIDTH = 80


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    bars = random_bars(900, 3, ("A", "B"), start=12_345_678, tick=0.5, volatility=2e-3)
    seats = {"strategic": seat("Direction", seed=3), "tactical": seat("Tactics", seed=3)}
    backtest(MemorySource(bars), "BTC-PERP", "ensemble", out=folder, ensemble={"seats": seats}, initial_capital=10**8)
    return folder


def fills_of(run: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, object]] = pq.read_table(run / "fills.parquet").to_pylist()
    return rows


def shown(run: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command prints on a terminal of 80 columns, without starting a process."""
    from typer.testing import CliRunner

    from engine.cli.app import app

    monkeypatch.setenv("COLUMNS", str(WIDTH))
    done = CliRunner().invoke(app, ["explain", str(run), str(number)])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_fill_fits_eighty_columns_and_shows_its_chain(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = set()
    for number, fill in enumerate(fills_of(run), 1):
        text = shown(run, number, monkeypatch)
        assert "Strategic seat" in text
        assert "in place of a model" in text
        assert max(map(len, text.splitlines())) <= WIDTH
        flat = " ".join(text.split())
        assert f"{fill['side']} {fill['quantity']:.12g} {fill['symbol']} at {fill['price']:.12g}" in flat
        for label in (
            f"Fill {number}",
            f"Order {fill['order_id']}",
            "Asked for",
            "Strategic",
            "Tactical",
            "Risk",
            "Models",
        ):
            assert label in text
        assert ("Protects" in text) == (fill["role"] == "stop_loss")
        roles.add(fill["role"])
        assert "sha256" in text
    assert roles == {"entry", "stop_loss"}


def test_json_holds_the_same(run: Path) -> None:
    done = grandmodel("explain", str(run), "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["fill", "order", "entry", "decision", "cut", "agents", "models"]
    assert found["fill"]["number"] == 1
    assert found["decision"]["order_id"] == found["order"]["id"]
    assert set(found["agents"]) == {"strategic", "tactical", "risk"}
    assert found["models"]["version"] == "trained-3"


@pytest.mark.parametrize(
    ("folder", "number", "said"),
    [
        ("run", "0", "there is no fill 0"),
        ("run", "100000", "there is no fill 100000"),
        ("run", "first", "integer"),
        ("nowhere", "1", "not a run folder"),
    ],
)
def test_mistakes_end_in_a_message(folder: str, number: str, said: str, run: Path) -> None:
    done = grandmodel("explain", str(run.parent / folder), number)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def spoiled(tmp_path: Path, how: str) -> list[str]:
    """Arguments of a backtest whose ensemble cannot serve."""
    folder = Path(shutil.copytree(UNTRAINED, tmp_path / "version"))
    model = folder / "strategic_model.onnx"
    if how == "tampered":
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
    elif how == "missing":
        model.unlink()
    elif how == "long bars":
        return ["--agent", f"ensemble:{folder}", "--timeframe", "30min"]
    elif how == "odd bars":
        return ["--agent", f"ensemble:{folder}", "--timeframe", "7min"]
    elif how == "wrong seat":
        return ["--agent", "ensemble", "--set", "ensemble.seats.risk=sma_cross"]
    elif how == "production":
        return ["--agent", "ensemble:configs/production/marl_models.yaml"]
    return ["--agent", f"ensemble:{folder}"]


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("tampered", 2, "changed after it was written"),
        ("missing", 2, "a file of the ensemble is missing"),
        ("long bars", 2, "cannot use bars of this length"),
        ("odd bars", 2, "cannot use bars of this length"),
        ("wrong seat", 2, "ensemble.seats.risk"),
        ("production", 2, "does not exist"),
    ],
)
def test_an_ensemble_that_cannot_run_says_why(how: str, code: int, said: str, tmp_path: Path) -> None:
    arguments = spoiled(tmp_path, how)
    done = grandmodel(
        "backtest", "--data", "es-synthetic", "--instrument", "ES", "--no-report", "--json",
        "--out", str(tmp_path / "r"), *arguments,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["exit_code"] == code


def test_too_short_a_history_says_what_it_needs(tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    made = grandmodel("data", "synthesize", "--bars", "500", "--seed", "3", "--instrument", "ES", "--out", str(bars))
    assert made.returncode == 0, made.stderr
    out = str(tmp_path / "r")
    done = grandmodel("backtest", "--data", str(bars), "--instrument", "ES", "--agent", "ensemble", "--out", out)
    assert done.returncode == 2
    assert "strategic agent needs 96 bars of 30 minutes" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_limit_that_cut_an_order_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_bars(60, 3, start=5_000, tick=0.25)
    cases: list[tuple[str, dict[str, object], str]] = [
        ("position", {"sizing": {"value": 2}, "limits": {"max_position": 1}}, "limits.max_position 1: a position"),
        ("leverage", {"sizing": {"value": 9}, "limits": {"max_leverage": 3}}, "limits.max_leverage 3: a position"),
        ("both", {"sizing": {"value": 9}, "limits": {"max_leverage": 3, "max_position": 5}}, "limits.max_leverage 3"),
        (
            "fraction",
            {"sizing": {"mode": "equity_fraction", "value": 6}, "limits": {"max_leverage": 3}},
            "limits.max_leverage 3",
        ),
        ("enough", {"sizing": {"value": 1}, "limits": {"max_leverage": 3, "max_position": 1}}, ""),
    ]
    for name, options, said in cases:
        backtest(MemorySource(bars), "ES", "buy_and_hold", out=tmp_path / name, initial_capital=200_000, **options)
        text = " ".join(shown(tmp_path / name, 1, monkeypatch).split())
        assert (f"Cut by {said}" in text) if said else ("Cut by" not in text), (name, text)
    assert "a position of 1 contract, of 2 wanted" in " ".join(shown(tmp_path / "position", 1, monkeypatch).split())
