"""What a row sees of an indicator: held against a slow answer, cut into other blocks, and with another future."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.types.blocks import BarBlock, concat, reblock
from feeds.indicators.config import IndicatorConfig, PeriodLength, Transform
from feeds.indicators.joining import Indicator, Indicators
from feeds.indicators.periods import shifted
from feeds.indicators.table import IndicatorTable, days_since_1970, numbered_vintages
from feeds.indicators.transforms import course_of

DAY = 86_400_000_000_000
Event = tuple[int, int, float]
"""Day on which it is known, period, value (NaN: withdrawn)."""

VALUES = st.one_of(st.floats(-5, 500), st.just(math.nan))
EVENTS = st.dictionaries(st.tuples(st.integers(0, 30), st.integers(0, 12)), VALUES, min_size=1, max_size=60)
LENGTHS = st.sampled_from(("day", "week", "month", "quarter", "year"))
TRANSFORMS = st.sampled_from(("level", "change", "growth"))


def first_of(period: int, length: PeriodLength) -> date:
    return shifted(date(2020, 1, 1), length, period)


def table_of(events: dict[tuple[int, int], float], length: PeriodLength, *, whole: bool) -> IndicatorTable:
    ordered = sorted(events.items(), key=lambda one: (one[0][0], not math.isnan(one[1]), one[0][1]))
    known = np.array([day * DAY for (day, _), _ in ordered], np.int64)
    periods = np.array([days_since_1970(first_of(period, length)) for (_, period), _ in ordered], np.int64)
    values = np.array([value for _, value in ordered])
    return IndicatorTable("x", "memory", periods, values, known, numbered_vintages(known), whole, length)


def slow(events: dict[tuple[int, int], float], config: IndicatorConfig, length: str, whole: bool, time: int) -> float:
    """All events up to a time gone through again, for one time."""
    past = [(day, period, value) for (day, period), value in events.items() if day * DAY <= time]
    if whole and past:
        newest = max(day for day, _, _ in past)
        past = [one for one in past if one[0] == newest]
    valid = {period: value for _, period, value in sorted(past, key=lambda one: one[0])}
    valid = {period: value for period, value in valid.items() if not math.isnan(value)}
    if not valid:
        return math.nan
    latest = max(valid)
    if config.transform == "level":
        return valid[latest]
    there = sorted(valid)
    if length == "day":
        before = valid[there[-1 - config.over]] if len(there) > config.over else math.nan
    else:
        before = valid.get(latest - config.over, math.nan)
    if config.transform == "change":
        return valid[latest] - before
    return valid[latest] / before - 1.0 if before > 0 else math.nan


def bars(times: list[int], symbols: int = 2) -> BarBlock:
    closes = np.ones((len(times), symbols))
    return BarBlock.from_columns(
        [f"S{s}" for s in range(symbols)],
        np.array(sorted(set(times)), np.int64),
        {name: closes[: len(set(times))] for name in ("open", "high", "low", "close")},
    )


def joined(table: IndicatorTable, config: IndicatorConfig, block: BarBlock) -> BarBlock:
    return Indicators([Indicator(config, table, course_of(table, config))])(block)


@settings(max_examples=200, deadline=None)
@given(
    EVENTS, LENGTHS, TRANSFORMS, st.integers(1, 4), st.booleans(),
    st.lists(st.integers(-1, 32 * 4), min_size=1, max_size=40), st.lists(st.integers(1, 7), min_size=1),
)  # fmt: skip
def test_rows_see_what_was_known_whatever_the_blocks(
    events: dict[tuple[int, int], float],
    length: PeriodLength,
    transform: Transform,
    over: int,
    whole: bool,
    quarters: list[int],
    sizes: list[int],
) -> None:
    config = IndicatorConfig(name="x", path="x", transform=transform, over=1 if transform == "level" else over)
    if whole:
        events = {key: value for key, value in events.items() if not math.isnan(value)}
    if not events:
        return
    table = table_of(events, length, whole=whole)
    block = bars([quarter * DAY // 4 for quarter in quarters])
    found = joined(table, config, block)
    expected = [slow(events, config, length, whole, time) for time in block.ts_event.tolist()]
    for symbol in range(2):
        np.testing.assert_array_equal(found.extra["x"][:, symbol], expected)
    cut = concat([joined(table, config, part) for part in reblock([block], sizes)])
    np.testing.assert_array_equal(cut.extra["x"], found.extra["x"])


@settings(max_examples=200, deadline=None)
@given(EVENTS, EVENTS, LENGTHS, TRANSFORMS, st.integers(0, 30), st.booleans())
def test_what_is_known_later_changes_nothing_before(
    events: dict[tuple[int, int], float],
    others: dict[tuple[int, int], float],
    length: PeriodLength,
    transform: Transform,
    day: int,
    whole: bool,
) -> None:
    config = IndicatorConfig(name="x", path="x", transform=transform)
    before = {key: value for key, value in events.items() if key[0] <= day}
    poisoned = before | {key: value for key, value in others.items() if key[0] > day}
    block = bars([quarter * DAY // 4 for quarter in range(4 * day + 4)])
    seen = joined(table_of(events, length, whole=whole), config, block).extra["x"]
    other = joined(table_of(poisoned, length, whole=whole), config, block).extra["x"]
    np.testing.assert_array_equal(other, seen)
    whole_table = table_of(events, length, whole=whole)
    np.testing.assert_array_equal(joined(whole_table.until(day * DAY), config, block).extra["x"], seen)


def test_a_column_of_the_bars_is_left_as_it_is() -> None:
    table = table_of({(0, 0): 5.0}, "month", whole=False)
    config = IndicatorConfig(name="x", path="x")
    block = bars([DAY, 2 * DAY])
    mine = BarBlock.from_columns(
        block.symbols, block.ts_event, dict.fromkeys(("open", "high", "low", "close"), block.close),
        extra={"x": block.close * 7},
    )  # fmt: skip
    assert joined(table, config, mine) is mine


def test_the_value_counts_from_the_moment_at_which_it_is_known() -> None:
    table = table_of({(1, 0): 5.0}, "month", whole=False)
    found = joined(table, IndicatorConfig(name="x", path="x"), bars([DAY - 1, DAY, DAY + 1], 1))
    assert found.extra["x"][:, 0].tolist() == [pytest.approx(math.nan, nan_ok=True), 5.0, 5.0]
