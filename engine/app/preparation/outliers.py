"""Returns that stand out from the others of a series: reported, and never cut."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.types.blocks import BarBlock

BEYOND = 10.0
"""Robust deviations from which on a return stands out."""
SHOWN = 10
NORMAL = 1.4826
"""Deviation of a normal law over its median absolute deviation."""


class Outlier(NamedTuple):
    """A return that stands out.

    Attributes:
        ts_event: Close of its bar, nanoseconds UTC.
        log_return: From the close before.
        deviations: Its size in robust deviations.
    """

    ts_event: int
    log_return: float
    deviations: float


class Outliers:
    """Collects the returns of one symbol: 12 bytes a bar."""

    def __init__(self) -> None:
        self._returns: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
        self._times: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        self._last = np.nan

    def add(self, block: BarBlock) -> None:
        """Take the next bars."""
        close = np.concatenate([np.array([self._last]), block.close[:, 0]])
        usable = (close[1:] > 0.0) & (close[:-1] > 0.0)
        moves = np.log(close[1:][usable] / close[:-1][usable])
        self._returns.append(moves.astype(np.float32))
        self._times.append(block.ts_event[usable])
        self._last = float(block.close[-1, 0]) if len(block) else self._last

    def found(self) -> tuple[int, list[Outlier]]:
        """How many returns are beyond `BEYOND` robust deviations of those that move, and the largest of them."""
        moves = np.concatenate([np.empty(0, np.float32), *self._returns]).astype(np.float64)
        times = np.concatenate([np.empty(0, np.int64), *self._times])
        sizes = np.abs(moves)
        moving = sizes[sizes > 0.0]
        scale = NORMAL * float(np.median(moving)) if len(moving) else 0.0
        if scale == 0.0:
            return 0, []
        beyond = np.flatnonzero(sizes > BEYOND * scale)
        largest = beyond[np.argsort(-sizes[beyond], kind="stable")][:SHOWN]
        return len(beyond), [Outlier(int(times[at]), float(moves[at]), float(sizes[at] / scale)) for at in largest]
