from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat, reblock
from engine.types.instruments import load_instrument
from feeds.live.file_source import FileSource
from feeds.live.source import Delivery
from feeds.replay import HistoricalReplay
from tests.bars import random_bars
from tests.waiting import patience

MINUTE_NS = 60_000_000_000


class InMemory:
    """Bars that are there already, in blocks of any size."""

    def __init__(self, bars: BarBlock) -> None:
        self.symbols = bars.symbols
        self._bars = bars

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        return reblock([self._bars], [rows])


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.time += seconds


def rows_of(deliveries: Sequence[Delivery]) -> list[BarBlock]:
    return [delivery.rows for delivery in deliveries if delivery.rows is not None]


def assert_same(one: BarBlock, other: BarBlock) -> None:
    assert one.seq == other.seq
    for name in ("ts_event", "present", *BAR_COLUMNS):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20), st.data())
async def test_stopped_anywhere_it_goes_on_with_the_same_rows(
    total: int, rows: int, other_rows: int, data: st.DataObject
) -> None:
    bars = random_bars(total, symbols=("A", "B"), seed=total, absent=0.2)
    positions: dict[str, str] = {}
    seen: list[Delivery] = []
    stop = data.draw(st.integers(1, total))
    source = FileSource(InMemory(bars), MINUTE_NS, "bars", rows=rows)
    async with aclosing(source.deliveries({})) as stream:  # type: ignore[type-var]
        async for delivery in stream:
            seen.append(delivery)
            positions |= delivery.positions
            if int(positions["replay"]) >= stop:
                break
    again = FileSource(InMemory(bars), MINUTE_NS, "bars", rows=other_rows)
    seen += [delivery async for delivery in again.deliveries(positions)]
    assert_same(concat(rows_of(seen)), bars)
    assert all(block.seq == sum(map(len, rows_of(seen)[:at])) for at, block in enumerate(rows_of(seen)))
    assert seen[-1].ended and not again.connected
    assert {name for delivery in seen for name in delivery.partitions} == {"replay"}


async def test_at_a_speed_rows_come_alone_when_they_are_due() -> None:
    clock = FakeClock()
    source = FileSource(InMemory(random_bars(5, seed=1)), MINUTE_NS, "bars", "30x", sleep=clock.sleep, now=clock.now)
    stream = source.deliveries({"replay": "1"})
    due = [(found.seq, len(found), clock.time) async for one in stream if (found := one.rows) is not None]
    assert due == [(1, 1, 0.0), (2, 1, 2.0), (3, 1, 4.0), (4, 1, 6.0)]
    assert source.status == "bars has ended"


async def test_the_consumer_sees_its_clock_while_the_next_row_is_far() -> None:
    source = FileSource(InMemory(random_bars(3, seed=1)), MINUTE_NS, "bars", "realtime")
    async with patience(), aclosing(source.deliveries({})) as stream:  # type: ignore[type-var]
        assert (await anext(stream)).rows is not None
        assert (await anext(stream)).rows is None  # a minute before the next one
        assert source.status == "replaying bars at 1x"


async def test_a_file_that_was_cut_is_refused() -> None:
    source = FileSource(InMemory(random_bars(5, seed=1)), MINUTE_NS, "bars.csv")
    with pytest.raises(DataError, match="not the one that was replayed before") as caught:
        async for _ in source.deliveries({"replay": "6"}):
            pass
    assert caught.value.where == "bars.csv"
    with pytest.raises(DataError, match="cannot be read"):
        await anext(source.deliveries({"replay": "x"}))
    with pytest.raises(UsageError, match="replay speed"):
        FileSource(InMemory(random_bars(5, seed=1)), MINUTE_NS, "bars.csv", "quickly")


async def test_gives_what_a_backtest_reads() -> None:
    file = Path("replays/es-synthetic/bars.parquet")
    replay = HistoricalReplay(file, load_instrument("ES"), symbol="ES")
    source = FileSource(replay, replay.output_timeframe_ns, "es-synthetic")
    found = concat(rows_of([delivery async for delivery in source.deliveries({})]))
    assert_same(found, concat(list(replay.blocks(4096))))
    assert source.symbols == ("ES",) and source.timeframe_ns == replay.output_timeframe_ns
    assert math.isfinite(np.nanmin(found.close))
