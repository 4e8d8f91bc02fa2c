"""Exact sums of prices: whole numbers in place of fractions that binary numbers cannot hold.

Prices are decimals, or whole numbers of ticks. As whole numbers of one step they add up without rounding, and a sum
divided once by a whole number is the double nearest to the true mean, whatever the order and length of the sum. So
equal means are equal numbers, and a mean that lies on the grid is the price that lies there.

The scale of a series says how many steps make up 1.0:

    0          nothing is known yet, taken as 1
    above 0    every price so far is a whole number of steps
    CONTINUOUS prices are no decimals that could be summed exactly (adjusted prices, say); they stay as they are
"""

from __future__ import annotations

import math
from typing import Any

from engine.base.compiled import inlined

CONTINUOUS = -1.0
FINEST = 1e12
WHOLE = 2.0**53
"""Whole numbers up to here are exact as doubles."""
NEAR = 1e-4
"""A price this close to its grid, in steps, lies on it: it was computed, or went through single precision."""
ROUNDING = 2.0**-52


@inlined
def steps_per_unit(tick: float) -> float:
    """How many ticks make up 1.0: a whole number where that is what it should be."""
    per_unit = 1.0 / tick
    nearest = math.floor(per_unit + 0.5)
    return nearest if abs(per_unit - nearest) <= 1e-9 * per_unit else per_unit


@inlined
def fits(steps: float, scale: float, value: float, terms: float) -> bool:
    """Whether a price is so many steps, few enough for exact sums; the arguments are those of `grown_scale`."""
    return steps / scale == value and abs(steps) * terms < WHOLE


@inlined
def grown_scale(scale: float, value: float, terms: float) -> float:
    """The scale at which a further price is a whole number, too: the one given, or a larger power of ten.

    Args:
        scale: Of the series so far.
        terms: Factor by which whole numbers may grow when they are summed.
    """
    if scale == CONTINUOUS:
        return scale
    scale = max(scale, 1.0)
    while scale <= FINEST:
        if fits(math.floor(value * scale + 0.5), scale, value, terms):
            return scale
        scale *= 10.0
    return CONTINUOUS


@inlined
def in_steps(value: float, scale: float) -> float:
    """A price in steps: a whole number where it lies on the grid."""
    if scale == CONTINUOUS:
        return value
    steps = value * scale
    nearest = math.floor(steps + 0.5)
    return nearest if abs(steps - nearest) < NEAR else steps


@inlined
def rescale(ring: Any, before: float, after: float) -> None:
    """Turn the steps in a ring into those of another scale."""
    before = max(before, 1.0)
    for k in range(ring.shape[0]):
        if after == CONTINUOUS:
            ring[k] /= before
        else:
            ring[k] *= after / before  # a power of ten


@inlined
def exact_mean(total: float, terms: int, scale: float) -> float:
    """Mean of so many steps as a price, rounded once."""
    return total / (terms * scale)
