from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.base.state import decode
from engine.record.records import CLOSED_ORDER
from engine.record.tallies import OrderFolder, Rows, RowTallies
from engine.types.calendar import Sessions
from engine.types.records import ORDER_EVENT, OrderEventKind, OrderType, Reason, Role
from tests.trees import saved

HOUR = 3_600_000_000_000


def rows_of(equity: Any, bars: np.ndarray | None = None, gross: Any = 0.0, step: int = HOUR) -> Rows:
    equity = np.asarray(equity, dtype=float)
    count = len(equity)
    ledger = np.zeros((count, 8))
    ledger[:, 1], ledger[:, 6], ledger[:, 7] = equity, gross, gross
    bars = np.full((count, 1, 4), 100.0) if bars is None else bars
    positions = (ledger[:, 6:7] != 0).astype(float)
    volume = np.where(np.isnan(bars[:, :, 3]), np.nan, np.arange(1.0, count + 1)[:, None] % 7)
    volume[volume == 5] = np.nan  # a bar whose volume is not known
    return Rows(step * (np.arange(count) + 1), ledger, positions, bars, volume, ~np.isnan(bars[:, :, 3]))


def cut(rows: Rows, start: int, stop: int) -> Rows:
    here = slice(start, stop)
    return Rows(*(getattr(rows, name)[here] for name in Rows.__slots__))


def state(tallies: RowTallies) -> bytes:
    chart = b"".join(part.tobytes() for part in tallies.chart())
    return tallies.tally.tobytes() + tallies.drawdowns.tobytes() + tallies.session_ends().tobytes() + chart


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=10), st.integers(0, 5))
def test_any_blocking_gives_the_same_bits(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = rng.normal(100, 1, (97, 2, 4))
    bars[rng.random((97, 2)) < 0.3] = np.nan
    rows = rows_of(1000 + np.cumsum(rng.normal(0, 5, 97)), bars, rng.normal(0, 500, 97).clip(0))
    whole, parts = (RowTallies(2, 1000.0, None, chart_points=16) for _ in range(2))
    whole.update(rows)
    edges = [0, *np.cumsum(sizes).clip(max=97).tolist(), 97]
    for start, stop in pairwise(edges):
        parts.update(cut(rows, start, stop))
    assert state(whole) == state(parts)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 97), st.integers(0, 5))
def test_a_snapshot_goes_on_with_the_same_bits(at: int, seed: int) -> None:
    """Also of a chart whose points have merged: 97 rows in 16 points."""
    rng = np.random.default_rng(seed)
    bars = rng.normal(100, 1, (97, 2, 4))
    bars[rng.random((97, 2)) < 0.3] = np.nan
    rows = rows_of(1000 + np.cumsum(rng.normal(0, 5, 97)), bars, rng.normal(0, 500, 97).clip(0))
    first, second = (RowTallies(2, 1000.0, None, chart_points=16) for _ in range(2))
    first.update(cut(rows, 0, at))
    second.restore(decode(saved(first)))
    assert saved(second) == saved(first)
    for tallies in (first, second):
        tallies.update(cut(rows, at, 97))
    assert state(first) == state(second)
    assert saved(first) == saved(second)


def test_tallies_of_another_kind_are_refused() -> None:
    state_of_two = saved(RowTallies(2, 1000.0, None, chart_points=16))
    for other in (
        RowTallies(1, 1000.0, None, chart_points=16),
        RowTallies(2, 999.0, None, chart_points=16),
        RowTallies(2, 1000.0, None, chart_points=18),
    ):
        with pytest.raises(DataError, match="snapshot"):
            other.restore(decode(state_of_two))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(50, 150), min_size=1, max_size=60))
def test_drawdown_agrees_with_pandas(equity: list[int]) -> None:
    tallies = RowTallies(1, 100.0, None)
    tallies.update(rows_of(equity))
    curve = pd.Series([100.0, *map(float, equity)])
    depth = 1 - curve / curve.cummax()
    found = tallies.finished_drawdowns()[0]
    assert found["depth"] == pytest.approx(depth.max(), abs=1e-15)
    np.testing.assert_allclose(tallies.chart()[1][:, 2], -depth.to_numpy()[1:], atol=1e-15)
    if depth.max() > 0:
        trough = int(np.argmax(np.isclose(depth, depth.max(), rtol=0, atol=1e-15)))
        peak = max(i for i in range(trough + 1) if curve[i] == curve[: trough + 1].max())
        after = [i for i in range(trough, len(curve)) if curve[i] >= curve[peak]]
        assert found["trough_ts"] == trough * HOUR
        assert found["top_ts"] == max(peak, 1) * HOUR  # the start has no time of its own: the first row's
        assert found["recovery_ts"] == (after[0] * HOUR if after else 0)


def test_longest_drawdown_counts_one_that_lasts() -> None:
    tallies = RowTallies(1, 100.0, None)
    tallies.update(rows_of([100, 90, 101, 95, 96, 97, 98]))
    assert tallies.finished_drawdowns()["longest_ns"][0] == 4 * HOUR
    assert tallies.drawdowns["longest_ns"][0] == 2 * HOUR


def test_buy_and_hold_spreads_over_symbols_and_waits_for_the_absent() -> None:
    bars = np.full((4, 2, 4), np.nan)
    bars[:, 0, :] = np.array([10.0, 12.0, 12.0, 15.0])[:, None]
    bars[1, 1, :], bars[3, 1, :] = 50.0, 25.0
    tallies = RowTallies(2, 1000.0, None)
    tallies.update(rows_of([1000.0] * 4, bars))
    np.testing.assert_allclose(tallies.chart()[1][:, 1], [1000, 1100, 1100, 1000])


