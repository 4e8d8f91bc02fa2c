"""Tables of a run folder and their columns, as numpy and as what a page holds."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.base.errors import DataError
from engine.types.blocks import Ints

MILLION = 1_000_000


def column(table: pa.Table, name: str, where: str) -> Any:
    """A column as numpy (times in nanoseconds UTC), words as a list.

    Raises:
        DataError: If there is no such column.
    """
    if name not in table.column_names:
        raise _without(name, table.column_names, where)
    values = table.column(name).combine_chunks()
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if pa.types.is_dictionary(values.type) or pa.types.is_boolean(values.type):
        return values.to_pylist()
    return values.to_numpy(zero_copy_only=False)


def coded(table: pa.Table, name: str, where: str) -> tuple[Ints, list[str]]:
    """A column of words as their numbers, -1 where there is none, and the words.

    Raises:
        DataError: If there is no such column.
    """
    if name not in table.column_names:
        raise _without(name, table.column_names, where)
    values = table.column(name).unify_dictionaries().combine_chunks()
    numbers: Ints = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers, values.dictionary.to_pylist()


def text_column(table: pa.Table, name: str, where: str) -> NDArray[np.str_]:
    """A column of words as numpy; an absent word is empty."""
    numbers, known = coded(table, name, where)
    return np.array([*known, ""], dtype=np.str_)[numbers]


def packed(values: Any, dtype: str = "f4") -> dict[str, str]:
    """Numbers as base64 of little-endian bytes, with the name of their type (f8, f4 or i4)."""
    array = np.ascontiguousarray(values, dtype=f"<{dtype}")
    return {"type": dtype, "bytes": base64.b64encode(array.tobytes()).decode("ascii")}


def times(values: Ints) -> dict[str, str]:
    """Nanoseconds as milliseconds, packed."""
    return packed(values / MILLION, "f8")


def place(ts_event: Ints, chart_ts: Ints) -> Ints:
    """The point of the chart that each time belongs to: a point stands for the rows up to its own time."""
    found: Ints = np.minimum(np.searchsorted(chart_ts, ts_event), max(len(chart_ts) - 1, 0))
    return found


def _without(name: str, found: Sequence[str], where: str) -> DataError:
    return DataError(f"the table has no column {name!r}", where=where, found=", ".join(found))
