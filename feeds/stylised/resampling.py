"""The stationary bootstrap of Politis & Romano (1994) over whole sessions, and the length of its blocks.

A statistic that depends on sums over pairs of bars is resampled by the sums of each session (the "blocks of blocks"
bootstrap of Künsch, 1989): pairs that straddle a join never occur, and a resample costs one product of matrices.
"""

from __future__ import annotations

import math

import numpy as np

from engine.types.blocks import Floats, Ints

LEAST_SESSIONS = 10
PIECES = 20
"""Pieces of equal length that take the place of sessions where there are too few of them."""


def blocks_of(session: Ints) -> Ints:
    """First bar of each block: of each session, or of 20 equal pieces where there are fewer than ten sessions.

    Args:
        session: Number of each bar's session, not decreasing, shape (n,).
    """
    starts = np.flatnonzero(np.diff(session, prepend=session[:1] - 1))
    if len(starts) >= LEAST_SESSIONS and len(session) >= 2 * len(starts):
        return starts.astype(np.int64)
    pieces = min(PIECES, len(session))
    return np.linspace(0, len(session), pieces, endpoint=False).astype(np.int64)


def block_sums(values: Floats, starts: Ints) -> Floats:
    """Sums over each block, shape (blocks,) or (blocks, k); values of shape (n,) or (n, k)."""
    return np.asarray(np.add.reduceat(values, starts, axis=0))


def stationary_indices(rng: np.random.Generator, count: int, length: int, mean: float) -> Ints:
    """Numbers of a resample: runs of geometric length that begin anywhere and go round at the end, shape (length,).

    Args:
        rng: Of the draws.
        count: What there is to draw from.
        length: Numbers wanted.
        mean: Mean length of a run.
    """
    return runs_of(rng.random(length), rng.random(length), count, mean)


def runs_of(ends: Floats, fresh: Floats, count: int, mean: float) -> Ints:
    """`stationary_indices` from uniform numbers: a longer resample begins with the shorter one.

    Args:
        ends: Decide where a run ends, shape (length,).
        fresh: Where the next one begins, shape (length,).
        count, mean: As in `stationary_indices`.
    """
    length = len(ends)
    begins = ends < 1.0 / max(mean, 1.0)
    begins[:1] = True
    fresh_at = np.minimum((fresh * count).astype(np.int64), count - 1)
    places = np.flatnonzero(begins)
    run = np.cumsum(begins) - 1
    return np.asarray((fresh_at[places][run] + np.arange(length) - places[run]) % count, dtype=np.int64)


def resample_weights(blocks: int, resamples: int, mean: float, seed: int) -> Floats:
    """How often each block occurs in each resample, shape (1 + resamples, blocks); the first row is the data itself.

    Args:
        blocks: There are.
        resamples: Wanted.
        mean: Mean length of a run of blocks.
        seed: Of the draws.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = np.ones((1 + resamples, blocks))
    for row in weights[1:]:
        row[:] = np.bincount(stationary_indices(rng, blocks, blocks, mean), minlength=blocks)
    return weights


def optimal_length(values: Floats) -> float:
    """Mean block length of the stationary bootstrap that is best for the mean of a series, from 1 up.

    Source: Politis & White (2004), with the correction of Patton, Politis & White (2009).

    Args:
        values: In order of time, shape (n,).
    """
    n = len(values)
    centred = values - values.mean()
    if n < 8 or not centred.any():  # nothing to be seen of dependence
        return 1.0
    most = math.ceil(math.sqrt(n)) + max(5, math.ceil(math.log10(n)))
    covariance = np.array([float(centred[lag:] @ centred[: n - lag]) / n for lag in range(min(most, n - 1) + 1)])
    last = _last_dependent(covariance / covariance[0], n)
    window = min(2 * last, len(covariance) - 1)
    lags = np.arange(1, window + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - lags / max(window, 1)))
    spectrum = covariance[0] + 2.0 * float(taper @ covariance[1 : window + 1])
    slope = 2.0 * float((taper * lags) @ covariance[1 : window + 1])
    if spectrum <= 0.0:
        return 1.0
    length = (2.0 * slope**2 / (2.0 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return float(min(max(length, 1.0), math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))


def _last_dependent(correlation: Floats, n: int) -> int:
    """Lag after which correlations are no more than noise: the first that a run of negligible ones follows."""
    bound = 2.0 * math.sqrt(math.log10(n) / n)
    run = max(5, math.ceil(math.log10(n)))
    negligible = np.abs(correlation[1:]) < bound
    for lag in range(len(negligible) - run + 1):
        if bool(negligible[lag : lag + run].all()):
            return max(lag, 1)
    large = np.flatnonzero(~negligible)
    return int(large[-1]) + 1 if len(large) else 1
