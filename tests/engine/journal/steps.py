"""Steps of a real simulator over random bars, in blocks of any size."""

from __future__ import annotations

from collections.abc import Sequence

from engine.step import StepBlock
from tests.engine.runs import random_bars, random_targets, steps


def steps_of(rows: int, symbols: int = 1, sizes: Sequence[int] = (1,), seed: int = 0) -> list[StepBlock]:
    bars = random_bars(rows, symbols, seed=seed, absent=0.1)
    return steps(bars, random_targets(rows, symbols, seed=seed, change=0.5), sizes)
