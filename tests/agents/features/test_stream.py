from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.features.stream import WARMUP, FeatureRows, FeatureStream, elapsed_fraction
from agents.spec import AGENTS
from engine.base.errors import DataError, UsageError
from engine.base.state import decode
from engine.types.blocks import BAR_COLUMNS, BarBlock, Ints, reblock
from engine.types.calendar import Sessions, sessions_between
from engine.types.instruments import load_instrument
from engine.types.timeframe import parse_timeframe
from tests.bars import MINUTE, random_bars
from tests.trees import saved

FEW = settings(max_examples=15)
BOTH = pytest.mark.parametrize("seat", list(WARMUP))
ROWS = 2600
OPEN = 1704150000 * 1_000_000_000  # 2024-01-01 23:00 UTC, an open of the currency futures


def choose(block: BarBlock, rows: Ints, symbols: list[int]) -> BarBlock:
    columns = {name: getattr(block, name)[rows][:, symbols] for name in BAR_COLUMNS}
    names = [block.symbols[s] for s in symbols]
    return BarBlock.from_columns(names, block.ts_event[rows], columns, block.present[rows][:, symbols])


@cache
def market() -> tuple[BarBlock, Sessions]:
    """Two symbols inside sessions, with missing minutes and absences up to hours long."""
    raw = random_bars(ROWS, seed=11, symbols=("X", "Y"), absent=0.1, first_ns=OPEN + MINUTE)
    sessions = sessions_between(load_instrument("6E"), OPEN, int(raw.ts_event[-1]))
    present = raw.present.copy()
    present[500:700, 1] = present[900:1000, 0] = present[2200:2300, 1] = False
    absent = {name: np.where(present, getattr(raw, name), np.nan) for name in BAR_COLUMNS}
    block = BarBlock.from_columns(raw.symbols, raw.ts_event, absent, present)
    kept = np.flatnonzero(sessions.is_open(raw.ts_event) & present.any(axis=1))
    return choose(block, kept, [0, 1]), sessions


def feed(stream: FeatureStream, block: BarBlock, sizes: list[int]) -> FeatureRows:
    return joined([stream.push(part) for part in reblock([block], sizes)])


def joined(parts: list[FeatureRows]) -> FeatureRows:
    names = ("features", "ready", "atr", "ts_event", "known_at")
    return FeatureRows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def as_bytes(rows: FeatureRows, count: int | None = None) -> tuple[bytes, ...]:
    arrays = (rows.features, rows.ready, rows.atr, rows.ts_event, rows.known_at)
    return tuple(array[:count].tobytes() for array in arrays)


@cache
def whole(seat: str) -> FeatureRows:
    block, sessions = market()
    return feed(FeatureStream(seat, block.symbols, sessions), block, [len(block)])


@BOTH
def test_shapes_types_and_ranges(seat: str) -> None:
    rows, features = whole(seat), AGENTS[seat].features
    assert rows.features.dtype == np.float32
    assert rows.features.flags.c_contiguous
    assert rows.features.shape == (len(rows), 2, len(features))
    assert rows.ready.shape == rows.atr.shape == (len(rows), 2)
    assert rows.ready.any(axis=0).all()
    assert not rows.features[~rows.ready].any()
    assert np.isfinite(rows.features).all()
    assert (rows.atr[rows.ready] > 0).all()
    low, high = (np.array([getattr(feature, end) for feature in features]) for end in ("low", "high"))
    assert (rows.features >= low).all()
    assert (rows.features <= high).all()


@BOTH
@FEW
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_blocking_means_nothing(seat: str, sizes: list[int]) -> None:
    block, sessions = market()
    cut = FeatureStream(seat, block.symbols, sessions)
    assert as_bytes(feed(cut, block, sizes)) == as_bytes(whole(seat))


@BOTH
def test_bars_one_by_one_and_sessions_that_grow(seat: str) -> None:
    block, sessions = market()
    known = int(sessions.index(block.ts_event[:1])[0]) + 1
    live = FeatureStream(seat, block.symbols, Sessions(sessions.opens[:known], sessions.closes[:known]))
    parts = []
    for part in reblock([block], [1]):
        if part.ts_event[-1] > live.horizon_ns:
            known += 1
            live.extend(Sessions(sessions.opens[:known], sessions.closes[:known]))
        parts.append(live.push(part))
    assert known > 2
    assert as_bytes(joined(parts)) == as_bytes(whole(seat))


@BOTH
@FEW
@given(data=st.data())
def test_the_future_changes_nothing_known_before(seat: str, data: st.DataObject) -> None:
    block, sessions = market()
    cut = data.draw(st.integers(0, len(block)))
    columns = {name: getattr(block, name).copy() for name in BAR_COLUMNS}
    for column in columns.values():
        column[cut:] = 1e9
    poisoned = replace(block, present=block.present.copy(), **columns)
    poisoned.present[cut:] = True
    rows = feed(FeatureStream(seat, block.symbols, sessions), poisoned, [len(block)])
    count = int(np.searchsorted(whole(seat).known_at, cut))
    assert count == int(np.searchsorted(rows.known_at, cut))
    assert as_bytes(rows, count) == as_bytes(whole(seat), count)


@BOTH
@FEW
@given(data=st.data())
def test_a_snapshot_continues_with_the_same_bits(seat: str, data: st.DataObject) -> None:
    block, sessions = market()
    cut = data.draw(st.integers(0, len(block)))
    first, second = (FeatureStream(seat, block.symbols, sessions) for _ in range(2))
    head = first.push(block.slice(0, cut))
    second.restore(decode(saved(first)))
    tail = second.push(block.slice(cut, len(block)))
    assert as_bytes(joined([head, tail])) == as_bytes(whole(seat))
    first.push(block.slice(cut, len(block)))
    assert saved(first) == saved(second)


