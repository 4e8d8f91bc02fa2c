"""What the agents see of a market is what the serving side streams, and windows never span sources."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.ensemble.seats import ModelSeat
from agents.features.stream import FeatureStream
from agents.features.windows import Windows
from agents.spec import AGENTS
from engine.base.errors import DataError, UsageError
from engine.types.blocks import BarBlock, reblock
from engine.types.calendar import bars_per_year, sessions_for
from engine.types.instruments import load_instrument
from engine.types.timeframe import MINUTE_NS
from tests.training.environment.playing import (
    FIRST_ROWS,
    FIRST_SEED,
    MONDAY,
    SECOND_ROWS,
    SECOND_SEED,
    market,
    synthetic,
)
from training.environment.market import Market

Streamed = tuple[dict[int, bytes], dict[int, float], set[int]]


def streamed(seat: str, instrument: str, bars: BarBlock, size: int) -> Streamed:
    """By source row: the last window known there, the last average true range, and rows that completed a bar."""
    sessions = sessions_for([load_instrument(instrument)], int(bars.ts_event[0]))
    stream, windows = FeatureStream(seat, bars.symbols, sessions), Windows(*AGENTS[seat].observation, 1)
    seen: dict[int, bytes] = {}
    ranges: dict[int, float] = {}
    clock: set[int] = set()
    for block in reblock([bars], [size]):
        rows = stream.push(block)
        clock |= set(rows.known_at.tolist())
        both = zip(rows.known_at.tolist(), rows.atr[:, 0].tolist(), strict=True)
        ranges |= {at: value for at, value in both if np.isfinite(value)}
        batch = windows.push(rows)
        for k, at in enumerate(batch.known_at.tolist()):
            seen[at] = batch.observations[k].tobytes()
    return seen, ranges, clock


@pytest.mark.parametrize("seat", ["strategic", "tactical"])
@pytest.mark.parametrize(("instrument", "missing"), [("ES", 0.02), ("BTC-PERP", 0.2)])
def test_windows_and_clocks_are_those_of_the_stream(seat: str, instrument: str, missing: float) -> None:
    found = market(instrument, missing=missing)
    ends, bit = getattr(found, f"{seat}_end"), {"strategic": 1, "tactical": 2}[seat]
    windows = getattr(found, f"{seat}_windows")
    two_at_once = 0
    for segment, (rows, seed) in zip(
        found.segments, ((FIRST_ROWS, FIRST_SEED), (SECOND_ROWS, SECOND_SEED)), strict=True
    ):
        bars = synthetic(instrument, rows, seed, missing)
        seen, ranges, clock = streamed(seat, instrument, bars, 61)
        two_at_once += len(bars) - len(clock)
        latest = b""
        assert len(seen) > 30
        for row in range(len(bars)):
            at = segment.start + row
            latest = seen.get(row, latest)
            assert bool(found.due[at] & bit) == (row in seen)
            assert (ends[at] >= 0) == bool(latest)
            if latest and row % 7 == 0:
                assert windows(ends[at : at + 1]).tobytes() == latest
            if seat == "tactical":
                assert found.atr[at] == ranges.get(row, 0.0)
                assert bool(found.due[at] & 4) == (row in clock)


def test_ranges_are_those_that_the_seat_gives() -> None:
    found = market("ES", missing=0.02)
    bars = synthetic("ES", SECOND_ROWS, SECOND_SEED, 0.02)
    sessions = sessions_for([load_instrument("ES")], int(bars.ts_event[0]))

    class Silent:
        def run(self, rows: np.ndarray) -> dict[str, np.ndarray]:
            return {"action": np.zeros((len(rows), 3), np.float32), "deviation": np.ones((len(rows), 3), np.float32)}

    seat = ModelSeat("tactical", Silent(), bars.symbols, sessions)  # type: ignore[arg-type] # the networks do not matter
    seat.push(bars)
    wanted = np.zeros(len(bars))
    finite = np.isfinite(seat.ranges.atr[:, 0])
    wanted[seat.ranges.known_at[finite]] = seat.ranges.atr[finite, 0]
    assert found.atr[found.segments[1].start :].tobytes() == wanted.tobytes()


def test_the_risk_clock_can_tick_at_every_bar() -> None:
    assert (market("ES", cadence="bar").due & 4 > 0).all()
    ticks = market("ES").due & 4 > 0
    assert 0.15 < ticks.mean() < 0.25


def test_a_source_is_the_same_alone_and_among_others() -> None:
    both = market("ES", missing=0.02)
    bars = synthetic("ES", SECOND_ROWS, SECOND_SEED, 0.02)
    alone = Market.build(load_instrument("ES"), [("second", bars)])
    segment = both.segments[1]
    assert both.due[segment.start :].tobytes() == alone.due.tobytes()
    assert both.atr[segment.start :].tobytes() == alone.atr.tobytes()
    for seat in ("strategic", "tactical"):
        ends, own = getattr(both, f"{seat}_end")[segment.start :], getattr(alone, f"{seat}_end")
        assert ((ends >= 0) == (own >= 0)).all()
        known = own >= 0
        one, other = getattr(both, f"{seat}_windows")(ends[known]), getattr(alone, f"{seat}_windows")(own[known])
        assert one.tobytes() == other.tobytes()


def test_a_year_is_as_long_as_in_the_backtest() -> None:
    for name in ("ES", "BTC-PERP"):
        bars = synthetic(name, FIRST_ROWS, FIRST_SEED)
        sessions = sessions_for([load_instrument(name)], int(bars.ts_event[0]))
        assert market(name).bars_per_year == bars_per_year(sessions, MINUTE_NS)


@settings(max_examples=60, deadline=None)
@given(st.integers(-5, 14_000), st.integers(-5, 14_000), st.integers(1, 4000), st.sampled_from(["ES", "BTC-PERP"]))
def test_starts_are_rows_where_all_decide_and_episodes_fit(start: int, stop: int, length: int, name: str) -> None:
    found = market(name, missing=0.2 if name == "BTC-PERP" else 0.02)
    starts = found.starts((start, stop), length)
    assert (np.diff(starts) > 0).all()
    decides = (found.due & 7 == 7) & (found.strategic_end >= 0) & (found.tactical_end >= 0)
    wanted: list[int] = []
    for segment in found.segments:
        first, last = max(start, segment.start), min(stop, segment.stop)
        rows = [r for r in range(first, last) if decides[r]]
        candidates = range(rows[0], last, max(length // 2, 1)) if rows else ()
        moved = {min((r for r in rows if r >= c), default=len(found)) for c in candidates}
        wanted += sorted(r for r in moved if r + length <= last - 1)
    assert starts.tolist() == wanted


def test_windows_that_do_not_exist_are_refused() -> None:
    found = market("ES")
    assert found.strategic_windows(np.empty(0, np.int64)).shape == (0, 48, 13)
    for end in (-1, 47, len(found.strategic_rows) + 1):
        with pytest.raises(DataError, match="no such window"):
            found.strategic_windows(np.array([end]))
    last = len(found.tactical_rows)
    assert found.tactical_windows(np.array([60, last]))[1].tobytes() == found.tactical_rows[-60:].tobytes()


def test_a_short_source_has_no_windows() -> None:
    found = Market.build(load_instrument("ES"), [("short", synthetic("ES", 300, 3))])
    assert len(found.starts((0, len(found)), 10)) == 0
    assert (found.strategic_end == -1).all() and not (found.due & 3).any()


def test_what_cannot_be_a_market_is_refused() -> None:
    instrument, bars = load_instrument("ES"), synthetic("ES", 300, 3)
    with pytest.raises(DataError, match="needs bars"):
        Market.build(instrument, [])
    with pytest.raises(DataError, match="has no bars"):
        Market.build(instrument, [("empty", bars.slice(0, 0))])
    with pytest.raises(UsageError, match="length"):
        Market.build(instrument, [("x", bars)], timeframe_ns=7 * MINUTE_NS)
    two = BarBlock.from_columns(
        ("A", "B"), np.array([MONDAY]), {name: np.ones((1, 2)) for name in ("open", "high", "low", "close", "volume")}
    )
    with pytest.raises(DataError, match="one symbol"):
        Market.build(instrument, [("two", two)])


def test_the_digest_knows_the_bars_and_the_instrument() -> None:
    instrument, bars = load_instrument("ES"), synthetic("ES", 4000, 3)
    one = Market.build(instrument, [("x", bars)])
    assert one.digest == Market.build(instrument, [("y", bars)]).digest
    assert one.digest != Market.build(instrument, [("x", bars.slice(1, 4000))]).digest
    dearer = instrument.model_copy(update={"multiplier": 51.0})
    assert one.digest != Market.build(dearer, [("x", bars)]).digest
