"""Statistics of returns, each for the data and for every resample at once.

All take numbers of bars in order of time, `starts` (the first bar of each block) and `weights` (how often each block
occurs in each resample, shape (W, blocks); the first row is the data itself) from `feeds.stylised.resampling`, and give
one row of results for each row of weights. With `one_block` they are plain statistics of one series:

    autocorrelation(returns, 250, *one_block(len(returns)))[0]
"""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Floats, Ints
from feeds.stylised.resampling import block_sums

LEAST_POINTS = 60
"""Aggregated returns below which a kurtosis says nothing."""


def one_block(bars: int) -> tuple[Ints, Floats]:
    """Starts and weights of the data without resamples.

    Args:
        bars: Length of the series.
    """
    return np.zeros(min(bars, 1), np.int64), np.ones((1, 1))


def autocorrelation(values: Floats, lags: int, starts: Ints, weights: Floats) -> Floats:
    """Autocorrelations at lags 1 to `lags` bars, shape (W, lags)."""
    return lagged_correlation(values, values, lags, starts, weights)


def lagged_correlation(earlier: Floats, later: Floats, lags: int, starts: Ints, weights: Floats) -> Floats:
    """Correlation of one quantity with another `lag` bars later, at lags 1 to `lags`, shape (W, lags).

    Means and deviations are those of the whole resample; a pair belongs to the block of its later bar.

    Args:
        earlier, later: Shape (n,).
        lags: Below n.
    """
    x, y = earlier - earlier.mean(), later - later.mean()
    n = len(x)
    counts = weights @ block_sums(np.ones(n), starts)
    deviation = np.ones(len(weights))
    for one in (x, y):
        mean = weights @ block_sums(one, starts) / counts
        deviation *= np.sqrt(weights @ block_sums(one * one, starts) / counts - mean**2)
    found = np.empty((len(weights), lags))
    columns = np.zeros((n, 4))
    for lag in range(1, lags + 1):
        columns[:lag] = 0.0
        columns[lag:, 0] = 1.0
        columns[lag:, 1] = x[: n - lag]
        columns[lag:, 2] = y[lag:]
        columns[lag:, 3] = x[: n - lag] * y[lag:]
        pairs, first, second, both = (weights @ block_sums(columns, starts)).T
        found[:, lag - 1] = (both - first * second / pairs) / pairs
    return found / np.where(deviation > 0.0, deviation, np.nan)[:, None]


def correlation(one: Floats, other: Floats, starts: Ints, weights: Floats) -> Floats:
    """Correlation of two quantities of a bar, shape (W,); bars where one of them is NaN do not count."""
    known = np.isfinite(one) & np.isfinite(other)
    if not known.any():
        return np.full(len(weights), np.nan)
    x = np.where(known, one - one[known].mean(), 0.0)
    y = np.where(known, other - other[known].mean(), 0.0)
    columns = np.stack([known.astype(np.float64), x, y, x * x, y * y, x * y], axis=1)
    n, sx, sy, sxx, syy, sxy = (weights @ block_sums(columns, starts)).T
    spread = (sxx - sx**2 / n) * (syy - sy**2 / n)
    return np.asarray((sxy - sx * sy / n) / np.sqrt(np.where(spread > 0.0, spread, np.nan)))


def shape(values: Floats, starts: Ints, weights: Floats) -> tuple[Floats, Floats]:
    """Skewness and excess kurtosis, each of shape (W,)."""
    x = values - values.mean()
    powers = np.stack([np.ones(len(x)), x, x**2, x**3, x**4], axis=1)
    sums = weights @ block_sums(powers, starts)
    mean, second, third, fourth = (sums[:, k] / sums[:, 0] for k in (1, 2, 3, 4))
    variance = np.where(second - mean**2 > 0.0, second - mean**2, np.nan)
    cubic = third - 3 * mean * second + 2 * mean**3
    quartic = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    return cubic / variance**1.5, quartic / variance**2 - 3.0


