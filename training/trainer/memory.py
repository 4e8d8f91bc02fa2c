"""What learners remember: the scale of rewards, and transitions that wait in a replay buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.state import State
from training.experience import Decision, Transition
from training.learners.replay.buffer import Replay, ReplayBatch

CLIP = 10.0
FLOOR = 1e-8


class RewardScale:
    """Divides rewards by their deviation so far (Welford's running moments) and clips them to +-10.

    So they are of about unit size, whatever market and capital: learning rates and the entropy's weight count on it.
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

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {"count": self._count, "mean": self._mean, "squares": self._squares}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._count, self._mean, self._squares = int(state["count"]), float(state["mean"]), float(state["squares"])


class ReplayMemory:
    """The open decision of every environment, and what became of the earlier ones in a replay buffer.

    Args:
        replay: Where transitions go; rewards lie there as they came and are scaled when they are sampled.
        keys: What stands for an observation: shape without the batch axis, and element type.
        actions: Likewise.
        environments: How many.
        least: Transitions before the first update.
    """

    def __init__(
        self,
        replay: Replay,
        keys: tuple[tuple[int, ...], Any],
        actions: tuple[tuple[int, ...], Any],
        environments: int,
        least: int,
    ) -> None:
        self.replay, self._least = replay, least
        self.scale = RewardScale()
        self._key: NDArray[Any] = np.zeros((environments, *keys[0]), keys[1])
        self._action: NDArray[Any] = np.zeros((environments, *actions[0]), actions[1])
        self._open = np.zeros(environments, np.bool_)

    def begin(self, decision: Decision) -> None:
        """Remember decisions until they are over."""
        self._key[decision.environments] = decision.keys
        self._action[decision.environments] = decision.actions
        self._open[decision.environments] = True

    def close(self, transition: Transition) -> None:
        """Store decisions that are over; environments in which a stand-in decided are left out."""
        own = self._open[transition.environments]
        closing = transition.environments[own]
        self._open[closing] = False
        if len(closing):
            rewards = transition.rewards[own]
            self.scale.see(rewards)
            keys, actions = self._key[closing], self._action[closing]
            self.replay.add(keys, actions, rewards, transition.keys[own], transition.terminated[own])

    def add(self, keys: NDArray[Any], actions: NDArray[Any], rewards: NDArray[np.float64]) -> int:
        """Store decisions with several actions each, after which nothing follows; returns how many transitions.

        Args:
            keys: What stands for the observations, shape (k, ...).
            actions: Shape (k, alternatives, ...).
            rewards: Of each action, shape (k, alternatives).
        """
        if not len(keys):
            return 0
        alternatives, flat = rewards.shape[1], rewards.ravel()
        self.scale.see(flat)
        repeated = np.repeat(keys, alternatives, axis=0)
        self.replay.add(repeated, actions.reshape(len(flat), *actions.shape[2:]), flat, repeated, np.ones(len(flat)))
        return len(flat)

    @property
    def enough(self) -> bool:
        """Whether there is something to learn from."""
        return len(self.replay) >= self._least

    def sample(self, size: int, beta: float) -> ReplayBatch:
        """A batch with scaled rewards."""
        batch = self.replay.sample(size, beta)
        return batch._replace(reward=self.scale(batch.reward))

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "replay": self.replay.snapshot(),
            "scale": self.scale.snapshot(),
            "key": self._key.copy(),
            "action": self._action.copy(),
            "open": self._open.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self.replay.restore(state["replay"])
        self.scale.restore(state["scale"])
        self._key[:] = state["key"]
        self._action[:] = state["action"]
        self._open[:] = state["open"]
