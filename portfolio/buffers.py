"""Memory for what a simulator hands out: large pieces, given away in slices that are never written again.

A ledger that is kept touches new memory with every block; by 4 KiB pages that costs more than the scan itself, so
pieces begin on a huge page, which the system then maps at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.types.blocks import Floats
from engine.types.records import Records

HUGE_PAGE = 1 << 21
SLAB_VALUES = 1 << 21  # 16 MiB


class FloatSlabs:
    """Uninitialised float64 matrices, cut one after the other from large pieces."""

    def __init__(self) -> None:
        self._slab: Floats = np.empty(0)
        self._used = 0

    def matrix(self, rows: int, columns: int) -> Floats:
        """A new C-contiguous matrix, shape (rows, columns)."""
        size = rows * columns
        # what is left of the old piece is given up: it stays in use by whoever holds a slice
        if self._used + size > len(self._slab):
            count = max(size, SLAB_VALUES)
            self._slab, self._used = aligned(count * 8).view(np.float64)[:count], 0
        piece = self._slab[self._used : self._used + size]
        self._used += size
        return piece.reshape(rows, columns)


def record_buffer(count: int, dtype: np.dtype[np.void]) -> Records:
    """An uninitialised buffer of records."""
    return aligned(count * dtype.itemsize).view(dtype)


def aligned(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Uninitialised bytes that begin on a huge page."""
    raw = np.empty(size + HUGE_PAGE, np.uint8)
    offset = -raw.ctypes.data % HUGE_PAGE
    return raw[offset : offset + size]