def test_sessions_end_where_the_calendar_says() -> None:
    sessions = Sessions(np.array([0, 3, 6]) * HOUR, np.array([3, 6, 9]) * HOUR)
    tallies = RowTallies(1, 100.0, sessions)
    tallies.update(rows_of([101, 102, 103, 104, 105]))
    ends = tallies.session_ends()
    assert ends["ts_event"].tolist() == [3 * HOUR, 5 * HOUR]
    assert ends["equity"].tolist() == [103, 105]


def test_without_a_calendar_midnight_still_belongs_to_the_day_before() -> None:
    tallies = RowTallies(1, 100.0, None)
    tallies.update(rows_of(np.arange(100.0, 130.0)))
    assert tallies.session_ends()["ts_event"].tolist() == [24 * HOUR, 30 * HOUR]


def test_leverage_is_weighted_by_time() -> None:
    rows = rows_of([100.0] * 3, gross=[200.0, 0.0, 50.0])
    rows.ts_event[:] = [HOUR, 2 * HOUR, 5 * HOUR]
    tallies = RowTallies(1, 100.0, None)
    tallies.update(rows)
    tally = tallies.tally[0]
    assert tally["leverage_time"] / tally["timed_ns"] == pytest.approx(2.0 * 1 / 4)
    assert tally["max_leverage"] == 2.0
    assert (tally["exposed_rows"], tally["rows"]) == (2, 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 150), st.sampled_from([2, 4, 10]))
def test_chart_stays_short_and_keeps_extremes(count: int, points: int) -> None:
    rng = np.random.default_rng(count)
    bars = rng.normal(100, 5, (count, 1, 4))
    bars[:, :, 1] = bars.max(axis=2) + 1
    bars[:, :, 2] = bars.min(axis=2) - 1
    tallies = RowTallies(1, 1000.0, None, chart_points=points)
    rows = rows_of(rng.normal(1000, 10, count), bars)
    tallies.update(rows)
    times, lines, prices, volumes = tallies.chart()
    assert len(times) <= points
    assert times[-1] == rows.ts_event[-1] and (np.diff(times) > 0).all()
    assert lines[-1, 0] == rows.ledger[-1, 1]
    assert prices[0, 0, 0] == bars[0, 0, 0] and prices[-1, 0, 3] == bars[-1, 0, 3]
    assert prices[:, 0, 1].max() == bars[:, 0, 1].max() and prices[:, 0, 2].min() == bars[:, 0, 2].min()
    full = RowTallies(1, 1000.0, None, chart_points=1000)
    full.update(rows)
    assert lines[:, 2].min() == full.chart()[1][:, 2].min()
    assert np.nansum(volumes) == np.nansum(rows.volume)


def event(kind: OrderEventKind, order_id: int, ts: int, quantity: float, remaining: float = 0.0, **more: float) -> Any:
    record = np.zeros(1, ORDER_EVENT)
    record["kind"], record["order_id"], record["ts_event"] = kind, order_id, ts
    record["quantity"], record["remaining"], record["side"] = quantity, remaining, 1
    record["type"], record["role"] = OrderType.LIMIT, Role.ENTRY
    for name, value in more.items():
        record[name] = value
    return record


E_ = OrderEventKind
STORY = np.concatenate(
    [
        event(E_.SUBMITTED, 1, 10, 4, 4, price=99.0, tag=7),
        event(E_.SUBMITTED, 2, 10, 1, 1),
        event(E_.FILLED, 1, 20, 1, 3, price=98.0),
        event(E_.CANCELLED, 2, 20, 1, 1, reason=Reason.BY_AGENT),
        event(E_.REJECTED, 3, 20, 5, 5, reason=Reason.INSUFFICIENT_MARGIN),
        event(E_.REJECTED, 0, 20, 1, 1, reason=Reason.HALTED),
        event(E_.REJECTED, 1, 20, 0, 0, reason=Reason.NO_SUCH_ORDER),
        event(E_.FILLED, 1, 30, 3, 0, price=100.0),
        event(E_.SUBMITTED, 4, 40, 2, 2),
        event(E_.FILLED, 4, 50, 1, 1, price=10.0),
        event(E_.EXPIRED, 9, 60, 1, 1, reason=Reason.SESSION_END),
    ]
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(STORY)), max_size=6))
def test_orders_fold_from_their_events_however_cut(cuts: list[int]) -> None:
    folder = OrderFolder()
    edges = [0, *sorted(cuts), len(STORY)]
    done = np.concatenate([folder.update(STORY[a:b]) for a, b in pairwise(edges)])
    assert done["id"].tolist() == [2, 3, 0, 1, 9]
    assert done["status"].tolist() == [E_.CANCELLED, E_.REJECTED, E_.REJECTED, E_.FILLED, E_.EXPIRED]
    assert done["submitted"].tolist() == [10, 20, 20, 10, 0]
    assert done["closed"].tolist() == [20, 20, 20, 30, 60]
    filled = done[3]
    assert (filled["quantity"], filled["filled"], filled["price"], filled["tag"]) == (4, 4, 99, 7)
    assert filled["value"] / filled["filled"] == pytest.approx(99.5)
    working = folder.working()
    assert working.dtype == CLOSED_ORDER
    assert working[["filled", "quantity", "id", "closed"]].tolist() == [(1.0, 2.0, 4, 0)]
    assert folder.counts[E_.REJECTED, Reason.NO_SUCH_ORDER] == 1
    assert folder.counts[E_.FILLED].sum() == 3


def test_thousands_of_orders_may_work_at_once() -> None:
    folder = OrderFolder()
    events = np.concatenate([event(E_.SUBMITTED, k + 1, k, 1, 1) for k in range(500)])
    assert len(folder.update(events)) == 0
    assert folder.working()["id"].tolist() == list(range(1, 501))
