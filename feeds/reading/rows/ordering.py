"""Time must go forward, symbol by symbol: which rows repeat a time, which go back."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Ints
from feeds.reading.rows.checks import Fault, Faults

NEVER = int(np.iinfo(np.int64).min)


class OrderCheck:
    """Compares every row with the last accepted one of its symbol; state is carried, so any cutting is alike.

    Args:
        together: The rows of all symbols come in order of time, so that a row may not go back behind any symbol.
    """

    def __init__(self, symbols: int, together: bool = False) -> None:
        self._last = np.full(symbols, NEVER, np.int64)
        self._together = together and symbols > 1
        self._latest = NEVER

    def check(self, ts_event: Ints, codes: Ints | None) -> tuple[Faults | None, Ints]:
        """Check the next rows.

        Args:
            ts_event: Close times, nanoseconds UTC, shape (n,).
            codes: Number of each row's symbol, shape (n,); None if there is but one.

        Returns:
            The fault of each row, None if there is none; and the time that it had to come after, `NEVER` for the
            first of a symbol. Both of shape (n,).
        """
        if not len(ts_event):
            return None, ts_event
        if codes is None or len(self._last) == 1:
            faults, previous, last = _run(ts_event, int(self._last[0]))
            self._last[0] = last
            return faults, previous
        late = self._behind_all(ts_event)
        faults = np.zeros(len(ts_event), np.uint8)
        previous = np.full(len(ts_event), self._latest, np.int64)
        if late is not None:
            faults[late] = Fault.BACKWARDS
            previous = np.maximum.accumulate(np.maximum(ts_event, previous))
        rows = np.flatnonzero(faults == 0)
        # stable, so that the rows of a symbol stay in file order
        rows = rows[np.argsort(codes[rows], kind="stable")]
        bounds = np.searchsorted(codes[rows], np.arange(len(self._last) + 1))
        for code in np.flatnonzero(np.diff(bounds)):
            mine = rows[bounds[code] : bounds[code + 1]]
            found, previous[mine], self._last[code] = _run(ts_event[mine], int(self._last[code]))
            if found is not None:
                faults[mine] = found
        if self._together:
            self._latest = max(self._latest, int(ts_event.max()))
        return (faults if faults.any() else None), previous

    def _behind_all(self, ts_event: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
        if not self._together:
            return None
        late = ts_event < np.maximum.accumulate(np.maximum(ts_event, self._latest))
        return late if late.any() else None


def _run(ts_event: Ints, last: int) -> tuple[Faults | None, Ints, int]:
    """Faults, the time each row had to come after, and the last accepted time."""
    previous = np.empty_like(ts_event)
    previous[0] = last
    previous[1:] = ts_event[:-1]
    if bool((ts_event > previous).all()):
        return None, previous, int(ts_event[-1])
    # a row is accepted exactly if it comes after all before it, so the largest so far was accepted
    np.maximum.accumulate(previous, out=previous)
    faults = np.zeros(len(ts_event), np.uint8)
    faults[ts_event == previous] = Fault.DUPLICATE
    faults[ts_event < previous] = Fault.BACKWARDS
    return faults, previous, max(int(previous[-1]), int(ts_event[-1]))
