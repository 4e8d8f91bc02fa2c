"""Blocks of bars that are in memory already."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.types.blocks import BarBlock


class MemorySource:
    """One block of bars held in memory, labelled by close, handed out in slices."""

    def __init__(self, block: BarBlock) -> None:
        self._block = block

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return self._block.symbols

    @property
    def total_rows(self) -> int:
        """Rows in all."""
        return len(self._block)

    @property
    def timeframe_ns(self) -> int:
        """The most frequent distance between rows, nanoseconds; a minute if there is only one row."""
        gaps = np.diff(self._block.ts_event[:100_000])
        if not len(gaps):
            return 60_000_000_000
        values, counts = np.unique(gaps, return_counts=True)
        return int(values[counts.argmax()])

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Slices of `rows` rows, as views."""
        for start in range(0, len(self._block), rows):
            yield self._block.slice(start, min(start + rows, len(self._block)))
