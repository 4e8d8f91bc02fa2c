"""Written times into nanoseconds: ISO 8601 and the other orders and spellings that exports use.

Each cell is read by itself; what its neighbours hold changes nothing. The style of a file is settled once.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.types.blocks import Bools, Ints
from engine.types.timeframe import DAY_NS, HOUR_NS
from feeds.reading.columns.casting import Array, cast_tolerant, is_text, trimmed, valid_mask
from feeds.reading.times.epochs import Stamps, scaled

_Y, _M, _D = r"((?:19|20|21)\d\d)", r"(0[1-9]|1[0-2])", r"([0-3]\d)"
_M1, _D1 = r"(0?[1-9]|1[0-2])", r"([0-2]?[1-9]|[1-3]0|31)"
_Y24 = r"((?:19|20|21)\d\d|\d\d)"  # two digits where the year comes last
_REST = r"([T ,].*)?"
_MONTH = r"([A-Za-z]{3,9})\.?"
_WEEKDAY = r"(?:[A-Za-z]{3,9}\.?,? +)?"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAY_FIRST, MONTH_FIRST = "day/month/year text", "month/day/year text"
# what each style matches, and the same in ISO 8601; the first of those that match most of a file's head wins
STYLES = {
    "ISO 8601 text": (r"^\d{4}-\d\d?-\d\d?(?:[T ,D].*)?$", ""),
    "YYYYMMDD": (rf"^{_Y}{_M}{_D}$", r"\1-\2-\3"),
    "YYYYMMDD HHMM": (rf"^{_Y}{_M}{_D}[T -]*(\d\d):?(\d\d)$", r"\1-\2-\3 \4:\5"),
    "YYYYMMDD HHMMSS": (rf"^{_Y}{_M}{_D}[T -]*(\d\d):?(\d\d):?(\d\d)$", r"\1-\2-\3 \4:\5:\6"),
    "YYYYMMDD HHMMSSfff": (rf"^{_Y}{_M}{_D}[T -]+(\d\d):?(\d\d):?(\d\d)[. ]?(\d{{1,9}})$", r"\1-\2-\3 \4:\5:\6.\7"),
    "YYYYMMDDHHMMSS.fff": (rf"^{_Y}{_M}{_D}(\d\d):?(\d\d):?(\d\d)[. ](\d{{1,9}})$", r"\1-\2-\3 \4:\5:\6.\7"),
    # of digits alone, those of 16 and 19 are microseconds and nanoseconds since 1970 from 2033 on
    "YYYYMMDDHHMMSSfff": (rf"^{_Y}{_M}{_D}(\d\d)(\d\d)(\d\d)(\d{{3}}|\d{{6}}|\d{{9}})$", r"\1-\2-\3 \4:\5:\6.\7"),
    "YYYY.MM.DD text": (rf"^{_Y}[./]{_M1}[./]{_D1}{_REST}$", r"\1-\2-\3\4"),
    "DD.MM.YYYY text": (rf"^{_D1}\.{_M1}\.{_Y24}{_REST}$", r"\3-\2-\1\4"),
    DAY_FIRST: (rf"^{_D1}[/-]{_M1}[/-]{_Y24}{_REST}$", r"\3-\2-\1\4"),
    "day, month name, year text": (rf"^{_WEEKDAY}{_D1}[- /.]*{_MONTH}[- /.,]*{_Y24}{_REST}$", r"\3-\2-\1\4"),
    "month name, day, year text": (rf"^{_WEEKDAY}{_MONTH}[- /.]*{_D1}[- /,]+{_Y24}{_REST}$", r"\3-\1-\2\4"),
    "month name, day, time, year text": (
        rf"^{_WEEKDAY}{_MONTH} +{_D1} +(\d\d?:\d\d(?::\d\d)?) +{_Y}$",
        r"\4-\1-\2 \3",
    ),
    "year, month name, day text": (rf"^{_Y}[- /]*{_MONTH}[- /]*{_D1}{_REST}$", r"\1-\2-\3\4"),
    MONTH_FIRST: (rf"^{_M1}[/-]{_D1}[/-]{_Y24}{_REST}$", r"\3-\1-\2\4"),
}
# spellings of ISO 8601 that Arrow does not read
_TIDY = (
    (r"^([0-6]\d)-(\d\d?)-", r"20\1-\2-"),  # POSIX: two digits are 1969 to 2068
    (r"^([7-9]\d|69)-(\d\d?)-", r"19\1-\2-"),
    (r"^(\d{4})-(\d)-", r"\1-0\2-"),
    (r"^(\d{4}-\d\d)-(\d)([T ,].*)?$", r"\1-0\2\3"),
    (r"^(\S{10})(?:,\s*| {2,})", r"\1 "),
    (r"^(\d{4}-\d\d-\d\d)D(\d)", r"\1 \2"),  # BitMEX
    (r"^(\S{10}) (\d\d?)-([AaPp][Mm])$", r"\1 \2:00 \3"),  # CryptoDataDownload
    (r"\s*(?:UTC|GMT)?\s*([-+]\d\d:?\d\d)$", r"\1"),
    (r"\s*(?:UTC|GMT)([-+])(\d)$", r"\10\2:00"),  # group 1, then a zero
    (r"\s*(?:UTC|GMT|z)$", "Z"),
    (r"^(\S{10})[T ]+(\d):", r"\1 0\2:"),
    (r",(\d+)", r".\1"),
)
_KINDS = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))
_TWELVE = r"(?i)\d\s*([ap])\.?\s?m\.?$"
_MIDNIGHT = r"^(\S{10}[T ])24(:00(?::00(?:\.0+)?)?)(Z|[-+]\d\d:?\d\d)?$"


def read_texts(cells: Array, style: str) -> Stamps:
    """Text in one of `STYLES`, or digits of a date stored as numbers; with an offset or local, cell by cell.

    A time of 24:00 is midnight of the next day; AM and PM are read.
    """
    text = cells if is_text(cells.type) else trimmed(cells)
    pattern, iso = STYLES[style]
    if iso:
        text = pc.replace_substring_regex(trimmed(text), pattern, iso)
        if "month name" in style:
            text = _numbered(text)
    at_once = _all_alike(text)
    if at_once is not None:
        return at_once
    text = trimmed(text)
    for spelling, arrow in _TIDY:
        text = pc.replace_substring_regex(text, spelling, arrow)
    at_once = _all_alike(text)
    return _each(text) if at_once is None else at_once


def _numbered(text: Array) -> Array:
    """Dates such as 10-Dec-31 with the number of the month."""
    for number, name in enumerate(_MONTHS, start=1):
        text = pc.replace_substring_regex(text, rf"^(\d+)-(?i:{name})[A-Za-z]*\.?-", rf"\1-{number:02}-")
    return text


def _each(text: Array) -> Stamps:
    """Cells of different kinds: those with an offset, those without, 12-hour clocks and midnights called 24:00."""
    twelve = _matching(text, _TWELVE)
    afternoon = _matching(text, r"(?i)p\.?\s?m\.?$") & twelve
    midnight = _matching(text, _MIDNIGHT)
    if twelve.any():
        text = pc.if_else(pa.array(twelve), pc.replace_substring_regex(text, r"(?i)\s*[ap]\.?\s?m\.?$", ""), text)
    if midnight.any():
        text = pc.replace_substring_regex(text, _MIDNIGHT, r"\100\2\3")  # group 1, then two zeros
    naive, naive_good, _ = scaled(cast_tolerant(text, _KINDS[0]).cast(pa.int64()), 1, local=True)
    exact, exact_good, _ = scaled(cast_tolerant(text, _KINDS[1]).cast(pa.int64()), 1, local=False)
    stamps, good = np.where(naive_good, naive, exact), naive_good | exact_good
    if midnight.any():
        stamps = stamps + np.where(midnight & good, DAY_NS, 0)
    if twelve.any():
        stamps, good = _half_days(stamps, good & (naive_good | ~twelve), twelve, afternoon)
    return stamps, good, naive_good


def _half_days(stamps: Ints, good: Bools, twelve: Bools, afternoon: Bools) -> tuple[Ints, Bools]:
    """Twelve o'clock is the start of its half of the day; there is no hour 0 and none after 12."""
    hour = stamps // HOUR_NS % 24
    halves = np.where(afternoon, 12, 0) - np.where(hour == 12, 12, 0)
    good = good & (~twelve | ((hour >= 1) & (hour <= 12)))
    return stamps + np.where(twelve & good, halves * HOUR_NS, 0), good


def _matching(text: Array, pattern: str) -> Bools:
    found = pc.fill_null(pc.match_substring_regex(text, pattern), False)
    mask: Bools = found.to_numpy(zero_copy_only=False)
    return mask


def _all_alike(text: Array) -> Stamps | None:
    """All cells at once, where all have an offset or none has."""
    for kind in _KINDS:
        try:
            return scaled(text.cast(kind).cast(pa.int64()), 1, local=kind.tz is None)
        except pa.ArrowInvalid:
            continue
    return None


def slash_order(text: Array) -> tuple[bool, bool]:
    """Whether some of the dates can only be day first, and whether some can only be month first."""
    day = pc.match_substring_regex(text, STYLES[DAY_FIRST][0])
    month = pc.match_substring_regex(text, STYLES[MONTH_FIRST][0])
    day, month = (valid_mask(text) & pc.fill_null(side, False).to_numpy(zero_copy_only=False) for side in (day, month))
    return bool((day & ~month).any()), bool((month & ~day).any())
