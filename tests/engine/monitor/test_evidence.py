"""Evidence about a bounded mean: fair bets, no more false alarms than promised, and changes found late in a stream."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.monitor.evidence import MeanEvidence, Side

LENGTH = 9


def value_after(outcomes: tuple[float, ...], *, side: Side, any_start: bool) -> float:
    evidence = MeanEvidence(0.45, side=side, any_start=any_start)
    evidence.update(outcomes)
    return evidence.value


@pytest.mark.parametrize("any_start", [False, True])
@pytest.mark.parametrize("side", ["below", "above"])
def test_bets_are_fair_where_the_mean_is_the_threshold_and_lose_on_the_other_side(side: Side, any_start: bool) -> None:
    """The expected e-value, summed over every sequence of wins and losses, is 1 at the threshold and less beyond."""
    sequences = list(product((0.0, 1.0), repeat=LENGTH))
    values = np.array([value_after(one, side=side, any_start=any_start) for one in sequences])
    wins = np.array([sum(one) for one in sequences])

    def expected(rate: float) -> float:
        return float((rate**wins * (1 - rate) ** (LENGTH - wins) * values).sum())

    good, bad = (0.6, 0.3) if side == "below" else (0.3, 0.6)
    assert expected(0.45) == pytest.approx(1.0, abs=1e-12)
    assert expected(good) < 1.0 < expected(bad)


@pytest.mark.parametrize("any_start", [False, True])
def test_one_bet_is_the_product_of_its_factors(any_start: bool) -> None:
    outcomes = [0.2, 0.9, 0.1, 0.0, 0.4]
    evidence = MeanEvidence(0.5, any_start=any_start)
    evidence.update(outcomes)
    fractions = np.geomspace(1 / 64, 0.95, 12)
    stakes = [1 / 2, 1 / 12, 1 / 12, 1 / 48, 1 / 48] if any_start else [1, 0, 0, 0, 0]
    total = 1.0 - sum(stakes)
    for fraction in fractions:
        for begin, stake in enumerate(stakes):
            total += stake / 12 * np.prod([1 + fraction / 0.5 * (0.5 - x) for x in outcomes[begin:]])
    assert evidence.value == pytest.approx(total, rel=1e-12)


def test_false_alarms_are_rarer_than_alpha_however_often_one_looks() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(60):
        evidence = MeanEvidence(0.45, any_start=True)
        evidence.update((rng.random(450) < 0.45).astype(float))
        alarms += evidence.proved(0.05)
    assert alarms <= 6  # 60 * 0.05 = 3 at most are expected


def test_a_change_after_a_long_good_time_is_found_sooner_with_any_start() -> None:
    rng = np.random.default_rng(2)
    outcomes = np.concatenate([rng.random(500) < 0.6, rng.random(400) < 0.25]).astype(float)
    found = {}
    for any_start in (False, True):
        evidence = MeanEvidence(0.45, any_start=any_start)
        while not evidence.proved(0.05) and evidence.count < len(outcomes):
            evidence.update(outcomes[evidence.count : evidence.count + 1])
        found[any_start] = evidence.count - 500
    assert 0 < found[True] < 150 < found[False]


@given(st.lists(st.floats(-4, 4), max_size=40), st.integers(0, 40), st.booleans())
@settings(max_examples=30, deadline=None)
def test_neither_blocks_nor_a_restart_in_between_show(values: list[float], at: int, any_start: bool) -> None:
    whole, first, second, single = (MeanEvidence(0.03, low=-4, high=4, any_start=any_start) for _ in range(4))
    whole.update(values)
    first.update(values[:at])
    second.restore(first.snapshot())
    second.update(values[at:])
    for value in values:
        single.add(value)
    for other in (second, single):
        assert other.snapshot()["capital"].tobytes() == whole.snapshot()["capital"].tobytes()
        assert (other.value, other.largest, other.count) == (whole.value, whole.largest, whole.count)


def test_numbers_stay_finite_and_wrong_ones_are_named() -> None:
    evidence = MeanEvidence(0.5)
    evidence.update(np.zeros(3000))
    assert np.isfinite(evidence.value) and evidence.proved(1e-9)
    evidence.reset()
    assert evidence.value == evidence.largest == 1.0
    with pytest.raises(DataError, match="observation 1"):
        evidence.update([float("nan")])
    with pytest.raises(DataError, match="beyond the bounds"):
        evidence.update([0.5, 1.5])
    with pytest.raises(DataError, match="beyond the bounds"):
        evidence.add(-0.1)
    assert evidence.count == 0
    with pytest.raises(UsageError, match="between the bounds"):
        MeanEvidence(1.0)
    with pytest.raises(DataError):
        MeanEvidence(0.4).restore(MeanEvidence(0.5).snapshot())
