"""Decisions on the way to an update, and their generalized advantages (Schulman et al., 2016).

Environments need not decide in lockstep: each decision is written down when it is taken and closed when its reward is
known, and may stay open over an update.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError, UsageError
from engine.base.state import State
from training.learners.replay.buffer import ObservationStore

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE = -1
"""In place of a row: the environment has no open decision."""

COLUMNS: dict[str, type] = {
    "env": np.int64,
    "action": np.int64,
    "log_probability": np.float64,
    "value": np.float64,
    "reward": np.float64,
    "bootstrap": np.float64,
    "terminated": np.bool_,
    "truncated": np.bool_,
    "closed": np.bool_,
}


class RolloutBatch(NamedTuple):
    """Closed decisions with what the update wants to know of them, n rows each.

    Attributes:
        observation: Float32, shape (n, *observation).
        action: Int64.
        log_probability, value: Of the policy that decided; float32.
        advantage: Generalized advantage estimate, not normalised; float32.
        returns: Advantage plus value: the target of the value network; float32.
    """

    observation: NDArray[np.float32]
    action: Ints
    log_probability: NDArray[np.float32]
    value: NDArray[np.float32]
    advantage: NDArray[np.float32]
    returns: NDArray[np.float32]


class Rollout:
    """Decisions of several environments since the last update.

    Args:
        envs: Number of environments.
        observation: How observations are kept.
        capacity: Decisions that there is room for at first; it grows.

    Raises:
        UsageError: If there is no environment.
    """

    def __init__(self, envs: int, observation: ObservationStore, capacity: int = 512) -> None:
        if envs < 1:
            raise UsageError("a rollout needs at least one environment", found=str(envs))
        self.envs = envs
        self._store = observation
        self._size = self._closed = 0
        self._open = np.full(envs, NONE)
        self._observations = observation.empty(capacity)
        self._columns: dict[str, NDArray[Any]] = {name: np.zeros(capacity, kind) for name, kind in COLUMNS.items()}

    def __len__(self) -> int:
        """Closed decisions."""
        return self._closed

    @property
    def open(self) -> NDArray[np.bool_]:
        """Which environments wait for the reward of a decision, shape (envs,)."""
        waiting: NDArray[np.bool_] = self._open != NONE
        return waiting

    def add(
        self,
        env_indices: Ints,
        observation_keys: NDArray[Any],
        actions: NDArray[np.int64],
        log_probabilities: NDArray[np.floating[Any]],
        values: NDArray[np.floating[Any]],
    ) -> None:
        """Write down k decisions that environments have just taken.

        Args:
            env_indices: Which environments, none twice, shape (k,).
            observation_keys: What the store keeps of their observations: themselves or row numbers; shape (k, ...).
            actions, log_probabilities, values: As `PPO.act` gave them, shape (k,).

        Raises:
            UsageError: If one of them still waits for the reward of its last decision, or the keys do not fit.
        """
        envs = self._checked(env_indices, waiting=False)
        keys = np.asarray(observation_keys)
        if keys.shape != (len(envs), *self._observations.shape[1:]):
            raise UsageError(
                "observations do not fit the rollout",
                expected=f"shape {(len(envs), *self._observations.shape[1:])}",
                found=f"shape {keys.shape}",
            )
        self._reserve(self._size + len(envs))
        end = self._size + len(envs)
        self._observations[self._size : end] = keys
        given = {"env": envs, "action": actions, "log_probability": log_probabilities, "value": values}
        for name, column in self._columns.items():
            column[self._size : end] = given.get(name, 0)
        self._open[envs] = np.arange(self._size, end)
        self._size = end

    def reward(
        self,
        env_indices: Ints,
        rewards: NDArray[np.floating[Any]],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        bootstrap_values: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        """Close the open decisions of k environments.

        Args:
            env_indices: Which environments, none twice, shape (k,).
            rewards: Summed since the decision, shape (k,).
            terminated: True where nothing can follow, shape (k,).
            truncated: True where the episode was cut off although something would follow, shape (k,).
            bootstrap_values: Values of the observations that followed, shape (k,). Read where an episode was cut off,
                and where an update comes before the environment's next decision; NaN (or None for all) if unknown.

        Raises:
            UsageError: If one of them has no open decision, or was cut off and its value is unknown.
        """
        envs = self._checked(env_indices, waiting=True)
        rows = self._open[envs]
        known = np.full(len(envs), np.nan) if bootstrap_values is None else np.asarray(bootstrap_values, np.float64)
        cut = np.asarray(truncated, bool) & ~np.asarray(terminated, bool)
        if np.isnan(known[cut]).any():
            raise UsageError(
                "an episode was cut off without the value of the observation that followed",
                where=f"environment {envs[cut & np.isnan(known)][0]}",
                expected="bootstrap_values",
            )
        closing = {"reward": rewards, "bootstrap": known, "terminated": terminated, "truncated": cut, "closed": True}
        for name, values in closing.items():
            self._columns[name][rows] = values
        self._open[envs] = NONE
        self._closed += len(envs)

    def take(self, gamma: float, gae_lambda: float) -> RolloutBatch:
        """The closed decisions, in the order of deciding; the rollout forgets them and keeps the open ones.

        Raises:
            UsageError: If the value that follows an environment's last closed decision is unknown.
        """
        closed = self._columns["closed"][: self._size]
        rows = np.flatnonzero(closed)
        columns = {name: column[: self._size] for name, column in self._columns.items()}
        advantage = advantages(columns, self.envs, gamma, gae_lambda)[rows]
        value = columns["value"][rows]
        found = RolloutBatch(
            self._store.read(self._observations, rows),
            columns["action"][rows],
            columns["log_probability"][rows].astype(np.float32),
            value.astype(np.float32),
            advantage.astype(np.float32),
            (advantage + value).astype(np.float32),
        )
        self._keep(~closed)
        return found

    def forget(self) -> None:
        """Forget the closed decisions and keep the open ones."""
        self._keep(~self._columns["closed"][: self._size])

    def snapshot(self) -> State:
        """What `restore` takes."""
        columns = {name: column[: self._size].copy() for name, column in self._columns.items()}
        return columns | {"observation": self._observations[: self._size].copy(), "envs": self.envs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is of other observations or of another number of environments.
        """
        observations = np.asarray(state["observation"])
        size, kept = len(observations), self._observations
        fits = observations.shape[1:] == kept.shape[1:] and observations.dtype == kept.dtype
        if state["envs"] != self.envs or not fits or any(np.shape(state[name]) != (size,) for name in COLUMNS):
            raise DataError(
                "the saved rollout is another one",
                expected=f"{self.envs} environments, observations {kept.dtype} of shape {kept.shape[1:]}",
                found=f"{state['envs']} environments, observations {observations.dtype} of {observations.shape}",
            )
        self._size = 0
        self._reserve(size)
        self._observations[:size] = observations
        for name, column in self._columns.items():
            column[:size] = state[name]
        self._size = size
        self._keep(np.ones(size, bool))

    def _checked(self, env_indices: Ints, *, waiting: bool) -> Ints:
        envs = np.asarray(env_indices, np.int64)
        numbers = envs.tolist()
        # as plain numbers: there are few, and np.unique takes longer than deciding
        if len(set(numbers)) != len(numbers) or (numbers and not 0 <= min(numbers) <= max(numbers) < self.envs):
            raise UsageError("a rollout's environments are numbered, each at most once", found=str(numbers))
        wrong = envs[(self._open[envs] != NONE) != waiting]
        if len(wrong):
            what = "has no decision to reward" if waiting else "has not been rewarded for its last decision"
            raise UsageError(f"environment {wrong[0]} {what}")
        return envs

    def _keep(self, rows: NDArray[np.bool_]) -> None:
        kept = np.flatnonzero(rows)
        self._observations[: len(kept)] = self._observations[kept]
        for column in self._columns.values():
            column[: len(kept)] = column[kept]
        self._size = len(kept)
        closed = self._columns["closed"][: self._size]
        self._closed = int(closed.sum())
        self._open[:] = NONE
        self._open[self._columns["env"][: self._size][~closed]] = np.flatnonzero(~closed)

    def _reserve(self, size: int) -> None:
        if size <= len(self._observations):
            return
        capacity = max(size, 2 * len(self._observations))
        observations = self._store.empty(capacity)
        observations[: self._size] = self._observations[: self._size]
        self._observations = observations
        for name, column in self._columns.items():
            self._columns[name] = np.zeros(capacity, column.dtype)
            self._columns[name][: self._size] = column[: self._size]


