"""The equity curve in bounded memory, however long the run."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Floats


class EquityHistory:
    """Lowest, highest and last equity of equal stretches of rows, which double when the buckets are full.

    What it holds depends only on the rows added, not on how they were cut into blocks.

    Args:
        capacity: Number of buckets, at least 2.
    """

    def __init__(self, capacity: int = 2048) -> None:
        self._capacity = max(2, capacity)
        self._low = np.full(self._capacity, np.nan)
        self._high = np.full(self._capacity, np.nan)
        self._last = np.full(self._capacity, np.nan)
        self._origin = 0
        self._end = 0
        self.stride = 1

    def __len__(self) -> int:
        return (self._end + self.stride - 1) // self.stride

    def place(self, row: int) -> float | None:
        """Where a row of the stream lies in the history, from 0 to 1; None where that does not hold it."""
        at = row - self._origin
        return at / (len(self) * self.stride) if 0 <= at < self._end else None

    @property
    def low(self) -> Floats:
        """Lowest equity of each bucket, account currency, NaN where no row was seen; a view."""
        return self._low[: len(self)]

    @property
    def high(self) -> Floats:
        """Highest equity of each bucket; a view."""
        return self._high[: len(self)]

    @property
    def last(self) -> Floats:
        """Equity after the last row of each bucket; a view."""
        return self._last[: len(self)]

    def add(self, row: int, equity: Floats) -> None:
        """Take in consecutive rows; rows may be left out before them, rows already seen are ignored.

        Args:
            row: Number of the first row in the stream.
            equity: Equity after each row, account currency, shape (rows,).
        """
        if not self._end:
            self._origin = row
        start = row - self._origin
        if start < self._end:
            equity, start = equity[self._end - start :], self._end
        if not len(equity):
            return
        self._end = start + len(equity)
        while self._end > self._capacity * self.stride:
            self._fold()
        bucket = start // self.stride
        # where in these rows each bucket begins; the first may have begun before
        heads = np.arange(bucket * self.stride - start, len(equity), self.stride)
        heads[0] = 0
        at = slice(bucket, bucket + len(heads))
        self._low[at] = np.fmin(self._low[at], np.fmin.reduceat(equity, heads))
        self._high[at] = np.fmax(self._high[at], np.fmax.reduceat(equity, heads))
        self._last[at] = equity[np.append(heads[1:], len(equity)) - 1]

    def _fold(self) -> None:
        """Merge buckets in pairs, so that each covers twice the rows."""
        for values, merge in ((self._low, np.fmin), (self._high, np.fmax), (self._last, _later)):
            padded = np.append(values, np.full(self._capacity % 2, np.nan))
            merged = merge(padded[0::2], padded[1::2])
            values[:] = np.nan
            values[: len(merged)] = merged
        self.stride *= 2


def _later(first: Floats, second: Floats) -> Floats:
    return np.where(np.isnan(second), first, second)
