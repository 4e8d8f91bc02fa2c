"""Markets whose drift is hidden, depends on the time of day, or is nothing.

A hidden drift is estimated by a Kalman filter. The estimate is an autoregression itself, so that the best policy
follows as for the drift itself, with the deviation of the estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.types.blocks import Floats
from feeds.generators_drifts import DAY_MINUTES, TimeOfDay, Trending
from feeds.generators_paths import BPS
from training.suite.chains import autoregression_chain, decay, still
from training.suite.estimates import Seen
from training.suite.optimum import Chain
from training.suite.reversion import WINDOW_BARS


@dataclass(frozen=True)
class Drifting:
    """A hidden drift of changing size.

    Attributes:
        memory: Share of a drift left after a bar.
        drift: Stationary deviation of the drift of a bar.
        deviation: Of a bar around its drift.
    """

    memory: float
    drift: float
    deviation: float
    hides = True
    resolution = WINDOW_BARS
    exact = True

    @classmethod
    def of(cls, generator: Trending) -> Drifting:
        """The law of that generator."""
        return cls(generator.memory, generator.drift_bps * BPS, generator.volatility_bps * BPS)

    def known(self, period: int) -> Chain:
        """With full information: the states are drifts."""
        return autoregression_chain(self.memory**period, self.drift, decay(self.memory, period), period)

    def believed(self, period: int, observe: int = 1) -> Chain:
        """The states are estimated drifts, after very many closes."""
        known = max(self.drift**2 - self._seen(observe).settled(self.drift**2), 0.0)
        return autoregression_chain(self.memory**period, math.sqrt(known), decay(self.memory, period), period)

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """Estimated drift after each close that is seen, shape (n,)."""
        return self._seen(observe).follow(np.diff(np.log(closes)), self.drift**2)

    def _seen(self, bars: int) -> Seen:
        left = self.memory ** np.arange(bars)[::-1]
        # what a shock adds to the returns up to the last bar
        sums = np.cumsum(left[::-1])[::-1]
        shock = self.drift**2 * (1.0 - self.memory**2)
        own = shock * float(left @ left)
        noise = shock * float(sums @ sums) + bars * self.deviation**2
        return Seen(self.memory**bars, decay(self.memory, bars), own, noise, shock * float(left @ sums))


@dataclass(frozen=True)
class Clock:
    """A drift that depends on the time of day: nothing is hidden.

    Attributes:
        drift: Largest of a bar.
        rise: Minute of the day from which on it is upward.
    """

    drift: float
    rise: float
    hides = False
    resolution = WINDOW_BARS
    exact = True

    @classmethod
    def of(cls, generator: TimeOfDay) -> Clock:
        """The law of that generator."""
        return cls(generator.drift_bps * BPS, generator.rise_minute)

    def known(self, period: int) -> Chain:
        """The states are minutes of the day at which decisions are made, from midnight on."""
        minutes = np.arange(0.0, DAY_MINUTES, period)
        generator = TimeOfDay(drift_bps=self.drift / BPS, rise_minute=self.rise)
        ahead = generator.drift(minutes[:, None] + np.arange(1.0, period + 1.0)).sum(axis=1)
        return Chain(minutes, np.roll(np.eye(len(minutes)), 1, axis=1), ahead, period)

    def believed(self, period: int, observe: int = 1) -> Chain:
        """The same: the time is seen."""
        return self.known(period)

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """Nothing that prices tell matters."""
        return np.zeros(len(closes))


@dataclass(frozen=True)
class Walk:
    """Nothing can be foreseen."""

    hides = False
    resolution = WINDOW_BARS
    exact = True

    def known(self, period: int) -> Chain:
        """One state."""
        return still(period)

    def believed(self, period: int, observe: int = 1) -> Chain:
        """The same."""
        return still(period)

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """Always that state."""
        return np.zeros(len(closes))
