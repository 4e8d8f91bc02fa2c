"""Compiled loop of the slow noise."""

from __future__ import annotations

import math

from engine.base.compiled import kernel
from engine.types.blocks import Floats


@kernel
def slow_noise(normal: Floats, persistence: Floats, out: Floats) -> None:
    """First-order autoregressions with a variance of 1, from their stationary law on.

    Args:
        normal: Independent standard normals, shape (n, K).
        persistence: From one row to the next, shape (K,).
        out: Shape (n, K).
    """
    for k in range(normal.shape[1]):
        keep = persistence[k]
        fresh = math.sqrt(1.0 - keep * keep)
        value = normal[0, k]
        out[0, k] = value
        for t in range(1, normal.shape[0]):
            value = keep * value + fresh * normal[t, k]
            out[t, k] = value
