from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grandmodel as gm
from portfolio.benchmark import PriceSeries, benchmark_metrics
from portfolio.ratios import risk_adjusted
from tests.portfolio.test_frequency import Hold, closes_of, frame_of, stock

PAIRS = st.lists(st.tuples(st.integers(-90, 90), st.integers(-90, 90)), min_size=3, max_size=60)


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.sampled_from([12, 52, 252, 365]))
def test_alpha_beta_and_information_ratio_are_those_of_empyrical(pairs: list[tuple[int, int]], periods: int) -> None:
    empyrical = pytest.importorskip("empyrical")
    own, held = np.array(pairs).T / 10_000
    found = benchmark_metrics(own, held, periods, None)
    if np.ptp(held):
        alpha, beta = empyrical.alpha_beta(own, held, annualization=periods)
        assert found["beta"] == pytest.approx(beta, rel=1e-9, abs=1e-9)
        assert found["alpha"] == pytest.approx(alpha, rel=1e-7, abs=1e-9)
    else:
        assert found["beta"] is found["alpha"] is None
    active = own - held
    if np.ptp(active) > 1e-9:
        assert found["information_ratio"] == pytest.approx(empyrical.excess_sharpe(own, held) * periods**0.5, rel=1e-7)
        assert found["tracking_error"] == pytest.approx(active.std(ddof=1) * periods**0.5)
    else:
        assert found["information_ratio"] is None


def test_the_benchmark_at_the_same_exposure_and_at_equal_risk_by_hand() -> None:
    held = np.array([0.1, -0.2, 0.05])
    found = benchmark_metrics(2 * held, held, 252, 2.0)
    doubled = 1.2 * 0.6 * 1.1 - 1
    assert found["benchmark_at_exposure_return"] == pytest.approx(doubled)
    assert found["equal_risk_return"] == pytest.approx(doubled)
    assert found["excess_at_exposure"] == pytest.approx(0.0) and found["excess_at_equal_risk"] == pytest.approx(0.0)
    assert found["beta"] == pytest.approx(2.0) and found["alpha"] == pytest.approx(0.0)
    ruined = benchmark_metrics(held, np.array([0.1, -0.6, 0.5]), 252, 2.0)
    assert ruined["benchmark_at_exposure_return"] == -1.0


def test_prices_are_taken_as_they_stood_at_a_time() -> None:
    series = PriceSeries("X", np.array([10, 20, 30]), np.array([100.0, 80.0, 120.0]))
    assert series.growth(np.array([10, 15, 20, 35]), 12).tolist() == [1.0, 1.0, 0.8, 1.2]
    assert series.growth(np.array([5, 10, 20]), 0).tolist() == [1.0, 1.0, 0.8]
    assert series.depth(10, 30) == pytest.approx(0.2) and series.depth(20, 30) == 0.0


@pytest.fixture
def market(tmp_path: Path) -> dict[str, Any]:
    index = stock()[:120]
    frames = {name: frame_of(index, closes_of(120, seed)) for name, seed in (("A", 1), ("B", 2))}
    file = tmp_path / "INDEX.csv"
    weekly = frames["B"][4::5].reset_index(names="time")
    weekly.to_csv(file, index=False)
    return {"frames": frames, "file": file, "index": index}


def test_a_symbol_or_a_file_takes_the_place_of_buy_and_hold(market: dict[str, Any]) -> None:
    frames = market["frames"]
    by_hand = {name: frame["close"].iloc[-1] / frame["close"].iloc[0] - 1 for name, frame in frames.items()}
    plain = gm.backtest(frames, agent=Hold, fee=0.0).metrics
    assert plain["benchmark"] == "buy and hold"
    assert plain["benchmark_return"] == plain["buy_and_hold_return"] == pytest.approx(sum(by_hand.values()) / 2)
    one = gm.backtest(frames, agent=Hold, fee=0.0, benchmark="B")
    assert one.metrics["benchmark"] == "B" and one.metrics["benchmark_return"] == pytest.approx(by_hand["B"])
    curve = frames["B"]["close"] / frames["B"]["close"].cummax() - 1
    assert one.metrics["benchmark_max_drawdown"] == pytest.approx(curve.min())
    file = gm.backtest(frames["A"], agent=Hold, fee=0.0, benchmark=market["file"], labels="close")
    assert file.metrics["benchmark"] == "INDEX" and "INDEX" in str(file)
    assert file.metrics["benchmark_return"] == pytest.approx(
        frames["B"]["close"].iloc[-1] / frames["B"]["close"].iloc[4] - 1, rel=1e-6
    )
    assert file.manifest["benchmark"]["sha256"] == hashlib.sha256(market["file"].read_bytes()).hexdigest()
    drawn = file.polars("chart")["benchmark"].to_numpy()
    assert drawn[-1] == pytest.approx(1e5 * (1 + file.metrics["benchmark_return"]))
    assert "benchmark" in {line.name for line in file.plot().data}
    assert file.ledger_sha256 == gm.backtest(frames["A"], agent=Hold, fee=0.0, labels="close").ledger_sha256


