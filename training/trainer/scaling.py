"""Rewards of about unit size, whatever market and capital: learning rates and the entropy's weight count on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.randomness import State

CLIP = 10.0
FLOOR = 1e-8


class RewardScale:
    """Divides rewards by their deviation so far (Welford's running moments) and clips them to +-10.

    The mean is not taken off, so that a reward keeps its sign and doing nothing keeps its reward of nothing.
    """

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def see(self, rewards: NDArray[np.float64]) -> None:
        """Take rewards into the moments, one after the other."""
        for reward in rewards.tolist():
            self._count += 1
            distance = reward - self._mean
            self._mean += distance / self._count
            self._squares += distance * (reward - self._mean)

    @property
    def deviation(self) -> float:
        """Deviation so far; 1 before there are two rewards that differ."""
        deviation = math.sqrt(self._squares / self._count) if self._count > 1 else 0.0
        return deviation if deviation > FLOOR else 1.0

    def __call__(self, rewards: NDArray[Any]) -> NDArray[np.float32]:
        """Scaled rewards."""
        return np.clip(rewards / self.deviation, -CLIP, CLIP).astype(np.float32)

    def state(self) -> State:
        """What `load` takes."""
        return {"count": self._count, "mean": self._mean, "squares": self._squares}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._count, self._mean, self._squares = int(state["count"]), float(state["mean"]), float(state["squares"])
