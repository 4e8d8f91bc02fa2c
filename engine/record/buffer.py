"""Rows on their way to the tallies and the ledger table."""

from __future__ import annotations

import numpy as np

from engine.record.tallies import Rows
from engine.types.blocks import PRICE_COLUMNS
from engine.types.records import LEDGER_COLUMNS
from engine.types.step import StepBlock

MOST_ROWS = 131_072
LEAST_ROWS = 4_096
BUFFER_VALUES = 1 << 22


class RowBuffer:
    """Rows gathered from blocks of any size, so that blocks of one row cost little.

    Args:
        symbols: Number of symbols.
    """

    def __init__(self, symbols: int) -> None:
        width = 1 + len(LEDGER_COLUMNS) + symbols * (3 + len(PRICE_COLUMNS))
        self._capacity = max(LEAST_ROWS, min(MOST_ROWS, BUFFER_VALUES // width))
        self._ts_event = np.empty(self._capacity, np.int64)
        self._ledger = np.empty((self._capacity, len(LEDGER_COLUMNS)))
        self._positions = np.empty((self._capacity, symbols))
        self._bars = np.empty((self._capacity, symbols, len(PRICE_COLUMNS)))
        self._volume = np.empty((self._capacity, symbols))
        self._present = np.empty((self._capacity, symbols), np.bool_)
        self._used = 0

    @property
    def full(self) -> bool:
        """Whether no further row fits."""
        return self._used == self._capacity

    @property
    def empty(self) -> bool:
        """Whether it holds no row."""
        return self._used == 0

    def take(self, step: StepBlock, start: int) -> int:
        """Copy rows of a step from `start` on, as many as fit; returns how many."""
        count = min(len(step) - start, self._capacity - self._used)
        here, there = slice(self._used, self._used + count), slice(start, start + count)
        bars = step.bars
        self._ts_event[here] = bars.ts_event[there]
        self._ledger[here] = step.ledger[there]
        self._positions[here] = step.positions[there]
        self._present[here] = bars.present[there]
        for p, name in enumerate(PRICE_COLUMNS):
            self._bars[here, :, p] = getattr(bars, name)[there]
        self._volume[here] = bars.volume[there]
        self._used += count
        return count

    def rows(self) -> Rows:
        """The rows as views, which hold until `clear`."""
        used = slice(0, self._used)
        return Rows(
            self._ts_event[used],
            self._ledger[used],
            self._positions[used],
            self._bars[used],
            self._volume[used],
            self._present[used],
        )

    def clear(self) -> None:
        """Forget the rows."""
        self._used = 0
