"""The time column of a file into nanoseconds UTC, whatever its form.

Stamps may be Arrow timestamps and dates, epochs in seconds to nanoseconds, ISO 8601 text with or without an offset,
`20240131 235900`, `2024.01.31 23:59`, `31.01.2024 23:59`, or a date and a time of day in columns of their own. The
form is settled once, from the head of the file, so that it cannot depend on how the rest is cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.blocks import Bools, Ints
from engine.errors import DataError
from feeds.reading.casting import Array, is_number, is_text, plain, to_floats, trimmed
from feeds.reading.stamps import STYLES, UNITS, plausible, read_epochs, read_texts, read_timestamps
from feeds.reading.zones import LocalClock

READABLE = "2024-01-31 23:59:00, with an offset or without, or an epoch in seconds, ms, us or ns"
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_EPOCH = r"^\d{9,19}(?:\.\d*)?$"
_SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class TimeReader:
    """How to read the time column of one file.

    Attributes:
        kind: Arrow timestamps or dates, epochs, or text.
        form: The unit of an epoch or the style of a text.
        digits: How many digits a time of day in a column of its own has, where it is written in digits alone.
    """

    kind: Literal["timestamp", "epoch", "text"]
    form: str
    digits: int = 6

    @property
    def described(self) -> str:
        """The form, for people."""
        return f"epoch {_UNIT_NAMES[self.form]}" if self.kind == "epoch" else self.form

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
        if self.kind == "timestamp":
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


def settle(columns: Sequence[Array], where: str) -> TimeReader:
    """Find the form of a time column from the head of its file.

    Args:
        columns: The time column; or the date column and the time-of-day column.
        where: File and column, for the message.

    Raises:
        DataError: If none of the cells can be read.
    """
    digits = _digits(columns[1]) if len(columns) > 1 else 6
    head = _cells(columns, digits)
    if pa.types.is_timestamp(head.type) or pa.types.is_date(head.type):
        return TimeReader("timestamp", f"Arrow {head.type}")
    if not is_text(head.type) and not is_number(head.type):
        raise DataError("the time column holds no times", where=where, expected=READABLE, found=f"type {head.type}")
    whole = head.cast(pa.int64(), safe=False) if pa.types.is_floating(head.type) else head
    text = trimmed(whole).drop_null()[:_SAMPLE]
    votes = {style: _matches(text, pattern) for style, (pattern, _) in STYLES.items()}
    style = max(votes, key=lambda name: votes[name])
    if votes[style] and votes[style] >= _matches(text, _EPOCH):
        return TimeReader("text", style, digits)
    unit = _epoch_unit(text)
    if unit is None:
        first = repr(text[0].as_py()) if len(text) else "nothing but empty cells"
        raise DataError(
            "the time column cannot be read",
            where=where,
            expected=READABLE,
            found=first,
            hint="write dates as year-month-day; 01/02/2024 may be January or February" if "/" in first else None,
        )
    return TimeReader("epoch", unit)


def _matches(text: Array, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0)


def _epoch_unit(text: Array) -> str | None:
    """The unit in which most cells are a moment from 1973 to 2261; the ranges of the four do not overlap."""
    values, _ = to_floats(text)
    within = {unit: np.count_nonzero(plausible(values / (1e9 / scale))) for unit, scale in UNITS.items()}
    best = max(within, key=lambda unit: within[unit])
    return best if within[best] else None


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
    return 4 if bare and max(map(int, bare)) <= 2400 else 6
