"""Cells of a time column into nanoseconds: Arrow timestamps and epochs.

Each cell is read by itself; what its neighbours hold changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from engine.types.blocks import Bools, Floats, Ints
from engine.types.timeframe import DAY_NS
from feeds.reading.columns.casting import Array, cast_tolerant, is_text, to_floats, to_ints, trimmed, valid_mask

# 1678 and 2261, with room for a bar width and a zone's offset
EARLIEST_NS = -9_214_000_000_000_000_000
LATEST_NS = 9_214_000_000_000_000_000
# 1973 and 2261: the same digits mean one moment in one unit only
EPOCH_FLOOR_S = 100_000_000
EPOCH_CEILING_S = 9_214_000_000
UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

# times in nanoseconds, which cells are good and which are local times without an offset, each of shape (n,)
Stamps = tuple[Ints, Bools, Bools]


def read_timestamps(cells: Array) -> Stamps:
    """Arrow timestamps and dates of any unit; those with a zone are UTC inside."""
    if pa.types.is_date(cells.type):
        return scaled(cells.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), DAY_NS, local=True)
    return scaled(cells.cast(pa.int64()), UNITS[cells.type.unit], local=cells.type.tz is None)


def read_epochs(cells: Array, unit: str) -> Stamps:
    """Numbers, or text that holds numbers, counted from 1970 in UTC.

    The size of a number tells its unit, cell by cell: exports changed from milliseconds to microseconds midway.

    Args:
        unit: s, ms, us or ns; that of most cells, which is tried first.
    """
    if not is_text(cells.type):
        if pa.types.is_integer(cells.type):
            return _whole_epochs(cells.cast(pa.int64(), safe=False), unit)
        return _fractional_epochs(to_floats(cells)[0])
    text = trimmed(cells)
    whole = cast_tolerant(text, pa.int64())
    stamps, good, local = _whole_epochs(whole, unit)
    if whole.null_count == text.null_count:
        return stamps, good, local
    fractions, fine, _ = _fractional_epochs(to_floats(text)[0])
    is_whole = valid_mask(whole)
    return np.where(is_whole, stamps, fractions), np.where(is_whole, good, fine), local


def read_of_day(cells: Array, unit: str, day: int) -> Stamps:
    """Numbers, or text that holds numbers, counted from midnight on the local clock.

    Args:
        unit: s or ms.
        day: Midnight, nanoseconds since 1970.
    """
    values = to_floats(cells)[0]
    good = (values >= 0) & (values * UNITS[unit] <= DAY_NS)
    safe = np.where(good, values, 0.0)
    whole = np.floor(safe)
    stamps = whole.astype(np.int64) * UNITS[unit] + np.rint((safe - whole) * UNITS[unit]).astype(np.int64)
    return stamps + day, good, np.ones(len(values), np.bool_)


def epoch_scales(values: Any) -> Ints:
    """Nanoseconds in the unit of each number, by its size; 0 for a number that is a moment in no unit."""
    scales = np.zeros(len(values), np.int64)
    for scale in UNITS.values():
        scales[plausible(values / (1e9 / scale))] = scale
    return scales


def plausible(seconds: Any) -> Bools:
    """Whether numbers can be moments counted in seconds."""
    within: Bools = (seconds >= EPOCH_FLOOR_S) & (seconds <= EPOCH_CEILING_S)
    return within


def scaled(cells: Array, scale: int, *, local: bool) -> Stamps:
    """Whole numbers of units of `scale` nanoseconds; those beyond the years that are supported are bad."""
    values = to_ints(cells)
    good = (values >= EARLIEST_NS // scale) & (values <= LATEST_NS // scale)
    if cells.null_count:
        good &= valid_mask(cells)
    safe = values if good.all() else np.where(good, values, 0)
    return safe if scale == 1 else safe * scale, good, np.full(len(values), local)


def _whole_epochs(cells: Array, unit: str) -> Stamps:
    values = to_ints(cells)
    good = plausible(values / (1e9 / UNITS[unit]))
    if good.all() and not cells.null_count:
        return values * UNITS[unit], good, np.zeros(len(values), np.bool_)
    scales = epoch_scales(values)
    good = (scales > 0) & valid_mask(cells)
    return np.where(good, values, 0) * scales, good, np.zeros(len(values), np.bool_)


def _fractional_epochs(values: Floats) -> Stamps:
    scales = epoch_scales(values)
    good = scales > 0
    safe = np.where(good, values, 0.0)
    units = np.floor(safe)
    # apart, because whole seconds in nanoseconds are beyond the precision of a float
    stamps = units.astype(np.int64) * scales + np.rint((safe - units) * scales).astype(np.int64)
    return stamps, good, np.zeros(len(values), np.bool_)
