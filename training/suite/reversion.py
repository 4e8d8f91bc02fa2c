"""A market that returns to its mean: the deviation is hidden, for nobody tells the mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.types.blocks import Floats
from feeds.generators_paths import BPS, MeanReversion
from training.suite.chains import autoregression_chain
from training.suite.estimates import Seen
from training.suite.optimum import Chain

WINDOW = 66
"""Returns between closes half an hour apart that the strategic agent sees: 48 rows, the first of which tells the mean
of 20 closes and so, with the next ones, the 18 returns before it."""

WINDOW_BARS = 30


@dataclass(frozen=True)
class Reversion:
    """A deviation that decays, around a mean that nobody tells.

    From closes half an hour apart, beliefs use the 66 returns that the strategic agent's window tells; otherwise all
    closes.

    Attributes:
        memory: Share of a deviation left after a bar.
        deviation: Stationary, of the log price.
        noise: Deviation of a bar of a random walk that is added.
    """

    memory: float
    deviation: float
    noise: float = 0.0
    hides = True
    resolution = WINDOW_BARS
    exact = True

    @classmethod
    def of(cls, generator: MeanReversion) -> Reversion:
        """The law of that generator."""
        return cls(generator.memory, generator.deviation_bps * BPS, generator.noise_bps * BPS)

    def known(self, period: int) -> Chain:
        """With the deviation known; what is added as a random walk cannot be foreseen and earns nothing."""
        left = self.memory**period
        return autoregression_chain(left, self.deviation, left - 1.0, period)

    def believed(self, period: int, observe: int = 1) -> Chain:
        """The states are estimated deviations.

        The estimate from a window is no Markov process: an autoregression of the same deviation and of the same
        correlation from one decision to the next stands for it. That from all closes is taken after very many.
        """
        left = self.memory**period
        if observe == WINDOW_BARS:
            memory, deviation = self._window_law()
            return autoregression_chain(memory, deviation, left - 1.0, period)
        # without noise the mean is known in the end
        unknown = self._seen(observe).settled(self.deviation**2) if self.noise else 0.0
        return autoregression_chain(left, math.sqrt(max(self.deviation**2 - unknown, 0.0)), left - 1.0, period)

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """Estimated deviation after each close that is seen, shape (n,)."""
        returns = np.diff(np.log(closes))
        if observe != WINDOW_BARS:
            return self._seen(observe).follow(returns, self.deviation**2)
        found = np.zeros(len(returns) + 1)
        for seen in range(1, min(WINDOW, len(returns)) + 1):
            found[seen] = self.weights(seen) @ returns[seen - 1 :: -1][:seen]
        if len(returns) > WINDOW:
            found[WINDOW:] = np.convolve(returns, self.weights(WINDOW), "valid")
        return found

    def weights(self, count: int) -> Floats:
        """Of the last returns over half an hour in the estimate, newest first, shape (count,).

        The best linear estimate from returns is that from closes by generalized least squares with an unknown mean.
        """
        left = self.memory**WINDOW_BARS
        told = self.deviation**2 * (1.0 - left) * left ** np.arange(count)
        solved: Floats = np.linalg.solve(self._covariance(count), told)
        return solved

    def _covariance(self, count: int, shift: int = 0) -> Floats:
        """Of returns over half an hour with those `shift` half hours earlier, newest first, shape (count, count)."""
        left = self.memory**WINDOW_BARS
        apart = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :] - shift)
        own = 2.0 * self.deviation**2 * (1.0 - left) + WINDOW_BARS * self.noise**2
        others = -(self.deviation**2) * (1.0 - left) ** 2 * left ** (np.maximum(apart, 1) - 1.0)
        return np.where(apart == 0, own, others)

    def _window_law(self) -> tuple[float, float]:
        """Correlation of an estimate from a window with the next one, and its deviation."""
        weights = self.weights(WINDOW)
        variance = float(weights @ self._covariance(WINDOW) @ weights)
        return float(weights @ self._covariance(WINDOW, shift=1) @ weights) / variance, math.sqrt(variance)

    def _seen(self, bars: int) -> Seen:
        left = self.memory**bars
        own = self.deviation**2 * (1.0 - left**2)
        return Seen(left, left - 1.0, own, own + bars * self.noise**2, own)
