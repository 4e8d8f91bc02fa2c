"""What follows the minute of the session: size of returns, volume, and how often there is no bar."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Floats, Ints

REACH = 7
"""Minutes on each side over which sizes and volumes are averaged."""

MISSING_REACH = 30
LOWEST = 0.05
"""Of the mean: no minute is quieter, however few bars say so."""


def smoothed(values: Floats, slots: Ints, length: int, reach: int = REACH) -> Floats:
    """Mean by minute of the session over a window around it, shape (length,).

    Args:
        values: Of each bar, shape (n,); NaN does not count.
        slots: Minute of each bar, shape (n,).
        length: Minutes of a session.
        reach: Of the window on each side; at the ends of a session it is cut.
    """
    known = np.isfinite(values)
    sums = _windowed(np.bincount(slots[known], values[known], minlength=length)[:length].astype(np.float64), reach)
    counts = _windowed(np.bincount(slots[known], minlength=length)[:length].astype(np.float64), reach)
    filled = np.flatnonzero(counts > 0)
    return np.interp(np.arange(length), filled, sums[filled] / counts[filled])


def scale_season(returns: Floats, slots: Ints, length: int) -> Floats:
    """Factors by which the size of returns follows the minute, with a mean square of 1 over the bars, shape (length,).

    Mean sizes are used in place of mean squares, which a few large returns would decide.

    Args:
        returns: Shape (n,); NaN does not count.
    """
    sizes = smoothed(np.abs(returns), slots, length)
    factors = np.maximum(sizes, LOWEST * float(sizes.mean()))
    known = np.isfinite(returns)
    return np.asarray(factors / np.sqrt(np.mean(factors[slots[known]] ** 2)))


def mean_season(values: Floats, slots: Ints, length: int) -> Floats:
    """Factors with a mean of 1 over the bars, shape (length,)."""
    means = smoothed(values, slots, length)
    factors = np.maximum(means, LOWEST * float(means.mean()))
    known = np.isfinite(values)
    return np.asarray(factors / factors[slots[known]].mean())


def missing_season(session: Ints, slots: Ints, length: int) -> Floats:
    """Share of bars that are missing by minute, shape (length,).

    Args:
        session, slots: Of the bars that there are, shape (n,). Before the first and after the last none is expected.
    """
    numbers = np.unique(session)
    expected = np.full(length, float(len(numbers)))
    # a session that ends early is expected as far as the longest one, unless all its later minutes are missing
    for number in numbers.tolist():
        inside = slots[session == number]
        expected[int(inside.max()) + 1 :] -= 1.0
        if number == int(session[0]):
            expected[: int(inside.min())] -= 1.0
    found = np.bincount(slots, minlength=length)[:length].astype(np.float64)
    wanted = _windowed(expected, MISSING_REACH)
    share = 1.0 - _windowed(found, MISSING_REACH) / np.maximum(wanted, 1.0)
    return np.clip(np.where(wanted > 0, share, 0.0), 0.0, 0.95)


def _windowed(values: Floats, reach: int) -> Floats:
    """Sums over a window around each place, cut at both ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    return np.asarray(total[np.minimum(at + reach + 1, len(values))] - total[np.maximum(at - reach, 0)])
