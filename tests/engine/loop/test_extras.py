from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.base.state import decode
from engine.loop.aggregate import Aggregator
from engine.types.blocks import BarBlock, Floats, concat, reblock
from engine.types.calendar import Sessions
from engine.types.extras import Fold, folds_of
from engine.types.timeframe import MINUTE_NS
from tests.trees import saved

STEADY = settings(deadline=None, derandomize=True)
NAMES = ("imbalance", "signed_volume", "vwap", "rate")


def stream(seed: int, rows: int, symbols: int) -> BarBlock:
    draw = np.random.default_rng(seed)
    shape = (rows, symbols)
    minutes = np.cumsum(draw.integers(1, 4, rows))
    present = draw.random(shape) < 0.8
    present[:, 0] = True
    price = 100 + draw.normal(size=shape)
    volume = np.where(draw.random(shape) < 0.2, 0.0, draw.integers(0, 9, shape).astype(float))
    columns = {name: np.where(present, price, math.nan) for name in ("open", "high", "low", "close")}
    extra = {name: np.where(draw.random(shape) < 0.3, math.nan, draw.normal(size=shape)) for name in NAMES}
    names = tuple(f"S{at}" for at in range(symbols))
    return BarBlock.from_columns(names, minutes * MINUTE_NS, {**columns, "volume": volume}, present, extra=extra)


def slowly(block: BarBlock, length: int) -> list[tuple[int, dict[str, list[float]]]]:
    """Each bucket that a later row closes, by plain lists; one session from 0 on."""
    ends = [-(-int(ts) // (length * MINUTE_NS)) * length for ts in block.ts_event]
    found = []
    for end in sorted(set(ends)):
        rows = [row for row, other in enumerate(ends) if other == end]
        known = any(int(ts) >= end * MINUTE_NS for ts in block.ts_event)
        if known:
            found.append(
                (end, {name: [_one(block, name, rows, s) for s in range(len(block.symbols))] for name in NAMES})
            )
    return found


def _one(block: BarBlock, name: str, rows: list[int], s: int) -> float:
    values = [(float(block.extra[name][row, s]), float(block.volume[row, s])) for row in rows if block.present[row, s]]
    values = [pair for pair in values if not math.isnan(pair[0])]
    fold = Fold(int(folds_of([name])[0]))
    if fold is Fold.SUM:
        return sum(value for value, _ in values) if values else math.nan
    if fold is Fold.MEAN:
        weight = sum(volume for _, volume in values)
        return sum(value * volume for value, volume in values) / weight if weight > 0 else math.nan
    return values[-1][0] if values else math.nan


def day(block: BarBlock) -> Sessions:
    return Sessions(np.array([0]), np.array([int(block.ts_event[-1]) + 60 * MINUTE_NS]))


def test_what_each_name_does_is_known() -> None:
    folds = [Fold(int(fold)) for fold in folds_of([*NAMES, "order_flow_imbalance_3", "imbalance_x"])]
    assert folds == [Fold.LAST, Fold.SUM, Fold.MEAN, Fold.LAST, Fold.SUM, Fold.LAST]


@STEADY
@given(st.integers(0, 999), st.integers(1, 3), st.integers(2, 7), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_any_blocking_gives_what_plain_lists_give(seed: int, symbols: int, length: int, sizes: list[int]) -> None:
    block = stream(seed, 60, symbols)
    aggregator = Aggregator(length * MINUTE_NS, day(block))
    done = concat([aggregator.push(part).bars for part in reblock([block], sizes)])
    expected = slowly(block, length)
    assert [int(ts) // MINUTE_NS for ts in done.ts_event] == [end for end, _ in expected]
    for name in NAMES:
        wanted = np.array([values[name] for _, values in expected])
        np.testing.assert_allclose(done.extra[name], wanted, rtol=1e-12)
    whole = Aggregator(length * MINUTE_NS, day(block)).push(block).bars
    assert all(whole.extra[name].tobytes() == done.extra[name].tobytes() for name in NAMES)


@STEADY
@given(st.integers(0, 99), st.integers(1, 59))
def test_a_saved_aggregation_continues_with_the_same_bits(seed: int, cut: int) -> None:
    block = stream(seed, 60, 2)
    first, second = Aggregator(5 * MINUTE_NS, day(block)), Aggregator(5 * MINUTE_NS, day(block))
    first.push(block.slice(0, cut))
    second.restore(decode(saved(first)))
    one, other = first.push(block.slice(cut, 60)).bars, second.push(block.slice(cut, 60)).bars
    assert all(one.extra[name].tobytes() == other.extra[name].tobytes() for name in NAMES)
    for name, values in first.flush().bars.extra.items():
        np.testing.assert_array_equal(values, second.flush().bars.extra[name])


def columns_of(block: BarBlock) -> dict[str, Floats]:
    return {name: getattr(block, name) for name in ("open", "high", "low", "close", "volume")}


def test_a_column_that_a_block_lacks_is_not_known_in_it() -> None:
    block = stream(1, 40, 2)
    some = {name: values for name, values in block.slice(0, 13).extra.items() if name != "vwap"}
    unknown = {name: np.full((13, 2), math.nan) for name in NAMES}
    parts = [replace(block.slice(0, 13), extra=some), replace(block.slice(13, 27), extra={}), block.slice(27, 40)]
    filled = [
        replace(parts[0], extra={**unknown, **some}),
        replace(parts[1], extra={name: np.full((14, 2), math.nan) for name in NAMES}),
        parts[2],
    ]
    first, second = Aggregator(5 * MINUTE_NS, day(block)), Aggregator(5 * MINUTE_NS, day(block))
    lacking = concat([first.push(part).bars for part in parts])
    whole = concat([second.push(part).bars for part in filled])
    for name in NAMES:
        np.testing.assert_array_equal(lacking.extra[name], whole.extra[name])


def test_a_column_of_another_shape_is_refused() -> None:
    block = stream(1, 10, 1)
    with pytest.raises(DataError, match="rate"):
        BarBlock.from_columns(("S",), block.ts_event, columns_of(block), extra={"rate": np.zeros(9)})
