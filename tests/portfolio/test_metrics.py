from __future__ import annotations

import json
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.record.records import TRADE_STATS
from engine.record.tallies import OrderFolder, Rows, RowTallies, Tallies
from engine.types.calendar import DAY_NS
from engine.types.records import ACCOUNT, ORDER_EVENT, OrderEventKind, Reason, Role
from portfolio.config import StatisticsConfig
from portfolio.metrics import compute_metrics
from portfolio.ratios import Metrics, risk_adjusted, session_returns

CAPITAL = 1000.0
FIRST = 20_000 * DAY_NS


def daily(equity: Any, close: Any = None, halted: Reason = Reason.NONE) -> Tallies:
    """Tallies of a run with one row a day."""
    equity = np.asarray(equity, dtype=float)
    count = len(equity)
    ledger = np.zeros((count, 8))
    ledger[:, 1] = equity
    bars = np.full((count, 1, 4), 100.0)
    if close is not None:
        bars[:, 0, 3] = close
    tallies = RowTallies(1, CAPITAL, None)
    times = DAY_NS * (np.arange(count, dtype=np.int64) + 20_000)
    tallies.update(Rows(times, ledger, np.zeros((count, 1)), bars, np.ones((count, 1)), np.ones((count, 1), bool)))
    account = np.zeros(1, ACCOUNT)
    account["halted"] = halted
    return Tallies(
        CAPITAL,
        ("A",),
        tallies.session_ends(),
        tallies.tally,
        tallies.finished_drawdowns(),
        OrderFolder().counts,
        OrderFolder().roles,
        account,
        0,
        0,
    )


def stats(**values: float) -> np.ndarray:
    record = np.zeros(1, TRADE_STATS)
    for name, value in values.items():
        record[name] = value
    return record


def metrics_of(
    equity: Any, periods: float | None = None, shortest: float = 0.0, fewest: int = 2, **options: Any
) -> Metrics:
    """Of a run whose account held its capital a day before its first row."""
    settings = StatisticsConfig(periods_per_year=periods, shortest_days=shortest, fewest_returns=fewest)
    return compute_metrics(daily(equity, **options), stats(), settings, since=FIRST - DAY_NS)


MOVES = st.lists(st.integers(-300, 300), min_size=3, max_size=50)


