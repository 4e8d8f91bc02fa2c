"""Shapley values: a difference divided among its causes, exactly.

A cause's value is what it adds, averaged over all orders in which causes can be added one after the other: with n
causes, the sum over the sets S without it of |S|! (n - |S| - 1)! / n! times what it adds to S. Source: L. S. Shapley,
A value for n-person games (1953).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import factorial, floor
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def subsets(causes: Sequence[K]) -> Iterator[frozenset[K]]:
    """All 2^n sets of causes, smaller ones first."""
    for size in range(len(causes) + 1):
        yield from map(frozenset, combinations(causes, size))


def shapley_values(causes: Sequence[K], worth: Callable[[frozenset[K]], float]) -> dict[K, Fraction]:
    """What each cause contributes to the worth of all of them together over that of none.

    The numbers are fractions, so that their sum is that difference, and not only nearly.

    Args:
        causes: Each of them once.
        worth: Of a set of causes, a finite number; called once for each of the 2^n sets.
    """
    known = {held: Fraction(worth(held)) for held in subsets(causes)}
    count = len(causes)
    weights = [Fraction(factorial(size) * factorial(count - size - 1), factorial(count)) for size in range(count)]
    return {
        cause: sum(
            (
                weights[len(held)] * (known[held | {cause}] - value)
                for held, value in known.items()
                if cause not in held
            ),
            Fraction(0),
        )
        for cause in causes
    }


def rounded(parts: Mapping[K, Fraction], decimals: int = 2) -> dict[K, float]:
    """Parts rounded such that they add up to their rounded sum: those with the largest remainders are rounded up."""
    unit = 10**decimals
    scaled = {key: part * unit for key, part in parts.items()}
    down = {key: floor(part) for key, part in scaled.items()}
    left = round(sum(scaled.values(), Fraction(0))) - sum(down.values())
    by_remainder = sorted(scaled, key=lambda key: scaled[key] - down[key], reverse=True)
    up = set(by_remainder[:left])
    return {key: (whole + (key in up)) / unit for key, whole in down.items()}
