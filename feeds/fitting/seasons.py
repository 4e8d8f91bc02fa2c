"""What follows the minute of the session: size of returns, volume, and how often there is no bar."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Floats, Ints

REACH = 15
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


def scale_season(returns: Floats, slots: Ints, length: int, reach: int = REACH) -> Floats:
    """Factors by which the size of returns follows the minute, with a mean square of 1 over the bars, shape (length,).

    Mean sizes are used in place of mean squares, which a few large returns would decide.

    Args:
        returns: Shape (n,); NaN does not count.
    """
    sizes = smoothed(np.abs(returns), slots, length, reach)
    factors = np.maximum(sizes, LOWEST * float(sizes.mean()))
    known = np.isfinite(returns)
    return np.asarray(factors / np.sqrt(np.mean(factors[slots[known]] ** 2)))


def season_of_days(returns: Floats, session: Ints, slots: Ints, length: int) -> Floats:
    """Factor of each bar for the fit of volatility: `scale_season` in which a session's own returns count half.

    A season of D sessions holds a share 1 / D of a session's own bursts of volatility, which dividing by it would take
    out; a season of the other sessions alone would add as much noise. Half the weight leaves the variance of log
    volatility as it is, up to terms of the order 1 / D^2.

    Args:
        returns: Shape (n,); NaN does not count.
        session: Number of each bar's session, not decreasing, shape (n,).
        slots: Minute of each bar, shape (n,).
        length: Minutes of a session.
    """
    _, number = np.unique(session, return_inverse=True)
    days, known = int(number[-1]) + 1, np.isfinite(returns)
    place = (number * length + slots)[known]
    sums, counts = (
        _windowed(np.bincount(place, values, minlength=days * length).reshape(days, length).astype(np.float64), REACH)
        for values in (np.abs(returns[known]), np.ones(int(known.sum())))
    )
    weight = np.maximum(counts.sum(axis=0) - 0.5 * counts, 0.5)
    sizes = (sums.sum(axis=0) - 0.5 * sums) / weight
    factors = np.maximum(sizes, LOWEST * float(sizes.mean()))[number, slots]
    return np.asarray(factors / np.sqrt(np.mean(factors[known] ** 2)))


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
    """Sums over a window around each place of the last axis, cut at both ends."""
    n = values.shape[-1]
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    at = np.arange(n)
    return np.asarray(total[..., np.minimum(at + reach + 1, n)] - total[..., np.maximum(at - reach, 0)])
