"""Runs on bars that are made of ticks: the commands, Python, and the ensemble on bars of no fixed length."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import grandmodel as gm
from engine.base.errors import UsageError
from engine.cli.main import main
from training.config import HistoricalSource


def trades(days: float, count: int) -> pl.DataFrame:
    rng = np.random.default_rng(4)
    times = 1_704_153_600_000 + np.sort(rng.integers(0, int(days * 86_400_000), count))
    return pl.DataFrame(
        {
            "timestamp": pl.Series(times).cast(pl.Datetime("ms", "UTC")),
            "price": 100 + 0.01 * np.cumsum(rng.integers(-1, 2, count)),
            "size": rng.integers(1, 10, count).astype(float),
            "side": rng.choice(["buy", "sell"], count),
        }
    )


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command in this process; its exit code, and what it printed."""

    def command(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["grandmodel", *words])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        found = capsys.readouterr()
        return code, found.out if "--json" in words else found.out + found.err

    return command


@pytest.mark.parametrize("bars", ["time:5min", "tick:20", "volume:100", "imbalance:tick:20"])
def test_the_ensemble_trades_bars_of_any_kind_whatever_the_blocks(bars: str) -> None:
    """It aggregates rows by their times; what it decides does not depend on how they are cut."""
    frame = trades(4, 24_000)
    hashes = set()
    for block in (4096, 37):
        result = gm.backtest(frame, agent="ensemble", replay={"bars": bars}, block=block, quiet=True)
        hashes.add(result.ledger_sha256)
        assert result.metrics["rows"] > 600
    assert len(hashes) == 1
    assert result.metrics["fills"] > 0


def test_a_backtest_says_what_its_bars_are_made_of(tmp_path: Path, run: Run) -> None:
    trades(1, 4000).write_parquet(tmp_path / "day.parquet")
    file, out = str(tmp_path / "day.parquet"), str(tmp_path / "run")
    rule = ("--agent", "sma_cross:fast=3,slow=9", "--no-report")
    code, text = run("backtest", "--data", file, "--out", out, *rule)
    assert code == 0
    assert "1 minute bars" in text
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert any("it holds trades" in line and "1min bars" in line for line in manifest["assumptions"])
    code, text = run("backtest", "--data", file, "--bars", "volume:200", "--out", out, "--overwrite", *rule)
    assert code == 0
    assert "volume:200 bars" in text
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert any("bars have no fixed length" in line for line in manifest["assumptions"])
    code, text = run("verify", out)
    assert code == 0, text


def test_bad_ticks_are_fewer_than_ticks_though_more_than_bars(tmp_path: Path) -> None:
    frame = trades(0.2, 4000).with_columns(size=pl.when(pl.int_range(pl.len()) % 100 == 1).then(-1.0).otherwise("size"))
    result = gm.backtest(frame, agent="buy_and_hold", replay={"bars": "tick:1000"}, quiet=True)
    assert result.metrics["rows"] == 3
    with pytest.raises(UsageError, match="cannot read the kind of bars"):
        gm.backtest(frame, agent="flat", replay={"bars": "hours:3"}, quiet=True)


def test_data_commands_read_ticks(tmp_path: Path, run: Run) -> None:
    trades(0.5, 4000).write_csv(tmp_path / "trades.csv")
    file = str(tmp_path / "trades.csv")
    code, text = run("data", "inspect", file, "--bars", "tick:100", "--json")
    assert code == 0
    facts = json.loads(text)
    assert (facts["timeframe"], facts["rows"], facts["missing_bars"]) == ("tick:100", 40, None)  # none can be missing
    assert {use["name"]: use["role"] for use in facts["columns_used"]}["side"] == "side"
    out = tmp_path / "bars.parquet"
    assert run("data", "convert", file, "--bars", "tick:100", "--out", str(out))[0] == 0
    assert pl.read_parquet(out)["extra_trades"].to_list() == [100.0] * 40
    (tmp_path / "bad.csv").write_text((tmp_path / "trades.csv").read_text() + "2030-01-01T00:00:00,x,1,buy\n")
    code, text = run("data", "validate", str(tmp_path / "bad.csv"))
    assert code == 1
    assert "unreadable number" in text
    code, text = run("data", "validate", file, "--bars", "tik:5")
    assert code == 2
    assert "tick" in text
    assert "Traceback" not in text


def test_a_comparison_of_rules_on_ticks(tmp_path: Path, run: Run) -> None:
    trades(2, 8000).write_parquet(tmp_path / "trades.parquet")
    words = ("--agent", "flat", "--agent", "buy_and_hold", "--out", str(tmp_path / "out"))
    code, text = run("compare", "--data", str(tmp_path / "trades.parquet"), "--bars", "tick:20", *words)
    assert code == 0, text


def test_a_training_source_of_ticks_becomes_bars_of_a_step(tmp_path: Path) -> None:
    from engine.types.instruments import load_instrument
    from training.data.sources import _read_file

    trades(0.2, 4000).write_parquet(tmp_path / "trades.parquet")
    source = HistoricalSource(type="historical", path=str(tmp_path / "trades.parquet"), bars="time:10s")
    loaded = _read_file(0, source, load_instrument("GENERIC"), 60_000_000_000)
    assert (np.diff(loaded.bars.ts_event) % 60_000_000_000 == 0).all()
    assert "trades" in loaded.bars.extra


def test_a_benchmark_of_bars_goes_with_a_run_on_ticks(tmp_path: Path) -> None:
    frame = trades(1, 4000)
    frame.write_parquet(tmp_path / "trades.parquet")
    prices = frame.group_by_dynamic("timestamp", every="1m").agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
    )
    prices.write_parquet(tmp_path / "bars.parquet")
    files = [str(tmp_path / name) for name in ("bars.parquet", "trades.parquet")]
    growth = [
        gm.backtest(frame, agent="flat", replay={"bars": "tick:20"}, benchmark=file, quiet=True).metrics[
            "benchmark_return"
        ]
        for file in files
    ]
    assert all(isinstance(one, float) for one in growth)
