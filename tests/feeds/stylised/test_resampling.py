"""The stationary bootstrap: its law, and the length of its blocks where the best one is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.types.blocks import Floats
from feeds.generators_paths import autoregression
from feeds.stylised.resampling import optimal_length, resample_weights, stationary_indices


def test_runs_have_geometric_lengths_and_go_round() -> None:
    found = stationary_indices(np.random.default_rng(1), 50, 200_000, 4.0)
    steps = np.diff(found) % 50
    # a fresh start falls on the next number by chance once in 50
    goes_on = np.mean(steps == 1)
    assert goes_on == pytest.approx(0.75 + 0.25 / 50, abs=0.005)
    assert bool(((found[1:] == 0) & (found[:-1] == 49)).any())
    assert np.bincount(found, minlength=50).min() > 0.9 * 4000


def test_a_mean_length_of_one_is_the_plain_bootstrap() -> None:
    steps = np.diff(stationary_indices(np.random.default_rng(1), 50, 100_000, 1.0)) % 50
    assert np.mean(steps == 1) == pytest.approx(1 / 50, abs=0.003)


def test_weights_begin_with_the_data_and_keep_the_number_of_blocks() -> None:
    weights = resample_weights(30, 40, 2.0, 1)
    assert weights.shape == (41, 30)
    assert bool((weights[0] == 1.0).all())
    assert bool((weights.sum(axis=1) == 30).all())
    assert np.array_equal(weights, resample_weights(30, 40, 2.0, 1))
    assert not np.array_equal(weights, resample_weights(30, 40, 2.0, 2))


def correlated(memory: float, seed: int) -> Floats:
    return autoregression(np.random.default_rng(seed), 20_000, memory, 1.0, 0.0)


@pytest.mark.parametrize("memory", [0.3, 0.6, 0.9])
def test_the_length_is_the_best_one_of_an_autoregression(memory: float) -> None:
    # G = 2 r / (1 - r)^2 and g(0) = (1 + r) / (1 - r), in units of the variance (Politis & White, 2004, table 1)
    slope, spectrum = 2 * memory / (1 - memory) ** 2, (1 + memory) / (1 - memory)
    best = (2 * slope**2 / (2 * spectrum**2)) ** (1 / 3) * 20_000 ** (1 / 3)
    found = np.median([optimal_length(correlated(memory, seed)) for seed in range(9)])
    assert found == pytest.approx(best, rel=0.25)


def test_noise_needs_no_blocks() -> None:
    found = [optimal_length(np.random.default_rng(seed).standard_normal(5000)) for seed in range(9)]
    assert float(np.median(found)) < 6.0


@pytest.mark.parametrize("values", [np.ones(100), np.arange(3.0)])
def test_a_constant_or_very_short_series_has_the_shortest(values: Floats) -> None:
    assert optimal_length(values) == 1.0


def test_intervals_of_a_mean_cover_it() -> None:
    inside = 0
    for seed in range(100):
        values = correlated(0.5, 1000 + seed)[:1500]
        rng = np.random.default_rng(seed)
        means = [float(values[stationary_indices(rng, 1500, 1500, 20.0)].mean()) for _ in range(200)]
        low, high = np.percentile(means, [2.5, 97.5])
        inside += bool(low <= 0.0 <= high)
    assert inside / 100 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 100))
