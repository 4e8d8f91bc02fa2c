"""The table of an indicator: every value of a series with the time at which it was known, revisions included."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from engine.types.blocks import Bools, Floats, Ints
from feeds.indicators.config import PeriodLength


@dataclass(frozen=True, slots=True, eq=False)
class IndicatorTable:
    """One series as it became known, in order of time: (series, period, value, known_at, vintage).

    Attributes:
        series: Its name in the file, or what was chosen there.
        source: The file.
        period: First day of each value's period, days since 1970, shape (n,).
        value: NaN where a value was withdrawn, shape (n,).
        known_at: When it was known, nanoseconds UTC, not decreasing, shape (n,).
        vintage: Number of the vintage, counted from 0 in order of time, shape (n,).
        whole: Whether a vintage holds all values that were valid then, so that it replaces the one before.
        length: Of a period; None where it is not known, and periods are counted as they come.
        revised: Whether the values are those of today and not as first published, for all that the file says.
        remarks: What was assumed, a sentence each.
    """

    series: str
    source: str
    period: Ints
    value: Floats
    known_at: Ints
    vintage: Ints
    whole: bool
    length: PeriodLength | None
    revised: bool = False
    remarks: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.value)

    def first_day(self, row: int) -> date:
        """First day of the period of a row."""
        return date.fromordinal(int(self.period[row]) + _EPOCH)

    def until(self, time_ns: int) -> IndicatorTable:
        """What was known at a time: the same table without what became known later."""
        return self.where(self.known_at <= time_ns)

    def where(self, kept: Bools) -> IndicatorTable:
        """Some of its rows."""
        return IndicatorTable(
            self.series,
            self.source,
            self.period[kept],
            self.value[kept],
            self.known_at[kept],
            self.vintage[kept],
            self.whole,
            self.length,
            self.revised,
            self.remarks,
        )


_EPOCH = date(1970, 1, 1).toordinal()


def days_since_1970(day: date) -> int:
    """A day as a number."""
    return day.toordinal() - _EPOCH


def numbered_vintages(known_at: Ints) -> Ints:
    """Values that became known together as vintages, counted from 0, shape (n,); times must not decrease."""
    return np.cumsum(np.diff(known_at, prepend=known_at[:1]) > 0).astype(np.int64)
