from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.base.state import decode
from engine.loop.aggregate import Aggregated, Aggregator, aggregated
from engine.types.blocks import BarBlock, concat, reblock
from engine.types.calendar import Sessions, sessions_between
from engine.types.instruments import load_instrument
from engine.types.timeframe import MINUTE_NS
from tests.trees import saved

# the first example may compile a kernel, which no deadline should count
STEADY = settings(deadline=None, derandomize=True)
FIELDS = ("open", "high", "low", "close", "volume")
Bar = tuple[int, int, list[tuple[float, ...] | None]]  # end, known_at, one (o, h, l, c, v) or None per symbol


def sessions_of(*spans: tuple[int, int]) -> Sessions:
    opens, closes = zip(*spans, strict=True)
    return Sessions(np.array(opens, np.int64) * MINUTE_NS, np.array(closes, np.int64) * MINUTE_NS)


def block_of(minutes: list[int], rows: Sequence[Sequence[tuple[float, ...] | None]]) -> BarBlock:
    absent = (math.nan,) * 5
    cells = np.array([[cell or absent for cell in row] for row in rows], np.float64)
    columns = {name: cells[:, :, i] for i, name in enumerate(FIELDS)}
    present = np.array([[cell is not None for cell in row] for row in rows])
    names = tuple(f"S{i}" for i in range(len(rows[0])))
    return BarBlock.from_columns(names, np.array(minutes, np.int64) * MINUTE_NS, columns, present)


def run(aggregator: Aggregator, block: BarBlock, sizes: list[int]) -> tuple[BarBlock, list[int]]:
    parts = [aggregator.push(part) for part in reblock([block], sizes)]
    return concat([part.bars for part in parts]), [int(seq) for part in parts for seq in part.known_at]


def as_bytes(bars: BarBlock) -> tuple[Any, ...]:
    arrays = (bars.ts_event, *(getattr(bars, name) for name in FIELDS), bars.present)
    return (bars.symbols, bars.seq, *(array.tobytes() for array in arrays))


