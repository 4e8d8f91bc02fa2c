"""What the learner benchmarks share: rounds in which systems take turns, and what each part hands to the driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import NotRequired, TypedDict

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