@settings(max_examples=60, deadline=None)
@given(MOVES, st.sampled_from([252, 365]))
def test_ratios_agree_with_pandas(moves: list[int], periods: int) -> None:
    equity = CAPITAL * np.cumprod(1 + np.array(moves) / 10_000)
    found = metrics_of(equity, periods)
    returns = pd.Series([CAPITAL, *equity]).pct_change().dropna()
    assert found["total_return"] == pytest.approx(equity[-1] / CAPITAL - 1, abs=1e-12)
    assert found["annual_volatility"] == pytest.approx(returns.std() * periods**0.5, abs=1e-9)
    assert found["cagr"] == pytest.approx((equity[-1] / CAPITAL) ** (365.25 / len(returns)) - 1, rel=1e-6)
    assert found["var_95"] == pytest.approx(returns.quantile(0.05), abs=1e-12)
    worst = returns.sort_values().iloc[: int((len(returns) - 1) * 0.05) + 1]
    assert found["cvar_95"] == pytest.approx(worst.mean(), abs=1e-12)
    assert (found["best_day"], found["worst_day"]) == (
        pytest.approx(returns.max(), abs=1e-12),
        pytest.approx(returns.min(), abs=1e-12),
    )
    if len(set(moves)) > 1:
        assert found["sharpe"] == pytest.approx(returns.mean() / returns.std() * periods**0.5, abs=1e-6)
        central = returns - returns.mean()
        assert found["skew"] == pytest.approx((central**3).mean() / (central**2).mean() ** 1.5, abs=1e-6)
        assert found["kurtosis"] == pytest.approx((central**4).mean() / (central**2).mean() ** 2 - 3, abs=1e-5)
        if min(moves) < 0:
            downside = math.sqrt((returns.clip(upper=0) ** 2).mean() * periods)
            assert found["sortino"] == pytest.approx(returns.mean() * periods / downside, rel=1e-6, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(MOVES, st.sampled_from([252, 365]))
def test_definitions_are_those_of_empyrical(moves: list[int], periods: int) -> None:
    empyrical = pytest.importorskip("empyrical")
    returns = np.array(moves) / 10_000
    expected = {
        "annual_volatility": empyrical.annual_volatility(returns, annualization=periods),
        "sharpe": empyrical.sharpe_ratio(returns, annualization=periods),
        "sortino": empyrical.sortino_ratio(returns, annualization=periods),
        "omega": empyrical.omega_ratio(returns, annualization=periods),
        "tail_ratio": empyrical.tail_ratio(returns) if np.percentile(returns, 5) else math.nan,
        "var_95": empyrical.value_at_risk(returns),
        "cvar_95": empyrical.conditional_value_at_risk(returns),
    }
    found = risk_adjusted(returns, periods)
    assert found.keys() - expected.keys() == {"skew", "kurtosis"}
    for name, value in expected.items():
        if math.isfinite(value) and (100 * np.ptp(moves) > np.abs(moves).max() or name not in {"sharpe", "sortino"}):
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
        else:
            assert found[name] is None, name


def test_figures_by_hand() -> None:
    found = metrics_of([1100, 990, 1089, 1200], close=[10, 20, 5, 30])
    assert found["total_return"] == pytest.approx(0.2)
    assert found["net_profit"] == pytest.approx(200.0)
    assert found["buy_and_hold_return"] == pytest.approx(2.0)
    assert found["excess_return"] == pytest.approx(-1.8)
    assert found["max_drawdown"] == pytest.approx(-0.1)
    assert found["buy_and_hold_max_drawdown"] == pytest.approx(-0.75)
    assert found["max_drawdown_peak"] == "2024-10-04T00:00:00+00:00"
    assert found["max_drawdown_trough"] == "2024-10-05T00:00:00+00:00"
    assert found["max_drawdown_recovery"] == "2024-10-07T00:00:00+00:00"
    assert found["max_drawdown_days"] == found["longest_drawdown_days"] == 3.0
    assert found["positive_days"] == 0.75
    assert found["calmar"] == pytest.approx((1.2 ** (365.25 / 4) - 1) / 0.1)
    assert (found["sessions"], found["rows"], found["days"]) == (4, 4, 4.0)


def test_trade_statistics_by_hand() -> None:
    record = stats(
        trades=4, wins=3, losses=1, longs=3, gross_profit=90, gross_loss=-30, profit=60, largest_win=50,
        largest_loss=-30, returns=0.08, bars=40, held_ns=8 * 3_600_000_000_000, notional=5000, fees=7, fills=9,
    )  # fmt: skip
    found = compute_metrics(daily([1000, 1000]), record)
    expected = {
        "win_rate": 0.75, "profit_factor": 3.0, "expectancy": 15.0, "average_win": 30.0, "average_loss": -30.0,
        "largest_win": 50.0, "largest_loss": -30.0, "average_trade_return": 0.02, "average_bars_held": 10.0,
        "average_holding_hours": 2.0, "turnover": 5.0, "fees": 7.0, "fills": 9, "short_trades": 1,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_orders_are_counted_by_reason() -> None:
    events = np.zeros(6, ORDER_EVENT)
    events["kind"] = [OrderEventKind.REJECTED] * 3 + [OrderEventKind.SUBMITTED] + [OrderEventKind.FILLED] * 2
    events["reason"] = [Reason.HALTED, Reason.HALTED, Reason.BAD_PRICE, Reason.NONE, Reason.NONE, Reason.MAX_POSITION]
    events["role"][3] = Role.LIQUIDATION
    tallies = daily([1000, 1000], halted=Reason.MAX_DRAWDOWN)
    folder = OrderFolder()
    folder.update(events)
    tallies.events[:], tallies.roles[:] = folder.counts, folder.roles
    found = compute_metrics(tallies, stats())
    assert (found["orders_rejected"], found["orders_submitted"]) == (3, 1)
    assert (found["rejected.halted"], found["rejected.bad_price"]) == (2, 1)
    assert found["halted"] == "max_drawdown" and found["margin_call_orders"] == 1
    assert [key for key in found if key.startswith("clipped.")] == ["clipped.max_position"]


@pytest.mark.parametrize(
    "equity",
    [[], [1000], [1010], [1000, 1000, 1000], [1000, 1010, 1020.1], [500, 0, 0], [500, -100, -200], [1e-9, 1e9]],
    ids=["no rows", "one flat day", "one day", "flat", "only gains", "nothing left", "debt", "explosion"],
)
def test_what_is_not_defined_is_null_and_nothing_warns(equity: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics_of(equity)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for key in ("win_rate", "profit_factor", "expectancy", "largest_win", "average_holding_hours"):
        assert found[key] is None
    if len(set(equity)) < 2:
        assert found["sharpe"] is found["sortino"] is found["skew"] is found["calmar"] is None
    if equity and equity[-1] <= 0:
        assert found["cagr"] == -1.0 and found["total_return"] == pytest.approx(equity[-1] / CAPITAL - 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([-1000.0, 0.0, 1e-300, 1.0, 1000.0, 1e300]), max_size=6))
def test_every_value_is_plain_and_finite(equity: list[float]) -> None:
    for value in metrics_of(equity).values():
        assert value is None or type(value) in {int, float, str}
        assert not isinstance(value, float) or math.isfinite(value)


def test_a_short_run_says_nothing_of_a_year() -> None:
    short, long = (metrics_of(np.linspace(1000, 1100, days), shortest=60) for days in (59, 60))
    assert short["cagr"] is short["calmar"] is short["alpha"] is short["benchmark_cagr"] is None
    assert "59.0 days are fewer than 60" in str(short["short_span"]) and short["sharpe"] is not None
    assert long["short_span"] is None and long["cagr"] is not None


def test_few_returns_make_no_ratio() -> None:
    equity = np.array([1010.0, 1000.0, 1020.0, 990.0, 1030.0, 1040.0])
    counts = {days: int(str(metrics_of(equity[:days])["returns"])) for days in range(1, 7)}
    few, enough = (next(d for d, n in counts.items() if n == wanted) for wanted in (4, 5))
    found = metrics_of(equity[:few], fewest=5)
    for name in ("sharpe", "sortino", "benchmark_sharpe", "information_ratio"):
        assert found[name] is None
    assert found["few_returns"] == ("4 returns of at least 5 needed, so Sharpe, Sortino and information ratio are n/a")
    assert found["annual_volatility"] is not None
    more = metrics_of(equity[:enough], fewest=5)
    assert StatisticsConfig().fewest_returns == 5
    assert more["few_returns"] is None and more["sharpe"] is not None and more["sortino"] is not None


def test_returns_stop_once_everything_is_lost() -> None:
    np.testing.assert_allclose(session_returns(np.array([500.0, -10.0, 20.0, 30.0]), 1000.0), [-0.5, -1.02, 0, 0])


def test_returns_that_only_rise_have_no_sortino_but_a_sharpe() -> None:
    found = risk_adjusted(np.array([0.01, 0.02, 0.01]), 252)
    assert found["sortino"] is None and found["omega"] is None
    assert isinstance(found["sharpe"], float) and found["sharpe"] > 0
