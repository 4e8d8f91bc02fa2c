"""Volume given the return: log-linear in volatility and in the surprise, with noise that lasts."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats
from feeds.fitting import kernels

FLOOR = 0.1
"""Added to the surprise, in deviations, before its logarithm is taken."""

LEAST = 1000


class VolumeLaw(NamedTuple):
    """The logarithm of volume over its season, and noise that is an autoregression of first order.

    level + by_volatility log(sqrt(h / v)) + by_surprise log(|z| + 0.1) + noise

    Attributes:
        level: Of the logarithm.
        by_volatility, by_surprise: Elasticities.
        memory: Of the noise.
        deviation: Of the noise, stationary.
    """

    level: float
    by_volatility: float
    by_surprise: float
    memory: float
    deviation: float


def explained(variance: Floats, level: float, surprise: Floats) -> Floats:
    """What volume depends on, shape (n, 3)."""
    size = np.log(np.abs(surprise) + FLOOR)
    return np.stack([np.ones(len(size)), 0.5 * np.log(variance / level), size], axis=1)


def fit_volume(volume: Floats, season: Floats, variance: Floats, v: float, surprise: Floats) -> VolumeLaw | None:
    """Least squares, and the autocorrelation of what is left; None where too few volumes are known.

    Args:
        volume: Of each bar; NaN where it is not known, shape (n,).
        season: Its factor of each bar, shape (n,).
        variance: Of each return, before it is known, shape (n,).
        v: Long-run variance.
        surprise: Return over its deviation, shape (n,).
    """
    known = volume > 0.0
    if np.count_nonzero(known) < LEAST:
        return None
    inputs = explained(variance, v, surprise)[known]
    logs = np.log(volume[known] / season[known])
    found, *_ = np.linalg.lstsq(inputs, logs, rcond=None)
    rest = logs - inputs @ found
    memory = float(rest[1:] @ rest[:-1] / max(float(rest @ rest), 1e-300))
    level, by_volatility, by_surprise = (float(one) for one in found)
    return VolumeLaw(level, by_volatility, by_surprise, min(max(memory, 0.0), 0.999), float(rest.std()))


def draw_volume(law: VolumeLaw, season: Floats, inputs: Floats, shocks: Floats) -> Floats:
    """Volumes, shape (n,).

    Args:
        season: Factor of each bar, shape (n,).
        inputs: As `explained` gives them, shape (n, 3).
        shocks: Standard normal, shape (n + 1,); the first one is the state before the series.
    """
    noise = np.empty(len(season))
    scaled = law.deviation * math.sqrt(1.0 - law.memory**2) * shocks[1:]
    kernels.autoregressive(scaled, law.memory, law.deviation * float(shocks[0]), noise)
    logs = inputs @ np.array([law.level, law.by_volatility, law.by_surprise]) + noise
    return np.asarray(season * np.exp(np.minimum(logs, 50.0)))
