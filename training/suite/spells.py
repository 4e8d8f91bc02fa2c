"""Markets with two hidden kinds of spells, and what a filter knows of them.

The belief about the present kind follows Hamilton (1989) and is itself a Markov process, on which the fair optimum is
solved: the best of all policies that see prices only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import Floats
from feeds.generators_drifts import VolatilityPremium
from feeds.generators_paths import BPS, RegimeDrift
from training.suite import chains
from training.suite.optimum import Chain

NODES = 801
REACH = 7.0
"""Deviations that a quadrature over normal laws covers."""

SURE = 14.0
"""Log odds that one close can add on the grid: what is known better is forgotten by the next close."""

LEAST = 1e-300
"""Probability below which nothing is told apart, so that no logarithm is infinite."""

KINDS = np.array([-1.0, 1.0])


@dataclass(frozen=True)
class Spells:
    """Normal steps of two kinds, called -1 and 1; each bar ends a spell with a probability of its own.

    Attributes:
        drifts: Expected log return of a bar of each kind.
        deviations: Of a bar of each kind.
        lengths: Mean length of a spell of each kind, bars.
    """

    drifts: tuple[float, float]
    deviations: tuple[float, float]
    lengths: tuple[float, float]
    hides = True
    exact = True

    @classmethod
    def of(cls, generator: RegimeDrift | VolatilityPremium) -> Spells:
        """The law of that generator: falling and rising, or turbulent and calm spells."""
        if isinstance(generator, RegimeDrift):
            return cls.regimes(generator.drift_bps * BPS, generator.volatility_bps * BPS, generator.mean_minutes)
        return cls(
            (generator.turbulent_drift_bps * BPS, generator.calm_drift_bps * BPS),
            (generator.turbulent_volatility_bps * BPS, generator.calm_volatility_bps * BPS),
            (generator.turbulent_minutes, generator.calm_minutes),
        )

    @classmethod
    def regimes(cls, drift: float, deviation: float, mean_bars: float) -> Spells:
        """A drift of one size and hidden sign."""
        return cls((-drift, drift), (deviation, deviation), (mean_bars, mean_bars))

    @property
    def resolution(self) -> int:
        """Fewer than the 30 of half an hour where volatility tells the kind.

        High, low and close tell about as much on it as six returns (Garman and Klass, 1980).
        """
        return 30 if self.deviations[0] == self.deviations[1] else 5

    @property
    def memory(self) -> float:
        """Correlation of the kind with that of the bar before."""
        return 1.0 - 1.0 / self.lengths[0] - 1.0 / self.lengths[1]

    @property
    def share(self) -> float:
        """Share of all bars that are of kind 1."""
        return self.lengths[1] / (self.lengths[0] + self.lengths[1])

    def ahead(self, period: int) -> Floats:
        """Expected log return of the next bars if the kind is known to be -1 or 1 now, shape (2,)."""
        down, up = self.drifts
        above = (KINDS + 1.0) / 2.0 - self.share
        return period * (down + (up - down) * self.share) + (up - down) * above * chains.decay(self.memory, period)

    def known(self, period: int) -> Chain:
        """With full information: the states are the kinds."""
        left = self.memory**period
        to_up = self.share + ((KINDS + 1.0) / 2.0 - self.share) * left
        return Chain(KINDS, np.stack([1.0 - to_up, to_up], axis=1), self.ahead(period), period)

    def believed(self, period: int, observe: int = 1) -> Chain:
        """From prices only: the states are log odds of kind 1.

        Raises:
            UsageError: If `observe` is no divisor of the period.
        """
        if period % observe:
            raise UsageError("bars between closes seen must divide those between decisions", found=f"{observe}")
        odds = np.linspace(-1.0, 1.0, chains.GRID) * self._most_odds(observe)
        once = self._belief_step(odds, observe)
        transition = np.linalg.matrix_power(once, period // observe)
        transition /= transition.sum(axis=1, keepdims=True)
        down, up = self.ahead(period).tolist()
        return Chain(odds, transition, down + (up - down) * (1.0 + np.tanh(odds / 2.0)) / 2.0, period)

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """Log odds of kind 1 after each close that is seen, shape (n,); none is known at the first."""
        likely = self._likelihood(np.diff(np.log(closes)), observe)
        up = self.share
        odds = [_log_odds(up)]
        for (down_down, down_up), (up_down, up_up) in likely.tolist():
            rises = (1.0 - up) * down_up + up * up_up
            falls = (1.0 - up) * down_down + up * up_down
            total = rises + falls
            up = rises / total if total > 0.0 else self.share
            odds.append(_log_odds(up))
        return np.array(odds)

    def _likelihood(self, returns: Floats, bars: int) -> Floats:
        """Density of each return together with the last kind (last axis) given the kind before, shape (n, 2, 2)."""
        exponent = self._log_density(returns, bars)
        # a common factor would cancel; without the largest exponent far returns would leave 0 / 0
        density = np.exp(exponent - exponent.max(axis=1, keepdims=True)) if len(returns) else exponent
        return np.asarray(np.einsum("nc,scu->nsu", density, self._counts(bars)))

    def _log_density(self, returns: Floats, bars: int) -> Floats:
        """Of returns over so many bars, given how many of them are of kind 1, up to a constant: shape (n, bars + 1)."""
        ups = np.arange(bars + 1)
        centre = (bars - ups) * self.drifts[0] + ups * self.drifts[1]
        spread = np.sqrt((bars - ups) * self.deviations[0] ** 2 + ups * self.deviations[1] ** 2)
        return np.asarray(-0.5 * ((returns[:, None] - centre) / spread) ** 2 - np.log(spread / max(self.deviations)))

    def _counts(self, bars: int) -> Floats:
        """Probability of so many bars of kind 1 and of the last kind, given the kind before: shape (2, bars + 1, 2)."""
        leaves = 1.0 / np.array(self.lengths)
        found = np.zeros((2, bars + 1, 2))
        found[0, 0, 0] = found[1, 0, 1] = 1.0
        for _ in range(bars):
            moved = found * (1.0 - leaves) + (found * leaves)[:, :, ::-1]
            found = np.zeros_like(moved)
            found[:, :, 0] = moved[:, :, 0]
            found[:, 1:, 1] = moved[:, :-1, 1]
        return found

    def _nodes(self, observe: int) -> Floats:
        """Returns of a quadrature."""
        drift, spread = max(abs(one) for one in self.drifts), max(self.deviations)
        reach = observe * drift + REACH * spread * math.sqrt(observe)
        return np.linspace(-reach, reach, NODES)

    def _most_odds(self, observe: int) -> float:
        alone = self._log_density(self._nodes(observe), observe)[:, [0, -1]]
        return math.log(2.0 * max(self.lengths)) + min(float(np.abs(alone[:, 1] - alone[:, 0]).max()), SURE)

    def _belief_step(self, odds: Floats, observe: int) -> Floats:
        """Law of the log odds after the next close seen, on the same grid."""
        density = np.exp(self._log_density(self._nodes(observe), observe))
        likely = np.einsum("qc,scu->qsu", density, self._counts(observe))
        up = 1.0 / (1.0 + np.exp(-odds))
        joint = np.einsum("gs,qsu->gqu", np.stack([1.0 - up, up], axis=1), likely)
        weight = joint.sum(axis=2)
        joint = np.maximum(joint, LEAST)
        reached = np.log(joint[:, :, 1]) - np.log(joint[:, :, 0])
        return chains.spread_on_grid(odds, reached, weight / weight.sum(axis=1, keepdims=True))


def _log_odds(up: float) -> float:
    return math.log(max(up, LEAST)) - math.log(max(1.0 - up, LEAST))
