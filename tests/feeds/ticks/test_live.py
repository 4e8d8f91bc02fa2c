"""The same trades or quotes, live and from a file, give the same bars, extra columns included, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.state import decode
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat, reblock
from engine.types.extras import TICK_COLUMNS
from engine.types.instruments import load_instrument
from feeds.live.merging.merger import RowMerger
from feeds.live.messages import Element, QuoteMessage, TradeMessage, encode_element
from feeds.live.messages import decode as decode_message
from feeds.live.source import Record
from feeds.reading.files.frames import frame_files
from feeds.replay import ReplayConfig
from feeds.ticks.opening import open_replay
from tests.trees import saved

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def ticks(seed: int, count: int, symbols: int, *, quotes: bool) -> pa.Table:
    rng = np.random.default_rng(seed)
    # a coarse grid, so that times repeat and boundaries are hit
    times = START + np.sort(rng.integers(0, count, count)) * (SECOND // 2)
    names = [f"S{number}" for number in rng.integers(0, symbols, count)]
    names[:symbols] = [f"S{number}" for number in range(symbols)]
    mid = 100 + np.cumsum(rng.normal(size=count))
    columns = {"timestamp": times, "symbol": names}
    if quotes:
        spread = np.abs(rng.normal(size=count))
        return pa.table({**columns, "bid": mid - spread, "ask": mid + spread})
    side = [("buy", "sell", None)[kind] for kind in rng.integers(0, 3, count)]
    return pa.table({**columns, "price": mid, "size": np.abs(rng.normal(size=count)), "side": side})


def messages(table: pa.Table) -> list[Element]:
    sides = {"buy": 1, "sell": -1, None: 0}
    return [
        QuoteMessage(row["symbol"], row["timestamp"], row["bid"], row["ask"])
        if "bid" in row
        else TradeMessage(row["symbol"], row["timestamp"], row["price"], row["size"], None, sides[row["side"]])
        for row in table.to_pylist()
    ]


def live(table: pa.Table, symbols: tuple[str, ...], cuts: list[int], restart: int) -> BarBlock:
    def merger() -> RowMerger:
        return RowMerger(symbols, 5 * SECOND, ahead_ns=None)

    elements, rows = messages(table), merger()
    blocks: list[BarBlock] = []
    sizes = [*cuts, len(elements)]
    at = 0
    for number, size in enumerate(sizes):
        some = elements[at : at + size]
        at += size
        for one in some:
            payload = encode_element(one)
            read, refused = decode_message(Record("p", number, payload))
            assert read == [one]
            assert not refused
            assert not rows.offer(Record("p", number, payload), read)
        if number == restart % len(sizes):
            state, rows = decode(saved(rows)), merger()
            rows.restore(state)
        while (block := rows.take(3)) is not None:
            blocks.append(block)
    rows.flush()
    while (block := rows.take(100)) is not None:
        blocks.append(block)
    return concat(blocks)


def replayed(table: pa.Table, symbols: tuple[str, ...]) -> BarBlock:
    config = ReplayConfig(bars="time:5s", symbols=symbols)
    return concat(list(open_replay(frame_files(table, "X"), load_instrument("GENERIC"), config).blocks(1000)))


@pytest.mark.parametrize("quotes", [False, True])
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    symbols=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    restart=st.integers(0, 6),
)
def test_bars_are_the_same(quotes: bool, seed: int, symbols: int, cuts: list[int], restart: int) -> None:
    names = tuple(f"S{number}" for number in range(symbols))
    table = ticks(seed, 120, symbols, quotes=quotes)
    first, second = live(table, names, cuts, restart), replayed(table, names)
    for name in ("ts_event", *BAR_COLUMNS, "present"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert set(first.extra) == set(second.extra) == set(TICK_COLUMNS)
    for name in TICK_COLUMNS:
        np.testing.assert_array_equal(first.extra[name], second.extra[name])
    known = second.extra["spread" if quotes else "trades"][second.present]
    assert not np.isnan(known).any()


def test_bars_of_a_file_know_who_took_as_live_ones_do() -> None:
    table = ticks(1, 120, 1, quotes=False)
    signed = replayed(table, ("S0",)).extra["signed_volume"]
    assert (signed > 0).any()
    assert (signed < 0).any()
    assert sum(map(len, reblock([replayed(table, ("S0",))], [7]))) == len(signed)