def aggregated_kurtosis(values: Floats, horizons: Ints, starts: Ints, weights: Floats) -> Floats:
    """Excess kurtosis of sums of so many bars that follow each other, shape (W, horizons); NaN where they are few.

    Args:
        values: Returns, shape (n,).
        horizons: Bars.
    """
    found = np.full((len(weights), len(horizons)), np.nan)
    total = np.concatenate([[0.0], np.cumsum(values)])
    for column, horizon in enumerate(horizons.tolist()):
        sums = np.diff(total[::horizon])
        if len(sums) < LEAST_POINTS:
            continue
        # a sum belongs to the block of its first bar; blocks without one keep their place with nothing in it
        owner = np.searchsorted(starts, np.arange(len(sums)) * horizon, side="right") - 1
        found[:, column] = shape(sums, *_occupied(owner, weights))[1]
    return found


def _occupied(owner: Ints, weights: Floats) -> tuple[Ints, Floats]:
    """Starts and weights of the blocks that own something."""
    blocks, starts = np.unique(owner, return_index=True)
    return starts.astype(np.int64), weights[:, blocks]


def tail_index(sizes: Floats, share: float, starts: Ints, weights: Floats) -> Floats:
    """Tail index: Hill's (1975) estimate from the largest sizes, shape (W,).

    Args:
        sizes: Positive where they count, shape (n,).
        share: Of the bars that are taken for the tail.
    """
    n = len(sizes)
    block = np.searchsorted(starts, np.arange(n), side="right") - 1
    # a resample may need more of the large ones than the data has
    candidates = np.argsort(-sizes, kind="stable")[: min(n, round(3 * share * n) + 2)]
    candidates = candidates[sizes[candidates] > 0.0]
    if not len(candidates):
        return np.full(len(weights), np.nan)
    logs, times = np.log(sizes[candidates]), weights[:, block[candidates]]
    wanted = np.round(share * (weights @ block_sums(np.ones(n), starts)))
    used = np.clip(wanted[:, None] - (np.cumsum(times, axis=1) - times), 0.0, times)
    counts = used.sum(axis=1)
    # the threshold is the next largest: the first that is not used up
    threshold = np.argmax((used < times) & (times > 0.0), axis=1)
    excess = (used * logs).sum(axis=1) - counts * logs[threshold]
    enough = (counts >= wanted) & (excess > 0.0)
    return np.asarray(np.where(enough, counts / np.where(excess > 0.0, excess, 1.0), np.nan))


def profile(values: Floats, bins: Ints, count: int, starts: Ints, weights: Floats) -> Floats:
    """Means by bin over the mean of all, shape (W, count); NaN where a bin is empty, and NaN values do not count.

    Args:
        values: Of each bar, shape (n,).
        bins: Number of each bar's bin, 0 to count - 1.
    """
    known = np.isfinite(values)
    at = np.flatnonzero(known)
    block = np.searchsorted(starts, at, side="right") - 1
    place = block * count + bins[at]
    shape_ = (len(starts), count)
    sums = np.bincount(place, values[at], minlength=shape_[0] * count).reshape(shape_)
    counts = np.bincount(place, minlength=shape_[0] * count).reshape(shape_)
    total, number = weights @ sums, weights @ counts
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = total.sum(axis=1, keepdims=True) / number.sum(axis=1, keepdims=True)
        return np.asarray(np.where(number > 0, total / number, np.nan) / overall)


def decay(correlations: Floats, first: int) -> Floats:
    """Exponent b of autocorrelations that fall like lag^-b: a straight line through their logarithms, shape (W,).

    Args:
        correlations: At lags 1 up, shape (W, lags); what is not positive counts as 0.001.
        first: Lag from which on they are looked at.
    """
    lags = np.log(np.arange(first, correlations.shape[1] + 1))
    logs = np.log(np.maximum(correlations[:, first - 1 :], 1e-3))
    centred = lags - lags.mean()
    return np.asarray(-(logs @ centred) / (centred @ centred))
