"""A file that runs from its newest row to its oldest, turned around."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from engine.base.errors import DataError
from engine.types.blocks import Ints
from feeds.reading.columns.casting import plain
from feeds.reading.files.bar_file import BarFile, FileBatch

MOST_ROWS = 5_000_000  # turning a file around holds all of it in memory
_CLEAR = 10  # as many steps back as forward, before a file counts as newest first


def runs_backwards(times: Ints, codes: Ints) -> bool:
    """Whether the times of nearly every symbol's rows go back from row to row.

    Args:
        times: Labels in file order, nanoseconds UTC, shape (n,).
        codes: Number of each row's symbol, shape (n,).
    """
    by_symbol = np.argsort(codes, kind="stable")
    steps = np.diff(times[by_symbol])[np.diff(codes[by_symbol]) == 0]
    return int((steps < 0).sum()) > _CLEAR * int((steps > 0).sum())


class ReversedFile(BarFile):
    """The rows of a file from the last to the first, in one batch."""

    def __init__(self, file: BarFile) -> None:
        self._file = file
        self.source, self.time, self.names = file.source, file.time, file.names
        self.symbol, self.named = file.symbol, file.named
        self.format = f"{file.format}, newest first"
        self.rows_hint, self.declared, self.remarks = file.rows_hint, file.declared, file.remarks

    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Read the columns at these positions, last row first.

        Raises:
            DataError: If there are more than `MOST_ROWS` rows.
        """
        parts: list[FileBatch] = []
        rows = 0
        for batch in self._file.batches(columns):
            parts.append(batch)
            rows += len(batch.lines)
            if rows > MOST_ROWS:
                raise DataError(
                    "the file runs backwards",
                    where=self.source,
                    expected=f"bars from the oldest to the newest, or at most {MOST_ROWS:,} of them",
                    found=f"more than {MOST_ROWS:,} rows, newest first",
                    hint="sort the file by time",
                )
        if parts:
            yield _turned(parts, columns)


def _turned(parts: Sequence[FileBatch], columns: Sequence[int]) -> FileBatch:
    ends = np.cumsum([len(part.lines) for part in parts])

    def raw(row: int) -> str:
        place = int(ends[-1]) - 1 - row
        part = int(np.searchsorted(ends, place, side="right"))
        return parts[part].raw(place - int(ends[part] - len(parts[part].lines)))

    order = pa.array(np.arange(int(ends[-1]) - 1, -1, -1))
    return FileBatch(
        {at: pa.concat_arrays([plain(part.columns[at]) for part in parts]).take(order) for at in columns},
        np.concatenate([part.lines for part in parts])[::-1],
        through=parts[-1].through,
        raw=raw,
        malformed=[line for part in parts for line in part.malformed],
    )
