"""The replay benchmark: systems agree, and a system that does not is caught."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bars import benchmark_bars, decidable, opening_at_last_close
from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars
from benchmarks.results import Measured, Results, as_markdown, disagreement

ROOT = Path(__file__).resolve().parents[1]


def run_replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/replay.py", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_system_at_hand_comes_to_the_same_trades_and_equity(tmp_path: Path) -> None:
    written = tmp_path / "out.json"
    done = run_replay("--bars", "2000", "--rounds", "1", "--slow-rounds", "1", "--json", str(written))
    assert done.returncode == 0, done.stderr
    found = json.loads(written.read_text())
    assert found["disagreements"] == []
    systems = found["measured"]["2000"]
    assert {"grandmodel", "python-loop"} <= set(systems)
    # a peer is either measured or said to be absent
    for peer in ("vectorbt", "backtesting", "nautilus"):
        assert any(name.startswith(peer) for name in [*systems, *found["absent"]])
    trades, profit = by_definition(benchmark_bars(2000))
    for name, result in systems.items():
        assert result["trades"] == trades, name
        assert len(result["seconds"]) == 1
        if result["profit"] is not None and not name.startswith("nautilus"):
            assert result["profit"] == pytest.approx(profit, rel=1e-9), name


def by_definition(bars: Bars) -> tuple[int, float]:
    """Trades and profit from the definition of the strategy, array by array."""
    open_, close = bars.columns["open"], bars.columns["close"]
    fast = np.array([close[i - FAST + 1 : i + 1].mean() for i in range(SLOW - 1, len(close))])
    slow = np.array([close[i - SLOW + 1 : i + 1].mean() for i in range(SLOW - 1, len(close))])
    # position held through each bar: decided at the close before, taken at this bar's open
    held = np.concatenate([np.zeros(SLOW), np.sign(fast - slow)[:-1]])
    traded = np.diff(held, prepend=0.0)
    fees = (np.abs(traded) * open_ * FEE).sum()
    return int(np.count_nonzero(traded)), float(held[-1] * close[-1] - (traded * open_).sum() - fees)


def test_the_definition_is_not_the_one_with_fills_at_the_last_close() -> None:
    bars = benchmark_bars(2000)
    usual, at_last_close = by_definition(bars), by_definition(opening_at_last_close(bars))
    assert usual[0] == at_last_close[0]
    assert abs(usual[1] - at_last_close[1]) > 1e-6 * abs(usual[1])


def test_a_difference_in_trades_or_profit_is_named() -> None:
    assert disagreement("x", 100, Measured([1.0], 7, -12.5), 7, -12.5) is None
    assert disagreement("x", 100, Measured([1.0], 7, None), 7, -12.5) is None
    assert "8 trades" in (disagreement("x", 100, Measured([1.0], 8, -12.5), 7, -12.5) or "")
    # within 1e-6 of the equity, but not of the profit
    off = disagreement("x", 100, Measured([1.0], 7, -12.4), 7, -12.5) or ""
    assert f"{CAPITAL - 12.4:.9f}" in off
    assert f"{CAPITAL - 12.5:.9f}" in off


def test_rates_are_medians_and_ratios_compare_rounds_of_the_same_turn() -> None:
    results = Results()
    # the machine slows down threefold in the last round, for both alike
    results.measured[1000] = {"grandmodel": Measured([1e-3, 1e-3, 3e-3]), "other": Measured([2e-3, 4e-3, 12e-3])}
    assert results.rate(1000, "grandmodel") == pytest.approx(1e6)
    assert results.ratio(1000, "other") == pytest.approx(4.0)
    results.absent["third"] = "not installed"
    lines = as_markdown(results).splitlines()
    assert [line.count("|") for line in lines] == [5] * 5
    assert "| other | 0.250 M | 4.00 |" in lines[3]
    assert "not installed" in lines[4]


def test_bars_are_seeded_and_free_of_near_ties() -> None:
    first, again, other = benchmark_bars(500, 3), benchmark_bars(500, 3), benchmark_bars(500, 4)
    assert all(np.array_equal(first.columns[name], again.columns[name]) for name in first.columns)
    assert not np.array_equal(first.columns["close"], other.columns["close"])
    columns = first.columns
    assert (columns["low"] <= np.minimum(columns["open"], columns["close"])).all()
    assert (columns["high"] >= np.maximum(columns["open"], columns["close"])).all()
    flat = Bars(first.ts_event, {name: np.full(500, 100.0) for name in columns})
    assert not decidable(flat)


@pytest.mark.parametrize(("argument", "named"), [("--peers=nobody", "vectorbt"), ("--bars=0", "1 up")])
def test_a_wrong_option_is_explained(argument: str, named: str) -> None:
    done = run_replay(argument)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
