"""The worst drawdowns of a run: when each began, where its bottom was, and when it was made good."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats, Ints

WORST = 5


class Drawdown(NamedTuple):
    """One decline of the equity below its peak.

    Attributes:
        start: Close time of the last row at the peak, nanoseconds UTC.
        trough: Close time of the lowest row.
        recovery: Close time of the first row at the peak again; None if that did not happen.
        end: `recovery`, or the close time of the last row.
        depth: Lowest equity over the peak less 1, negative.
    """

    start: int
    trough: int
    recovery: int | None
    end: int
    depth: float


def worst_drawdowns(ts_event: Ints, equity: Floats, initial: float, count: int = WORST) -> list[Drawdown]:
    """The deepest drawdowns, deepest first; they do not overlap.

    Args:
        ts_event: Close times of the rows, nanoseconds UTC, shape (rows,).
        equity: After each row, shape (rows,).
        initial: Equity before the first row.
        count: How many at most.
    """
    if not len(equity):
        return []
    peak = np.maximum(np.maximum.accumulate(equity), initial)
    under = np.concatenate([[False], equity < peak, [False]])
    starts, stops = np.flatnonzero(~under[:-1] & under[1:]), np.flatnonzero(under[:-1] & ~under[1:])
    if not len(starts):
        return []
    ratio = equity / peak - 1.0
    depth = np.minimum.reduceat(np.append(ratio, 0.0), np.column_stack([starts, stops]).ravel())[::2]
    found = []
    for k in np.argsort(depth, kind="stable")[:count].tolist():
        first, stop = int(starts[k]), int(stops[k])
        recovered = stop < len(equity)
        end = int(ts_event[stop if recovered else -1])
        trough = first + int(np.argmin(ratio[first:stop]))
        start = int(ts_event[max(first - 1, 0)])
        found.append(Drawdown(start, int(ts_event[trough]), end if recovered else None, end, float(depth[k])))
    return found
