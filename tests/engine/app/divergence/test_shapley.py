"""Shapley values against their definition, the average over all orders, and the axioms that make them unique."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.app.divergence.shapley import rounded, shapley_values, subsets

AMOUNTS = st.floats(-1e9, 1e9, allow_nan=False, allow_infinity=False)
GAMES = st.integers(0, 5).flatmap(lambda count: st.lists(AMOUNTS, min_size=2**count, max_size=2**count))


def game(values: list[float]) -> tuple[list[int], dict[frozenset[int], float]]:
    causes = list(range(len(values).bit_length() - 1))
    return causes, dict(zip(subsets(causes), values, strict=True))


@given(GAMES)
@settings(max_examples=25)
def test_the_values_are_the_average_over_all_orders_and_add_up_exactly(values: list[float]) -> None:
    causes, worth = game(values)
    found = shapley_values(causes, worth.__getitem__)
    orders = list(permutations(causes))
    for cause in causes:
        added = [
            Fraction(worth[frozenset(order[: order.index(cause) + 1])])
            - Fraction(worth[frozenset(order[: order.index(cause)])])
            for order in orders
        ]
        assert found[cause] == sum(added, Fraction(0)) / len(orders)
    assert sum(found.values(), Fraction(0)) == Fraction(worth[frozenset(causes)]) - Fraction(worth[frozenset()])


@given(GAMES, AMOUNTS)
@settings(max_examples=15)
def test_what_adds_nothing_gets_nothing_and_what_adds_always_the_same_gets_that(
    values: list[float], amount: float
) -> None:
    causes, worth = game(values)
    newcomer = len(causes)
    found = shapley_values(
        [*causes, newcomer],
        lambda held: float(round(worth[held - {newcomer}]) + (round(amount) if newcomer in held else 0)),
    )
    assert found[newcomer] == round(amount)
    assert [found[cause] for cause in causes] == [
        *shapley_values(causes, lambda held: float(round(worth[held]))).values()
    ]


@given(st.dictionaries(st.integers(), st.fractions(-1000, 1000, max_denominator=997), max_size=6))
@settings(max_examples=25)
def test_rounded_parts_add_up_to_the_rounded_sum(parts: dict[int, Fraction]) -> None:
    found = rounded(parts)
    assert sum(round(value * 100) for value in found.values()) == round(sum(parts.values(), Fraction(0)) * 100)
    assert all(abs(found[key] - part) < 0.01 + 1e-9 for key, part in parts.items())


def test_every_set_is_looked_at_once() -> None:
    seen: list[frozenset[str]] = []

    def worth(held: frozenset[str]) -> float:
        seen.append(held)
        return float(len(held))

    assert shapley_values("abcdef", worth) == dict.fromkeys("abcdef", Fraction(1))
    assert len(seen) == len(set(seen)) == 64
    assert sum(shapley_values("ab", lambda held: 0.1 * len(held)).values()) == pytest.approx(0.2)