def bucket_of(minute: int, sessions: Sessions, length: int) -> int:
    """The end of a minute's bucket, found by walking there."""
    spans = zip(sessions.opens.tolist(), sessions.closes.tolist(), strict=True)
    start, stop = next((int(o // MINUTE_NS), int(c // MINUTE_NS)) for o, c in spans if c // MINUTE_NS >= minute)
    while start >= minute:
        start -= length
    while start + length < minute:
        start += length
    return min(start + length, stop)


def oracle(block: BarBlock, sessions: Sessions, length: int) -> tuple[list[Bar], list[Bar]]:
    """Completed and unfinished bars, by plain lists."""
    minutes = [int(ts) // MINUTE_NS for ts in block.ts_event]
    ends = [bucket_of(minute, sessions, length) for minute in minutes]
    done: list[Bar] = []
    open_end: list[Bar] = []
    for end in sorted(set(ends)):
        members = [row for row, other in enumerate(ends) if other == end]
        cells = [
            _combine(block, [row for row in members if block.present[row, s]], s) for s in range(len(block.symbols))
        ]
        if all(cell is None for cell in cells):
            continue
        known = next((row for row, minute in enumerate(minutes) if minute >= end), None)
        if known is None:
            open_end.append((end, len(minutes) - 1, cells))
        else:
            done.append((end, known, cells))
    return done, open_end


def _combine(block: BarBlock, rows: list[int], s: int) -> tuple[float, ...] | None:
    if not rows:
        return None
    volume = math.nan
    for row in rows:
        v = float(block.volume[row, s])
        if not math.isnan(v):
            volume = v if math.isnan(volume) else volume + v
    return (
        float(block.open[rows[0], s]),
        max(float(block.high[row, s]) for row in rows),
        min(float(block.low[row, s]) for row in rows),
        float(block.close[rows[-1], s]),
        volume,
    )


def assert_bars(bars: BarBlock, known_at: list[int], expected: list[Bar]) -> None:
    assert [int(ts) // MINUTE_NS for ts in bars.ts_event] == [end for end, _, _ in expected]
    assert known_at == [known for _, known, _ in expected]
    for row, (_, _, cells) in enumerate(expected):
        for s, cell in enumerate(cells):
            assert bool(bars.present[row, s]) == (cell is not None)
            found = [float(getattr(bars, name)[row, s]) for name in FIELDS]
            np.testing.assert_array_equal(found, cell or (math.nan,) * 5)


PRICES = st.sampled_from([99.5, 100.0, 100.5, 101.25, 102.0])
VOLUMES = st.one_of(st.just(math.nan), st.floats(0.0, 1e6))
CELLS = st.one_of(st.none(), st.tuples(PRICES, PRICES, PRICES, PRICES, VOLUMES))


@st.composite
def streams(draw: st.DrawFn) -> tuple[BarBlock, Sessions, int]:
    """Bars in, before and between a few sessions of odd lengths, with gaps and absent symbols."""
    edges = sorted(draw(st.sets(st.integers(0, 120), min_size=2, max_size=8)))
    sessions = sessions_of(*zip(edges[::2], edges[1::2], strict=False))
    last = int(sessions.closes[-1]) // MINUTE_NS
    minutes = sorted(draw(st.sets(st.integers(-20, last), min_size=1, max_size=60)))
    symbols = draw(st.integers(1, 3))
    row = st.lists(CELLS, min_size=symbols, max_size=symbols)
    rows = draw(st.lists(row, min_size=len(minutes), max_size=len(minutes)))
    return block_of(minutes, rows), sessions, draw(st.integers(1, 40))


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@STEADY
@given(streams())
def test_agrees_with_a_slow_reading_of_the_definition(stream: tuple[BarBlock, Sessions, int]) -> None:
    block, sessions, length = stream
    aggregator = Aggregator(length * MINUTE_NS, sessions)
    done, known_at = run(aggregator, block, [len(block)])
    expected, unfinished = oracle(block, sessions, length)
    assert_bars(done, known_at, expected)
    rest = aggregator.flush()
    assert_bars(rest.bars, rest.known_at.tolist(), unfinished)
    assert rest.bars.seq == len(expected)


@STEADY
@given(streams(), SIZES)
def test_blocking_means_nothing(stream: tuple[BarBlock, Sessions, int], sizes: list[int]) -> None:
    block, sessions, length = stream
    whole, cut = (Aggregator(length * MINUTE_NS, sessions) for _ in range(2))
    bars, known_at = run(whole, block, [len(block)])
    bars_cut, known_at_cut = run(cut, block, sizes)
    assert as_bytes(bars_cut) == as_bytes(bars)
    assert known_at_cut == known_at
    assert saved(cut) == saved(whole)


@STEADY
@given(streams(), st.data())
def test_the_future_changes_nothing_known_before(stream: tuple[BarBlock, Sessions, int], data: st.DataObject) -> None:
    block, sessions, length = stream
    cut = data.draw(st.integers(0, len(block)))
    columns = {name: getattr(block, name).copy() for name in FIELDS}
    poisoned = replace(block, present=block.present.copy(), **columns)
    for column in columns.values():
        column[cut:] = 1e9
    poisoned.present[cut:] = True
    outputs = [run(Aggregator(length * MINUTE_NS, sessions), b, [len(b)]) for b in (block, poisoned)]
    known = [[seq for seq in known_at if seq < cut] for _, known_at in outputs]
    assert known[0] == known[1]
    assert as_bytes(outputs[0][0].slice(0, len(known[0]))) == as_bytes(outputs[1][0].slice(0, len(known[1])))


@STEADY
@given(streams(), st.data())
def test_a_snapshot_continues_with_the_same_bars(stream: tuple[BarBlock, Sessions, int], data: st.DataObject) -> None:
    block, sessions, length = stream
    cut = data.draw(st.integers(0, len(block)))
    first = Aggregator(length * MINUTE_NS, sessions)
    head = first.push(block.slice(0, cut))
    second = Aggregator(length * MINUTE_NS, sessions)
    second.restore(decode(saved(first)))
    tails = [a.push(block.slice(cut, len(block))) for a in (first, second)]
    assert as_bytes(tails[0].bars) == as_bytes(tails[1].bars)
    assert tails[0].known_at.tolist() == tails[1].known_at.tolist()
    assert tails[1].bars.seq == len(head)
    assert saved(first) == saved(second)


@STEADY
@given(streams(), SIZES)
def test_flush_leaves_the_state_alone(stream: tuple[BarBlock, Sessions, int], sizes: list[int]) -> None:
    block, sessions, length = stream
    asked = Aggregator(length * MINUTE_NS, sessions)
    parts: list[Aggregated] = []
    for part in reblock([block], sizes):
        parts.append(asked.push(part))
        asked.flush()
    whole, _ = run(Aggregator(length * MINUTE_NS, sessions), block, [len(block)])
    assert as_bytes(concat([part.bars for part in parts])) == as_bytes(whole)


def one(open_: float, high: float, low: float, close: float, volume: float) -> list[tuple[float, ...] | None]:
    return [(open_, high, low, close, volume)]


def test_five_minutes_by_hand() -> None:
    rows = [one(10, 12, 9, 11, 1), one(11, 15, 11, 14, math.nan), one(14, 14, 8, 9, 3), one(9, 10, 9, 10, 4)]
    # the bar of minute 5 is missing, so minute 6 tells that the first bucket is over
    aggregator = Aggregator(5 * MINUTE_NS, sessions_of((0, 100)))
    done = aggregator.push(block_of([1, 2, 4, 6], rows))
    assert_bars(done.bars, done.known_at.tolist(), [(5, 3, [(10, 15, 8, 9, 4)])])
    rest = aggregator.flush()
    assert_bars(rest.bars, rest.known_at.tolist(), [(10, 3, [(9, 10, 9, 10, 4)])])


def test_one_row_can_complete_two_bars() -> None:
    aggregator = Aggregator(2 * MINUTE_NS, sessions_of((0, 100)))
    done = aggregator.push(block_of([1, 4], [one(1, 1, 1, 1, 1), one(2, 2, 2, 2, 2)]))
    assert_bars(done.bars, done.known_at.tolist(), [(2, 1, [(1, 1, 1, 1, 1)]), (4, 1, [(2, 2, 2, 2, 2)])])


def test_a_bar_ends_with_its_session() -> None:
    # the session has 7 minutes: its second bar is of 2, and the next session starts anew at 10
    aggregator = Aggregator(5 * MINUTE_NS, sessions_of((0, 7), (10, 20)))
    done = aggregator.push(block_of([6, 7, 11, 15], [one(p, p, p, p, 1) for p in (1, 2, 3, 4)]))
    assert done.bars.ts_event.tolist() == [7 * MINUTE_NS, 15 * MINUTE_NS]
    assert done.known_at.tolist() == [1, 3]
    assert done.bars.open[:, 0].tolist() == [1, 3]


def test_daily_bars_of_a_future_end_at_the_halt() -> None:
    instrument = load_instrument("6E")
    close = 1704492000 * 1_000_000_000  # 2024-01-05 22:00 UTC, a Friday: the halt starts at 16:00 in Chicago
    sessions = sessions_between(instrument, close, close)
    minutes = np.arange(close - 3 * MINUTE_NS, close + 1, MINUTE_NS)
    monday = close + 49 * 60 * MINUTE_NS + MINUTE_NS  # trading starts again on Sunday 23:00 UTC
    ts = np.append(minutes, monday)
    prices = np.arange(len(ts), dtype=np.float64)
    block = BarBlock.from_columns(("6E",), ts, dict.fromkeys(("open", "high", "low", "close"), prices))
    aggregator = Aggregator(24 * 60 * MINUTE_NS, sessions)
    done = aggregator.push(block)
    assert done.bars.ts_event.tolist() == [close]
    assert done.known_at.tolist() == [3]
    assert aggregator.flush().bars.ts_event.tolist() == [close + 72 * 60 * MINUTE_NS]
    assert bool(np.isnan(done.bars.volume).all())


def test_wrong_streams_are_refused() -> None:
    sessions = sessions_of((0, 10))
    block = block_of([1, 2], [one(1, 1, 1, 1, 1)] * 2)
    aggregator = Aggregator(MINUTE_NS, sessions)
    aggregator.push(block)
    with pytest.raises(DataError, match="increase strictly"):
        aggregator.push(block.slice(1, 2))
    with pytest.raises(DataError, match="beyond the last known session"):
        aggregator.push(block_of([11], [one(1, 1, 1, 1, 1)]))
    with pytest.raises(DataError, match="symbols of a stream"):
        aggregator.push(block_of([5], [one(1, 1, 1, 1, 1) * 2]))
    with pytest.raises(DataError, match="snapshot"):
        Aggregator(2 * MINUTE_NS, sessions).restore(aggregator.snapshot())
    other = Aggregator(MINUTE_NS, sessions)
    other.restore(aggregator.snapshot())
    with pytest.raises(DataError, match="symbols of a stream"):
        other.push(block_of([5], [one(1, 1, 1, 1, 1) * 2]))
    with pytest.raises(UsageError, match="positive"):
        Aggregator(0, sessions)
    with pytest.raises(UsageError, match="session"):
        Aggregator(MINUTE_NS, Sessions(np.empty(0, np.int64), np.empty(0, np.int64)))


def test_an_empty_block_completes_nothing() -> None:
    aggregator = Aggregator(MINUTE_NS, sessions_of((0, 10)))
    block = block_of([1, 2], [one(1, 1, 1, 1, 1)] * 2)
    assert len(aggregator.push(block.slice(0, 0))) == 0
    assert len(aggregator.flush()) == 0
    assert len(aggregator.push(block)) == 2


def test_a_stream_of_any_length_finds_its_sessions() -> None:
    instrument = load_instrument("6E")
    start = 1704150000 * 1_000_000_000  # 2024-01-01 23:00 UTC, a session's open
    # three years in a few rows: far beyond the sessions that are looked up at first
    ts = start + np.array([1, 5, 6, 700 * 1440, 1100 * 1440 + 1], np.int64) * MINUTE_NS
    prices = np.arange(5, dtype=np.float64)
    block = BarBlock.from_columns(("6E",), ts, dict.fromkeys(("open", "high", "low", "close"), prices))
    sessions = sessions_between(instrument, int(ts[0]), int(ts[-1]))
    expected, _ = run(Aggregator(5 * MINUTE_NS, sessions), block, [5])
    for size in (1, 2, 5):
        found = concat(list(aggregated(reblock([block], [size]), 5 * MINUTE_NS, instrument)))
        assert as_bytes(found) == as_bytes(expected)
    whole = concat(list(aggregated([block], 5 * MINUTE_NS, instrument, keep_partial=True)))
    assert len(whole) == len(expected) + 1
    assert int(whole.ts_event[-1]) >= int(ts[-1])
    assert [int(t - start) // MINUTE_NS for t in expected.ts_event] == [5, 10, 700 * 1440]
    assert list(aggregated([], MINUTE_NS, instrument, keep_partial=True)) == []
