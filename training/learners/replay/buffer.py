"""Experience replay: a ring of transitions, sampled uniformly or by priority (Schaul et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.base.errors import DataError, UsageError
from engine.base.state import State
from training.learners.replay.priorities import Priorities, fitting
from training.randomness import generator_state, load_generator


class ReplayBatch(NamedTuple):
    """A sample of B transitions.

    Attributes:
        observation, next_observation: Float32, shape (B, *observation).
        action: Of the type and shape that the buffer was made for, shape (B, *action).
        reward: Float32, shape (B,).
        terminated: 1.0 where no value follows, else 0.0 (also of a truncated episode); float32, shape (B,).
        weight: Importance weights, at most 1; all 1 where sampling is uniform; float32, shape (B,).
        index: Places in the buffer, for `Replay.update_priorities`; int64, shape (B,).
    """

    observation: NDArray[np.float32]
    action: NDArray[Any]
    reward: NDArray[np.float32]
    next_observation: NDArray[np.float32]
    terminated: NDArray[np.float32]
    weight: NDArray[np.float32]
    index: NDArray[np.int64]  # type: ignore[assignment]  # hides a method of tuples


class ObservationStore(Protocol):
    """How observations are kept: what stands for one (its key), and how to read it back."""

    def empty(self, count: int) -> NDArray[Any]:
        """Room for the keys of `count` observations; the first axis counts them."""
        ...

    def read(self, kept: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Observations whose keys lie in these rows of such an array, shape (n, *observation); a copy."""
        ...


class ArrayStore:
    """Keeps observations themselves: the key is the observation.

    Args:
        shape: Of one observation.
        dtype: Of its elements.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def empty(self, count: int) -> NDArray[Any]:
        """Room for `count` observations, shape (count, *shape)."""
        return np.zeros((count, *self.shape), self.dtype)

    def read(self, kept: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Observations in these rows, float32, shape (n, *shape); a copy."""
        return kept.take(rows, axis=0).astype(np.float32, copy=False)


