"""Bars of order books against a plain computation from the plain book."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
from feeds.books.bars.builder import BookBars
from feeds.books.layout import NO_PRICE
from tests.feeds.books.plain_book import PlainBook
from tests.feeds.books.streams import TICK, Row, market, messages, wild_rows

START = 1_700_000_040_000_000_000  # a whole minute
STEP = 7_000_000
WIDTH = 1_000_000_000
LATENCY = 130_000_000
DEPTH = 3
SCALE = 1e9
Top = tuple[list[tuple[float, int]], list[tuple[float, int]]]


def top_of(plain: PlainBook) -> Top | None:
    bids, asks = plain.levels("B"), plain.levels("A")
    if not bids or not asks or bids[0][0] >= asks[0][0]:
        return None
    nothing = [(-math.inf, 0)] * DEPTH, [(math.inf, 0)] * DEPTH
    return (bids + nothing[0])[:DEPTH], (asks + nothing[1])[:DEPTH]


def flows(old: Top, new: Top) -> list[float]:
    """Xu, Gould and Howison (2019), equations of the net order flow at each level."""
    found = []
    for m in range(DEPTH):
        (b0, q0), (b1, q1) = old[0][m], new[0][m]
        bid = q1 if b1 > b0 else q1 - q0 if b1 == b0 else -q0
        (a0, r0), (a1, r1) = old[1][m], new[1][m]
        ask = -r0 if a1 > a0 else r1 - r0 if a1 == a0 else r1
        found.append(float(bid - ask))
    return found


def plain_bars(rows: list[Row]) -> list[dict[str, Any]]:
    """Bars from the list of all states of the book, each computed from the beginning."""
    plain, suspect, states, trades = PlainBook(), False, [], []
    in_snapshot, snapshot = False, False
    for at, (action, side, price, size, order, flags) in enumerate(rows):
        ts = START + at * STEP
        if flags & 4:
            suspect = True
        if flags & 32:
            snapshot = True
            if not in_snapshot:
                suspect = False
            in_snapshot = not flags & 128
        if action == "R" and not flags & 4:
            suspect = False
        if action == "T":
            trades.append((ts, size, 1 if side == "B" else -1))
        if plain.apply(action, side, price, size, order, flags):
            states.append((ts, None if suspect else top_of(plain), snapshot))
            snapshot = False
    last = START + (len(rows) - 1) * STEP
    first_end = -(-START // WIDTH) * WIDTH
    return [
        bar
        for end in range(first_end, -(-last // WIDTH) * WIDTH, WIDTH)
        if (bar := one_bar(end, states, trades)) is not None
    ]


def one_bar(end: int, states: list[Any], trades: list[Any]) -> dict[str, Any] | None:
    begin = end - WIDTH
    before = [state for state in states if state[0] <= begin]
    inside = [state for state in states if begin < state[0] <= end]
    known = [top for top in ([before[-1][1]] if before else [None]) if top is not None]
    known += [top for _, top, _ in inside if top is not None]
    if not known:
        return None
    mids = [(top[0][0][0] + top[1][0][0]) / (2 * SCALE) for top in known]
    mine = [(size, sign) for ts, size, sign in trades if begin < ts <= end]
    ofi = [0.0] * DEPTH
    previous = before[-1][1] if before else None
    for _, top, snapshot in inside:
        if top is not None and previous is not None and not snapshot:
            ofi = [total + flow for total, flow in zip(ofi, flows(previous, top), strict=True)]
        previous = top
    arrived = [state for state in states if state[0] <= begin + LATENCY]
    arrival = arrived[-1][1] if arrived else None
    after = [top for ts, top, _ in states if begin + LATENCY < ts <= end and top is not None]
    seen = [*([arrival] if arrival is not None else []), *after]
    return {
        "end": end,
        "open": mids[0],
        "high": max(mids),
        "low": min(mids),
        "close": mids[-1],
        "volume": sum(size for size, _ in mine),
        "trades": len(mine),
        "signed_volume": sum(size * sign for size, sign in mine),
        "ofi": ofi,
        "close_top": (inside or before)[-1][1],
        "arrival_top": arrival,
        "seen": seen,
    }


def check(bar: dict[str, Any], block: BarBlock, at: int) -> None:
    def value(name: str) -> float:
        return float((block.extra[name] if name in block.extra else getattr(block, name))[at, 0])

    assert block.ts_event[at] == bar["end"]
    for name in (*BAR_COLUMNS, "trades", "signed_volume"):
        assert value(name) == bar[name], name
    for level in range(DEPTH):
        suffix = f"_{level + 1}" if level else ""
        assert value(f"order_flow_imbalance{suffix}") == bar["ofi"][level]
        for prefix, top in (("", bar["close_top"]), ("arrival_", bar["arrival_top"])):
            for side, name in ((0, "bid"), (1, "ask")):
                price, size = (math.nan, math.nan) if top is None else top[side][level]
                price = price / SCALE if math.isfinite(price) else math.nan
                np.testing.assert_equal(value(f"{prefix}{name}{suffix}"), price)
                np.testing.assert_equal(value(f"{prefix}{name}_size{suffix}"), float(size))
    lowest = min((top[1][0][0] for top in bar["seen"]), default=math.nan)
    np.testing.assert_equal(value("lowest_ask"), lowest / SCALE)
    assert value("lowest_ask_size") == max((top[1][0][1] for top in bar["seen"] if top[1][0][0] == lowest), default=0)
    highest = max((top[0][0][0] for top in bar["seen"]), default=math.nan)
    np.testing.assert_equal(value("highest_bid"), highest / SCALE)
    assert value("highest_bid_size") == max((top[0][0][1] for top in bar["seen"] if top[0][0][0] == highest), default=0)
    top = bar["close_top"]
    if top is None:
        assert math.isnan(value("microprice"))
        assert math.isnan(value("spread"))
        return
    (bid, bid_size), (ask, ask_size) = top[0][0], top[1][0]
    assert value("spread") == (ask - bid) / SCALE
    assert value("imbalance") == (bid_size - ask_size) / (bid_size + ask_size)
    assert value("microprice") == pytest.approx(
        (bid * ask_size + ask * bid_size) / (bid_size + ask_size) / SCALE, 1e-14
    )
    points = []
    for side in top:
        total = 0
        for price, size in side:
            if size:
                total += size
                points.append((abs(price / SCALE - (bid + ask) / 2 / SCALE), total))
    distances, sizes = (np.array(part, float) for part in zip(*points, strict=True))
    slope = np.linalg.lstsq(distances[:, None], sizes, rcond=None)[0][0]
    assert value("depth_slope") == pytest.approx(slope, 1e-9)


def new_bars() -> BookBars:
    return BookBars("ES", WIDTH, DEPTH, LATENCY)


@pytest.mark.parametrize("seed", range(3))
def test_bars_of_a_market(seed: int) -> None:
    rows = market(seed, 1500)
    block = new_bars().push(messages(rows, START, STEP))
    expected = plain_bars(rows)
    assert len(block) == len(expected) > 8
    for at, bar in enumerate(expected):
        check(bar, block, at)


@given(wild_rows.filter(len))
@settings(deadline=None, max_examples=60)
def test_bars_of_anything(rows: list[Row]) -> None:
    block = new_bars().push(messages(rows, START, STEP))
    expected = plain_bars(rows)
    assert len(block) == len(expected)
    for at, bar in enumerate(expected):
        check(bar, block, at)


@given(cuts=st.lists(st.integers(0, 700), max_size=8), seed=st.integers(0, 5))
@settings(deadline=None, max_examples=25)
def test_cuts_and_snapshots_mean_nothing(cuts: list[int], seed: int) -> None:
    made, parts, bars, start = messages(market(seed, 700), START, STEP), [], new_bars(), 0
    for cut in sorted({*cuts, len(made)}):
        parts.append(bars.push(made[start : min(cut, len(made))]))
        start = cut
        other = new_bars()
        other.restore(bars.snapshot())
        bars = other
    same(concat(parts), new_bars().push(made))


def test_the_future_changes_nothing() -> None:
    made = messages(market(4, 900), START, STEP)
    block = new_bars().push(made)
    poisoned = made.copy()
    cut = int(np.searchsorted(made["ts_event"], block.ts_event[3], side="right"))
    poisoned["size"][cut:], poisoned["price"][cut:] = 99, 95 * TICK
    same(new_bars().push(poisoned).slice(0, 4), block.slice(0, 4))


def same(found: BarBlock, expected: BarBlock) -> None:
    assert found.seq == expected.seq
    np.testing.assert_array_equal(found.ts_event, expected.ts_event)
    for name in BAR_COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name, values in expected.extra.items():
        np.testing.assert_array_equal(found.extra[name], values)


def test_a_book_stands_until_it_is_not_known_any_more() -> None:
    rows: list[Row] = [("A", "B", 100 * TICK, 5, 1, 128), ("A", "A", 101 * TICK, 5, 2, 128)]
    bars = BookBars("ES", WIDTH, 1, stands_ns=3 * WIDTH)
    bars.push(messages(rows, START + 1, 1))
    block = bars.until(START + 60 * WIDTH)
    assert block.ts_event.tolist() == [START + k * WIDTH for k in (1, 2, 3)]
    # the next message opens a bar of its own, and what changed in between did not flow in
    bars.push(messages([("A", "B", 100 * TICK, 7, 3, 128)], START + 70 * WIDTH + 1, 1))
    again = bars.until(START + 71 * WIDTH)
    assert again.ts_event.tolist() == [START + 71 * WIDTH]
    assert again.extra["order_flow_imbalance"].tolist() == [[0.0]]
    assert again.seq == 3
    assert math.isnan(again.extra["arrival_bid"][0, 0])


def test_a_latency_as_long_as_a_bar_is_refused() -> None:
    with pytest.raises(UsageError, match="longer than a bar"):
        BookBars("ES", WIDTH, 1, latency_ns=WIDTH)


def test_no_price_is_none() -> None:
    block = BookBars("ES", WIDTH, 2).push(
        messages(
            [("R", "N", NO_PRICE, 0, 0, 128), ("A", "B", 100 * TICK, 5, 1, 0), ("A", "A", 101 * TICK, 5, 2, 128)]
            + [("N", "N", NO_PRICE, 0, 0, 128)] * 200,
            START + 1,
            STEP,
        )
    )
    assert math.isnan(block.extra["bid_2"][0, 0])
    assert block.extra["bid_size_2"][0, 0] == 0.0
    assert math.isnan(block.extra["imbalance_2"][0, 0])
