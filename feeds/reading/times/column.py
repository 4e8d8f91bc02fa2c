"""The time column of a file into nanoseconds UTC, whatever its form.

Stamps may be Arrow timestamps and dates, epochs in seconds to nanoseconds, ISO 8601 text with or without an offset,
`20240131 235900`, `2024.01.31 23:59`, `31.01.2024 23:59`, `01/31/2024 11:59 PM`, or a date and a time of day in columns
of their own. The form is settled once, from the head of the file, so that it cannot depend on how the rest is cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import DataError
from engine.base.zones import check_zone
from engine.types.blocks import Bools, Ints
from feeds.reading.columns.casting import Array, is_number, is_text, plain, to_floats, trimmed
from feeds.reading.times.epochs import UNITS, epoch_scales, read_epochs, read_of_day, read_timestamps
from feeds.reading.times.texts import DAY_FIRST, MONTH_FIRST, STYLES, read_texts, slash_order
from feeds.reading.times.zones import LocalClock

READABLE = "2024-01-31 23:59:00, with an offset or without, or an epoch in seconds, ms, us or ns"
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_EPOCH = r"^\d{9,19}(?:\.\d*)?$"
_SAMPLE = 2000
DateOrder = Literal["auto", "day_first", "month_first"]


@dataclass(frozen=True, slots=True)
class TimeReader:
    """How to read the time column of one file.

    Attributes:
        kind: Arrow timestamps or dates, epochs, or text.
        form: The unit of an epoch or the style of a text.
        digits: How many digits a time of day in a column of its own has, where it is written in digits alone.
        others: Further units of epochs in the head of the file.
        day: Of times of day alone, midnight of their day, local time, nanoseconds since 1970.
        zone: Name of a zone that stands behind every text, as Interactive Brokers writes it.
    """

    kind: Literal["timestamp", "epoch", "text", "of day"]
    form: str
    digits: int = 6
    others: tuple[str, ...] = ()
    day: int = 0
    zone: str = ""

    @property
    def described(self) -> str:
        """The form, for messages."""
        if self.kind == "of day":
            day = np.datetime_as_string(np.datetime64(self.day, "ns"), unit="D")
            return f"{_UNIT_NAMES[self.form]} since midnight of {day}"
        if self.kind != "epoch":
            return f"{self.form} with the zone {self.zone}" if self.zone else self.form
        return f"epoch {' and '.join(_UNIT_NAMES[unit] for unit in (self.form, *self.others))}"

    def has_midnight(self, columns: Sequence[Array]) -> bool:
        """Whether some text names midnight as the 24:00 of the day before, which no opening time does."""
        return self.kind == "text" and _matches(_cells(columns, self.digits), r"[T ]24:?00") > 0

    def read(self, columns: Sequence[Array], clock: LocalClock, codes: Ints | None) -> tuple[Ints, Bools]:
        """Read one batch.

        Args:
            columns: The time column; or the date column and the time-of-day column.
            clock: Converts times that have no offset.
            codes: Number of each row's symbol, None if there is but one; for the clock.

        Returns:
            Times, nanoseconds UTC, and which of them are good, both of shape (n,).
        """
        cells = _cells(columns, self.digits)
        if self.zone:
            cells = pc.replace_substring_regex(trimmed(cells), rf"\s+{re.escape(self.zone)}$", "")
        if self.kind == "of day":
            stamps, good, local = read_of_day(cells, self.form, self.day)
        elif self.kind == "timestamp":
            stamps, good, local = read_timestamps(cells)
        elif self.kind == "epoch":
            stamps, good, local = read_epochs(cells, self.form)
        else:
            stamps, good, local = read_texts(cells, self.form)
        rows = np.flatnonzero(local & good)
        if not len(rows):
            return stamps, good
        utc, exists = clock.to_utc(stamps[rows], None if codes is None else codes[rows])
        if len(rows) == len(stamps):
            return utc, good if exists is None else exists
        stamps, good = stamps.copy(), good.copy()
        stamps[rows] = utc
        good[rows] = True if exists is None else exists
        return stamps, good


def settle(columns: Sequence[Array], where: str, order: DateOrder = "auto") -> TimeReader:
    """Find the form of a time column from the head of its file.

    Args:
        columns: The time column; or the date column and the time-of-day column.
        order: What 01/02/2024 means; auto finds out from dates that can be read in one way only.

    Raises:
        DataError: If none of the cells can be read, or nothing tells the day from the month.
    """
    digits = _digits(columns[1]) if len(columns) > 1 else 6
    head = _cells(columns, digits)
    zone = _zone_behind(head)
    if zone:
        head = pc.replace_substring_regex(trimmed(head), rf"\s+{re.escape(zone)}$", "")
    if pa.types.is_timestamp(head.type) or pa.types.is_date(head.type):
        return TimeReader("timestamp", f"Arrow {head.type}")
    if not is_text(head.type) and not is_number(head.type):
        raise DataError("the time column holds no times", where=where, expected=READABLE, found=f"type {head.type}")
    whole = head.cast(pa.int64(), safe=False) if pa.types.is_floating(head.type) else head
    text = trimmed(whole).drop_null()[:_SAMPLE]
    votes = {style: _matches(text, pattern) for style, (pattern, _) in STYLES.items()}
    style = max(votes, key=lambda name: votes[name])
    if votes[style] and votes[style] >= _matches(text, _EPOCH):
        if style in {DAY_FIRST, MONTH_FIRST}:
            style = _settle_order(trimmed(whole).drop_null(), where, order)
        return TimeReader("text", style, digits, zone=zone)
    units = _epoch_units(text)
    if not units:
        raise unreadable_times(text, where)
    return TimeReader("epoch", units[0], digits, units[1:])


def of_day(unit: str, day: int) -> TimeReader:
    """How to read times that count from midnight of a day.

    Args:
        unit: s or ms.
        day: Midnight, local time, nanoseconds since 1970.
    """
    return TimeReader("of day", unit, day=day)


def _zone_behind(head: Array) -> str:
    """The IANA name that stands behind every time of a head; empty if there is none."""
    if not is_text(head.type):
        return ""
    found = pc.extract_regex(trimmed(head).drop_null()[:_SAMPLE], r"\d\s+(?P<zone>[A-Z][A-Za-z_]+(?:/[A-Za-z_]+)+)$")
    names = found.drop_null().field("zone").unique().to_pylist()
    if len(names) != 1:
        return ""
    try:
        return check_zone(names[0])
    except ValueError:
        return ""


def unreadable_times(text: Array, where: str) -> DataError:
    """The error for a time column of which no cell can be read.

    Args:
        text: Some of its cells, none of them empty.
    """
    first = str(text[0].as_py()) if len(text) else None
    return DataError(
        "the time column cannot be read",
        where=where,
        expected=READABLE,
        found="nothing but empty cells" if first is None else repr(first),
        hint=None if first is None else _hint(first),
    )


def _hint(cell: str) -> str | None:
    number = re.fullmatch(r"(\d{1,8})(?:\.\d*)?", cell)
    if re.fullmatch(r"(?:19|20)\d\d-?(?:0[1-9]|1[0-2])?", cell):
        return "a year or a month needs a day: 2024-01-31"
    if re.search(r"\d\s*[A-Za-z_]+(?:/[A-Za-z_]+)+$|:\d\d\s*[A-Z]{3,4}$", cell):
        return "leave the zone out of the times and name it with --timezone, or write an offset such as -05:00"
    if number and 20_000 <= int(number[1]) <= 80_000:
        return "these look like day numbers of a spreadsheet; format the column as a date before saving"
    if number:
        return "the numbers are too small for an epoch; name the column that holds the times, and rename this one"
    if re.match(r"\d{1,2}:\d\d", cell):
        return "a time of day needs a date beside it: a column called date"
    return "write dates as year-month-day" if re.search(r"\d", cell) else None


def _settle_order(text: Array, where: str, order: DateOrder) -> str:
    if order != "auto":
        return DAY_FIRST if order == "day_first" else MONTH_FIRST
    day, month = slash_order(text)
    _refuse_year_first(text, where)
    if day != month:
        return DAY_FIRST if day else MONTH_FIRST
    raise DataError(
        "some dates can only be day first, others only month first" if day else "cannot tell the day from the month",
        where=where,
        expected="dates in one order" if day else "year-month-day, or a date with a day after the 12th",
        found=repr(str(text[0].as_py())),
        hint="say it: --date-order day_first or month_first (replay.date_order)",
    )


def _refuse_year_first(text: Array, where: str) -> None:
    """Refuse 24-01-31: two digits first change least, as years do.

    Raises:
        DataError: If the dates look so.
    """
    parts = pc.extract_regex(text, r"^(?P<first>\d\d)[/-]\d\d[/-](?P<last>\d\d)(?:[T ,].*)?$").drop_null()
    if len(parts) and len(parts.field("first").unique()) < len(parts.field("last").unique()):
        raise DataError(
            "the dates seem to begin with a year of two digits",
            where=where,
            expected="years of four digits",
            found=repr(str(text[0].as_py())),
            hint="write dates as year-month-day, such as 2024-01-31; or --date-order day_first",
        )


def _matches(text: Array, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0)


def _epoch_units(text: Array) -> tuple[str, ...]:
    """The units in which cells are a moment from 1973 to 2261, the most frequent first; their ranges do not overlap."""
    values, _ = to_floats(text)
    scales = epoch_scales(values).tolist()
    counts = {unit: scales.count(scale) for unit, scale in UNITS.items() if scale in scales}
    return tuple(sorted(counts, key=lambda unit: -counts[unit]))


def _cells(columns: Sequence[Array], digits: int) -> Array:
    """The time column, or a date and a time of day joined as one text."""
    if len(columns) == 1:
        return plain(columns[0])
    date = plain(columns[0])
    days = trimmed(pc.strftime(date, "%Y-%m-%d") if pa.types.is_timestamp(date.type) else date)
    times = _time_of_day(columns[1])
    padded = pc.ascii_lpad(times, digits, "0")
    bare = pc.match_substring_regex(times, r"^\d+$")
    with_colons = pc.replace_substring_regex(padded, r"^(\d\d)(\d\d)(\d\d)$", r"\1:\2:\3")
    with_colons = pc.replace_substring_regex(with_colons, r"^(\d\d)(\d\d)$", r"\1:\2")
    return pc.binary_join_element_wise(days, pc.if_else(bare, with_colons, times), " ")


def _time_of_day(column: Array) -> Array:
    time = plain(column)
    return trimmed(time.cast(pa.int64(), safe=False) if pa.types.is_floating(time.type) else time)


def _digits(column: Array) -> int:
    """Four for HHMM, six for HHMMSS, where leading zeros may be lost."""
    head = _time_of_day(column).drop_null()[:_SAMPLE].to_pylist()
    bare = [value for value in head if re.fullmatch(r"\d+", value)]
    return 4 if bare and max(map(len, bare)) <= 4 and max(map(int, bare)) <= 2400 else 6
