"""Laws of the generated markets as chains, and what a filter knows of a hidden regime.

The belief about a two-state regime follows Hamilton (1989) and is itself a Markov process, on which the fair optimum is
solved: the best of all policies that see prices only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import Floats
from feeds.generators_paths import BPS, MeanReversion, RegimeDrift
from training.suite.optimum import Chain

GRID = 601
"""States of a chain; with so many the gain is known to about 0.1 % at usual costs, for sharing a value between two
neighbours blurs a belief a little at each close."""

NODES = 801
REACH = 7.0
"""Deviations that a quadrature over normal laws covers."""

SQRT_2 = math.sqrt(2.0)


@dataclass(frozen=True)
class Regimes:
    """Drift of one size and hidden sign.

    Attributes:
        drift: Of a bar, log return.
        deviation: Of a bar.
        mean_bars: Mean length of a regime.
    """

    drift: float
    deviation: float
    mean_bars: float

    @classmethod
    def of(cls, generator: RegimeDrift) -> Regimes:
        """The law of that generator."""
        return cls(generator.drift_bps * BPS, generator.volatility_bps * BPS, generator.mean_minutes)

    @property
    def memory(self) -> float:
        """Correlation of the sign with that of the bar before."""
        return 1.0 - 2.0 / self.mean_bars

    def ahead(self, period: int) -> float:
        """Expected log return of the next bars if the sign is known to be up now."""
        return self.drift * sum(self.memory**bar for bar in range(1, period + 1))

    def known(self, period: int) -> Chain:
        """With full information: the states are the signs."""
        stays = (1.0 + self.memory**period) / 2.0
        transition = np.array([[stays, 1.0 - stays], [1.0 - stays, stays]])
        signs = np.array([-1.0, 1.0])
        return Chain(signs, transition, signs * self.ahead(period), period)

    def believed(self, period: int, observe: int = 1) -> Chain:
        """From prices only: the states are log odds of an upward drift.

        Args:
            period: Bars between decisions.
            observe: Bars between the closes that are seen; a divisor of the period.

        Raises:
            UsageError: If it is no divisor.
        """
        if period % observe:
            raise UsageError("bars between closes seen must divide those between decisions", found=f"{observe}")
        odds = np.linspace(-1.0, 1.0, GRID) * self._most_odds(observe)
        once = self._belief_step(odds, observe)
        transition = np.linalg.matrix_power(once, period // observe)
        transition /= transition.sum(axis=1, keepdims=True)
        return Chain(odds, transition, np.tanh(odds / 2.0) * self.ahead(period), period)

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """Log odds of an upward drift after each close that is seen, shape (n,); none is known at the first.

        Args:
            closes: Closes `observe` bars apart, shape (n,).
            observe: Bars between them.
        """
        likely = self._likelihood(np.diff(np.log(closes)), observe)
        up, odds = 0.5, [0.0]
        for (down_down, down_up), (up_down, up_up) in likely.tolist():
            rises = (1.0 - up) * down_up + up * up_up
            falls = (1.0 - up) * down_down + up * up_down
            total = rises + falls
            up = rises / total if total > 0.0 else 0.5
            odds.append(_log_odds(up))
        return np.array(odds)

    def _likelihood(self, returns: Floats, bars: int) -> Floats:
        """Density of each return together with the last sign (last axis) given the sign before, shape (n, 2, 2)."""
        paths = _sign_counts(1.0 / self.mean_bars, bars)
        centre = self.drift * (2.0 * np.arange(bars + 1) - bars)
        spread = self.deviation * math.sqrt(bars)
        z = (returns[:, None] - centre) / spread
        # a common factor would cancel; without the largest exponent far returns would leave 0 / 0
        exponent = -0.5 * z * z
        density = np.exp(exponent - exponent.max(axis=1, keepdims=True)) if len(returns) else exponent
        return np.asarray(np.einsum("nc,scu->nsu", density, paths))

    def _most_odds(self, observe: int) -> float:
        farthest = observe * self.drift + REACH * self.deviation * math.sqrt(observe)
        return math.log(2.0 * self.mean_bars) + 2.0 * self.drift * farthest / self.deviation**2

    def _belief_step(self, odds: Floats, observe: int) -> Floats:
        """Law of the log odds after the next close seen, on the same grid."""
        spread = self.deviation * math.sqrt(observe)
        reach = observe * self.drift + REACH * spread
        nodes = np.linspace(-reach, reach, NODES)
        paths = _sign_counts(1.0 / self.mean_bars, observe)
        centre = self.drift * (2.0 * np.arange(observe + 1) - observe)
        density = np.exp(-0.5 * ((nodes[:, None] - centre) / spread) ** 2)
        likely = np.einsum("qc,scu->qsu", density, paths)
        up = 1.0 / (1.0 + np.exp(-odds))
        joint = np.einsum("gs,qsu->gqu", np.stack([1.0 - up, up], axis=1), likely)
        weight = joint.sum(axis=2)
        reached = np.log(joint[:, :, 1]) - np.log(joint[:, :, 0])
        return _spread_on_grid(odds, reached, weight / weight.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Reversion:
    """A deviation that decays.

    Attributes:
        memory: Share of a deviation left after a bar.
        deviation: Stationary, of the log price.
    """

    memory: float
    deviation: float

    @classmethod
    def of(cls, generator: MeanReversion) -> Reversion:
        """The law of that generator; what it adds as a random walk cannot be foreseen and earns nothing."""
        return cls(generator.memory, generator.deviation_bps * BPS)

    def known(self, period: int) -> Chain:
        """With the deviation known: the states are deviations, on a grid of +-6 stationary deviations."""
        left = self.memory**period
        grid = np.linspace(-6.0, 6.0, GRID) * self.deviation
        half = (grid[1] - grid[0]) / 2.0
        edges = np.concatenate([[-np.inf], grid[:-1] + half, [np.inf]])
        spread = self.deviation * math.sqrt(1.0 - left**2)
        below = _normal_below((edges[None, :] - left * grid[:, None]) / spread)
        return Chain(grid, np.diff(below, axis=1), (left - 1.0) * grid, period)


def _sign_counts(switch: float, bars: int) -> Floats:
    """Probability of so many upward bars and of the last sign, given the sign before: shape (2, bars + 1, 2)."""
    found = np.zeros((2, bars + 1, 2))
    found[0, 0, 0] = found[1, 0, 1] = 1.0
    for _ in range(bars):
        stays = found * (1.0 - switch) + found[:, :, ::-1] * switch
        found = np.zeros_like(stays)
        found[:, :, 0] = stays[:, :, 0]
        found[:, 1:, 1] = stays[:, :-1, 1]
    return found


def _spread_on_grid(grid: Floats, reached: Floats, weight: Floats) -> Floats:
    """A transition matrix: each value reached is shared between its two neighbours, so that means are kept."""
    step = grid[1] - grid[0]
    at = np.clip((reached - grid[0]) / step, 0.0, len(grid) - 1.0)
    low = np.minimum(at.astype(np.int64), len(grid) - 2)
    above = at - low
    rows = np.broadcast_to(np.arange(len(grid))[:, None], low.shape)
    matrix = np.zeros((len(grid), len(grid)))
    np.add.at(matrix, (rows, low), weight * (1.0 - above))
    np.add.at(matrix, (rows, low + 1), weight * above)
    return matrix


def _log_odds(up: float) -> float:
    least = 1e-300
    return math.log(max(up, least)) - math.log(max(1.0 - up, least))


def _normal_below(z: Floats) -> Floats:
    flat = [0.5 * math.erfc(-value / SQRT_2) for value in z.ravel().tolist()]
    return np.array(flat).reshape(z.shape)
