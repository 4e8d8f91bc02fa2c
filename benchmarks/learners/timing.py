"""What the learner benchmarks share: rounds in which systems take turns, and what each part hands to the driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NotRequired, TypedDict

import gymnasium as gym
import numpy as np

WARM_UP = 20
ROUNDS = 15
CALLS = 40


class Reference(TypedDict):
    """A learner on a public task, one seed.

    Keys: task; steps of the environment; score (mean return of the evaluation); wanted (least score that counts as
    reached); seconds of CPU time; note (what else matters, such as how the score was taken).
    """

    task: str
    steps: int
    score: float
    wanted: float
    seconds: float
    note: NotRequired[str]


class Speed(TypedDict):
    """Updates per CPU second on the shapes of a seat, both systems in one run.

    Keys: work (what an update is); ours; sb3 (Stable-Baselines3, None if it is not installed).
    """

    work: str
    ours: float
    sb3: float | None


def take_turns(
    systems: Mapping[str, Callable[[], object]], rounds: int = ROUNDS, calls: int = CALLS
) -> dict[str, float]:
    """Calls per CPU second of each system, by the median of rounds in which the systems take turns.

    Args:
        systems: A function that makes one update, by name.
        rounds: Of each system.
        calls: Updates a round.
    """
    for call in systems.values():
        for _ in range(WARM_UP):
            call()
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, call in systems.items():
            start = time.process_time()
            for _ in range(calls):
                call()
            seconds[name].append(time.process_time() - start)
    return {name: calls / median(times) for name, times in seconds.items()}


def compared(
    work: str,
    ours: Callable[[], object],
    peer: Callable[[], object] | None,
    *,
    calls: int = CALLS,
    updates: int = 1,
) -> Speed:
    """Updates per CPU second of ours, and of the peer's where it is installed.

    Args:
        work: What an update is.
        ours, peer: Functions that make updates.
        calls: Of each a round.
        updates: Of a call.
    """
    found = take_turns({"ours": ours} if peer is None else {"ours": ours, "sb3": peer}, calls=calls)
    return Speed(work=work, ours=found["ours"] * updates, sb3=found["sb3"] * updates if peer is not None else None)


def mean_return(task: str, act: Callable[[Any], Any], episodes: int, seed: int) -> float:
    """Mean return of a policy in a public task, all episodes side by side.

    Args:
        task: Its name.
        act: Gives actions to observations, shapes (episodes, ...).
        episodes: How many.
        seed: Of the first episode; the others follow.
    """
    tasks = [gym.make(task) for _ in range(episodes)]
    observations = np.stack([task.reset(seed=seed + number)[0] for number, task in enumerate(tasks)])
    returns, running = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while running.any():
        actions = act(observations)
        for number in np.flatnonzero(running):
            observation, reward, terminated, truncated, _ = tasks[number].step(actions[number])
            observations[number] = observation
            returns[number] += float(reward)
            running[number] = not (terminated or truncated)
    return float(returns.mean())
