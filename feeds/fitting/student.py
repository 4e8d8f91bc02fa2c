"""Student's t law scaled to variance 1: its density, probabilities and draws, without SciPy."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats

NARROWEST, WIDEST = 1e-4, 1e4
"""Ends of the tables, in deviations."""

POINTS = 1601
ORIGIN, STEP = math.log(0.2), 0.02
BOUNDS = 400
"""Rows of the table of bounds: from 0.2 to 580 deviations."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def log_constant(nu: float) -> float:
    """Logarithm of the density at 0."""
    return math.lgamma((nu + 1.0) / 2.0) - math.lgamma(nu / 2.0) - 0.5 * math.log(math.pi * (nu - 2.0))


def density(z: Floats, nu: float) -> Floats:
    """Density at each value, any shape."""
    return np.asarray(np.exp(log_constant(nu) - 0.5 * (nu + 1.0) * np.log1p(z * z / (nu - 2.0))))


def beyond(edges: Floats, nu: float) -> Floats:
    """Probability of a size larger than each edge.

    Args:
        edges: Positive and rising, close enough together that the density is smooth between them, shape (k,).
        nu: Degrees of freedom, above 2.
    """
    left, right = edges[:-1, None], edges[1:, None]
    points = 0.5 * (left + right) + 0.5 * (right - left) * _NODES
    parts = 2.0 * (density(points, nu) * _WEIGHTS).sum(axis=1) * 0.5 * (edges[1:] - edges[:-1])
    # beyond the last edge the density is a power, up to terms of the order of its inverse square
    last = 2.0 * float(density(edges[-1:], nu)[0]) * edges[-1] / nu
    return np.concatenate([np.cumsum(parts[::-1])[::-1] + last, [last]])


class Student(NamedTuple):
    """Tables of one law.

    Attributes:
        depth: Logarithm of 1 over the probability of a larger size, rising, shape (k,).
        size: In deviations, shape (k,).
    """

    depth: Floats
    size: Floats

    @classmethod
    def of(cls, nu: float) -> Student:
        """The tables of so many degrees of freedom."""
        edges = np.geomspace(NARROWEST, WIDEST, POINTS)
        tail = beyond(edges, nu)
        return cls(np.concatenate([[0.0], -np.log(np.maximum(tail, 1e-300))]), np.concatenate([[0.0], edges]))

    def quantile(self, uniform: Floats) -> Floats:
        """Values with these probabilities of a smaller one, any shape."""
        away = 2.0 * uniform - 1.0
        depth = -np.log(np.maximum(1.0 - np.abs(away), 1e-300))
        return np.asarray(np.sign(away) * np.interp(depth, self.depth, self.size))

    def probability(self, z: Floats) -> Floats:
        """Probability of a smaller value than each, any shape."""
        tail = 0.5 * np.exp(-np.interp(np.abs(z), self.size, self.depth))
        return np.asarray(np.where(z > 0.0, 1.0 - tail, tail))


def bounds_table(nu: float) -> Floats:
    """What `feeds.fitting.kernels.likelihood` looks up, shape (BOUNDS, 3)."""
    bounds = np.exp(ORIGIN + STEP * np.arange(BOUNDS))
    inside = -np.minimum(beyond(bounds, nu), 1.0 - 1e-12)
    by_log = 2.0 * density(bounds, nu) * bounds / (1.0 + inside)
    change = 1e-4 * nu
    higher, lower = (np.log1p(-np.minimum(beyond(bounds, nu + way), 1.0 - 1e-12)) for way in (change, -change))
    return np.stack([np.log1p(inside), by_log, (higher - lower) / (2.0 * change)], axis=1)


def constants(nu: float) -> Floats:
    """Logarithm of the density at 0, and its derivative by the degrees of freedom, shape (2,)."""
    change = 1e-5 * nu
    return np.array([log_constant(nu), (log_constant(nu + change) - log_constant(nu - change)) / (2.0 * change)])
