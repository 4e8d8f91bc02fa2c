"""Rules that promote a challenger by its differences from the champion, read after every block.

Each takes differences of shape (sessions, blocks), in standard deviations, and gives the number of blocks after which
each session promotes, 0 where it never does.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from engine.challengers.paired import FRACTIONS, PairedTest
from engine.types.blocks import Floats, Ints

Rule = Callable[[Floats, float], Ints]
BOUND, GAIN_CAP = 10.0, 5.0
CLIPPED_AT = 3.0
FEWEST = 30
"""Blocks before the rules that need a standard deviation look for the first time."""
UNIT = 1e-4
"""A standard deviation as a net return, where returns compound."""


def first(crossed: np.ndarray) -> Ints:
    """The first block, counted from 1, in which something holds; 0 where it never does."""
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0)


def paired_test(differences: Floats, alpha: float) -> Ints:
    """The rule of this project, by the class that trades: every loss down to the bound counts, gains are capped."""
    promoted = np.zeros(len(differences), np.int64)
    for session, row in enumerate(differences.tolist()):
        test = PairedTest(bound=BOUND * UNIT, gain_cap=GAIN_CAP * UNIT)
        for number, difference in enumerate(row, 1):
            test.add(difference * UNIT, 0.0)
            if test.e_value >= 1.0 / alpha and not test.correlated:
                promoted[session] = number
                break
    return promoted


def peeking(differences: Floats, alpha: float) -> Ints:
    """A one-sided z-test of the mean, made again after every block as if it were the only time."""
    count, mean, deviation = _running(differences)
    crossed = mean / deviation * np.sqrt(count) > NormalDist().inv_cdf(1.0 - alpha)
    crossed[:, : FEWEST - 1] = False
    return first(crossed)


def asymptotic(differences: Floats, alpha: float) -> Ints:
    """A one-sided asymptotic confidence sequence.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Annals of Statistics 52(6), eq. 12, with rho chosen for a look
    after 250 blocks.
    """
    count, mean, deviation = _running(differences)
    log = -2.0 * np.log(2.0 * alpha)
    rho2 = (log + np.log(1.0 + log)) / 250.0
    grown = count * rho2 + 1.0
    radius = deviation * np.sqrt(2.0 * grown / (count**2 * rho2) * np.log(np.sqrt(grown) / (2.0 * alpha) + 1.0))
    crossed = mean > radius
    crossed[:, : FEWEST - 1] = False
    return first(crossed)


def clipped(differences: Floats, alpha: float) -> Ints:
    """The same bets on differences cut off at 3 standard deviations on either side."""
    kept = np.clip(differences, -CLIPPED_AT, CLIPPED_AT)
    capital = np.ones((len(kept), len(FRACTIONS)))
    values = np.empty_like(kept)
    for block in range(kept.shape[1]):
        capital *= 1.0 + FRACTIONS / CLIPPED_AT * kept[:, block, None]
        values[:, block] = capital.mean(axis=1)
    return first(values >= 1.0 / alpha)


def _running(differences: Floats) -> tuple[Floats, Floats, Floats]:
    """Number, mean and standard deviation of the differences so far, after every block."""
    count = np.arange(1.0, differences.shape[1] + 1.0)
    mean = differences.cumsum(axis=1) / count
    square = (differences**2).cumsum(axis=1) / count
    return count, mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


RULES: dict[str, Rule] = {
    "paired test of this project": paired_test,
    "z-test after every block": peeking,
    "asymptotic confidence sequence": asymptotic,
    "betting, clipped on both sides": clipped,
}
