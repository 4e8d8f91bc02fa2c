"""A small quasi-Newton method, so that the base install needs no SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats

FLAT_STEPS = 4
Objective = Callable[[Floats], tuple[float, Floats]]
"""Value and gradient; the value may be infinite where a point is not allowed."""


class Minimum(NamedTuple):
    """Where a search ended.

    Attributes:
        point: Shape (k,).
        value: There.
        steps: Taken.
        converged: Whether the gradient vanishes there, or the valley is flat.
    """

    point: Floats
    value: float
    steps: int
    converged: bool


def minimise(
    objective: Objective, start: Floats, most: int = 200, tolerance: float = 1e-5, least: float = 1e-9
) -> Minimum:
    """BFGS with backtracking (Nocedal & Wright, 2006, algorithms 3.1 and 6.1).

    Args:
        objective: Smooth where it is finite.
        start: A point at which it is finite, shape (k,).
        most: Steps.
        tolerance: Largest part of the gradient at a minimum.
        least: A valley is flat where several steps together lead down by less.
    """
    point, (value, slope) = start.copy(), objective(start)
    inverse = np.eye(len(start)) / max(float(np.abs(slope).max()), 1.0)
    before = [math.inf] * FLAT_STEPS
    for step in range(most):
        if before[step % FLAT_STEPS] - value < least:
            return Minimum(point, value, step, True)
        before[step % FLAT_STEPS] = value
        if float(np.abs(slope).max()) < tolerance:
            return Minimum(point, value, step, True)
        direction = -inverse @ slope
        if float(direction @ slope) >= 0.0:
            inverse = np.eye(len(start)) / float(np.abs(slope).max())
            direction = -inverse @ slope
        found = _downhill(objective, point, value, slope, direction)
        if found is None:
            return Minimum(point, value, step, float(np.abs(slope).max()) < 1e3 * tolerance)
        moved, value, turned = found
        inverse = _updated(inverse, moved - point, turned - slope, first=step == 0)
        point, slope = moved, turned
    return Minimum(point, value, most, False)


def _downhill(
    objective: Objective, point: Floats, value: float, slope: Floats, direction: Floats
) -> tuple[Floats, float, Floats] | None:
    """The first of ever shorter steps that leads down far enough."""
    length = min(1.0, 2.0 / float(np.abs(direction).max()))
    for _ in range(40):
        moved = point + length * direction
        lower, turned = objective(moved)
        if np.isfinite(lower) and lower <= value + 1e-4 * length * float(direction @ slope):
            return moved, lower, turned
        length *= 0.4
    return None


def _updated(inverse: Floats, moved: Floats, turned: Floats, *, first: bool) -> Floats:
    curved = float(moved @ turned)
    if curved <= 1e-12 * float(np.linalg.norm(moved) * np.linalg.norm(turned)):
        return inverse
    if first:
        inverse = np.eye(len(moved)) * curved / float(turned @ turned)
    left = np.eye(len(moved)) - np.outer(moved, turned) / curved
    return np.asarray(left @ inverse @ left.T + np.outer(moved, moved) / curved)
