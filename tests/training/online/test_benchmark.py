"""The benchmark of online learning: markets end to end, arms as a replay learns, and what the figures come to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.models.metadata import read_ensemble
from benchmarks.online.arms import ARMS, config_of, learn
from benchmarks.online.markets import DAY, Days, best_sides, make
from benchmarks.online.tables import OnlineResults
from engine.api.calls import backtest
from engine.types.blocks import concat
from feeds.memory import MemorySource
from tests.training.online.parents import RUN, SIZED, easy_bars, learning, write_parent
from training.online.run import JobRun

DAYS = Days(calm=2, shifted=3, regime=2, regimes=3)


def test_pieces_follow_each_other_in_time_and_price() -> None:
    bars, pieces = make("alternating", 4, DAYS)
    assert [piece.kind[0] for piece in pieces] == ["regime_drift", *["mean_reversion", "regime_drift"] * 2][:4]
    assert [(piece.start, piece.stop) for piece in pieces] == [(n * 2 * DAY, (n + 1) * 2 * DAY) for n in range(4)]
    assert (np.diff(bars.ts_event) == bars.ts_event[1] - bars.ts_event[0]).all()
    assert np.abs(np.log(bars.open[1:] / bars.close[:-1])).max() < 0.01
    assert np.array_equal(bars.close, make("alternating", 4, DAYS)[0].close)


def test_the_best_sides_earn_in_every_piece() -> None:
    bars, pieces = make("shift", 5, Days(6, 6, 1, 1))
    rows = np.arange(29, len(bars) - 30, 30)
    sides = best_sides(pieces, rows)
    earned = sides * np.log(bars.close[rows + 30, 0] / bars.close[rows, 0])
    assert all(earned[(rows >= piece.start) & (rows < piece.stop)].sum() > 0.0 for piece in pieces)


def test_our_arm_is_what_a_backtest_learns(tmp_path: Path) -> None:
    """The same jobs, the same candidates, from the same rows on."""
    parent, bars = write_parent(tmp_path / "parent"), easy_bars(11_520)
    shared: dict[str, Any] = {
        "every_bars": 2880,
        "window_bars": 5760,
        "min_bars": 5760,
        "episodes": 64,
        "takes_over": "gate",
    }
    config = learning(**shared)
    chosen = {"cuts": {"every_bars": 60}, "fee": 1e-5, "sizing": SIZED.sizing.model_dump(), "seed": 42}
    found = backtest(
        MemorySource(bars), agent=f"ensemble:{parent}", learning=config.model_dump(mode="json"), **chosen
    ).manifest["learning"]
    run = JobRun(RUN.instruments, SIZED, RUN.ensemble, RUN.timeframe_ns)
    ours = learn(ARMS["ours"], concat([bars]), parent, run, config, 42, tmp_path / "ours")
    ended = [one for one in found if one["sha256"] is not None]
    assert [one["job"] for one in ended] == [job["row"] for job in ours.jobs]
    hashes = [read_ensemble(tmp_path / "ours" / str(job["row"]))[1] for job in ours.jobs]
    assert [one["sha256"] for one in ended] == hashes
    assert [one["row"] for one in ended if one["status"] == "admitted"] == [row for row, _ in ours.versions[1:]]


def test_arms_take_what_they_say(tmp_path: Path) -> None:
    assert not ARMS["frozen"].learns and not ARMS["scratch"].continues
    naive, ours = (config_of(ARMS[name], 2880, 10_080) for name in ("naive", "ours"))
    assert (naive.recent_share, naive.shrink, naive.perturb) == (1.0, 1.0, 0.0)
    assert (ours.recent_share, ours.takes_over) == (0.5, "gate")


def _run(market: str, arm: str, returns: list[float], pieces: list[int], **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"jobs": [{}] * 4, "promotions": 1, "seconds": 1.0, "seed": 1}
    return usual | {"market": market, "arm": arm, "returns": returns, "pieces": pieces} | more


def _results(ours: dict[str, list[float]], worse: int = 0) -> OnlineResults:
    pieces = {"stationary": [0] * 4, "shift": [0, 1, 1, 1], "alternating": [0, 1, 2, 3], "random_walk": [0] * 4}
    runs = []
    for market, within in pieces.items():
        runs.append(_run(market, "frozen", [2.0] * 4, within))
        runs.append(_run(market, "optimum", [4.0] * 4, within))
        runs.append(_run(market, "ours", ours.get(market, [2.0] * 4), within, worse=worse))
    return OnlineResults.of({str(number): run for number, run in enumerate(runs)}, {})


def test_aims_are_judged_by_what_was_measured() -> None:
    good = _results({"shift": [2.0, 3.0, 3.5, 4.0], "alternating": [2.0, 3.0, 2.0, 3.0]})
    assert good.missed() == []
    shift = good.sheets()[1]
    assert [row[2:4] for row in shift.rows if row[0] == "ours"] == [["75%", "100%"]]
    bad = _results(
        {"stationary": [1.9] * 4, "shift": [9.0, 2.0, 2.5, 3.0], "alternating": [2.0, 4.0, 2.0, 3.0]}, worse=3
    )
    found = bad.missed()
    assert [text.split(":")[0] for text in found] == ["stationary", "shift", "alternating", "random walk"]
    assert "25% of the gap" in found[1] and "50%" in found[2]


def test_figures_need_no_arm_to_be_complete() -> None:
    only = OnlineResults.of({"a": _run("random_walk", "frozen", [0.1], [0])}, {})
    assert only.missed() == []
    assert only.as_json().keys() == {"random_walk|frozen|1"}
    assert pytest.approx(0.1) == float(only._returns("random_walk", "frozen").mean())
