"""Copulas: laws of what is drawn, and correlations that are found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.types.blocks import Floats
from feeds.fitting.copula import Copula, draw_copula, fit_copula
from feeds.fitting.student import Student

CORRELATION = np.array([[1.0, 0.7, -0.3], [0.7, 1.0, 0.1], [-0.3, 0.1, 1.0]])


def drawn(freedom: float, n: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    copula = Copula(CORRELATION, np.zeros((3, 3)), freedom)
    return draw_copula(rng.standard_normal((n, 3)), rng.standard_gamma(freedom / 2, n), copula)


def test_each_number_alone_is_uniform_and_large_ones_come_together() -> None:
    heavy, light = drawn(4.0, 40_000, 1), drawn(100.0, 40_000, 1)
    for column in heavy.T:
        assert stats.kstest(column, "uniform").pvalue > 0.001
    together = [float(np.mean((u[:, 0] > 0.99) & (u[:, 1] > 0.99))) for u in (heavy, light)]
    assert together[0] > 1.3 * together[1]
    # Kendall's tau of an elliptical law does not depend on its tails
    tau = 2 / np.pi * np.arcsin(0.7)
    assert stats.kendalltau(heavy[:5000, 0], heavy[:5000, 1])[0] == pytest.approx(tau, abs=0.03)


@pytest.mark.parametrize("freedom", [4.0, 10.0])
def test_correlations_and_tails_are_found_again(freedom: float) -> None:
    shocks = np.stack(
        [Student.of(nu).quantile(u) for nu, u in zip((3.0, 6.0, 30.0), drawn(freedom, 10_000, 2).T, strict=True)],
        axis=1,
    )
    found = fit_copula(shocks)
    assert found.freedom == freedom
    assert (np.abs(found.correlation - CORRELATION) < 4 * found.errors + 1e-12).all()


def test_intervals_of_a_correlation_hold_it() -> None:
    inside = 0
    for seed in range(60):
        found = fit_copula(drawn(5.0, 1500, 100 + seed))
        inside += bool(abs(found.correlation[0, 1] - 0.7) < 1.96 * found.errors[0, 1])
    assert inside >= 50  # 57 of 60 are expected; fewer than 50 would happen once in 500


def test_one_symbol_moves_alone() -> None:
    assert fit_copula(np.zeros((500, 1))).correlation.tolist() == [[1.0]]
