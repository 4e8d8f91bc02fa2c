"""Early stopping: when the evaluated reward has not improved for long enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.config import EarlyStopping
from training.randomness import State


class Patience:
    """Remembers the best evaluation.

    Args:
        config: None never stops.
    """

    def __init__(self, config: EarlyStopping | None) -> None:
        self._config = config
        self.best: float | None = None
        self.best_episode = 0

    def see(self, episode: int, reward: float) -> bool:
        """Take an evaluated mean reward; returns whether it is the best so far."""
        least = self._config.min_improvement if self._config else 0.0
        if self.best is not None and reward < self.best + least:
            return False
        self.best, self.best_episode = reward, episode
        return True

    def exhausted(self, episode: int) -> bool:
        """Whether it is time to stop."""
        return (
            self._config is not None and self.best is not None and episode - self.best_episode >= self._config.patience
        )

    def state(self) -> State:
        """What `load` takes."""
        return {"best": self.best, "best_episode": self.best_episode}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.best = None if state["best"] is None else float(state["best"])
        self.best_episode = int(state["best_episode"])
