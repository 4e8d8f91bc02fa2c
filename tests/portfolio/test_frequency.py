"""Returns a year, read off the times of the returns, and the yearly figures that rest on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import grandmodel as gm
from portfolio.frequency import observed_frequency

HOUR = pd.Timedelta("1h")


def times(index: pd.DatetimeIndex) -> np.ndarray:
    return index.as_unit("ns").asi8


def without(index: pd.DatetimeIndex, first: str, last: str) -> pd.DatetimeIndex:
    return index[(index < first) | (index > last)]


DAYS = pd.date_range("2020-01-01", "2023-12-31", freq="D")
STOCK = pd.bdate_range("2020-01-01", "2023-12-31")
WEEKS = pd.date_range("2018-01-01", periods=200, freq="7D")
HOLIDAYS = STOCK[~STOCK.strftime("%m-%d").isin(["01-01", "07-04", "12-25", "12-24"])]


@pytest.mark.parametrize(
    ("ends", "always_open", "expected"),
    [
        (WEEKS, True, 52),
        (without(WEEKS, "2019-01-01", "2020-01-01"), True, 52),
        (pd.date_range("2010-01-01", periods=40, freq="MS"), True, 12),
        (pd.date_range("2010-01-31", periods=40, freq="ME"), False, 12),
        (pd.date_range("2010-01-31", periods=20, freq="QE"), False, 4),
        (pd.date_range("2010-12-31", periods=6, freq="YE"), True, 1),
        (DAYS, True, 365),
        (without(DAYS, "2021-03-01", "2022-03-01"), True, 365),
        (DAYS[:10].delete(4), True, 365),
        (DAYS, False, 365),  # the data show it, whatever the calendar says
        (STOCK, True, 252),  # stamped at midnight: by the open, each bar ends a day later than by the close
        (STOCK + pd.Timedelta("1D"), True, 252),
        (HOLIDAYS + 21 * HOUR, True, 252),
        (without(HOLIDAYS, "2021-01-01", "2021-12-31"), False, 252),
        (DAYS[DAYS.weekday != 5] + 21 * HOUR, True, 312),
        (STOCK[:3], True, 365),
        (STOCK[:3], False, 252),
        (DAYS[:1], True, 365),
        (DAYS[:0], False, 252),
        (pd.date_range("2020-01-01", periods=30, freq="14D"), True, 26.09),
    ],
)
def test_the_times_tell_how_many_returns_a_year_holds(
    ends: pd.DatetimeIndex, always_open: bool, expected: float
) -> None:
    assert observed_frequency(times(ends), always_open).periods_per_year == expected


def frame_of(index: pd.DatetimeIndex, closes: np.ndarray) -> pd.DataFrame:
    opens = np.concatenate([closes[:1], closes[:-1]])
    columns = {"open": opens, "high": np.maximum(opens, closes), "low": np.minimum(opens, closes), "close": closes}
    return pd.DataFrame({**columns, "volume": 1e9}, index=index)


class Hold(gm.Strategy):
    """All of the capital in the market from the second bar on."""

    def on_bar(self, context: gm.Context) -> None:
        context.target(1.0)


def held(frame: pd.DataFrame, **options: object) -> gm.BacktestResult:
    settings = {"sizing.mode": "fixed", "sizing.value": 1000.0, **options}
    return gm.backtest(frame, agent=Hold, fee=0.0, labels="close", settings=settings)


def closes_of(count: int, seed: int = 3) -> np.ndarray:
    moves = np.random.default_rng(seed).normal(0.004, 0.02, count)
    return np.round(100 * np.exp(np.cumsum(moves)) * 0.9, 2)


def weekly() -> pd.DatetimeIndex:
    return pd.date_range("2018-01-05", periods=261, freq="7D")


def monthly() -> pd.DatetimeIndex:
    return pd.date_range("2010-01-01", periods=121, freq="MS")


def stock() -> pd.DatetimeIndex:
    return pd.bdate_range("2020-01-01", periods=500) + 21 * HOUR


def year_missing() -> pd.DatetimeIndex:
    return without(pd.date_range("2020-01-01", "2023-01-01", freq="D"), "2021-01-01", "2021-12-31")


@pytest.mark.parametrize(("make", "periods"), [(weekly, 52), (monthly, 12), (stock, 252), (year_missing, 365)])
def test_a_run_is_annualised_by_hand(make: Callable[[], pd.DatetimeIndex], periods: int) -> None:
    index = make()
    result = held(frame_of(index, closes_of(len(index))))
    metrics, equity = result.metrics, result.equity.to_list()
    days = (index[-1] - index[0]) / pd.Timedelta("1D")
    assert metrics["days"] == pytest.approx(days)
    assert metrics["cagr"] == pytest.approx((equity[-1] / 1e5) ** (365.25 / days) - 1, rel=1e-9)
    returns = [after / before - 1 for before, after in pairwise(equity)]
    mean, count = sum(returns) / len(returns), len(returns)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in returns) / (count - 1))
    downside = math.sqrt(sum(min(one, 0.0) ** 2 for one in returns) / count)
    assert (metrics["periods_per_year"], metrics["returns"]) == (periods, count)
    assert metrics["annual_volatility"] == pytest.approx(deviation * math.sqrt(periods), rel=1e-9)
    assert metrics["sharpe"] == pytest.approx(mean / deviation * math.sqrt(periods), rel=1e-9)
    assert metrics["sortino"] == pytest.approx(mean / downside * math.sqrt(periods), rel=1e-9)


def test_intraday_bars_are_judged_by_the_day() -> None:
    index = pd.date_range("2024-01-01 01:00", periods=24 * 90, freq="h")
    result = held(frame_of(index, closes_of(len(index)) / 10))
    ends = result.equity.groupby((result.equity.index - pd.Timedelta("1ns")).date).last().to_numpy()
    returns = ends / np.concatenate([[1e5], ends[:-1]]) - 1
    metrics = result.metrics
    assert (metrics["periods_per_year"], metrics["returns"]) == (365, 90)
    assert metrics["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * 365**0.5, rel=1e-9)
    days = (len(index) - 1) / 24
    assert metrics["cagr"] == pytest.approx((ends[-1] / 1e5) ** (365.25 / days) - 1, rel=1e-9)


def test_settings_count_more_than_what_is_observed() -> None:
    frame = frame_of(weekly()[:8], closes_of(8))
    observed = held(frame).metrics
    chosen = held(frame, **{"statistics.periods_per_year": 50, "statistics.shortest_days": 10}).metrics
    assert observed["cagr"] is observed["calmar"] is None and "49.0 days" in str(observed["short_span"])
    assert chosen["cagr"] == pytest.approx((1 + chosen["total_return"]) ** (365.25 / 49) - 1)
    assert chosen["short_span"] is None and chosen["periods_per_year"] == 50
    assert chosen["sharpe"] == pytest.approx(observed["sharpe"] * math.sqrt(50 / 52))
