"""Differences between two traders whose mean is 0: standard deviation 1, shape (sessions, blocks)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.types.blocks import Floats

Generator = np.random.Generator
AUTOCORRELATION = 0.2
RARE = 0.01
"""How often the seller of tails loses: 9.95 standard deviations then, and wins a tenth of one otherwise."""


def normal(random: Generator, sessions: int, blocks: int) -> Floats:
    """Independent and normal."""
    return random.standard_normal((sessions, blocks))


def heavy(random: Generator, sessions: int, blocks: int) -> Floats:
    """Independent, Student's t with 3 degrees of freedom."""
    found: Floats = random.standard_t(3, (sessions, blocks)) / np.sqrt(3.0)
    return found


def following(random: Generator, sessions: int, blocks: int) -> Floats:
    """Normal, each correlated with the one before by AUTOCORRELATION."""
    found = random.standard_normal((sessions, blocks))
    scale = np.sqrt(1.0 - AUTOCORRELATION**2)
    for block in range(1, blocks):
        found[:, block] = AUTOCORRELATION * found[:, block - 1] + scale * found[:, block]
    return found


def selling_tails(random: Generator, sessions: int, blocks: int) -> Floats:
    """Small gains nearly always, and rarely a loss that takes all of them back."""
    rare = random.random((sessions, blocks)) < RARE
    found: Floats = np.where(rare, -np.sqrt((1.0 - RARE) / RARE), np.sqrt(RARE / (1.0 - RARE)))
    return found


DRAWS: dict[str, Callable[[Generator, int, int], Floats]] = {
    "normal": normal,
    "t, 3 degrees": heavy,
    f"AR({AUTOCORRELATION})": following,
    "negatively skewed": selling_tails,
}
