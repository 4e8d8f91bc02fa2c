from __future__ import annotations

from typing import Any

import pytest

from engine.report.presentation import GROUPS, assumptions, money, span, title, tone, warnings, write
from tests.engine.runs import random_bars, random_targets, record, steps


def test_every_row_names_a_metric_that_exists() -> None:
    bars = random_bars(50)
    _, metrics = record(steps(bars, random_targets(50, 1)), bars.symbols)
    keys = [row.key for _, rows in GROUPS for row in rows]
    assert set(keys) <= set(metrics) and len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "percent", "n/a"),
        (0.01234, "percent", "1.23 %"),
        (-12345.678, "money", "-12,345.68"),
        (1234, "count", "1,234"),
        (1.5, "ratio", "1.50"),
        (0.5, "hours", "30 min"),
        (26.0, "hours", "26.0 h"),
        (1632.0, "hours", "68.0 d"),
        (3.456, "times", "3.46x"),
        (0.000451, "times", "0.00045x"),
        (3.25, "days", "3.2 d"),
        ("halted", "text", "halted"),
    ],
)
def test_values_are_written_for_reading(value: Any, kind: Any, text: str) -> None:
    assert write(value, kind) == text


def test_warnings_name_everything_that_went_wrong() -> None:
    manifest = {"quarantined": {"bad_price": 2, "duplicate": 1000}, "gaps": 7}
    metrics = {"halted": "max_drawdown", "rejected.bad_price": 1, "rejected.insufficient_margin": 5, "trades": 0}
    metrics |= {"clipped.max_leverage": 4, "margin_call_orders": 2}
    text = "\n".join(warnings(manifest, metrics))
    assert "max drawdown" in text and "5 not enough margin; 1 impossible price" in text
    assert (
        "cut short by a limit: 4 above limits.max_leverage" in text
        and "Margin calls closed positions: 2 orders" in text
    )
    assert "2 bad price, 1,000 duplicate" in text and "Gaps in the data: 7" in text and "No trade" in text
    assert warnings({"quarantined": {}, "gaps": 0}, {"trades": 3}) == []


def test_assumptions_say_fees_and_slippage() -> None:
    manifest = {
        "instruments": {"A": {"fees": {"per_contract": 2.5, "rate": 0.0}}},
        "config": {"portfolio": {"execution": {"slippage": {"ticks": 1.0, "bps": 0.0}, "limit_fill": "touch"}}},
        "labels": "open",
    }
    found = dict(assumptions(manifest, {"periods_per_year": 365}))
    assert found["fees A"] == "2.5 per contract" and found["slippage"] == "1 tick"
    fees = {"A": {"fees": {"per_contract": 1.0, "rate": 0.00005}}, "B": {"fees": {"per_contract": 0.0, "rate": 0.0}}}
    slippage = {"ticks": 2.0, "bps": 0.5, "range": 0.1}
    other = dict(assumptions({"instruments": fees, "config": {"execution": {"slippage": slippage}}}, {}))
    assert other["fees A"] == "0.005 % of notional and 1 per contract" and other["fees B"] == "none"
    assert other["slippage"] == "2 ticks and 0.5 bps and 0.1 of a bar's range"
    assert found["bars labelled by"] == "open" and found["periods in a year"] == "365"


@pytest.mark.parametrize("manifest", [{}, {"config": None, "instruments": None, "symbols": None, "data": None}])
def test_nothing_is_required_of_a_manifest(manifest: dict[str, Any]) -> None:
    assert title(manifest) == "Run" and span(manifest, {}) == ""
    assert assumptions(manifest, {}) == [] and warnings(manifest, {}) == []


def test_title_and_span_shorten_and_count() -> None:
    assert title({"kind": "backtest", "agent": "sma", "symbols": list("ABCDEF")}).endswith("A, B, C, D and 2 more")
    metrics = {"start": "2024-01-01T23:01:00+00:00", "end": "2024-01-02T00:00:00+00:00", "rows": 1500}
    wanted = "2024-01-01 23:01 to 2024-01-02 00:00 UTC · 5 minute bars · 1,500 rows"
    assert span({"timeframe_ns": 300_000_000_000}, metrics) == wanted


def test_tone_knows_good_from_bad() -> None:
    assert (tone("total_return", 0.1), tone("total_return", -0.1), tone("total_return", None)) == ("good", "bad", "")
    assert tone("fees", 3.0) == ""


def test_orders_of_the_operator_are_named() -> None:
    manifest = {"operations": [{"seq": 3, "kind": "pause", "by": "ctl"}, {"seq": 9, "kind": "reset_halt", "by": "ctl"}]}
    assert "The operator gave orders: pause, reset halt" in warnings(manifest, {})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234.5, "USD", "$1,234.50"),
        (-1234.5, "EUR", "-€1,234.50"),
        (12.0, "CHF", "12.00 CHF"),
        (-0.0, "USD", "$0.00"),
        (0.00123, "USD", "$0.0012"),
        (-0.05, "", "-0.05"),
    ],
)
def test_money_has_a_currency_and_digits_that_count(value: float, unit: str, text: str) -> None:
    assert money(value, unit) == text


def test_decisions_without_a_fill_are_explained_once() -> None:
    assert "The only decision led to no fill" in warnings({"decisions": 1}, {"fills": 0})[0]
    rejected = warnings({"decisions": 1}, {"fills": 0, "rejected.insufficient_margin": 1})
    assert rejected == ["Rejected orders: 1 not enough margin"]
