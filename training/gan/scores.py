"""How far scaled bars are from others: what the step of a training is chosen by."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Floats
from feeds.stylised.statistics import autocorrelation, lagged_correlation, one_block

HORIZONS = (1, 20, 100)
LAGS = 60


def emd(one: Floats, other: Floats, points: int = 1000) -> float:
    """Earth mover's distance of two samples: the mean distance of their quantiles."""
    at = (np.arange(points) + 0.5) / points
    return float(np.mean(np.abs(np.quantile(one, at) - np.quantile(other, at))))


def sums(values: Floats, horizon: int) -> Floats:
    """Sums of so many values that follow each other, overlapping."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(total[horizon:] - total[:-horizon])


def curves(returns: Floats) -> tuple[Floats, Floats, Floats]:
    """Autocorrelation of returns, of their sizes, and correlation of returns with later sizes, at lags 1 to 60."""
    size, plain = np.abs(returns), one_block(len(returns))
    return (
        autocorrelation(returns, LAGS, *plain)[0],
        autocorrelation(size, LAGS, *plain)[0],
        lagged_correlation(returns, size, LAGS, *plain)[0],
    )


def score(made: Floats, real: Floats) -> float:
    """Distance of scaled bars to real ones, both of shape (n, 4); 0 where all is alike.

    Distances of distributions over their deviations, of the returns' sums over 1, 20 and 100 minutes, and of the other
    columns; and mean distances of the curves of memory, each five times, to be of the same order.
    """
    total = sum(emd(sums(made[:, 0], h), sums(real[:, 0], h)) / np.sqrt(h) for h in HORIZONS)
    total += sum(emd(made[:, k], real[:, k]) for k in (1, 2, 3))
    pairs = zip(curves(made[:, 0]), curves(real[:, 0]), strict=True)
    total += 5.0 * sum(float(np.mean(np.abs(one - other))) for one, other in pairs)
    correlation = [np.corrcoef(np.abs(one[:, 0]), one[:, 3] + 1e-9 * one[:, 0])[0, 1] for one in (made, real)]
    return float(total + abs(correlation[0] - correlation[1]))
