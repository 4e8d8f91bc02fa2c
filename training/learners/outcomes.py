"""Decisions of which the worth of every action is known, on the way to an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.base.state import State
from training.learners.replay.buffer import ObservationStore


class OutcomeBatch(NamedTuple):
    """Decisions, n rows.

    Attributes:
        observation: Float32, shape (n, *observation).
        values: Reward of every action, float32, shape (n, actions).
    """

    observation: NDArray[np.float32]
    values: NDArray[np.float32]


class Outcomes:
    """Decisions since the last update.

    Args:
        observation: How observations are kept.
        actions: How many there are to choose from.
    """

    def __init__(self, observation: ObservationStore, actions: int) -> None:
        self._store, self._actions = observation, actions
        self._keys: list[NDArray[Any]] = []
        self._values: list[NDArray[np.float64]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, keys: NDArray[Any], values: NDArray[np.float64]) -> None:
        """Take decisions: keys of their observations, shape (k, ...), and values, shape (k, actions)."""
        self._keys.append(np.array(keys))
        self._values.append(np.array(values))
        self._count += len(keys)

    def take(self) -> OutcomeBatch:
        """All of them, which are forgotten here."""
        keys, values = self._joined()
        observations = self._store.read(keys, np.arange(len(keys)))
        self._keys, self._values, self._count = [], [], 0
        return OutcomeBatch(observations, values.astype(np.float32))

    def _joined(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        empty = self._store.empty(0), np.zeros((0, self._actions))
        return np.concatenate([empty[0], *self._keys]), np.concatenate([empty[1], *self._values])

    def snapshot(self) -> State:
        """What `restore` takes."""
        keys, values = self._joined()
        return {"keys": keys, "values": values}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._keys, self._values = [np.array(state["keys"])], [np.array(state["values"], np.float64)]
        self._count = len(self._keys[0])
