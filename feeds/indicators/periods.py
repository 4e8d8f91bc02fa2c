"""Periods that values of an indicator are of, and the times at which these were known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from feeds.indicators.config import PeriodLength

_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4})-?M?(0[1-9]|1[0-2])")
_YEAR = re.compile(r"\d{4}")
_WEEK = re.compile(r"(\d{4})-?W(\d{2})", re.IGNORECASE)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_LENGTHS: tuple[tuple[int, int, PeriodLength], ...] = (
    (1, 4, "day"), (5, 10, "week"), (27, 32, "month"), (88, 93, "quarter"), (360, 370, "year"),
)  # fmt: skip
DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """A period as a file names it.

    Attributes:
        first: Its first day.
        length: Its length; None where a date names it, which leaves that open.
    """

    first: date
    length: PeriodLength | None


def read_period(text: str) -> Period | None:
    """A period from text: 2024, 2024-Q1, 2024-01, 2024-W03, or a date; None if it is none."""
    text = text.strip()
    try:
        if found := _DATE.fullmatch(text):
            return Period(date(int(found[1]), int(found[2]), int(found[3])), None)
        if found := _QUARTER.fullmatch(text):
            return Period(date(int(found[1]), 3 * int(found[2]) - 2, 1), "quarter")
        if found := _MONTH.fullmatch(text):
            return Period(date(int(found[1]), int(found[2]), 1), "month")
        if found := _WEEK.fullmatch(text):
            return Period(date.fromisocalendar(int(found[1]), int(found[2]), 1), "week")
        return Period(date(int(text), 1, 1), "year") if _YEAR.fullmatch(text) else None
    except ValueError:
        return None


def length_between(days: Iterable[date]) -> PeriodLength | None:
    """The length of periods that begin on these days, by the smallest distance; None if it is none of ours."""
    ordered = sorted(set(days))
    gaps = [(later - earlier).days for earlier, later in pairwise(ordered)]
    return next((name for low, high, name in _LENGTHS if gaps and low <= min(gaps) <= high), None)


def shortest_days(length: PeriodLength) -> int:
    """The fewest days from one period to the next."""
    return next(low for low, _, name in _LENGTHS if name == length)


def last_day(first: date, length: PeriodLength) -> date:
    """The last day of a period."""
    if length in _MONTHS:
        return shifted(first, length, 1) - DAY
    return first + (6 if length == "week" else 0) * DAY


def shifted(first: date, length: PeriodLength, by: int) -> date:
    """The first day of the period that comes so many later (before, if negative); of days, so many days later.

    A first day that the month lacks becomes the month's last.
    """
    if length not in _MONTHS:
        return first + by * (7 if length == "week" else 1) * DAY
    months = first.year * 12 + first.month - 1 + by * _MONTHS[length]
    year, month = divmod(months, 12)
    for day in range(first.day, 27, -1):
        try:
            return date(year, month + 1, day)
        except ValueError:
            continue
    return date(year, month + 1, min(first.day, 28))


def end_of(day: date, zone: ZoneInfo) -> int:
    """The end of a day, nanoseconds UTC: the first moment of the next one."""
    return nanoseconds(datetime.combine(day + DAY, time(), zone))


def moment_of(day: date, release: time | None, zone: ZoneInfo) -> int:
    """When something published on a day was known, nanoseconds UTC: at the time of release, or when the day is over."""
    return end_of(day, zone) if release is None else nanoseconds(datetime.combine(day, release, zone))


def read_known(text: str, release: time | None, zone: ZoneInfo) -> int | None:
    """When a value was known, nanoseconds UTC, from a date or a time; None if the text is neither.

    Args:
        release: Time of day of a publication of which the date alone is known.
        zone: Of dates, and of times without an offset.
    """
    text = text.strip()
    try:
        if found := _DATE.fullmatch(text):
            return moment_of(date(int(found[1]), int(found[2]), int(found[3])), release, zone)
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return nanoseconds(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))


def nanoseconds(moment: datetime) -> int:
    """A time as nanoseconds UTC."""
    since = moment.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
