"""The replay benchmark: systems agree, and a system that does not is caught."""

import json
import math
import os
import subprocess
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.divergence.__main__ import run as explain_faults
from benchmarks.divergence.faults import backtest_folder, market
from benchmarks.ensemble.results import EnsembleResults, Replays, percentiles
from benchmarks.ensemble.runs import Live, Whole
from benchmarks.live.cases import TINY, Recovery
from benchmarks.live.child import Found, Work
from benchmarks.live.child import run as run_session
from benchmarks.live.feeding import live_bars
from benchmarks.live.results import LiveResults
from benchmarks.monitor import judged, judged_figure, observed, streams, trading, with_limit
from benchmarks.peers.serve import CAPITAL, FAST, FEE, SLOW, Bars
from benchmarks.replay.bars import benchmark_bars, decidable, opening_at_last_close
from benchmarks.replay.results import Measured, Results, disagreement
from benchmarks.ticks import KINDS
from benchmarks.ticks import measure as measure_ticks
from engine.app.divergence.divergence import diverge
from engine.app.divergence.loading import read_run
from engine.base.errors import CheckFailed
from engine.monitor.drift.reference import build_reference
from engine.monitor.drift.streams import stream_names
from engine.monitor.performance.figures import LOW_WIN_RATE, WIN_RATE
from engine.types.timeframe import MINUTE_NS

ROOT = Path(__file__).resolve().parents[1]


def run_replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_benchmark("replay", *arguments)


