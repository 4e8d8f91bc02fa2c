"""Sums of parts, and the regression that is solved from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.regression.moments import Moments


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (count, 5)).astype(np.float32), rng.normal(size=(count, 2))


@given(seed=st.integers(0, 999), cut=st.integers(20, 60), penalty=st.sampled_from([0.1, 10.0, 1e4]))
def test_parts_add_up_and_come_apart(seed: int, cut: int, penalty: float) -> None:
    terms, targets = drawn(seed, 80)
    parts = Moments.of(terms[:cut], targets[:cut]), Moments.of(terms[cut:], targets[cut:])
    whole = parts[0].plus(parts[1])
    spread = whole.deviations()
    for found, expected in ((whole.plus(parts[1], -1), parts[0]), (whole, Moments.of(terms, targets))):
        solved, wanted = found.solve(penalty, spread), expected.solve(penalty, spread)
        assert solved[0] == pytest.approx(wanted[0], rel=1e-3, abs=1e-4)
        assert solved[1] == pytest.approx(wanted[1], rel=1e-3, abs=1e-4)


def test_it_is_ridge_regression_of_standardised_terms() -> None:
    terms, targets = drawn(1, 400)
    found = Moments.of(terms, targets)
    x = (terms - terms.mean(axis=0)) / terms.std(axis=0)
    y = targets - targets.mean(axis=0)
    expected = np.linalg.solve(x.T @ x + 25.0 * np.eye(5), x.T @ y)
    weights, intercepts = found.solve(25.0, found.deviations())
    assert terms @ weights + intercepts == pytest.approx(x @ expected + targets.mean(axis=0), abs=1e-4)


def test_a_term_that_never_changes_costs_nothing() -> None:
    terms, targets = drawn(2, 50)
    terms[:, 3] = 0.0
    weights, _ = Moments.of(terms, targets).solve(1.0, Moments.of(terms, targets).deviations())
    assert weights[3] == pytest.approx(0.0)
    assert np.isfinite(weights).all()
