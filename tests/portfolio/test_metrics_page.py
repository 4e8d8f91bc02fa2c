"""docs/metrics.md says what the code computes: the same keys, formulas that give the values, n/a where it says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import grandmodel as gm
from portfolio.metrics import compute_metrics
from tests.portfolio.test_frequency import closes_of, frame_of
from tests.portfolio.test_metrics import daily, stats

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.split("## Figures", 1)[1].splitlines()
    if line.startswith("| `")
]
KEYS = [key for row in ROWS for key in re.findall(r"`([^`]+)`", row[0]) if "REASON" not in key]
NAMESPACE: dict[str, Any] = {
    **{name: getattr(np, name) for name in ("mean", "sqrt", "minimum", "maximum", "percentile", "prod", "sort")},
    "std": lambda values: np.std(values, ddof=1),
    "var": lambda values: np.var(values, ddof=1),
    "cov": lambda first, second: np.cov(first, second)[0, 1],
}


class Swing(gm.Strategy):
    """Long and short by turns, with some bars flat."""

    def on_bar(self, context: gm.Context) -> None:
        step = context.bar().ts_event // 86_400_000_000_000 % 14
        context.target(2.0 if step < 5 else -1.0 if step < 9 else 0.0)


@pytest.fixture(scope="module")
def run() -> gm.BacktestResult:
    index = pd.bdate_range("2022-01-03", periods=300) + pd.Timedelta("21h")
    settings = {"sizing.value": 400.0}
    return gm.backtest(frame_of(index, closes_of(300, 8)), agent=Swing, fee=0.0005, labels="close", settings=settings)


def known_of(result: gm.BacktestResult) -> dict[str, Any]:
    equity = np.concatenate([[1e5], result.equity.to_numpy()])
    market = result.pandas("sessions")["buy_and_hold"].to_numpy()  # one bar a day: every row ends a session
    returns = result.pandas("sessions")["equity"].pct_change().dropna().to_numpy()
    closed = result.trades[~result.trades["open"]]
    series = {"r": returns, "b": market[1:] / market[:-1] - 1, "equity": equity, "market": market}
    trades = {"p": closed["profit"].to_numpy(), "t": closed["return"].to_numpy()}
    return {**NAMESPACE, **result.metrics, **series, **trades}


def test_the_page_lists_every_metric_once_with_unit_and_when_it_is_not_defined(run: gm.BacktestResult) -> None:
    assert sorted(KEYS) == sorted(key for key in run.metrics if "." not in key)
    assert all(len(row) == 4 and all(row) for row in ROWS)


def test_the_formulas_give_the_values(run: gm.BacktestResult) -> None:
    known, evaluated = known_of(run), 0
    for row in ROWS:
        keys, formulas = re.findall(r"`([^`]+)`", row[0]), re.findall(r"`([^`]+)`", row[1])
        if len(formulas) != len(keys) or not row[1].startswith("`"):
            continue
        for key, formula in zip(keys, formulas, strict=True):
            value = eval(formula, {}, known)
            assert run.metrics[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key
            assert run.metrics[key] is not None
            evaluated += 1
    assert evaluated > 40


def test_what_is_never_undefined_is_so_without_a_bar_and_what_may_be_is_not() -> None:
    empty = compute_metrics(daily([]), stats())
    flat = compute_metrics(daily(np.full(70, 1000.0)), stats())
    for row in ROWS:
        for key in re.findall(r"`([^`]+)`", row[0]):
            if row[3] == "never":
                assert empty[key] is not None and flat[key] is not None, key
            elif "REASON" not in key:
                assert empty[key] is None or flat[key] is None, key
