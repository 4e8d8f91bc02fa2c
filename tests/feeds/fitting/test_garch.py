"""The likelihood against a slow version of it, its gradient, and parameters that are found again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from engine.types.blocks import Floats
from feeds.fitting import kernels
from feeds.fitting.garch import LOCAL_MEMORY, NAMES, _natural, _Sample, _theta, fit_garch, jump_threshold
from feeds.fitting.minimising import minimise
from feeds.fitting.student import Student

TRUE = np.array([2.0, 0.03, 0.09, 0.91, 5.0])


def simulated(n: int, seed: int, theta: Floats = TRUE, jumps: float = 0.0) -> Floats:
    rng = np.random.default_rng(seed)
    shocks = Student.of(float(theta[4])).quantile(rng.random(n))
    at = rng.random(n) < jumps
    shocks[at] = rng.choice([-12.0, -9.0, 9.0, 12.0], int(at.sum()))
    y, h = np.empty(n), np.empty(n)
    kernels.simulate(shocks, theta, jump_threshold(n), LOCAL_MEMORY, np.array([theta[0], theta[0]]), y, h)
    return y


def slow_likelihood(y: Floats, theta: Floats, threshold: float, local: float) -> float:
    """The same, as the docstring writes it."""
    v, u, d, beta, nu = theta
    scale = math.sqrt((nu - 2.0) / nu)
    h, total = v, 0.0
    for value in y.tolist():
        bound = threshold * math.sqrt(local)
        if abs(value) < bound:
            z = value / math.sqrt(h) / scale
            total += stats.t.logpdf(z, nu) - math.log(scale * math.sqrt(h))
            total -= math.log(1.0 - 2.0 * stats.t.sf(bound / math.sqrt(h) / scale, nu))
        news = min(value**2, bound**2)
        local = LOCAL_MEMORY * local + (1.0 - LOCAL_MEMORY) * news
        h = v * (1.0 - (u + d) / 2 - beta) + (u if value >= 0 else d) * news + beta * h
    return total


@pytest.mark.parametrize("nu", [2.6, 5.0, 30.0])
def test_the_likelihood_is_that_of_the_slow_version(nu: float) -> None:
    y = simulated(1500, 1, jumps=0.01)
    theta = np.array([1.7, 0.05, 0.08, 0.9, nu])
    sample = _Sample.of(y, 4.5)
    local = float(np.mean(np.minimum(y * y, 9 * y.var())))
    assert sample.evaluate(theta)[0] == pytest.approx(slow_likelihood(y, theta, 4.5, local), abs=2e-3)


def test_the_gradient_is_that_of_differences() -> None:
    sample = _Sample.of(simulated(3000, 2, jumps=0.005), 4.5)
    theta = np.array([1.7, 0.05, 0.08, 0.9, 4.0])
    _, slope, _ = sample.evaluate(theta)
    for k in range(5):
        ahead, behind = theta.copy(), theta.copy()
        ahead[k] += 1e-5 * theta[k]
        behind[k] -= 1e-5 * theta[k]
        step = (sample.evaluate(ahead)[0] - sample.evaluate(behind)[0]) / (2e-5 * theta[k])
        assert slope[k] == pytest.approx(step, rel=1e-3, abs=1e-2), NAMES[k]


def test_coordinates_have_the_right_derivatives() -> None:
    point = np.array([0.3, 2.0, -1.5, 0.4, 1.1])
    theta, jacobian = _theta(point, 2.0)
    assert theta[1] > 0 and theta[2] > 0 and theta[3] > 0 and 0.5 * (theta[1] + theta[2]) + theta[3] < 1
    for k in range(5):
        moved = point.copy()
        moved[k] += 1e-6
        assert (_theta(moved, 2.0)[0] - theta) / 1e-6 == pytest.approx(jacobian[:, k], rel=1e-4, abs=1e-6)


def test_known_parameters_lie_in_their_intervals() -> None:
    truth, inside = _natural(TRUE), []
    for seed in range(20):
        found = fit_garch(simulated(8000, 100 + seed, jumps=0.001), starts=2)
        inside.append(np.abs(np.array(list(found.parameters.values())) - truth) < 1.96 * found.errors)
    # of 20 at 95 %, fewer than 15 for one parameter would happen once in 10,000
    assert (np.sum(inside, axis=0) >= 15).all()
    assert np.mean(inside) > 0.88


def test_all_starts_end_at_the_same_maximum_and_seeds_do_not_matter() -> None:
    y = simulated(10_000, 3)
    one, other = fit_garch(y, starts=6, seed=1), fit_garch(y, starts=6, seed=2)
    assert one.agreed >= 4 and one.converged
    assert one.theta == pytest.approx(other.theta, rel=0.02)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=0.05)


def test_scipy_finds_no_higher_likelihood() -> None:
    y = simulated(4000, 4)
    found = fit_garch(y)
    sample = _Sample.of(y, found.threshold)

    def height(point: Floats) -> float:
        return -sample.evaluate(_theta(point, float(y.var()))[0])[0]

    peak = optimize.minimize(
        height, np.array([0.0, 3.0, -2.0, 0.0, 1.0]), method="Nelder-Mead", options={"maxiter": 4000}
    )
    assert found.log_likelihood >= -peak.fun - 0.05


def test_the_unit_of_the_returns_does_not_matter() -> None:
    y = simulated(6000, 5)
    whole, small = fit_garch(y), fit_garch(1e-5 * y)
    assert small.theta[1:] == pytest.approx(whole.theta[1:], rel=1e-2)
    assert small.theta[0] == pytest.approx(1e-10 * whole.theta[0], rel=1e-2)


def test_large_jumps_are_found_and_few_of_a_normal_walk() -> None:
    rng = np.random.default_rng(6)
    assert np.count_nonzero(fit_garch(rng.standard_normal(20_000)).jumps) < 10
    y = rng.standard_normal(20_000)
    at = np.arange(500, 20_000, 500)
    y[at] = np.where(at % 1000 == 0, 10.0, -10.0)
    found = fit_garch(y)
    assert found.jumps[at].all()
    assert np.count_nonzero(found.jumps) < len(at) + 10


def test_the_threshold_is_exceeded_by_noise_once_in_a_hundred_samples() -> None:
    rng = np.random.default_rng(7)
    peaks = np.array([np.abs(rng.standard_normal(5000)).max() for _ in range(2000)])
    assert np.mean(peaks > jump_threshold(5000)) == pytest.approx(0.01, abs=0.007)


def test_the_minimiser_finds_the_valley_of_rosenbrock() -> None:
    def valley(x: Floats) -> tuple[float, Floats]:
        return float(optimize.rosen(x)), np.asarray(optimize.rosen_der(x))

    found = minimise(valley, np.array([-1.2, 1.0, 0.5, -0.5]))
    assert found.converged
    assert found.point == pytest.approx(np.ones(4), abs=1e-4)
