"""When what happens: which episode comes next, and whether to stop before the last one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from engine.base.errors import UsageError
from engine.base.state import State
from engine.types.blocks import Ints
from training.config import EarlyStopping
from training.randomness import generator_state, load_generator


class Sampler(Protocol):
    """Deals the rows where episodes begin."""

    def deal(self, count: int) -> Ints:
        """The next starts, shape (count,)."""
        ...

    def snapshot(self) -> State:
        """What `restore` takes."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        ...


class EpisodeSampler:
    """Deals the starts of training episodes: each once, in random order, then all of them again.

    Args:
        starts: Rows where episodes may begin, shape (n,).
        seed: Of the order.

    Raises:
        UsageError: If there is none.
    """

    def __init__(self, starts: Ints, seed: int) -> None:
        if not len(starts):
            raise UsageError("no episode fits into the training range", hint="lower training_params.episode_length")
        self.starts = starts
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._order = self._generator.permutation(len(starts))
        self._dealt = 0

    def deal(self, count: int) -> Ints:
        """The next starts, shape (count,)."""
        dealt = np.empty(count, np.int64)
        for at in range(count):
            if self._dealt == len(self._order):
                self._order = self._generator.permutation(len(self.starts))
                self._dealt = 0
            dealt[at] = self.starts[self._order[self._dealt]]
            self._dealt += 1
        return dealt

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {"generator": generator_state(self._generator), "order": self._order.copy(), "dealt": self._dealt}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        load_generator(self._generator, state["generator"])
        self._order, self._dealt = np.asarray(state["order"]).copy(), int(state["dealt"])


class Patience:
    """Early stopping: remembers the best evaluation, and tells when the reward has not improved for long enough.

    Args:
        config: None never stops.
    """

    def __init__(self, config: EarlyStopping | None) -> None:
        self._config = config
        self.best: float | None = None
        self.best_episode = self._since = 0

    def see(self, episode: int, reward: float) -> bool:
        """Take an evaluated mean reward; returns whether it is the best so far."""
        least = self._config.min_improvement if self._config else 0.0
        if self.best is not None and reward < self.best + least:
            return False
        self.best, self.best_episode, self._since = reward, episode, episode
        return True

    def wait_from(self, episode: int) -> None:
        """Count from here on; what was best stays the best."""
        self._since = episode

    def exhausted(self, episode: int) -> bool:
        """Whether it is time to stop."""
        return self._config is not None and self.best is not None and episode - self._since >= self._config.patience

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {"best": self.best, "best_episode": self.best_episode, "since": self._since}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self.best = None if state["best"] is None else float(state["best"])
        self.best_episode, self._since = int(state["best_episode"]), int(state["since"])
