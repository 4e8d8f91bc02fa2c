from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.report.drawdowns import Drawdown, worst_drawdowns


def test_depth_trough_and_recovery_of_a_curve_by_hand() -> None:
    equity = np.array([100.0, 120.0, 90.0, 110.0, 121.0, 115.0, 130.0, 117.0])
    times = 10 * (1 + np.arange(8, dtype=np.int64))
    assert worst_drawdowns(times, equity, 100.0) == [
        Drawdown(start=20, trough=30, recovery=50, end=50, depth=90.0 / 120.0 - 1.0),
        Drawdown(start=70, trough=80, recovery=None, end=80, depth=117.0 / 130.0 - 1.0),
        Drawdown(start=50, trough=60, recovery=70, end=70, depth=115.0 / 121.0 - 1.0),
    ]


def test_the_initial_capital_is_the_first_peak() -> None:
    (only,) = worst_drawdowns(np.array([5, 6], dtype=np.int64), np.array([80.0, 100.0]), 100.0)
    assert only == Drawdown(5, 5, 6, 6, -0.2 + (80.0 / 100.0 - 1.0 + 0.2))


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 6))
def test_agrees_with_a_walk_along_the_curve(values: list[int], count: int) -> None:
    equity, times = np.array(values, dtype=float), np.arange(len(values), dtype=np.int64)
    peak, depths, deepest = 10.0, [], 0.0
    for value in equity:
        if value >= peak:
            depths += [deepest] if deepest < 0.0 else []
            peak, deepest = value, 0.0
        deepest = min(deepest, value / peak - 1.0)
    depths += [deepest] if deepest < 0.0 else []
    found = worst_drawdowns(times, equity, 10.0, count)
    assert [one.depth for one in found] == sorted(depths)[:count]
    spans = sorted((one.start, one.end) for one in found)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
