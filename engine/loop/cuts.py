"""Declared cuts: the only rows between which weights, models or settings may change.

A cut is a property of the bars (their number or their session), never of the blocks they came in; a block that
contains one is split there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.types.blocks import BarBlock, Ints


class Cuts(Protocol):
    """Says before which rows of a block a cut falls."""

    def offsets(self, block: BarBlock) -> list[int]:
        """Row offsets in 0..rows-1, ascending; offset 0 is a cut right before the block."""
        ...


@dataclass(frozen=True, slots=True)
class NoCuts:
    """Nothing ever changes."""

    def offsets(self, block: BarBlock) -> list[int]:
        """No offsets."""
        return []


@dataclass(frozen=True, slots=True)
class EveryBars:
    """A cut before every row whose number is a multiple of `bars`, row 0 excepted."""

    bars: int

    def offsets(self, block: BarBlock) -> list[int]:
        """Offsets of the rows numbered k * bars."""
        first = max(-(-block.seq // self.bars), 1) * self.bars
        return list(range(first - block.seq, len(block), self.bars))


class SessionRolls:
    """A cut before the first row of every session but the first.

    Args:
        session_ends: Inclusive ends of sessions, nanoseconds UTC, ascending.
    """

    def __init__(self, session_ends: Ints) -> None:
        self._ends = session_ends
        self._session: int | None = None
        self._next_seq = 0

    def offsets(self, block: BarBlock) -> list[int]:
        """Offsets at which the session differs from that of the row before; blocks must come in order."""
        sessions = np.searchsorted(self._ends, block.ts_event)
        before = sessions[0] if self._session is None else self._session
        changed: Sequence[int] = np.flatnonzero(np.diff(sessions, prepend=before)).tolist()
        self._session = int(sessions[-1])
        return list(changed)
