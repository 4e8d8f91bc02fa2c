from __future__ import annotations

from typing import Any

import pytest

import grandmodel as gm
from engine.report.verdict import Verdict, times, verdict

LEVERAGED = {"mean_leverage": 7.0, "max_leverage": 9.12, "benchmark_at_exposure_return": 0.21}


@pytest.mark.parametrize(
    ("metrics", "good", "text"),
    [
        ({"total_return": 0.1, "benchmark_return": 0.05}, True, "Beats buy and hold: +10.00 %, against +5.00 %"),
        ({"total_return": -0.01, "benchmark_return": -0.05}, False, "Loses less than buy and hold"),
        (
            {"total_return": -0.02, "benchmark_return": -0.05, "benchmark_at_exposure_return": -0.01},
            False,
            "Loses less than buy and hold, but more than it at equal leverage: -2.00 %",
        ),
        ({"total_return": 0.05, "benchmark_return": 0.1}, False, "Does not beat buy and hold"),
        ({"total_return": 0.1, "benchmark_return": 0.1}, None, "No better and no worse than buy and hold"),
        (
            {"total_return": 0.12, "benchmark_return": 0.03, **LEVERAGED},
            False,
            (
                "Beats buy and hold by its leverage alone: +12.00 % at a mean leverage of 7 (at most 9.1), "
                "against +3.00 % at 1 and +21.00 % at 7"
            ),
        ),
        ({"total_return": 0.25, "benchmark_return": 0.03, **LEVERAGED}, True, "Beats buy and hold: +25.00 % at"),
        (
            {"total_return": 0.02, "benchmark_return": 0.03, "benchmark_at_exposure_return": 0.01},
            None,
            "Earns less than buy and hold, but more than it at equal leverage",
        ),
        ({"total_return": 0.1, "benchmark_return": 0.05, "benchmark": "SPY"}, True, "Beats SPY"),
        ({"total_return": 0.1, "buy_and_hold_return": 0.05}, True, "Beats buy and hold"),
    ],
)
def test_leverage_decides_with(metrics: dict[str, Any], good: bool | None, text: str) -> None:
    judged = verdict(metrics)
    assert judged is not None and judged.good is good and judged.text.startswith(text)


@pytest.mark.parametrize(
    ("orders", "why"),
    [
        ({}, "no order was given"),
        ({"orders_submitted": 5}, "none of 5 orders met a price"),
        (
            {"orders_rejected": 12, "rejected.bad_price": 3, "rejected.insufficient_margin": 9},
            "12 orders were rejected (9 not enough margin; 3 impossible price, or a stop on the wrong side)",
        ),
        ({"orders_rejected": 1, "rejected.halted": 1}, "the only order was rejected (while trading was halted)"),
    ],
)
def test_a_run_without_fills_neither_wins_nor_loses(orders: dict[str, int], why: str) -> None:
    judged = verdict({"total_return": 0.0, "benchmark_return": -0.1, "fills": 0, **orders})
    assert judged is not None and judged.good is None
    assert judged.text == f"No trades: {why}; buy and hold returns -10.00 %"


def test_buy_and_hold_is_neither_better_nor_worse_than_itself() -> None:
    held = {"open_positions": 1, "fills": 1, "trades": 0, "exposure": 0.99, "mean_leverage": 0.043}
    judged = verdict({"total_return": 0.004, "benchmark_return": 0.1, "benchmark_at_exposure_return": 0.0041, **held})
    assert judged is not None and judged.good is None
    assert judged.text.startswith("Buys once and holds, neither better nor worse than buy and hold: +0.40 %")
    assert "at a mean leverage of 0.043, against +10.00 % at 1 and +0.41 % at 0.043" in judged.text
    short = verdict({"total_return": 0.004, "benchmark_return": -0.1, "beta": -0.04, **held})
    assert short is not None and short.good is True


def test_no_verdict_without_both_returns() -> None:
    assert verdict({"total_return": 0.1}) is None


def test_leverage_is_written_as_short_as_it_reads() -> None:
    assert [times(value) for value in (0.0000158, 0.0432, 0.314, 1.0, 1.256, 7.04, 12.3, 1234.0, 0.0)] == [
        "0.000016", "0.043", "0.31", "1", "1.26", "7", "12", "1,234", "0",
    ]  # fmt: skip


def backtest(agent: Any, **options: Any) -> Verdict:
    judged = verdict(gm.backtest("es-synthetic", "ES", agent, end="2024-01-05", **options).metrics)
    assert judged is not None
    return judged


class Sell(gm.Strategy):
    def on_bar(self, context: gm.Context) -> None:
        context.target(-1.0)


def test_runs_are_judged_as_they_are() -> None:
    assert backtest("buy_and_hold").text.startswith("Buys once and holds, neither better nor worse than buy and hold")
    assert not backtest(Sell).text.startswith("Buys")
    rejected = backtest("buy_and_hold", initial_capital=1000.0)
    assert rejected.good is None and "rejected (" in rejected.text and "not enough margin" in rejected.text
    assert backtest("flat").text.startswith("No trades: no order was given; buy and hold returns")
