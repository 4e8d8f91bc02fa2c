"""How many returns a year holds, found from the times at which they end.

Returns are taken from one trading day to the next; where bars are longer than a day, from bar to bar. Their number in
a year scales volatility, Sharpe and Sortino to a year. It is read off the data, since an instrument's calendar knows
neither whether a file holds weekly bars nor whether a market that "never closes" is a stock.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.types.blocks import Ints
from engine.types.calendar import DAY_NS

DAYS_A_YEAR = 365.25
TRADING_DAYS, ALL_DAYS, SIX_DAYS = 252, 365, 312
WEEK = 7
LONGEST_DAILY = 1.5
SATURDAY, SUNDAY = 5, 6
THURSDAY = 3
"""Weekday of 1970-01-01, Monday being 0."""
REGULAR = (
    (6.0, 8.0, 52, "weekly"),
    (27.5, 31.5, 12, "monthly"),
    (88.0, 93.0, 4, "quarterly"),
    (180.0, 185.0, 2, "half-yearly"),
    (360.0, 370.0, 1, "yearly"),
)
"""Bounds of the median distance in days, returns a year, and their name."""


class Frequency(NamedTuple):
    """Returns a year, and how that was found."""

    periods_per_year: float
    reason: str


def observed_frequency(ends: Ints, always_open: bool) -> Frequency:
    """The number of returns a year by the median distance between their ends, which gaps do not move.

    Weekly 52, monthly 12, quarterly 4, half-yearly 2, yearly 1; daily 365 where Saturdays and Sundays are traded, 312
    on six days a week, else 252. Less than a week of days cannot tell: there the instrument's calendar decides.

    Args:
        ends: Ends of the returns, nanoseconds UTC, ascending, shape (n,).
        always_open: Whether a market of the run never closes by its calendar.
    """
    by_calendar = Frequency(ALL_DAYS if always_open else TRADING_DAYS, "daily returns, by the instrument's calendar")
    if len(ends) < 2:
        return by_calendar
    days = np.diff(ends) / DAY_NS
    usual, span = float(np.median(days)), float(ends[-1] - ends[0]) / DAY_NS
    if usual < 6 and span < WEEK:
        return by_calendar
    if usual <= LONGEST_DAILY:
        found = _daily(ends)
        # one day missing in the first two weeks may be a gap as well as a habit
        return by_calendar if found.periods_per_year == SIX_DAYS and span < 2 * WEEK else found
    for low, high, periods, name in REGULAR:
        if low <= usual <= high:
            return Frequency(periods, f"{name} returns")
    regular = days[days <= 3 * usual]
    return Frequency(float(f"{DAYS_A_YEAR / regular.mean():.4g}"), f"returns every {regular.mean():.3g} days")


def _daily(ends: Ints) -> Frequency:
    # what ends at midnight belongs to the day before
    weekdays = ((ends - 1) // DAY_NS + THURSDAY) % WEEK
    counts = np.bincount(weekdays, minlength=WEEK)
    common = counts * 2 >= counts.max()
    if common[SATURDAY] and common[SUNDAY]:
        return Frequency(ALL_DAYS, "daily returns, weekends included")
    if common.sum() == WEEK - 1:
        return Frequency(SIX_DAYS, "daily returns on six days a week")
    return Frequency(TRADING_DAYS, "daily returns on trading days")
