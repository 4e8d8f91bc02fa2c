"""Arrow columns into NumPy arrays, where some cells cannot be read.

Whether a cell can be read depends on that cell alone, never on its neighbours or on how a file is cut into batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.types.blocks import Bools, Floats

Array = Any  # pyarrow publishes no types

MISSING = (
    *("", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "NULL", "Null"),
    *("None", "none", "<NA>", "NaT", "-", "--"),
)
_LEAF = 32


def is_text(kind: Any) -> bool:
    """Whether a column type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Whether a column type holds numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def plain(array: Array) -> Array:
    """One array without dictionary encoding."""
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def trimmed(array: Array) -> Array:
    """Text without surrounding blanks; what stands for a missing value becomes null."""
    text = pc.ascii_trim_whitespace(array.cast(pa.string()))
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING, pa.string())), pa.scalar(None, pa.string()), text)


def cast_tolerant(array: Array, kind: Any) -> Array:
    """Cast each cell; those that cannot be cast become null. Halves the array until the bad ones are alone."""
    try:
        return array.cast(kind)
    except pa.ArrowInvalid:
        pass
    if len(array) <= _LEAF:
        return pa.array([_cast_one(array, at, kind) for at in range(len(array))], kind)
    middle = len(array) // 2
    # usually few cells are bad: most halves cast at once
    halves = [cast_tolerant(array.slice(0, middle), kind), cast_tolerant(array.slice(middle), kind)]
    return pa.concat_arrays(halves)


def _cast_one(array: Array, at: int, kind: Any) -> Any:
    try:
        return array.slice(at, 1).cast(kind)[0]
    except pa.ArrowInvalid:
        return None


def to_floats(array: Array) -> tuple[Floats, Bools | None]:
    """Numbers of a column.

    Args:
        array: Numbers, or text that holds numbers.

    Returns:
        Values, NaN where there is none, writable, shape (n,); and which cells hold something that is no number,
        None if no cell does.
    """
    cells = plain(array)
    if is_number(cells.type):
        if pa.types.is_decimal(cells.type):
            cells = cells.cast(pa.string())  # Arrow does not round decimals to the nearest double; text it does
        floats = cells if pa.types.is_float64(cells.type) else cells.cast(pa.float64(), safe=False)
        return np.array(floats.to_numpy(zero_copy_only=False), np.float64), None
    try:
        floats = cells.cast(pa.float64())
    except pa.ArrowInvalid:
        cells = trimmed(cells)
        floats = cast_tolerant(cells, pa.float64())
    values = np.array(floats.to_numpy(zero_copy_only=False), np.float64)
    if floats.null_count == cells.null_count:
        return values, None
    return values, valid_mask(cells) & ~valid_mask(floats)


def valid_mask(array: Array) -> Bools:
    """Which cells are not null, shape (n,)."""
    mask: Bools = array.is_valid().to_numpy(zero_copy_only=False)
    return mask


def to_ints(array: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Integers with 0 for null, shape (n,)."""
    return np.asarray(pc.fill_null(array, 0).to_numpy(zero_copy_only=False), np.int64)
