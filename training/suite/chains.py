"""What the laws of markets are made of: chains on grids of states."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from engine.types.blocks import Floats
from training.suite.optimum import Chain

GRID = 601
"""States of a chain; with so many the gain is known to about 0.1 % at usual costs, for sharing a value between two
neighbours blurs a belief a little at each close."""

FARTHEST = 6.0
"""Stationary deviations that a grid reaches to."""

SQRT_2 = math.sqrt(2.0)


class Law(Protocol):
    """How a market moves, for a trader who decides every so many bars. Laws are frozen and can be hashed."""

    @property
    def hides(self) -> bool:
        """Whether something that drives the market is not seen, so that prices tell less than full information."""
        ...

    @property
    def resolution(self) -> int:
        """Bars between closes that tell about as much as what the strategic agent sees."""
        ...

    @property
    def exact(self) -> bool:
        """Whether the chain of beliefs tells what prices allow to earn, rather than a bound for it."""
        ...

    def __hash__(self) -> int: ...

    def known(self, period: int) -> Chain:
        """With full information; its states are what the generator gives as its truth."""
        ...

    def believed(self, period: int, observe: int = 1) -> Chain:
        """From prices only.

        Args:
            period: Bars between decisions.
            observe: Bars between the closes that are seen; a divisor of the period.
        """
        ...

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """State of the chain of beliefs after each close that is seen, shape (n,), or weights of its states, (n, S).

        Nothing is known at the first.

        Args:
            closes: Closes `observe` bars apart, shape (n,).
            observe: Bars between them.
        """
        ...


def autoregression_chain(memory: float, deviation: float, slope: float, period: int) -> Chain:
    """A state that follows a stationary autoregression of first order.

    Args:
        memory: Its coefficient from one decision to the next.
        deviation: Its stationary deviation.
        slope: Log return until the next decision, per unit of the state.
        period: Bars between decisions.
    """
    if deviation == 0.0:
        return still(period)
    grid, transition = autoregression_grid(memory, deviation, GRID)
    return Chain(grid, transition, slope * grid, period)


def autoregression_grid(memory: float, deviation: float, states: int) -> tuple[Floats, Floats]:
    """Values of an autoregression of first order, evenly spaced, and the probabilities of moving between them.

    Args:
        memory: Its coefficient.
        deviation: Its stationary deviation.
        states: How many values.

    Returns:
        Shapes (S,) and (S, S).
    """
    grid = np.linspace(-FARTHEST, FARTHEST, states) * deviation
    half = (grid[1] - grid[0]) / 2.0
    edges = np.concatenate([[-np.inf], grid[:-1] + half, [np.inf]])
    spread = deviation * math.sqrt(1.0 - memory**2)
    below = _normal_below((edges[None, :] - memory * grid[:, None]) / spread)
    return grid, np.diff(below, axis=1)


def still(period: int) -> Chain:
    """One state in which nothing can be foreseen."""
    return Chain(np.zeros(1), np.ones((1, 1)), np.zeros(1), period)


def decay(memory: float, bars: int) -> float:
    """Sum of what is left of a unit after 1, 2, ... `bars` bars."""
    return sum(memory**bar for bar in range(1, bars + 1))


def spread_on_grid(grid: Floats, reached: Floats, weight: Floats) -> Floats:
    """A transition matrix: each value reached is shared between its two neighbours, so that means are kept.

    Args:
        grid: Evenly spaced, shape (S,).
        reached: Values, shape (S, Q).
        weight: Their probabilities, shape (S, Q).
    """
    step = grid[1] - grid[0]
    at = np.clip((reached - grid[0]) / step, 0.0, len(grid) - 1.0)
    low = np.minimum(at.astype(np.int64), len(grid) - 2)
    above = at - low
    rows = np.broadcast_to(np.arange(len(grid))[:, None], low.shape)
    matrix = np.zeros((len(grid), len(grid)))
    np.add.at(matrix, (rows, low), weight * (1.0 - above))
    np.add.at(matrix, (rows, low + 1), weight * above)
    return matrix


def _normal_below(z: Floats) -> Floats:
    flat = [0.5 * math.erfc(-value / SQRT_2) for value in z.ravel().tolist()]
    return np.array(flat).reshape(z.shape)
