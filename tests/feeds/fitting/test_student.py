"""Tables of the t law against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from feeds.fitting.student import ORIGIN, STEP, Student, beyond, bounds_table, constants, density

FREEDOMS = [2.1, 3.0, 5.0, 12.0, 150.0]


@pytest.mark.parametrize("nu", FREEDOMS)
def test_density_and_tails_are_those_of_scipy(nu: float) -> None:
    scale = np.sqrt((nu - 2.0) / nu)
    z = np.linspace(-30.0, 30.0, 101)
    assert density(z, nu) == pytest.approx(stats.t.pdf(z / scale, nu) / scale, rel=1e-9)
    edges = np.geomspace(1e-2, 400.0, 600)
    assert beyond(edges, nu) == pytest.approx(2.0 * stats.t.sf(edges / scale, nu), rel=1e-3, abs=1e-15)


@pytest.mark.parametrize("nu", FREEDOMS)
def test_quantiles_and_probabilities_are_those_of_scipy(nu: float) -> None:
    scale, law = np.sqrt((nu - 2.0) / nu), Student.of(nu)
    u = np.array([1e-8, 1e-4, 0.03, 0.3, 0.4999, 0.5, 0.7, 0.99, 1.0 - 1e-6])
    assert law.quantile(u) == pytest.approx(stats.t.ppf(u, nu) * scale, rel=2e-4, abs=1e-6)
    z = np.array([-20.0, -3.0, -0.1, 0.0, 0.4, 2.0, 9.0])
    assert law.probability(z) == pytest.approx(stats.t.cdf(z / scale, nu), rel=2e-4)


@pytest.mark.parametrize("nu", FREEDOMS)
def test_the_table_of_bounds_holds_logarithms_and_their_slopes(nu: float) -> None:
    table, bounds = bounds_table(nu), np.exp(ORIGIN + STEP * np.arange(400))

    def inside(edges: np.ndarray, freedom: float) -> np.ndarray:
        return np.log1p(-2.0 * stats.t.sf(edges * np.sqrt(freedom / (freedom - 2.0)), freedom))

    assert table[:, 0] == pytest.approx(inside(bounds, nu), rel=1e-3, abs=1e-9)
    slope = (inside(bounds * np.exp(1e-4), nu) - inside(bounds * np.exp(-1e-4), nu)) / 2e-4
    assert table[:, 1] == pytest.approx(slope, rel=2e-3, abs=1e-8)
    by_nu = (inside(bounds, nu * 1.0001) - inside(bounds, nu * 0.9999)) / (2e-4 * nu)
    assert table[:, 2] == pytest.approx(by_nu, rel=2e-2, abs=1e-6)


def test_constants_are_a_logarithm_and_its_derivative() -> None:
    value, slope = constants(5.0)
    scale = np.sqrt(3.0 / 5.0)
    assert value == pytest.approx(np.log(stats.t.pdf(0.0, 5.0) / scale))
    ahead, behind = constants(5.001)[0], constants(4.999)[0]
    assert slope == pytest.approx((ahead - behind) / 0.002, rel=1e-4)