def advantages(columns: Mapping[str, NDArray[Any]], envs: int, gamma: float, gae_lambda: float) -> Floats:
    """Generalized advantages of decisions in the order of deciding; 0 for open ones.

    A_t = delta_t + gamma * lambda * A_{t+1} along each environment, delta_t = r_t + gamma * V_{t+1} - V_t (Schulman et
    al., 2016, equations 11 to 16). After termination V is 0; where an episode was cut off, and after the last decision
    known, it is the bootstrap value.

    Args:
        columns: Of `COLUMNS`, n rows each.
        envs: Number of environments.
        gamma: Discount of a decision.
        gae_lambda: Of the estimator.

    Raises:
        UsageError: If the value that follows an environment's last closed decision is unknown.
    """
    found = np.zeros(len(columns["env"]))
    # plain numbers: the loop is sequential, and of an update's time it is a thousandth
    following = [math.nan] * envs
    ahead = [0.0] * envs
    names = ("env", "value", "reward", "bootstrap", "terminated", "truncated", "closed")
    rows = list(zip(*(columns[name].tolist() for name in names), strict=True))
    for row in range(len(rows) - 1, -1, -1):
        env, value, reward, bootstrap, terminated, truncated, closed = rows[row]
        advantage = 0.0
        if closed:
            last = terminated or truncated
            after = bootstrap if last or math.isnan(following[env]) else following[env]
            after = 0.0 if terminated else after
            if math.isnan(after):
                raise UsageError(
                    "the value that follows a decision is unknown",
                    where=f"environment {env}",
                    expected="its next decision, or bootstrap_values with its reward",
                )
            advantage = reward + gamma * after - value
            advantage += 0.0 if last else gamma * gae_lambda * ahead[env]
        found[row] = ahead[env] = advantage
        following[env] = value
    return found
