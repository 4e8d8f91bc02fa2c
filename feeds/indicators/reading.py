"""Reading files of economic indicators: vintages, values with times of publication, or values with a declared lag."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from engine.base.errors import DataError, UsageError
from feeds.indicators.cells import Columns, Shape, read_columns, shape_of
from feeds.indicators.config import IndicatorConfig, PeriodLength
from feeds.indicators.periods import (
    DAY,
    Period,
    end_of,
    last_day,
    length_between,
    moment_of,
    read_known,
    read_period,
    shortest_days,
)
from feeds.indicators.table import IndicatorTable, days_since_1970, numbered_vintages

UNKNOWN = frozenset({"", ".", "..", "-", "na", "n/a", "#n/a", "nan", "null", "none"})
NEVER_ENDS = date(9000, 1, 1)


class Value(NamedTuple):
    """A value of the file.

    Attributes:
        row: Line of the file, the names of the columns being line 1; for messages.
        known_ns: None where the file does not say.
    """

    row: int
    period: Period
    value: float
    known_ns: int | None


def read_table(config: IndicatorConfig, path: Path | None = None) -> IndicatorTable:
    """Read the series of an indicator.

    Args:
        path: Where the file lies, if not where the configuration says.

    Raises:
        UsageError: If there is no such file or series, or the file does not say when its values were known and no lag
            is declared.
        DataError: If the file is damaged, or a cell cannot be read.
    """
    file = path or Path(config.path)
    columns = read_columns(file, config)
    shape = shape_of(columns, config, str(file))
    _check_publication(shape, config, str(file))
    values = list(_values(columns, shape, config, str(file)))
    if not values:
        raise DataError("the series holds no values", where=f"{file}, {shape.series}", expected="at least one number")
    length = _length(values, config, str(file))
    values = [one if one.known_ns is not None else _lagged(one, length, config, str(file)) for one in values]
    return _table(values, shape, config, str(file), length)


def _check_publication(shape: Shape, config: IndicatorConfig, where: str) -> None:
    said = shape.vintages or shape.known is not None
    if not said and config.lag is None:
        raise UsageError(
            "the file does not say when its values were published",
            where=where,
            expected="vintages (columns such as GDPC1_20240125), or a column known_at or realtime_start",
            found=f"columns {', '.join(shape.names[:8])}",
            hint=f"declare how long after the end of its period a value of {config.name} is published: lag: 45d",
        )
    if said and config.lag is not None:
        raise UsageError(
            "a lag is declared, but the file says itself when its values were published",
            where=where,
            found=f"lag: {config.lag}, and "
            + (f"the column {shape.known}" if shape.known else f"{len(shape.vintages)} vintages"),
            hint="leave the lag out",
        )


def _values(columns: Columns, shape: Shape, config: IndicatorConfig, where: str) -> Iterator[Value]:
    zone, release = ZoneInfo(config.timezone), config.time_of_release
    periods = [_period(text, row, shape.period, where) for row, text in columns.numbered(shape.period)]
    if shape.vintages:
        for name, day in shape.vintages:
            known = moment_of(day, release, zone)
            yield from _cells(columns, name, periods, [known] * len(periods), where)
        return
    knowns: list[int | None] = [None] * len(periods)
    if shape.known is not None:
        knowns = [_known(text, row, shape.known, config, where) for row, text in columns.numbered(shape.known)]
    yield from _cells(columns, shape.value, periods, knowns, where)
    if shape.until is not None:
        yield from _withdrawn(columns, shape, periods, knowns, config)


def _cells(
    columns: Columns, name: str, periods: Sequence[Period], knowns: Sequence[int | None], where: str
) -> Iterator[Value]:
    for (row, text), period, known in zip(columns.numbered(name), periods, knowns, strict=True):
        if text.strip().casefold() in UNKNOWN:
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.inf
        if not math.isfinite(value):
            raise DataError(
                "a value is no number", where=f"{where}, line {row}, column {name!r}", found=repr(text)
            ) from None
        yield Value(row, period, value, known)


def _withdrawn(
    columns: Columns, shape: Shape, periods: Sequence[Period], knowns: Sequence[int | None], config: IndicatorConfig
) -> Iterator[Value]:
    """Ends of validity that no later value of the same period takes over."""
    zone, release = ZoneInfo(config.timezone), config.time_of_release
    begun = {(period.first, known) for period, known in zip(periods, knowns, strict=True)}
    assert shape.until is not None  # noqa: S101 - the caller looks
    for (row, text), period in zip(columns.numbered(shape.until), periods, strict=True):
        found = read_period(text)
        if found is None or found.length is not None or found.first >= NEVER_ENDS:
            continue
        ended = moment_of(found.first + DAY, release, zone)
        if (period.first, ended) not in begun:
            yield Value(row, period, math.nan, ended)


def _period(text: str, row: int, column: str, where: str) -> Period:
    found = read_period(text)
    if found is None:
        raise DataError(
            "a period cannot be read",
            where=f"{where}, line {row}, column {column!r}",
            expected="2024-03-01, 2024-03, 2024-Q1, 2024-W12 or 2024",
            found=repr(text),
        )
    return found


def _known(text: str, row: int, column: str, config: IndicatorConfig, where: str) -> int:
    found = read_known(text, config.time_of_release, ZoneInfo(config.timezone))
    if found is None:
        raise DataError(
            "a time of publication cannot be read",
            where=f"{where}, line {row}, column {column!r}",
            expected="a date or a time, such as 2024-01-25 or 2024-01-25T08:30:00-05:00",
            found=repr(text),
        )
    return found


def _length(values: Sequence[Value], config: IndicatorConfig, where: str) -> PeriodLength | None:
    """The length of a period: declared, written in the periods themselves, or that of the first ones known.

    It depends on nothing that became known later, so that later rows cannot change how earlier ones are taken.
    """
    written = {one.period.length for one in values}
    if len(written) > 1:
        raise DataError(
            "the periods of the series are of different lengths",
            where=where,
            expected="one length",
            found=", ".join(sorted(str(one or "dates") for one in written)),
            hint="choose by column, such as series: {FREQUENCY: M}",
        )
    length = next(iter(written)) or config.period
    if length is None:
        if config.lag is None and config.transform == "level":
            return None
        length = length_between(_first_known(values))
    if length is None:
        raise UsageError(
            "the length of a period cannot be found from the dates",
            where=where,
            expected="dates a day, a week, a month, a quarter or a year apart",
            hint="declare it: period: month",
        )
    distances = np.diff(sorted({days_since_1970(one.period.first) for one in values}))
    if len(distances) and int(distances.min()) < shortest_days(length):
        raise UsageError(
            f"two dates are closer to each other than a {length}",
            where=where,
            expected=f"first days of periods of a {length}, as the first ones are",
            found=f"{int(distances.min())} days between two of them",
            hint="declare the length: period: month",
        )
    return length


def _first_known(values: Sequence[Value]) -> set[date]:
    """First days of the periods that were known at the first time at which there were two."""
    days: set[date] = set()
    ordered = sorted(values, key=lambda one: (one.known_ns or 0, one.period.first))
    for one, following in zip(ordered, [*ordered[1:], None], strict=True):
        days.add(one.period.first)
        together = following is not None and one.known_ns is not None and following.known_ns == one.known_ns
        if len(days) >= 2 and not together:
            break
    return days


def _lagged(one: Value, length: PeriodLength | None, config: IndicatorConfig, where: str) -> Value:
    assert length is not None  # noqa: S101 - a lag needs it
    zone, last = ZoneInfo(config.timezone), last_day(one.period.first, length)
    if config.lag_hours is not None:
        return one._replace(known_ns=end_of(last, zone) + config.lag_hours * 3_600_000_000_000)
    day = last + timedelta(days=config.lag_days or 0)
    return one._replace(known_ns=moment_of(day, config.time_of_release, zone))


def _table(
    values: list[Value], shape: Shape, config: IndicatorConfig, where: str, length: PeriodLength | None
) -> IndicatorTable:
    # what is withdrawn goes before what takes its place
    values.sort(key=lambda one: (one.known_ns or 0, not math.isnan(one.value), one.period.first))
    kept: list[Value] = []
    places: dict[tuple[int | None, date, bool], int] = {}
    for one in values:
        key = (one.known_ns, one.period.first, math.isnan(one.value))
        before = places.get(key)
        if before is None:
            places[key] = len(kept)
            kept.append(one)
        elif not math.isnan(one.value) and kept[before].value != one.value:
            raise DataError(
                "two values of one period were published at the same time",
                where=f"{where}, lines {kept[before].row} and {one.row}",
                expected="one value of a period at a time",
                found=f"{kept[before].value:g} and {one.value:g} for {one.period.first}",
                hint="choose one series by column, such as series: {FREQUENCY: M}",
            )
    known_at = np.array([one.known_ns for one in kept], np.int64)
    return IndicatorTable(
        shape.series,
        where,
        np.array([days_since_1970(one.period.first) for one in kept], np.int64),
        np.array([one.value for one in kept]),
        known_at,
        numbered_vintages(known_at),
        bool(shape.vintages),
        length,
        config.lag is not None,
        tuple(_remarks(kept, shape, config, length)),
    )


def _remarks(
    values: Sequence[Value], shape: Shape, config: IndicatorConfig, length: PeriodLength | None
) -> Iterator[str]:
    if config.lag is not None:
        yield (
            f"a value is taken as known {config.lag} after the end of its {length}, as declared; "
            "it may be a revised one, since the file holds one value of each"
        )
    if length is not None and config.period is None and values[0].period.length is None:
        yield f"its dates are taken for the first days of periods of a {length}"
    early = sum(1 for one in values if one.known_ns is not None and one.known_ns < nanoseconds_of_day(one.period.first))
    if early:
        yield f"{early} of its values {'is' if early == 1 else 'are'} known before the period begins"


def nanoseconds_of_day(day: date) -> int:
    """The beginning of a day, UTC, nanoseconds."""
    return days_since_1970(day) * 86_400_000_000_000
