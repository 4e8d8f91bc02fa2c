"""What a strategy sees of an indicator: the value of the latest period, its change or growth, as of each time.

The latest announcement may be a revision of an old period, so it is the latest *period* that counts. A change or
growth takes both values from what was valid at one time: values before and after a new base year never meet.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass
from datetime import date

import numpy as np

from engine.types.blocks import Floats, Ints
from feeds.indicators.config import IndicatorConfig
from feeds.indicators.periods import shifted
from feeds.indicators.table import IndicatorTable, days_since_1970


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The values of an indicator over time: each holds from its `known_at` on, until the next.

    Attributes:
        known_at: Nanoseconds UTC, increasing, shape (n,).
        value: Shape (n,); NaN where there is none.
        period: First day of the latest period then, days since 1970, shape (n,).
    """

    known_at: Ints
    value: Floats
    period: Ints

    def at(self, times: Ints) -> Floats:
        """What was known at some times, NaN before the first: what became known at a time is known then.

        Args:
            times: Nanoseconds UTC, shape (m,).

        Returns:
            Shape (m,).
        """
        place = np.searchsorted(self.known_at, times, side="right")
        return np.concatenate([[np.nan], self.value])[place]


def course_of(table: IndicatorTable, config: IndicatorConfig) -> Course:
    """The course of an indicator."""
    valid = _Valid(table, config)
    times: list[int] = []
    values: list[float] = []
    periods: list[int] = []
    for row in range(len(table)):
        first = row == 0 or table.vintage[row] != table.vintage[row - 1]
        if first and table.whole:
            valid.clear()
        valid.take(int(table.period[row]), float(table.value[row]))
        if row + 1 == len(table) or table.known_at[row + 1] != table.known_at[row]:
            times.append(int(table.known_at[row]))
            values.append(valid.value())
            periods.append(valid.latest)
    return Course(np.array(times, np.int64), np.array(values, np.float64), np.array(periods, np.int64))


class _Valid:
    """The values that are valid at one time."""

    def __init__(self, table: IndicatorTable, config: IndicatorConfig) -> None:
        self._length, self._transform, self._over = table.length, config.transform, config.over
        self._values: dict[int, float] = {}
        self._periods: list[int] = []

    @property
    def latest(self) -> int:
        """The latest period, days since 1970; 0 if there is none."""
        return self._periods[-1] if self._periods else 0

    def clear(self) -> None:
        self._values.clear()
        self._periods.clear()

    def take(self, period: int, value: float) -> None:
        """A value is published, or withdrawn (NaN)."""
        if math.isnan(value):
            if self._values.pop(period, None) is not None:
                del self._periods[bisect_left(self._periods, period)]
            return
        if period not in self._values:
            insort(self._periods, period)
        self._values[period] = value

    def value(self) -> float:
        """Of the latest period, transformed."""
        if not self._periods:
            return math.nan
        now = self._values[self._periods[-1]]
        if self._transform == "level":
            return now
        before = self._before()
        if self._transform == "change":
            return now - before
        return now / before - 1.0 if before > 0.0 else math.nan

    def _before(self) -> float:
        """The value `over` periods before the latest; NaN if there is none."""
        if self._length is None or self._length == "day":
            # days without a value, such as week-ends, do not count
            return self._values[self._periods[-1 - self._over]] if self._over < len(self._periods) else math.nan
        day = shifted(date.fromordinal(self.latest + _EPOCH), self._length, -self._over)
        return self._values.get(days_since_1970(day), math.nan)


_EPOCH = date(1970, 1, 1).toordinal()
