"""Cells of a time column into nanoseconds: Arrow timestamps, epochs and text.

Each cell is read by itself; what its neighbours hold changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.blocks import Bools, Floats, Ints
from feeds.reading.casting import Array, cast_tolerant, is_text, to_floats, to_ints, trimmed, valid_mask

# 1678 and 2261, with room for a bar width and a zone's offset
EARLIEST_NS = -9_214_000_000_000_000_000
LATEST_NS = 9_214_000_000_000_000_000
# 1973 and 2261: the same digits mean one moment in one unit only
EPOCH_FLOOR_S = 100_000_000
EPOCH_CEILING_S = 9_214_000_000
DAY_NS = 86_400_000_000_000
UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

_Y, _M, _D = r"((?:19|20|21)\d\d)", r"(0[1-9]|1[0-2])", r"([0-3]\d)"
# what each style matches, and the same in ISO 8601; the first of those that match most of a file's head wins
STYLES = {
    "ISO 8601 text": (r"^\d{4}-\d\d-\d\d(?:[T ].*)?$", ""),
    "YYYYMMDD": (rf"^{_Y}{_M}{_D}$", r"\1-\2-\3"),
    "YYYYMMDD HHMM": (rf"^{_Y}{_M}{_D}[T ]?(\d\d):?(\d\d)$", r"\1-\2-\3 \4:\5"),
    "YYYYMMDD HHMMSS": (rf"^{_Y}{_M}{_D}[T ]?(\d\d):?(\d\d):?(\d\d)$", r"\1-\2-\3 \4:\5:\6"),
    "YYYYMMDD HHMMSSfff": (
        rf"^{_Y}{_M}{_D}[T ](\d\d):?(\d\d):?(\d\d)\.?(\d{{1,9}})$",
        r"\1-\2-\3 \4:\5:\6.\7",
    ),
    "YYYY.MM.DD text": (rf"^{_Y}[./]{_M}[./]{_D}(.*)$", r"\1-\2-\3\4"),
    "DD.MM.YYYY text": (rf"^{_D}\.{_M}\.{_Y}(.*)$", r"\3-\2-\1\4"),
}
# spellings of ISO 8601 that Arrow does not read
_TIDY = (
    (r"\s*(?:UTC|GMT)?\s*([-+]\d\d:?\d\d)$", r"\1"),
    (r"\s*(?:UTC|GMT|z)$", "Z"),
    (r"^(\S{10})[T ](\d):", r"\1 0\2:"),
    (r",(\d+)", r".\1"),
)
_KINDS = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))

# times in nanoseconds, which cells are good and which are local times without an offset, each of shape (n,)
Stamps = tuple[Ints, Bools, Bools]


def read_timestamps(cells: Array) -> Stamps:
    """Arrow timestamps and dates of any unit; those with a zone are UTC inside."""
    if pa.types.is_date(cells.type):
        return _scaled(cells.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), DAY_NS, local=True)
    return _scaled(cells.cast(pa.int64()), UNITS[cells.type.unit], local=cells.type.tz is None)


def read_epochs(cells: Array, unit: str) -> Stamps:
    """Numbers, or text that holds numbers, counted from 1970 in UTC.

    Args:
        cells: The column.
        unit: s, ms, us or ns.
    """
    if not is_text(cells.type):
        if pa.types.is_integer(cells.type):
            return _whole_epochs(cells.cast(pa.int64(), safe=False), unit)
        return _fractional_epochs(to_floats(cells)[0], unit)
    text = trimmed(cells)
    whole = cast_tolerant(text, pa.int64())
    stamps, good, local = _whole_epochs(whole, unit)
    if whole.null_count == text.null_count:
        return stamps, good, local
    fractions, fine, _ = _fractional_epochs(to_floats(text)[0], unit)
    is_whole = valid_mask(whole)
    return np.where(is_whole, stamps, fractions), np.where(is_whole, good, fine), local


def read_texts(cells: Array, style: str) -> Stamps:
    """Text in one of `STYLES`, or digits of a date stored as numbers; with an offset or local, cell by cell."""
    text = cells if is_text(cells.type) else trimmed(cells)
    pattern, iso = STYLES[style]
    if iso:
        text = pc.replace_substring_regex(trimmed(text), pattern, iso)
    at_once = _all_alike(text)
    if at_once is not None:
        return at_once
    text = trimmed(text)
    for spelling, arrow in _TIDY:
        text = pc.replace_substring_regex(text, spelling, arrow)
    at_once = _all_alike(text)
    if at_once is not None:
        return at_once
    naive, naive_good, _ = _scaled(cast_tolerant(text, _KINDS[0]).cast(pa.int64()), 1, local=True)
    exact, exact_good, _ = _scaled(cast_tolerant(text, _KINDS[1]).cast(pa.int64()), 1, local=False)
    return np.where(naive_good, naive, exact), naive_good | exact_good, naive_good


def plausible(seconds: Any) -> Bools:
    """Whether numbers can be moments counted in seconds."""
    within: Bools = (seconds >= EPOCH_FLOOR_S) & (seconds <= EPOCH_CEILING_S)
    return within


def _all_alike(text: Array) -> Stamps | None:
    """All cells at once, where all have an offset or none has."""
    for kind in _KINDS:
        try:
            return _scaled(text.cast(kind).cast(pa.int64()), 1, local=kind.tz is None)
        except pa.ArrowInvalid:
            continue
    return None


def _scaled(cells: Array, scale: int, *, local: bool) -> Stamps:
    values = to_ints(cells)
    good = (values >= EARLIEST_NS // scale) & (values <= LATEST_NS // scale)
    if cells.null_count:
        good &= valid_mask(cells)
    safe = values if good.all() else np.where(good, values, 0)
    return safe if scale == 1 else safe * scale, good, np.full(len(values), local)


def _whole_epochs(cells: Array, unit: str) -> Stamps:
    values = to_ints(cells)
    good = plausible(values / (1e9 / UNITS[unit])) & valid_mask(cells)
    return np.where(good, values, 0) * UNITS[unit], good, np.zeros(len(values), np.bool_)


def _fractional_epochs(values: Floats, unit: str) -> Stamps:
    scale = UNITS[unit]
    good = plausible(values / (1e9 / scale))
    safe = np.where(good, values, 0.0)
    units = np.floor(safe)
    # apart, because whole seconds in nanoseconds are beyond the precision of a float
    stamps = units.astype(np.int64) * scale + np.rint((safe - units) * scale).astype(np.int64)
    return stamps, good, np.zeros(len(values), np.bool_)
