"""Decisions that last several bars, as transitions in a replay buffer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.learners.replay.buffer import Batch, Replay
from training.randomness import State
from training.trainer.scaling import RewardScale


class Transitions:
    """The open decision of every environment, and the closed ones in a replay buffer.

    Args:
        replay: Where transitions go; rewards lie there as they came and are scaled when they are sampled.
        keys: What stands for an observation: shape without the batch axis, and element type.
        actions: Likewise.
        envs: How many environments.
        least: Transitions before the first update.
    """

    def __init__(
        self,
        replay: Replay,
        keys: tuple[tuple[int, ...], Any],
        actions: tuple[tuple[int, ...], Any],
        envs: int,
        least: int,
    ) -> None:
        self.replay, self._least = replay, least
        self.scale = RewardScale()
        self._key: NDArray[Any] = np.zeros((envs, *keys[0]), keys[1])
        self._action: NDArray[Any] = np.zeros((envs, *actions[0]), actions[1])
        self._open = np.zeros(envs, np.bool_)

    def begin(self, which: NDArray[np.int64], keys: NDArray[Any], actions: NDArray[Any]) -> None:
        """Open decisions."""
        self._key[which] = keys
        self._action[which] = actions
        self._open[which] = True

    def close(
        self,
        which: NDArray[np.int64],
        rewards: NDArray[np.float64],
        next_keys: NDArray[Any],
        terminated: NDArray[np.bool_],
    ) -> None:
        """Store decisions that are over; environments in which a stand-in decided are left out."""
        own = self._open[which]
        closing = which[own]
        self._open[closing] = False
        if len(closing):
            self.scale.see(rewards[own])
            keys, actions = self._key[closing], self._action[closing]
            self.replay.add(keys, actions, rewards[own], next_keys[own], terminated[own])

    @property
    def enough(self) -> bool:
        """Whether there is something to learn from."""
        return len(self.replay) >= self._least

    def sample(self, size: int, beta: float) -> Batch:
        """A batch with scaled rewards."""
        batch = self.replay.sample(size, beta)
        return batch._replace(reward=self.scale(batch.reward))

    def state(self) -> State:
        """What `load` takes."""
        return {
            "replay": self.replay.state(),
            "scale": self.scale.state(),
            "key": self._key.copy(),
            "action": self._action.copy(),
            "open": self._open.copy(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.replay.load(state["replay"])
        self.scale.load(state["scale"])
        self._key[:] = state["key"]
        self._action[:] = state["action"]
        self._open[:] = state["open"]