def test_compare_judges_against_it_in_every_part(market: dict[str, Any], tmp_path: Path) -> None:
    frames = market["frames"]
    frame = gm.compare(frames, agents=[Hold], split="2020-03-20", benchmark="A", labels="close", out=tmp_path / "found")
    close = frames["A"]["close"]
    cut = int((market["index"] <= pd.Timestamp("2020-03-20")).sum())
    assert frame["in.benchmark"].iloc[0] == pytest.approx(close.iloc[cut - 1] / close.iloc[0] - 1)
    assert frame["out.benchmark"].iloc[0] == pytest.approx(close.iloc[-1] / close.iloc[cut - 1] - 1)
    assert frame["all.benchmark"].iloc[0] == pytest.approx(frame.attrs["equity"]["A"].iloc[-1], rel=1e-5)
    assert json.loads((tmp_path / "found" / "comparison.json").read_text())["benchmark_name"] == "A"


def test_a_benchmark_that_cannot_be_is_refused(market: dict[str, Any], tmp_path: Path) -> None:
    frames = market["frames"]
    with pytest.raises(gm.UsageError, match="neither a file nor a symbol"):
        gm.backtest(frames, agent=Hold, benchmark="C")
    early = tmp_path / "EARLY.csv"
    frame_of(pd.date_range("2010-01-01", periods=9, freq="D"), closes_of(9)).reset_index(names="time").to_csv(
        early, index=False
    )
    with pytest.raises(gm.DataError, match="no prices in the time of the run"):
        gm.backtest(frames["A"], agent=Hold, benchmark=early)
    with pytest.raises(gm.UsageError, match="this cannot be a benchmark"):
        gm.backtest(frames, agent=Hold, benchmark=7)
    with pytest.raises(gm.UsageError, match="the benchmark's frame holds several symbols"):
        gm.backtest(frames["A"], agent=Hold, benchmark=frames)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "mapping"])
def test_a_frame_is_a_benchmark_like_its_file(market: dict[str, Any], kind: str) -> None:
    frame = pd.read_csv(market["file"])
    given = {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "arrow": pa.Table.from_pandas(frame),
        "mapping": {"INDEX": frame},
    }[kind]
    file, same = (
        gm.backtest(market["frames"]["A"], agent=Hold, benchmark=one, labels="close").metrics
        for one in (market["file"], given)
    )
    assert same.pop("benchmark") == ("INDEX" if kind == "mapping" else "benchmark")
    assert file.pop("benchmark") == "INDEX"
    assert same == file


def test_a_frame_judges_a_comparison_in_any_number_of_processes(market: dict[str, Any]) -> None:
    frame = pd.read_csv(market["file"])
    agents = ["sma_cross:fast=2,slow=5", "buy_and_hold"]
    tables = [
        gm.compare(market["frames"]["A"], agents=agents, benchmark=one, labels="close", workers=workers)
        for one, workers in ((market["file"], 1), (frame, 1), (frame, 2))
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_a_benchmark_shorter_than_the_run_is_warned_of(market: dict[str, Any]) -> None:
    bars = market["frames"]["A"]

    def warned(benchmark: pd.DataFrame) -> list[str]:
        result = gm.backtest(bars, agent=Hold, benchmark=benchmark, labels="close")
        assert all(line.split(",")[0] in " ".join(str(result).split()) for line in result.manifest["warnings"])
        return list(result.manifest["warnings"])

    days = [f"{day:%Y-%m-%d}" for day in market["index"]]
    whole = market["frames"]["B"]
    assert warned(whole) == warned(whole[4::5]) == []
    assert warned(whole[:100]) == [
        f"The benchmark 'benchmark' ends on {days[99]}, the run on {days[-1]}: it counts as unchanged after"
    ]
    assert warned(whole[20:]) == [
        f"The benchmark 'benchmark' begins on {days[20]}, the run on {days[0]}: it counts as unchanged before"
    ]
    found = gm.compare(bars, agents=[Hold], benchmark=whole[:100], labels="close")
    assert found.attrs["warnings"] == warned(whole[:100])


@pytest.mark.parametrize(("growth", "count"), [(1.01, 120), (1.002, 260), (0.998, 260), (1.0001, 2000)])
def test_returns_that_differ_by_the_decimals_of_prices_have_no_ratios(growth: float, count: int) -> None:
    prices = np.round(100 * growth ** np.arange(count + 1), 6)
    held, own = np.diff(prices) / prices[:-1], np.diff(prices) / (prices[:-1] + 0.8)  # some cash is left over
    assert len(set(held)) > 1
    for returns in (held, own):
        judged = risk_adjusted(returns, 52)
        assert [judged[name] for name in ("sharpe", "sortino", "skew")] == [None] * 3
        assert judged["annual_volatility"] == pytest.approx(returns.std(ddof=1) * 52**0.5)
        relative = benchmark_metrics(returns, held, 52, 1.0)
        names = ("benchmark_sharpe", "alpha", "beta", "correlation", "information_ratio", "equal_risk_return")
        assert [relative[name] for name in names] == [None] * len(names)


def test_an_even_run_beside_a_market_that_varies_keeps_its_relation() -> None:
    held = np.random.default_rng(3).normal(0, 0.01, 100)
    relative = benchmark_metrics(np.full(100, 0.001), held, 252, 1.0)
    assert relative["beta"] == pytest.approx(0) and relative["information_ratio"] is not None
    scaled = risk_adjusted(held * 1e-9, 252)["sharpe"], risk_adjusted(held, 252)["sharpe"]
    assert scaled[0] == pytest.approx(scaled[1])
