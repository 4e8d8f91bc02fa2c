"""Kalman filters of one hidden number that decays, from log returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats

ENOUGH = 1e-12
ROUNDS = 100_000


class Seen(NamedTuple):
    """A hidden number and the log return that is seen, over some bars; both are linear in the number before.

    Attributes:
        left: Of the number.
        told: Return for each unit of the number before.
        own: Variance that the number takes up.
        noise: Variance of the return around what the number before tells.
        both: Covariance of the two.
    """

    left: float
    told: float
    own: float
    noise: float
    both: float

    def gain(self, variance: float) -> tuple[float, float]:
        """Kalman gain, and the variance of the estimate after the return, from the variance before."""
        total = self.told**2 * variance + self.noise
        shared = self.left * self.told * variance + self.both
        return shared / total, self.left**2 * variance + self.own - shared**2 / total

    def settled(self, variance: float) -> float:
        """Variance of the estimate after very many returns."""
        for _ in range(ROUNDS):
            after = self.gain(variance)[1]
            if abs(after - variance) <= ENOUGH * variance:
                return after
            variance = after
        return variance

    def follow(self, returns: Floats, variance: float) -> Floats:
        """Estimates before and after each return, from 0 with a variance; shape (n + 1,)."""
        found, at = [0.0], 0.0
        for change in returns.tolist():
            gain, variance = self.gain(variance)
            at = self.left * at + gain * (change - self.told * at)
            found.append(at)
        return np.array(found)
