"""How long a challenge takes: blocks until the evidence suffices, for a difference of a given size."""

from __future__ import annotations

import math

import numpy as np

from engine.challengers.paired import FRACTIONS
from engine.types.blocks import Floats

EFFECTS = (0.1, 0.2, 0.3)
"""Mean differences for which the wait is printed before a challenge starts, in standard deviations of a block's."""
USUAL_BOUND = 10.0
"""Bound in standard deviations, where nothing is known yet."""
LONGEST = 10_000_000
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)


def growth(mean: float, deviation: float, bound: float, gain_cap: float, margin: float = 0.0) -> Floats:
    """Expected growth of the logarithm of each bet's capital in one block, shape (bets,).

    Args:
        mean, deviation: Of the differences, taken as normal; in any unit, also that of the rest.
        bound, gain_cap, margin: As in `engine.challengers.paired.PairedTest`.
    """
    differences = np.clip(mean + deviation * _NODES, -bound, gain_cap)
    factors = 1.0 + np.outer(FRACTIONS, differences - margin) / (bound + margin)
    found: Floats = np.log(factors) @ (_WEIGHTS / _WEIGHTS.sum())
    return found


def blocks_until(growths: Floats, wanted: float) -> int | None:
    """Blocks until equal stakes that grow so are worth `wanted` on average; None where they never are."""
    best = float(growths.max())
    if best <= 0.0:
        return None
    low, high = 0, 1
    while _worth(growths, high) < math.log(wanted):
        low, high = high, 2 * high
        if high > LONGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _worth(growths, middle) >= math.log(wanted) else (middle, high)
    return high


def _worth(growths: Floats, blocks: int) -> float:
    """Logarithm of the mean capital after so many blocks."""
    grown = growths * blocks
    top = float(grown.max())
    return top + math.log(float(np.exp(grown - top).mean()))


def wait_before(threshold: float, effect: float, bound: float = USUAL_BOUND) -> int | None:
    """Blocks that a challenge of this effect takes about.

    Args:
        threshold: E-value that promotes.
        effect: Mean difference, in standard deviations.
        bound: As in `growth`, in standard deviations; the cap on gains is half of it.
    """
    return blocks_until(growth(effect, 1.0, bound, bound / 2.0), threshold)
