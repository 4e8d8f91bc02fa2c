from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.types.blocks import BarBlock, reblock
from engine.types.calendar import Sessions
from engine.types.instruments import load_instrument
from engine.types.timeframe import DAY_NS, MINUTE_NS
from feeds.summary import BarSummary, MissingBars, slots_until

START = 1_704_150_000_000_000_000  # 2024-01-01 23:00 UTC: the open of a session of 6E


def bars(minutes: list[int], symbols: int = 1) -> BarBlock:
    shape = (len(minutes), symbols)
    prices = 100 + np.arange(shape[0] * symbols, dtype=np.float64).reshape(shape)
    columns = {
        "open": prices,
        "high": prices + 2,
        "low": prices - 2,
        "close": prices + 1,
        "volume": prices / 7,
    }
    ts = START + np.array(minutes, np.int64) * MINUTE_NS
    return BarBlock.from_columns(tuple(f"S{i}" for i in range(symbols)), ts, columns)


def summarise(block: BarBlock, sizes: list[int], name: str = "6E") -> BarSummary:
    summary = BarSummary(load_instrument(name), MINUTE_NS)
    for part in reblock([block], sizes):
        summary.add(part)
    return summary


def test_counts_gaps_inside_sessions_only() -> None:
    # 1380 minutes of session, then an hour's halt: the next session's minutes are 1441 and later
    minutes = [1, 2, 5, *range(6, 1381), 1441, 1442, 1450]
    summary = summarise(bars(minutes), [100])
    assert (summary.rows, summary.sessions, summary.outside) == (len(minutes), 2, 0)
    assert (summary.missing, summary.gaps) == (2 + 7, 2)
    assert summary.longest == [
        MissingBars(7, START + 1442 * MINUTE_NS, START + 1450 * MINUTE_NS),
        MissingBars(2, START + 2 * MINUTE_NS, START + 5 * MINUTE_NS),
    ]
    assert (summary.first_ns, summary.last_ns) == (START + MINUTE_NS, START + 1450 * MINUTE_NS)


def test_bars_in_the_halt_are_counted_as_outside() -> None:
    summary = summarise(bars([1379, 1380, 1400, 1441]), [2])
    assert (summary.outside, summary.missing, summary.sessions) == (1, 0, 2)
    assert summary.first_outside_ns == START + 1400 * MINUTE_NS


def test_prices_by_symbol() -> None:
    block = bars([1, 2, 3], symbols=2)
    block.present[0, 1] = False
    block.volume[2, 1] = np.nan
    summary = summarise(block, [1])
    first, second = summary.symbols["S0"], summary.symbols["S1"]
    assert (first.bars, first.first_open, first.high, first.low, first.last_close) == (3, 100, 106, 98, 105)
    assert (second.bars, second.first_open, second.low, second.without_volume) == (2, 103, 101, 1)
    assert second.volume == pytest.approx(103 / 7)


@settings(deadline=None, derandomize=True)
@given(
    st.sets(st.integers(-3000, 6000), min_size=1, max_size=60),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.integers(1, 3),
)
def test_blocking_means_nothing(minutes: set[int], sizes: list[int], symbols: int) -> None:
    block = bars(sorted(minutes), symbols)
    whole, cut = summarise(block, [len(block)]), summarise(block, sizes)
    for name in (
        "symbols",
        "rows",
        "first_ns",
        "last_ns",
        "sessions",
        "outside",
        "missing",
        "gaps",
        "longest",
    ):
        assert getattr(cut, name) == getattr(whole, name), name


@settings(deadline=None, derandomize=True)
@given(st.sets(st.integers(0, 60), min_size=2, max_size=8), st.integers(-10, 70), st.integers(1, 15))
def test_slots_agree_with_a_list_of_them(edges: set[int], until: int, length: int) -> None:
    ordered = sorted(edges)
    spans = list(zip(ordered[::2], ordered[1::2], strict=False))
    stamps = [min(o + k * length, c) for o, c in spans for k in range(1, -(-(c - o) // length) + 1)]
    opens, closes = (np.array(side, np.int64) for side in zip(*spans, strict=True))
    found = slots_until(Sessions(opens, closes), np.array([until]), length)
    assert found.tolist() == [sum(stamp <= until for stamp in stamps)]


@pytest.mark.parametrize("days", [0, 7, 31])
def test_of_weeks_and_months_none_is_counted_as_missing(days: int) -> None:
    times = np.cumsum(np.array([31, 28, 31, 30, 31])) * DAY_NS
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(5))
    summary = BarSummary(load_instrument("GENERIC"), days * DAY_NS)
    summary.add(BarBlock.from_columns(("S",), times.astype(np.int64), columns))
    assert (summary.rows, summary.missing, summary.gaps, summary.counts_missing) == (5, 0, 0, False)