def run_benchmark(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
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
    lines = results.as_markdown().splitlines()
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


@pytest.mark.parametrize(
    ("benchmark", "argument", "named"),
    [("replay", "--peers=nobody", "vectorbt"), ("replay", "--bars=0", "1 up"), ("ensemble", "--bars=100", "5000 up")],
)
def test_a_wrong_option_is_explained(benchmark: str, argument: str, named: str) -> None:
    done = run_benchmark(benchmark, argument)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_ensemble_benchmark_counts_what_the_bars_imply(tmp_path: Path) -> None:
    written = tmp_path / "out.json"
    options = ("--bars=6000", "--rounds=1", "--live-rows=300", f"--json={written}", "--markdown")
    done = run_benchmark("ensemble", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(written.read_text())
    tactical, bar = (found["replay"][cadence]["acted"] for cadence in ("tactical", "bar"))
    # the market decides when these two act, however often risk is asked
    assert (tactical["strategic"], tactical["tactical"]) == (bar["strategic"], bar["tactical"])
    assert bar["risk"] == 6000
    # risk is asked at every row that completes a 5-minute bar; the first 118 of these bars fill the tactical window
    assert 0 <= tactical["tactical"] - (tactical["risk"] - 118) <= 2  # a row may complete two bars
    # buckets are cut at session ends and minutes are missing, so that there are a few bars more than 6000 / 5
    assert 1200 <= tactical["risk"] <= 1220
    assert tactical["strategic"] == pytest.approx(6000 / 30 - 95, abs=6)
    live = found["live_microseconds"]
    assert live["all rows"]["rows"] == 300
    assert sum(entry["rows"] for kind, entry in live.items() if kind != "all rows") == 300
    assert "whole/networks" in done.stdout


def test_latencies_are_split_by_who_acts() -> None:
    acts = np.zeros((2, 1000), np.bool_)
    acts[0, 800:] = True
    acts[1, 950:] = True
    took = np.repeat([10_000, 200_000, 3_000_000], [800, 150, 50])
    found, counts = percentiles(Live(took, acts[0], acts[1]))
    assert counts == {"all rows": 1000, "no network acts": 800, "tactical acts": 150, "both act": 50}
    assert {kind: levels[50.0] for kind, levels in found.items()} == {
        "all rows": 10.0,
        "no network acts": 10.0,
        "tactical acts": 200.0,
        "both act": 3000.0,
    }
    quiet, quiet_counts = percentiles(Live(took[:5], np.zeros(5, np.bool_), np.zeros(5, np.bool_)))
    assert set(quiet) == set(quiet_counts) == {"all rows", "no network acts"}


def ensemble_results(seconds: list[float], alone: list[float], latency: float) -> EnsembleResults:
    runs = [Whole(value, {"strategic": 1, "tactical": 2, "risk": 3}, 4) for value in seconds]
    networks = [{"strategic": 0.2 * value, "tactical": 0.5 * value, "risk": 0.3 * value} for value in alone]
    results = EnsembleResults(1_000_000, replays={"tactical": Replays(runs, networks)})
    results.live, results.counts = {"all rows": {50.0: 1.0, 99.0: latency, 99.9: latency}}, {"all rows": 10}
    return results


def test_the_ensembles_ratio_compares_rounds_of_the_same_turn() -> None:
    # the machine slows down threefold in the last round, for both alike
    good = ensemble_results([0.9, 0.9, 2.7], [0.75, 0.75, 2.25], 999.0)
    assert good.replays["tactical"].ratio() == pytest.approx(1.2)
    assert good.replays["tactical"].rate(good.rows) == pytest.approx(1e6 / 0.9)
    assert good.missed() == []
    assert "| on 5-minute closes | 1.11 | 1.0 | 0.15 + 0.38 + 0.22 | 1.20 | 1.5 |" in good.as_markdown()
    poor = ensemble_results([1.1, 1.1, 1.1], [0.7, 0.7, 0.7], 1000.0).missed()
    assert [sentence.partition(":")[0] for sentence in poor] == ["risk on 5-minute closes"] * 2 + ["live"]


def test_a_measured_session_takes_every_bar_and_trades_as_the_backtest(tmp_path: Path) -> None:
    work = Work(str(tmp_path / "session"), "sma_cross:fast=2,slow=5", 2, 40, 60, each=7, check=True)
    found = run_session(work)
    assert (found.bars, found.transactions, len(found.latencies)) == (120, 9, 9)
    assert found.fills > 0
    assert 0 < found.latencies[0] < found.wall


def test_a_session_that_is_not_the_backtests_is_caught(tmp_path: Path) -> None:
    folder = str(tmp_path / "session")
    run_session(Work(folder, "sma_cross:fast=2,slow=5", 1, 40, 20, seed=1))
    # the same rows again come too late to be traded
    with pytest.raises(CheckFailed, match="not that of a backtest"):
        run_session(Work(folder, "sma_cross:fast=2,slow=5", 1, 0, 60, seed=2, check=True))


@pytest.mark.slow
def test_the_live_benchmark_runs_from_broker_to_table(tmp_path: Path) -> None:
    written = tmp_path / "out.json"
    done = run_benchmark("live", "--tiny", "--only=rate", f"--folder={tmp_path}", f"--json={written}", "--markdown")
    assert done.returncode == 0, done.stderr
    found = json.loads(written.read_text())
    bars = {title: rounds[0]["bars"] for title, rounds in found["rates"].items()}
    many, one = TINY.symbols * TINY.wide_rows, TINY.narrow_rows
    assert bars == {
        "ensemble, many symbols": many,
        "sma_cross, many symbols": many,
        "ensemble, one symbol": one,
        "sma_cross, one symbol": one,
    }
    assert done.stdout.count("| ensemble, ") == 2
    assert list(tmp_path.iterdir()) == [written]


def test_live_bars_are_seeded_and_complete() -> None:
    first, again, other = live_bars(50, 3, 1), live_bars(50, 3, 1), live_bars(50, 3, 2)
    assert np.array_equal(first.close, again.close)
    assert np.array_equal(first.close[:, 1:], other.close[:, :-1])
    assert first.present.all()


def test_aims_of_the_live_benchmark_are_judged() -> None:
    def rated(seconds: float) -> Found:
        return Found(wall=seconds, cpu=seconds, bars=1000, latencies=[0.0005] * 97 + [0.002] * 3)

    good = LiveResults(
        rates={"ensemble, many symbols": [rated(0.04), rated(9.0), rated(0.05)]},
        latencies={"on disk, durability power": [rated(1.0)]},
        memory=Found(wall=1.0, bars=1000, memory=[100_000_000, 110_000_000]),
        recoveries={"ensemble": Recovery([0.5, 0.9, 3.0], [2.0, 2.0, 2.0])},
    )
    # the median of the rounds counts, so one disturbed round does not
    assert good.rate("ensemble, many symbols") == 20_000.0
    assert good.missed() == []
    assert "| ensemble, many symbols | 20,000 | 111 - 25,000 | 20,000 |" in good.as_markdown()
    poor = LiveResults(
        rates={"ensemble, many symbols": [rated(0.06)]},
        latencies={"in memory (tmpfs)": [rated(1.0)]},
        memory=Found(wall=1.0, bars=1000, memory=[100_000_000, 111_000_000]),
        recoveries={"ensemble": Recovery([1.1], [2.0])},
    )
    assert [sentence.partition(":")[0] for sentence in poor.missed()] == [
        "ensemble, many symbols",
        "journal in memory (tmpfs)",
        "journal in memory (tmpfs)",
        "memory",
        "recovery, ensemble",
    ]


def test_trainings_of_the_benchmark_can_be_found_by_a_new_process() -> None:
    """A spawned process does not import a package's `__main__`."""
    from benchmarks.learning.__main__ import run

    assert run.__module__ == "benchmarks.learning.jobs"


def test_the_monitor_is_judged_by_strategies_and_streams_whose_truth_is_known() -> None:
    rng = np.random.default_rng(1)
    good, bad = (
        judged_figure(WIN_RATE, LOW_WIN_RATE, 0.45, partial(trading, rng=rng, rate=rate, count=200), 20)
        for rate in (0.5, 0.15)
    )
    assert good["ever_below"] > 0.8 and good["ever_proved"] == 0.0
    assert bad["ever_proved"] == 1.0 and bad["median"] < 100
    draw, deviation = streams()["AR(0.2)"]
    reference = build_reference(stream_names(("X",)), MINUTE_NS, observed(draw(rng, 20_000)), 10_000.0)
    found = {limit: judged([with_limit(reference, limit)], draw, deviation, rng, 2000, 1) for limit in (0.0, math.inf)}
    assert found[0.0] == {"run_length": 1.0, "delays": {"0.25": 1.0, "0.5": 1.0, "1": 1.0}}
    assert found[math.inf]["run_length"] == math.inf
    own = judged([reference], draw, deviation, rng, 100_000, 5)
    assert own["run_length"] > 2000 and own["delays"]["1"] < 60 < own["delays"]["0.25"]


def test_faults_are_explained_and_one_that_is_not_found_is_told(tmp_path: Path) -> None:
    results = explain_faults(Namespace(seeds=1))
    assert dict(results.sessions) == {0: 1, 1: 6, 2: 15}
    assert results.missed() == [] and not results.missed_ones
    run = read_run(backtest_folder(tmp_path / "run", market()))
    results.add(frozenset({"bars"}), diverge(run, run))
    assert results.missed() == ["one fault: found in 85.7 %, aim at least 100%"]
    assert results.remarks()[1:] == ["bars: found nothing"]


def test_fits_find_the_parameters_of_known_markets(tmp_path: Path) -> None:
    written = tmp_path / "out.json"
    done = run_benchmark("fitting", "--fits", "4", "--bars", "8000", "--json", str(written))
    assert done.returncode == 0, done.stderr
    markets = json.loads(written.read_text())["markets"]
    assert len(markets) == 4 and "correlation" in markets["two symbols"]["found"]
    held = [
        error is not None and abs(value - market["truth"][name]) < 3 * error
        for market in markets.values()
        for name, ones in market["found"].items()
        for value, error in ones
    ]
    assert len(held) == 100 and np.mean(held) > 0.85
    assert "truth inside" in done.stdout


def test_ticks_are_measured_in_every_kind_of_bars(tmp_path: Path) -> None:
    found = measure_ticks(20_000, 2, tmp_path)
    assert found.made.keys() == found.whole.keys() == found.bars.keys() == KINDS.keys()
    assert found.made["tick:500"] == 40
    assert all(len(rounds) == 2 and min(rounds) > 0.0 for rounds in (*found.whole.values(), *found.reading.values()))
    assert set(found.reading) == {"Arrow memory", "Parquet", "CSV"}
    assert found.as_json()["ticks"] == 20_000
