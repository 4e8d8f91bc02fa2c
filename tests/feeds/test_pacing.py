from __future__ import annotations

import math
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, concat, reblock
from engine.types.timeframe import MINUTE_NS
from feeds.pacing import paced, parse_speed


class FakeClock:
    """Time that passes only by sleeping and by working."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def bars(minutes: list[int]) -> BarBlock:
    prices = np.arange(len(minutes), dtype=np.float64) + 100
    ts = np.array(minutes, np.int64) * MINUTE_NS
    return BarBlock.from_columns(("A",), ts, dict.fromkeys(("open", "high", "low", "close"), prices))


async def arrivals(stream: AsyncIterator[BarBlock], clock: FakeClock, work: float = 0.0) -> list[tuple[int, float]]:
    seen = []
    async for block in stream:
        seen += [(int(ts) // MINUTE_NS, clock.time - 1000.0) for ts in block.ts_event]
        clock.time += work
    return seen


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("max", math.inf),
        ("MAX", math.inf),
        ("realtime", 1.0),
        ("60", 60.0),
        ("60x", 60.0),
        ("0.5X", 0.5),
        (" .25 x ", 0.25),
    ],
)
def test_reads_speeds(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "fast", "0", "0x", "-1", "nan", "inf", "1e3", "x", "60xx", "9" * 400])
def test_refuses_other_speeds(text: str) -> None:
    with pytest.raises(UsageError, match="replay speed") as caught:
        parse_speed(text)
    assert "60x" in str(caught.value)


async def test_at_max_blocks_pass_whole_and_nothing_waits() -> None:
    clock = FakeClock()
    blocks = list(reblock([bars([1, 2, 3, 10])], [3]))
    passed = [block async for block in paced(blocks, math.inf, sleep=clock.sleep, now=clock.now)]
    assert [block is original for block, original in zip(passed, blocks, strict=True)] == [True, True]
    assert clock.slept == [0, 0]  # other tasks get their turn


async def test_bars_come_when_they_are_due() -> None:
    clock = FakeClock()
    stream = paced([bars([1, 2, 5])], 60.0, sleep=clock.sleep, now=clock.now)
    assert await arrivals(stream, clock) == [(1, 0.0), (2, 1.0), (5, 4.0)]


async def test_a_late_consumer_catches_up_without_drift() -> None:
    clock = FakeClock()
    seen = []
    async for block in paced([bars([1, 2, 3, 4])], 60.0, sleep=clock.sleep, now=clock.now):
        seen.append(clock.time - 1000.0)
        clock.time += 2.5 if block.seq == 0 else 0.1  # the first bar takes long
    assert seen == pytest.approx([0.0, 2.5, 2.6, 3.0])


async def test_closed_markets_can_be_skipped() -> None:
    clock = FakeClock()
    week_end = [1, 2, 2 + 49 * 60, 3 + 49 * 60]
    stream = paced([bars(week_end)], 60.0, longest_wait=5.0, sleep=clock.sleep, now=clock.now)
    assert [time for _, time in await arrivals(stream, clock)] == [0.0, 1.0, 6.0, 7.0]


@settings(deadline=None, derandomize=True)
@given(
    st.sets(st.integers(0, 5000), min_size=1, max_size=30),
    st.lists(st.integers(1, 7), min_size=1),
    st.floats(0.1, 1e4),
    st.floats(0, 3),
)
async def test_never_early_and_the_same_bars(minutes: set[int], sizes: list[int], speed: float, work: float) -> None:
    block = bars(sorted(minutes))
    clock = FakeClock()
    rows = []
    async for row in paced(reblock([block], sizes), speed, sleep=clock.sleep, now=clock.now):
        assert len(row) == 1
        due = (int(row.ts_event[0]) - int(block.ts_event[0])) / (speed * 1e9)
        assert clock.time - 1000.0 >= due - 1e-6
        rows.append(row)
        clock.time += work
    whole = concat(rows)
    assert whole.seq == 0
    assert whole.ts_event.tobytes() == block.ts_event.tobytes()
    assert whole.close.tobytes() == block.close.tobytes()
