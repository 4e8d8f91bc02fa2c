"""Parquet, Feather and Arrow IPC as batches of typed columns, with the row number of every row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.base.errors import DataError
from feeds.reading.files.bar_file import BarFile, FileBatch, symbol_from, unreadable

ROWS = 1 << 14  # a batch with all that is computed from it stays in the cache of a core
_BUFFER_BYTES = 1 << 18
MOST_GROUP_BYTES = 1 << 30  # of a row group's columns that are read, unpacked; one group of common writers is 0.1 GiB
# what Arrow lets out of a damaged file: names that are no text and numbers out of range among it
DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, TypeError, MemoryError)


class ParquetBarFile(BarFile):
    """A Parquet file; read by pages, in row groups of at most MOST_GROUP_BYTES unpacked.

    Raises:
        DataError: If it is damaged or holds no column.
    """

    format = "Parquet"

    def __init__(self, path: Path) -> None:
        self.path, self.source, self.symbol = path, str(path), symbol_from(path)
        with self._open() as file, _readable(path, self.format):
            self.names = tuple(str(name) for name in file.schema_arrow.names)
            self.rows_hint = file.metadata.num_rows

    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Read the columns at these positions from the start."""
        names = [self.names[at] for at in columns]
        first = 1
        with self._open() as file:
            with _readable(self.path, self.format):
                self._check_groups(file.metadata, tuple(f"{name}." for name in names))
            batches = file.iter_batches(batch_size=ROWS, columns=names, use_threads=True)
            while True:
                with _readable(self.path, self.format):
                    rows = next(batches, None)
                if rows is None:
                    return
                if rows.num_rows:
                    yield table_batch({at: rows.column(self.names[at]) for at in columns}, self.names, first)
                first += rows.num_rows

    def _check_groups(self, metadata: Any, paths: tuple[str, ...]) -> None:
        """Refuse a small file that unpacks to an immense one, by the sizes that its footer states.

        Args:
            paths: Names of the columns that are read, each with a dot behind it, under which nested columns lie.

        Raises:
            DataError: If a row group unpacks to more than MOST_GROUP_BYTES.
        """
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            chunks = (group.column(at) for at in range(group.num_columns))
            size = sum(
                chunk.total_uncompressed_size for chunk in chunks if f"{chunk.path_in_schema}.".startswith(paths)
            )
            if size > MOST_GROUP_BYTES:
                raise DataError(
                    "a row group of the file is too large when unpacked",
                    where=f"{self.path}, row group {number + 1} of {metadata.num_row_groups}",
                    expected=f"at most {MOST_GROUP_BYTES:,} bytes in the columns that are read",
                    found=f"{size:,} bytes in {group.num_rows:,} rows",
                    hint="write the file again with smaller row groups",
                )

    def _open(self) -> Any:
        with _readable(self.path, self.format):
            return pq.ParquetFile(self.path, buffer_size=_BUFFER_BYTES, pre_buffer=False)


class ArrowFile(BarFile):
    """A Feather (version 2) or Arrow IPC file, in the file or the stream layout.

    Raises:
        DataError: If it is damaged.
    """

    format = "Arrow IPC"

    def __init__(self, path: Path) -> None:
        self.path, self.source, self.symbol = path, str(path), symbol_from(path)
        with pa.memory_map(str(path)) as source, _readable(path, self.format):
            self.names = tuple(str(name) for name in self._reader(source).schema.names)

    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Read the columns at these positions from the start."""
        first = 1
        with pa.memory_map(str(self.path)) as source:
            for whole in self._batches(self._reader(source)):
                with _readable(self.path, self.format):
                    whole.validate(full=True)
                for start in range(0, whole.num_rows, ROWS):
                    rows = whole.slice(start, ROWS)
                    yield table_batch({at: rows.column(at) for at in columns}, self.names, first)
                    first += rows.num_rows

    def _batches(self, reader: Any) -> Iterator[Any]:
        with _readable(self.path, self.format):
            if isinstance(reader, pa.ipc.RecordBatchFileReader):
                yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                yield from reader

    def _reader(self, source: Any) -> Any:
        magic = source.read(6)
        source.seek(0)
        if magic[:4] == b"FEA1":
            raise DataError(
                "Feather version 1 is not supported",
                where=str(self.path),
                expected="Feather version 2",
                hint="read and write it again with a current library",
            )
        opener = pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream
        with _readable(self.path, self.format):
            return opener(source)


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise unreadable(path, kind, error) from error


def table_batch(columns: dict[int, Any], names: tuple[str, ...], first: int) -> FileBatch:
    """A batch of typed columns.

    Args:
        columns: Arrow arrays of n cells, by position.
        first: Number of the first row, counted from 1.
    """
    count = len(next(iter(columns.values())))

    def raw(row: int) -> str:
        cells = {names[at]: column[row].as_py() for at, column in columns.items()}
        return json.dumps(cells, default=str, ensure_ascii=False)

    return FileBatch(columns, np.arange(first, first + count, dtype=np.int64), through=first + count - 1, raw=raw)
