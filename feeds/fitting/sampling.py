"""Whole sessions for the stationary bootstrap: those that are complete, of all symbols together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.instruments import Instrument
from feeds.fitting.preparing import Steps, steps_of
from feeds.stylised.resampling import optimal_length

COMPLETE = 0.8
"""Share of the usual number of bars that a session must have."""

LEAST_SESSIONS = 5
COLUMNS = ("gap", "change", "high", "low", "volume")


class Sessions(NamedTuple):
    """Sessions of one length.

    Attributes:
        arrays: gap, change, high, low and volume, each of shape (D, L, S), NaN where there is no bar.
        run: Mean number of sessions that stay together.
        drift: Mean log return of a minute, shape (S,).
        prices: Last closes.
        dropped: Sessions that are incomplete, or of other length.
        outside: Bars outside of sessions.
    """

    arrays: dict[str, Floats]
    run: float
    drift: list[float]
    prices: list[float]
    dropped: int
    outside: int


def sample_sessions(block: BarBlock, instruments: Sequence[Instrument]) -> Sessions:
    """The sessions of a block of 1-minute bars.

    Raises:
        DataError: If too few are complete.
    """
    steps = [steps_of(block, number, instrument) for number, instrument in enumerate(instruments)]
    kept, length, seen = _complete(steps)
    if len(kept) < LEAST_SESSIONS:
        raise DataError(
            "too few complete sessions to draw from",
            expected=f"at least {LEAST_SESSIONS} with {COMPLETE:.0%} of their bars",
            found=f"{len(kept)} of {seen}",
        )
    arrays = {name: np.full((len(kept), length, len(steps)), np.nan) for name in COLUMNS}
    for column, one in enumerate(steps):
        place = np.minimum(np.searchsorted(kept, one.session), len(kept) - 1)
        inside = (kept[place] == one.session) & (one.slot < length)
        for name in COLUMNS:
            arrays[name][place[inside], one.slot[inside], column] = getattr(one, name)[inside]
    moves = np.nan_to_num(arrays["gap"] + arrays["change"])
    moves[:, 0] = np.nan_to_num(arrays["change"][:, 0])  # nights and week-ends are no minutes of drift
    run = optimal_length(np.log(np.mean(moves**2, axis=(1, 2)) + 1e-300))
    there = np.isfinite(arrays["change"])
    drift = moves.sum(axis=(0, 1)) / there.sum(axis=(0, 1))
    outside = sum(one.outside for one in steps)
    return Sessions(arrays, run, drift.tolist(), [one.last for one in steps], seen - len(kept), outside)


def _complete(steps: Sequence[Steps]) -> tuple[Ints, int, int]:
    """Numbers of the sessions that are complete for every symbol, their length, and how many sessions there are."""
    counts = [dict(zip(*np.unique(one.session, return_counts=True), strict=True)) for one in steps]
    ends: dict[int, int] = {}
    for one in steps:
        last = np.flatnonzero(np.diff(one.session, append=one.session[-1:] + 1))
        for session, slot in zip(one.session[last].tolist(), one.slot[last].tolist(), strict=True):
            ends[session] = max(ends.get(session, 0), slot + 1)
    length = max(ends.values())
    usual = [float(np.median(list(one.values()))) for one in counts]
    kept = [
        session
        for session, end in sorted(ends.items())
        if end >= COMPLETE * length
        and all(one.get(session, 0) >= COMPLETE * typical for one, typical in zip(counts, usual, strict=True))
    ]
    return np.array(kept, np.int64), length, len(ends)