class ReferenceStore:
    """Keeps where observations can be found: the key is a row number, and a window costs 8 bytes.

    Args:
        lookup: From row numbers, int64 of shape (n,), to observations, float32 of shape (n, *observation).
    """

    def __init__(self, lookup: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> None:
        self.lookup = lookup

    def empty(self, count: int) -> NDArray[Any]:
        """Room for `count` row numbers, shape (count,)."""
        return np.zeros(count, np.int64)

    def read(self, kept: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the lookup gives for the row numbers kept in these rows."""
        return self.lookup(kept.take(rows))


class Prioritized(NamedTuple):
    """Sampling by priority |temporal-difference error| ** alpha + 1e-6 (Schaul et al., 2016, proportional variant)."""

    alpha: float = 0.6


class Replay:
    """The last `capacity` transitions.

    Args:
        capacity: Transitions kept; the oldest make way.
        observation: How observations are kept.
        action_shape: Shape of one action; () for numbered actions.
        action_dtype: Its type.
        seed: Of sampling.
        prioritized: None samples uniformly, with replacement.

    Raises:
        UsageError: If the capacity is below 1.
    """

    def __init__(
        self,
        capacity: int,
        observation: ObservationStore,
        action_shape: tuple[int, ...],
        action_dtype: DTypeLike,
        *,
        seed: int,
        prioritized: Prioritized | None = None,
    ) -> None:
        if capacity < 1:
            raise UsageError("a replay buffer holds at least one transition", found=str(capacity))
        self.capacity = capacity
        self._store = observation
        self._observations = observation.empty(capacity)
        self._actions = np.zeros((capacity, *action_shape), action_dtype)
        self._rewards = np.zeros(capacity, np.float32)
        self._next = observation.empty(capacity)
        self._terminated = np.zeros(capacity, np.float32)
        self._priorities = None if prioritized is None else Priorities(capacity, prioritized.alpha)
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._size = self._position = 0

    def __len__(self) -> int:
        return self._size

    @property
    def priorities(self) -> Priorities | None:
        """Priorities of the places; None where sampling is uniform."""
        return self._priorities

    def add(
        self,
        observation_keys: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        next_observation_keys: NDArray[Any],
        terminated: NDArray[Any],
    ) -> None:
        """Keep n transitions, in this order.

        Args:
            observation_keys: What the store keeps of the observations: themselves or their row numbers; shape (n, ...).
            action: Shape (n, *action).
            reward: Shape (n,).
            next_observation_keys: As `observation_keys`, of the observations that followed.
            terminated: True or 1 where no value follows, shape (n,).

        Raises:
            UsageError: If an array has another shape.
        """
        given = (observation_keys, action, reward, next_observation_keys, terminated)
        count = len(reward)
        index = (self._position + np.arange(count)) % self.capacity
        for name, target, values in zip(_COLUMNS, self._columns(), given, strict=True):
            rows = np.asarray(values)
            if rows.shape != (count, *target.shape[1:]):
                raise UsageError(
                    f"{name} of transitions does not fit the replay buffer",
                    expected=f"shape {(count, *target.shape[1:])}",
                    found=f"shape {rows.shape}",
                )
            # of more rows than places only the last ones stay
            target[index[-self.capacity :]] = rows[-self.capacity :]
        if self._priorities is not None:
            self._priorities.add(index[-self.capacity :])
        self._position = (self._position + count) % self.capacity
        self._size = min(self._size + count, self.capacity)

    def sample(self, batch_size: int, beta: float = 1.0) -> ReplayBatch:
        """Draw transitions.

        Args:
            batch_size: How many.
            beta: Importance-sampling exponent; no matter where sampling is uniform.

        Raises:
            UsageError: If the buffer is empty.
        """
        if not self._size:
            raise UsageError("an empty replay buffer has nothing to sample")
        if self._priorities is None:
            index = self._generator.integers(0, self._size, batch_size)
            weight = np.ones(batch_size, np.float32)
        else:
            index, weight = self._priorities.sample(self._generator.random(batch_size), self._size, beta)
        return ReplayBatch(
            self._store.read(self._observations, index),
            self._actions.take(index, axis=0),
            self._rewards.take(index),
            self._store.read(self._next, index),
            self._terminated.take(index),
            weight,
            index,
        )

    def update_priorities(self, index: NDArray[np.int64], td_errors: NDArray[np.float64]) -> None:
        """Give sampled transitions their new priorities; nothing where sampling is uniform.

        Args:
            index: `ReplayBatch.index`, shape (B,).
            td_errors: Temporal-difference errors, shape (B,).

        Raises:
            UsageError: If an error is not finite.
        """
        if self._priorities is not None and not self._priorities.update(index, td_errors):
            raise UsageError("priorities of replay need finite errors", found=str(td_errors))

    def snapshot(self) -> State:
        """What `restore` takes: the transitions so far, their priorities and the generator."""
        state: State = {
            name: column[: self._size].copy() for name, column in zip(_COLUMNS, self._columns(), strict=True)
        }
        priorities = None if self._priorities is None else self._priorities.snapshot(self._size)
        return state | {
            "capacity": self.capacity,
            "size": self._size,
            "position": self._position,
            "generator": generator_state(self._generator),
            "priorities": priorities,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot, bit for bit.

        Raises:
            DataError: If the state is of a buffer of another capacity, kind or shape.
        """
        size = int(state["size"])
        kinds = [values is not None for values in (self._priorities, state["priorities"])]
        if state["capacity"] != self.capacity or not 0 <= size <= self.capacity or kinds[0] != kinds[1]:
            raise DataError(
                "the saved replay buffer is another one",
                expected=f"capacity {self.capacity}, {'with' if kinds[0] else 'without'} priorities",
                found=f"capacity {state['capacity']}, {'with' if kinds[1] else 'without'} priorities",
            )
        columns = self._columns()
        saved = [
            fitting(state, name, (size, *column.shape[1:]), column.dtype)
            for name, column in zip(_COLUMNS, columns, strict=True)
        ]
        if self._priorities is not None:
            self._priorities.restore(state["priorities"], size)
        for column, values in zip(columns, saved, strict=True):
            column[:size] = values
        self._size, self._position = size, int(state["position"])
        load_generator(self._generator, state["generator"])

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self._observations, self._actions, self._rewards, self._next, self._terminated


_COLUMNS = ("observation", "action", "reward", "next_observation", "terminated")