@BOTH
@pytest.mark.parametrize("symbol", [0, 1])
def test_a_symbol_sees_its_own_bars_alone(seat: str, symbol: int) -> None:
    """Where another symbol trades and this one does not, nothing of this one moves."""
    block, sessions = market()
    alone = choose(block, np.flatnonzero(block.present[:, symbol]), [symbol])
    rows = feed(FeatureStream(seat, alone.symbols, sessions), alone, [len(alone)])
    together = whole(seat)
    mine = np.isin(together.ts_event, rows.ts_event)
    assert not together.ready[~mine, symbol].any()
    assert np.isnan(together.atr[~mine, symbol]).all()
    assert together.ready[mine, symbol].tolist() == rows.ready[:, 0].tolist()
    assert together.features[mine, symbol].tobytes() == rows.features[:, 0].tobytes()
    assert together.atr[mine, symbol].tobytes() == rows.atr[:, 0].tobytes()


def test_there_are_bars_that_a_symbol_misses() -> None:
    assert not whole("tactical").ready[150:].all(axis=0).any()


@BOTH
def test_the_first_ready_row_is_the_warm_up(seat: str) -> None:
    length = parse_timeframe(AGENTS[seat].timeframe or "") // MINUTE
    block = random_bars((WARMUP[seat] + 3) * length, first_ns=MINUTE)
    sessions = Sessions(np.zeros(1, np.int64), block.ts_event[-1:].copy())
    rows = FeatureStream(seat, ("X",), sessions).push(block)
    assert rows.ready[:, 0].tolist() == [False] * (WARMUP[seat] - 1) + [True] * 4
    assert rows.known_at.tolist() == [length * (bar + 1) - 1 for bar in range(len(rows))]


@BOTH
@pytest.mark.parametrize("factor", [2.0**-7, 1024.0])
def test_the_price_scale_does_not_matter(seat: str, factor: float) -> None:
    block, sessions = market()
    scaled = replace(block, **{name: getattr(block, name) * factor for name in BAR_COLUMNS})
    rows = feed(FeatureStream(seat, block.symbols, sessions), scaled, [len(block)])
    assert rows.features.tobytes() == whole(seat).features.tobytes()
    np.testing.assert_array_equal(rows.atr, whole(seat).atr * factor)


@BOTH
def test_a_scale_that_rounds_changes_no_more_than_rounding(seat: str) -> None:
    block, sessions = market()
    scaled = replace(block, **{name: getattr(block, name) * 0.37 for name in BAR_COLUMNS[:-1]})
    rows = feed(FeatureStream(seat, block.symbols, sessions), scaled, [len(block)])
    np.testing.assert_allclose(rows.features, whole(seat).features, rtol=1e-5, atol=1e-6)


@BOTH
def test_bars_of_the_timeframe_itself_pass_through(seat: str) -> None:
    length = parse_timeframe(AGENTS[seat].timeframe or "")
    bars = random_bars(100, seed=2)
    columns = {name: getattr(bars, name) for name in BAR_COLUMNS}
    block = BarBlock.from_columns(("X",), np.arange(1, 101) * length, columns)
    sessions = Sessions(np.zeros(1, np.int64), block.ts_event[-1:].copy())
    rows = FeatureStream(seat, ("X",), sessions).push(block)
    assert rows.known_at.tolist() == list(range(100))
    assert rows.ts_event.tolist() == block.ts_event.tolist()
    assert int(rows.ready.sum()) == 100 - WARMUP[seat] + 1


def test_the_session_counts_from_its_open_to_its_close() -> None:
    sessions = Sessions(np.array([0, 200]), np.array([100, 240]))
    times = np.array([-5, 1, 50, 100, 150, 200, 210, 240])
    assert elapsed_fraction(sessions, times).tolist() == [0.0, 0.01, 0.5, 1.0, 0.0, 0.0, 0.25, 1.0]
    place = [feature.name for feature in AGENTS["strategic"].features].index("session")
    rows = whole("strategic")
    at_close = np.isin(rows.ts_event, market()[1].closes)
    assert at_close.any()
    assert (rows.features[at_close & rows.ready[:, 0], 0, place] == 1.0).all()


def test_an_empty_block_completes_nothing() -> None:
    block, sessions = market()
    stream = FeatureStream("tactical", block.symbols, sessions)
    before = saved(stream)
    rows = stream.push(block.slice(0, 0))
    assert len(rows) == 0
    assert rows.features.shape == (0, 2, 7)
    stream.restore(decode(before))
    assert as_bytes(feed(stream, block, [64])) == as_bytes(whole("tactical"))


def test_wrong_use_is_named() -> None:
    block, sessions = market()
    with pytest.raises(UsageError, match="no market features"):
        FeatureStream("risk", block.symbols, sessions)
    stream = FeatureStream("tactical", block.symbols, sessions)
    with pytest.raises(DataError, match="symbols of the stream"):
        stream.push(random_bars(3))
    for other in (
        FeatureStream("strategic", block.symbols, sessions).snapshot(),
        FeatureStream("tactical", ("X", "Z"), sessions).snapshot(),
        b"short",
        {**stream.snapshot(), "features": stream.snapshot()["bars"]},
    ):
        with pytest.raises(DataError, match="snapshot"):
            stream.restore(other)
