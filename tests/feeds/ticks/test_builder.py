"""Bars of ticks: as an obviously right version makes them, however the ticks are cut, and without the future."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
from engine.types.extras import TICK_COLUMNS
from feeds.ticks.blocks import TickBlock
from feeds.ticks.builder import BarBuilder
from feeds.ticks.spec import parse_bars
from tests.feeds.ticks.oracle import random_ticks, slow_bars

KINDS = [
    "time:5s",
    "time:5s,boundary=begins",
    "tick:7",
    "volume:20",
    "value:2000",
    "imbalance:tick:8",
    "imbalance:volume:8,warm_up=20,floor=3,cap=30,span=5",
    "imbalance:value:8",
    "renko:0.75",
]


def made(kind: str, block: TickBlock, cuts: list[int], *, quotes: bool = False) -> BarBlock:
    bars = BarBuilder(parse_bars(kind), block.symbols, quotes=quotes)
    edges = sorted({0, len(block), *(cut % (len(block) + 1) for cut in cuts)})
    return concat([bars.push(block.take(slice(a, b))) for a, b in itertools.pairwise(edges)])


def flat(block: BarBlock) -> list[tuple[int, int, tuple[float, ...]]]:
    columns = [getattr(block, name) for name in BAR_COLUMNS] + [block.extra[name] for name in TICK_COLUMNS]
    return [
        (int(block.ts_event[row]), int(code), tuple(float(column[row, code]) for column in columns))
        for row, code in np.argwhere(block.present)
    ]


def same(first: BarBlock, second: BarBlock) -> bool:
    arrays = [(getattr(first, name), getattr(second, name)) for name in ("ts_event", *BAR_COLUMNS, "present")]
    arrays += [(first.extra[name], second.extra[name]) for name in TICK_COLUMNS]
    return all(one.tobytes() == other.tobytes() for one, other in arrays)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("symbols", [1, 3])
def test_bars_are_those_of_the_slow_version(kind: str, symbols: int) -> None:
    for seed in range(4):
        block = random_ticks(seed, 300, symbols)
        expected = slow_bars(parse_bars(kind), block, quotes=False)
        found = flat(made(kind, block, [100, 200]))
        assert len(found) > 3
        assert [bar[:2] for bar in found] == [bar[:2] for bar in expected]
        np.testing.assert_array_equal([bar[2] for bar in found], [bar[2] for bar in expected])


@pytest.mark.parametrize("kind", ["time:5s", "time:5s,boundary=begins", "tick:7", "imbalance:tick:8", "renko:0.75"])
def test_bars_of_quotes_are_those_of_the_slow_version(kind: str) -> None:
    block = random_ticks(5, 300, 2, quotes=True)
    expected = slow_bars(parse_bars(kind), block, quotes=True)
    found = flat(made(kind, block, [77], quotes=True))
    assert [bar[:2] for bar in found] == [bar[:2] for bar in expected]
    np.testing.assert_array_equal([bar[2] for bar in found], [bar[2] for bar in expected])


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 50), st.lists(st.integers(0, 200), max_size=12), st.sampled_from([1, 2]))
def test_any_cut_of_the_ticks_gives_the_same_bits(kind: str, seed: int, cuts: list[int], symbols: int) -> None:
    block = random_ticks(seed, 200, symbols)
    assert same(made(kind, block, []), made(kind, block, cuts))


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_in_the_middle_goes_on_with_the_same_bits(kind: str) -> None:
    block = random_ticks(3, 300, 2)
    whole = made(kind, block, [])
    first, second = (BarBuilder(parse_bars(kind), block.symbols) for _ in range(2))
    head = first.push(block.take(slice(0, 133)))
    second.restore(first.snapshot())
    rest = second.push(block.take(slice(133, None)))
    assert same(whole, concat([head, rest]))
    assert rest.seq == len(head)
    with pytest.raises(DataError):
        BarBuilder(parse_bars("tick:9"), block.symbols).restore(first.snapshot())


@pytest.mark.parametrize("kind", KINDS)
def test_later_ticks_change_no_bar_that_is_known(kind: str) -> None:
    block = random_ticks(8, 300)
    for cut in (50, 111, 222):
        known = made(kind, block.take(slice(0, cut)), [])
        poison = replace(block, price=block.price.copy(), size=block.size.copy(), bid=block.bid.copy())
        poison.price[cut:], poison.size[cut:], poison.bid[cut:] = 1e9, 1e9, 1e8
        later = made(kind, poison, [])
        assert len(known)
        assert same(known, later.slice(0, len(known)))
        assert (known.ts_event[:-1] < known.ts_event[1:]).all()


def trades(prices: list[float], sizes: list[float], ts: list[int] | None = None) -> TickBlock:
    count = len(prices)
    nothing = np.full(count, np.nan)
    return TickBlock(
        ("X",),
        np.zeros(count, np.int64),
        np.arange(count) if ts is None else np.array(ts, np.int64),
        np.array(prices),
        np.array(sizes),
        np.zeros(count, np.int8),
        nothing,
        nothing,
    )


@pytest.mark.parametrize("kind", ["volume:10", "value:1000", "tick:1"])
def test_a_trade_larger_than_the_threshold_closes_one_bar(kind: str) -> None:
    found = made(kind, trades([100.0] * 4, [95.0, 20.0, 10.0, 11.0]), [])
    assert len(found) == 4
    assert found.volume[:, 0].tolist() == [95.0, 20.0, 10.0, 11.0]


def test_bars_of_one_time_are_a_nanosecond_apart() -> None:
    found = made("tick:1", trades([1.0, 2.0, 3.0, 4.0, 5.0], [1.0] * 5, [10, 10, 10, 11, 20]), [])
    assert found.ts_event.tolist() == [10, 11, 12, 13, 20]


@pytest.mark.parametrize(
    ("boundary", "ends", "opens"), [("ends", [5, 10], [1.0, 3.0]), ("begins", [5, 10], [1.0, 2.0])]
)
def test_a_tick_at_the_boundary_belongs_to_one_bar(boundary: str, ends: list[int], opens: list[float]) -> None:
    second = 1_000_000_000
    block = trades([1.0, 2.0, 3.0, 4.0], [1.0] * 4, [3 * second, 5 * second, 7 * second, 11 * second])
    found = made(f"time:5s,boundary={boundary}", block, [])
    assert (found.ts_event // second).tolist() == ends
    assert found.open[:, 0].tolist() == opens


def test_a_jump_over_several_bricks_is_one_bar_of_traded_prices() -> None:
    found = made("renko:1", trades([100.0, 105.5, 104.6, 103.9, 106.0, 103.9], [1.0] * 6), [])
    assert found.close[:, 0].tolist() == [105.5, 106.0, 103.9]
    assert found.high[:, 0].tolist() == [105.5, 106.0, 103.9]


def test_the_side_that_took_is_told_by_the_quote_or_the_last_change() -> None:
    block = trades([100.0, 100.0, 101.0, 101.0, 100.5], [1.0, 2.0, 4.0, 8.0, 16.0])
    # nothing is known of the first two: the third is up, the fourth as the third, the fifth down
    assert made("tick:5", block, []).extra["signed_volume"][0, 0] == 4.0 + 8.0 - 16.0
    quoted = replace(block, bid=np.full(5, 99.0), ask=np.full(5, 101.0))
    # above and below the mid of 100; at it, the last change decides
    assert made("tick:5", quoted, []).extra["signed_volume"][0, 0] == 4.0 + 8.0 + 16.0
    told = replace(block, side=np.array([-1, -1, -1, 1, 1], np.int8))
    assert made("tick:5", told, []).extra["signed_volume"][0, 0] == -1.0 - 2.0 - 4.0 + 8.0 + 16.0


def side_run(count: int, buying: float, seed: int) -> TickBlock:
    rng = np.random.default_rng(seed)
    block = trades([100.0] * count, [1.0] * count)
    return replace(block, side=np.where(rng.random(count) < buying, 1, -1).astype(np.int8))


@pytest.mark.parametrize("buying", [0.5, 0.55, 0.9, 1.0])
def test_imbalance_does_not_run_away(buying: float) -> None:
    """Not where both sides are alike, where one prevails, nor where that changes."""
    block = side_run(200_000, buying, 1)
    turned = replace(block, side=np.concatenate([block.side[:100_000], side_run(100_000, 1.0 - buying, 2).side]))
    for ticks in (block, turned):
        lengths = made("imbalance:tick:100", ticks, []).extra["trades"][:, 0]
        assert 25 <= lengths.min() <= lengths.max() <= 400
        if buying < 0.6:
            # well inside of the bounds where chance decides, all along
            assert all(40 < part.mean() < 250 for part in np.array_split(lengths[1:], 10))


def test_the_plain_rule_would_run_away() -> None:
    """Without floor, cap and the part of chance, lengths leave every bound: why they are there."""
    expected, mean, theta, count, lengths = 100.0, 0.0, 0.0, 0, []
    for sign in side_run(200_000, 0.5, 3).side.tolist():
        mean += 2 / 2001 * (sign - mean)
        theta, count = theta + sign, count + 1
        if abs(theta) >= expected * abs(mean):
            lengths.append(count)
            expected += 2 / 21 * (count - expected)
            theta, count = 0.0, 0
    assert np.mean(lengths[-100:]) < 5


def test_quotes_fill_no_volume() -> None:
    with pytest.raises(UsageError, match="quotes cannot make volume bars of 100"):
        BarBuilder(parse_bars("volume:100"), ("X",), quotes=True)
