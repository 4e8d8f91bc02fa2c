"""Declared cuts: the only rows between which weights, models or settings may change.

A cut is a property of the bars (their number or their session), never of the blocks they came in; a block that
contains one is split there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.types.blocks import BarBlock, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """Says before which rows a cut falls; row 0 of a run is none.

    Attributes:
        every_bars: A cut before every row whose number is a multiple of it; None is no such cut.
        session_ends: Inclusive ends of sessions, nanoseconds UTC, ascending, with a cut before the first row after
            each; None is no such cut.
    """

    every_bars: int | None = None
    session_ends: Ints | None = None

    def offsets(self, block: BarBlock, before_ns: int | None) -> list[int]:
        """Row offsets in 0..rows-1, ascending; offset 0 is a cut right before the block.

        Args:
            block: At least one row.
            before_ns: Time of the row before it, nanoseconds UTC; None where there is none.
        """
        found: set[int] = set()
        if self.every_bars is not None:
            first = max(-(-block.seq // self.every_bars), 1) * self.every_bars
            found.update(range(first - block.seq, len(block), self.every_bars))
        if self.session_ends is not None:
            times = np.concatenate(([block.ts_event[0] if before_ns is None else before_ns], block.ts_event))
            found.update(np.flatnonzero(np.diff(np.searchsorted(self.session_ends, times))).tolist())
        return sorted(found)
