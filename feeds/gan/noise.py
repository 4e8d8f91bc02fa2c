"""What a generator network is fed: numbers of numpy, so that a seed means the same with and without torch.

Columns: the innovation of the return, with heavy tails; noise for high, low and volume; two columns of white noise; two
that last, with half-lives of an hour and of a session, from which volatility that differs from day to day can be made.
"""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Floats
from feeds.gan.kernels import slow_noise

COLUMNS = 8
HALF_LIVES = (60.0, 1000.0)
_INNER, _OUTER = 1.1503494, 2.8070338
"""The 75th and 99.5th percentile of the size of a standard normal."""


def gan_noise(rng: np.random.Generator, rows: int, heaviness: float) -> Floats:
    """Noise of so many minutes, shape (rows, 8); more rows begin with the fewer.

    Args:
        rng: Source of random numbers.
        rows: Minutes, at least one.
        heaviness: Delta of `heavy`.
    """
    normal = rng.standard_normal((rows, COLUMNS))
    found = normal.copy()
    found[:, 0] = heavy(normal[:, 0], heaviness)
    slow = len(HALF_LIVES)
    lasting = np.empty((rows, slow))
    slow_noise(np.ascontiguousarray(normal[:, -slow:]), 0.5 ** (1.0 / np.array(HALF_LIVES)), lasting)
    found[:, -slow:] = lasting
    return found


def heavy(normal: Floats, delta: float) -> Floats:
    """Standard normals with heavy tails, z exp(delta z^2 / 2) (Goerg, 2015); the tail index is 1 / delta."""
    return np.asarray(normal * np.exp(0.5 * delta * normal**2))


def heaviness_of(values: Floats) -> float:
    """Delta whose 75th and 99.5th percentiles of size have the ratio that these values have, within 0 and 0.4.

    Args:
        values: Returns over their local deviation, shape (n,).
    """
    inner, outer = np.quantile(np.abs(values), (0.75, 0.995))
    if inner <= 0.0:
        return 0.0
    found = 2.0 * np.log(outer / inner * _INNER / _OUTER) / (_OUTER**2 - _INNER**2)
    return float(np.clip(found, 0.0, 0.4))
