"""Decisions of which the worth of every action is known, on the way to an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.base.state import State
from training.learners.replay.buffer import ObservationStore
from training.randomness import generator_state, load_generator


class OutcomeBatch(NamedTuple):
    """Decisions, n rows.

    Attributes:
        observation: Float32, shape (n, *observation).
        values: Reward of every action, float32, shape (n, actions).
    """

    observation: NDArray[np.float32]
    values: NDArray[np.float32]


class Outcomes:
    """Decisions since the last update, and earlier ones to learn from again.

    What an action was worth on the bars that followed does not depend on the policy that decided, but for the costs of
    coming from and going to its neighbours. So decisions hardly age, and an update that sees many earlier ones beside
    the fresh ones fits less noise.

    Args:
        observation: How observations are kept.
        actions: How many there are to choose from.
        capacity: Earlier decisions that are kept; the oldest make way.
        seed: Of drawing them.
    """

    def __init__(self, observation: ObservationStore, actions: int, *, capacity: int, seed: int) -> None:
        self._store, self._actions, self._capacity = observation, actions, capacity
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._fresh: list[_Decisions] = []
        self._earlier = self._none()
        self._count = 0

    def __len__(self) -> int:
        """How many are fresh."""
        return self._count

    def add(self, keys: NDArray[Any], values: NDArray[np.float64]) -> None:
        """Take decisions: keys of their observations, shape (k, ...), and values, shape (k, actions)."""
        self._fresh.append(_Decisions(np.array(keys), np.array(values)))
        self._count += len(keys)

    def forget(self) -> None:
        """Forget all of them."""
        self._fresh, self._earlier, self._count = [], self._none(), 0

    def take(self, replayed: int = 0) -> OutcomeBatch:
        """The fresh ones, and earlier ones drawn without replacement; the fresh ones are earlier ones from here on.

        Args:
            replayed: Earlier ones for each fresh one, as far as there are so many.
        """
        fresh, earlier = self._joined(), self._earlier
        count = min(replayed * len(fresh.keys), len(earlier.keys))
        rows = self._generator.choice(len(earlier.keys), count, replace=False) if count else np.zeros(0, np.int64)
        keys = np.concatenate([fresh.keys, earlier.keys[rows]])
        values = np.concatenate([fresh.values, earlier.values[rows]])
        first = max(len(earlier.keys) + len(fresh.keys) - self._capacity, 0)
        self._earlier = _Decisions(
            np.concatenate([earlier.keys, fresh.keys])[first:], np.concatenate([earlier.values, fresh.values])[first:]
        )
        self._fresh, self._count = [], 0
        return OutcomeBatch(self._store.read(keys, np.arange(len(keys))), values.astype(np.float32))

    def _none(self) -> _Decisions:
        return _Decisions(self._store.empty(0), np.zeros((0, self._actions)))

    def _joined(self) -> _Decisions:
        parts = [self._none(), *self._fresh]
        keys, values = zip(*parts, strict=True)
        return _Decisions(np.concatenate(keys), np.concatenate(values))

    def snapshot(self) -> State:
        """What `restore` takes."""
        return {
            "fresh": self._joined()._asdict(),
            "earlier": self._earlier._asdict(),
            "generator": generator_state(self._generator),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        fresh, self._earlier = (
            _Decisions(np.array(state[part]["keys"]), np.array(state[part]["values"], np.float64))
            for part in ("fresh", "earlier")
        )
        self._fresh, self._count = [fresh], len(fresh.keys)
        load_generator(self._generator, state["generator"])


class _Decisions(NamedTuple):
    """Keys of observations, shape (n, ...), and the worth of every action, float64, shape (n, actions)."""

    keys: NDArray[Any]
    values: NDArray[np.float64]
