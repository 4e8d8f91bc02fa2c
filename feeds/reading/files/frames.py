"""Frames as if they were files: pandas, polars, Arrow, mappings of arrays, structured arrays.

A frame is read by the same reader as a file, so that its columns, times, labels and rows are found and checked alike.
No library is imported to recognise its frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from engine.base.errors import DataError, UsageError
from feeds.reading.columns.casting import MISSING, Array
from feeds.reading.columns.names import SYMBOL_NAMES, VALUE_NAMES, normalise
from feeds.reading.files.arrow_file import ROWS, table_batch
from feeds.reading.files.bar_file import BarFile, FileBatch
from feeds.reading.files.pandas_frames import Columns, Fields, pandas_parts

ACCEPTED = "a pandas or polars frame, an Arrow table, a mapping of arrays, or a mapping from symbol to any of these"
_VALUES = {name for accepted in VALUE_NAMES.values() for name in accepted}


class FrameFile(BarFile):
    """A frame as a file of bars; columns become Arrow arrays when they are first read.

    Args:
        source: What it is, for messages.
        symbol: What its bars are called if no column says.
        columns: How to get each column, by name in order.
        time: Position of the column that is the index; None if there is no such.
        named: Whether the frame or the caller names the symbol.
    """

    format, typed = "frame", True

    def __init__(
        self,
        source: str,
        symbol: str,
        columns: Sequence[tuple[str, Callable[[], Any]]],
        rows: int,
        time: int | None = None,
        named: bool = False,
    ) -> None:
        self.source, self.symbol, self.time, self.named = source, symbol, time, named
        self.names = tuple(name for name, _ in columns)
        self.rows_hint = rows
        self._columns = [column for _, column in columns]
        self._read: dict[int, Array] = {}

    def column(self, at: int) -> Array:
        """The whole column at a position."""
        if at not in self._read:
            self._read[at] = arrow_array(self._columns[at]())
        return self._read[at]

    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Read the columns at these positions from the start."""
        whole = {at: self.column(at) for at in columns}
        counts = {self.names[at]: len(column) for at, column in whole.items()}
        if len(set(counts.values())) > 1:
            raise DataError(
                "the columns have different lengths",
                where=self.source,
                expected="one length",
                found=", ".join(f"{name} {count}" for name, count in counts.items()),
            )
        for start in range(0, next(iter(counts.values()), 0), ROWS):
            part = {at: column.slice(start, ROWS) for at, column in whole.items()}
            yield table_batch(part, self.names, start + 1)


def is_frame(data: Any) -> bool:
    """Whether `frame_files` can read this: a frame, or a mapping of arrays or frames."""
    return _is_table(data) or (isinstance(data, Mapping) and len(data) > 0)


def frame_files(data: Any, symbol: str) -> list[FrameFile]:
    """A frame, or a mapping from symbol to frame, as files.

    Args:
        data: What `is_frame` accepts.
        symbol: What the bars are called if neither the frame nor a mapping says.

    Raises:
        UsageError: If a mapping holds something else than frames.
        DataError: If a frame that a mapping names holds several symbols.
    """
    is_nested = isinstance(data, Mapping) and all(isinstance(one, Mapping) or _is_table(one) for one in data.values())
    if not is_nested:
        return _files(_parts(data), symbol, named=False)
    files = []
    for name, frame in data.items():
        inner = _parts(frame)
        if len(inner) > 1:
            found = f"{len(inner)} symbols"
            raise UsageError("cannot read the bars of a symbol", where=str(name), expected="one frame", found=found)
        files += _files(inner, str(name), named=True)
    return files


def _is_table(data: Any) -> bool:
    if isinstance(data, Mapping):
        return False
    if isinstance(data, np.ndarray):
        return data.dtype.names is not None
    if hasattr(data, "collect_schema") or _is_pandas(data):
        return True
    return hasattr(data, "__arrow_c_stream__") and (hasattr(data, "columns") or hasattr(data, "schema"))


def _is_pandas(data: Any) -> bool:
    return hasattr(data, "iloc") and hasattr(data, "columns") and hasattr(data, "index")


def _files(parts: Sequence[tuple[str | None, Columns]], symbol: str, *, named: bool) -> list[FrameFile]:
    files = []
    for own, (kind, columns, rows, time) in parts:
        name = symbol if own is None or named else own
        source = f"{kind} {name}" if named or own is not None else kind
        file = FrameFile(source, name, columns, rows, time, named or own is not None)
        files.append(_without_symbols(file, columns, rows) if named else file)
    return files


def _without_symbols(file: FrameFile, columns: Fields, rows: int) -> FrameFile:
    """A frame whose symbol the mapping names; a symbol column must not hold several."""
    drop = [at for at, name in enumerate(file.names) if normalise(name) in SYMBOL_NAMES]
    for at in drop:
        found = file.column(at).unique()
        if len(found) > 1:
            raise DataError(
                f"the frame of {file.symbol!r} holds several symbols",
                where=f"{file.source}, column {file.names[at]!r}",
                expected="one",
                found=", ".join(str(value) for value in found[:5].to_pylist()),
                hint="pass the frame itself instead of a mapping",
            )
    if not drop:
        return file
    kept = [at for at in range(len(columns)) if at not in drop]
    time = None if file.time is None else kept.index(file.time)
    return FrameFile(file.source, file.symbol, [columns[at] for at in kept], rows, time, named=True)


def _parts(data: Any) -> list[tuple[str | None, Columns]]:
    """The frames in one object with their symbols, None where the object does not say."""
    return pandas_parts(data, _VALUES) if _is_pandas(data) else [(None, _single(data))]


def _single(data: Any) -> Columns:
    fields: Fields
    if isinstance(data, Mapping):
        first = next(iter(data.values()), ())
        fields = [(str(name), partial(data.__getitem__, name)) for name in data]
        return "mapping of arrays", fields, len(first) if hasattr(first, "__len__") else 0, None
    if isinstance(data, np.ndarray):
        fields = [(name, partial(data.__getitem__, name)) for name in data.dtype.names or ()]
        return "NumPy structured array", fields, len(data), None
    if hasattr(data, "collect_schema"):  # polars
        frame = data.collect() if hasattr(data, "collect") else data
        return "polars frame", [(name, partial(frame.__getitem__, name)) for name in frame.columns], len(frame), None
    table = pa.table(data)
    fields = [(name, partial(table.column, at)) for at, name in enumerate(table.column_names)]
    return "Arrow table", fields, table.num_rows, None


def arrow_array(column: Any) -> Array:
    """A column of any library as one Arrow array; objects of mixed types become text.

    Raises:
        DataError: If it is not a column.
    """
    if hasattr(column, "to_arrow"):
        column = column.to_arrow()
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks()
    if isinstance(column, pa.Array):
        return column
    try:
        made = pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        try:
            texts = (None if cell is None else str(cell) for cell in column)
            made = pa.array([None if text in MISSING else text for text in texts], pa.string())
        except TypeError as error:
            raise DataError("a column is not an array", expected="an array", found=type(column).__name__) from error
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made
