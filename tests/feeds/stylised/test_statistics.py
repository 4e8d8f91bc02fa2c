"""Statistics against slow versions that resample the bars themselves, closed forms, and pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from engine.types.blocks import Floats, Ints
from feeds.stylised import statistics
from feeds.stylised.resampling import blocks_of, resample_weights
from feeds.stylised.statistics import one_block

N = 3000


@pytest.fixture(scope="module")
def values() -> Floats:
    return np.random.default_rng(1).standard_t(4, N)


@pytest.fixture(scope="module")
def starts() -> Ints:
    return np.sort(np.random.default_rng(2).choice(np.arange(1, N), 24, replace=False)).astype(np.int64)


@pytest.fixture(scope="module")
def blocks(starts: Ints) -> Ints:
    return np.concatenate([[0], starts])


@pytest.fixture(scope="module")
def weights(blocks: Ints) -> Floats:
    return resample_weights(len(blocks), 20, 2.0, 3)


def repeated(blocks: Ints, row: Floats) -> Ints:
    """Bars of a resample, block by block."""
    ends = np.append(blocks[1:], N)
    return np.concatenate([np.tile(np.arange(a, b), int(w)) for a, b, w in zip(blocks, ends, row, strict=True)])


def test_without_resamples_a_correlation_is_that_of_pandas(values: Floats) -> None:
    found = statistics.autocorrelation(values, 20, *one_block(N))[0]
    for lag in (1, 7, 20):
        assert found[lag - 1] == pytest.approx(pd.Series(values).autocorr(lag), abs=5e-3)
    other = np.roll(values, 3) + 0.1 * values
    found = statistics.lagged_correlation(values, other, 5, *one_block(N))[0]
    assert int(np.argmax(found)) == 2
    assert found[2] == pytest.approx(np.corrcoef(values[:-3], other[3:])[0, 1], abs=5e-3)


def test_resampled_correlations_are_those_of_the_resampled_pairs(values: Floats, blocks: Ints, weights: Floats) -> None:
    size, lag = np.abs(values), 4
    found = statistics.lagged_correlation(values, size, lag, blocks, weights)[:, lag - 1]
    for row, got in zip(weights, found, strict=True):
        bars = repeated(blocks, row)
        later = bars[bars >= lag]
        x, y = values[later - lag], size[later]
        covariance = np.mean(x * y) - x.mean() * y.mean()
        assert got == pytest.approx(covariance / (values[bars].std() * size[bars].std()), abs=1e-12)


def test_correlation_leaves_out_what_is_not_known(values: Floats, blocks: Ints, weights: Floats) -> None:
    other = np.where(np.arange(N) % 7 == 0, np.nan, values + np.random.default_rng(5).standard_normal(N))
    found = statistics.correlation(values, other, blocks, weights)
    for row, got in zip(weights, found, strict=True):
        bars = repeated(blocks, row)
        bars = bars[np.isfinite(other[bars])]
        assert got == pytest.approx(np.corrcoef(values[bars], other[bars])[0, 1], abs=1e-12)
    assert np.isnan(statistics.correlation(values, np.full(N, np.nan), blocks, weights)).all()


def test_shape_is_that_of_scipy(values: Floats, blocks: Ints, weights: Floats) -> None:
    for row, skewness, kurtosis in zip(weights, *statistics.shape(values, blocks, weights), strict=True):
        sample = values[repeated(blocks, row)]
        assert skewness == pytest.approx(stats.skew(sample), abs=1e-9)
        assert kurtosis == pytest.approx(stats.kurtosis(sample), abs=1e-8)


def test_aggregated_kurtosis_is_that_of_the_sums(values: Floats) -> None:
    found = statistics.aggregated_kurtosis(values, np.array([1, 10, 100], np.int64), *one_block(N))[0]
    assert found[0] == pytest.approx(stats.kurtosis(values), abs=1e-8)
    assert found[1] == pytest.approx(stats.kurtosis(values.reshape(-1, 10).sum(axis=1)), abs=1e-8)
    assert np.isnan(found[2])  # 30 sums are too few


def hill(sizes: Floats, share: float) -> float:
    """Hill (1975), as the textbooks write it."""
    ordered = np.sort(sizes)[::-1]
    k = round(share * len(sizes))
    return 1.0 / float(np.mean(np.log(ordered[:k] / ordered[k])))


def test_the_tail_index_is_hills_in_every_resample(values: Floats, blocks: Ints, weights: Floats) -> None:
    size = np.abs(values)
    found = statistics.tail_index(size, 0.05, blocks, weights)
    for row, got in zip(weights, found, strict=True):
        assert got == pytest.approx(hill(size[repeated(blocks, row)], 0.05), rel=1e-9)


def test_the_tail_index_of_a_pareto_law_is_its_exponent() -> None:
    sizes = np.random.default_rng(3).pareto(3.0, 200_000) + 1.0
    assert statistics.tail_index(sizes, 0.05, *one_block(200_000))[0] == pytest.approx(3.0, rel=0.03)


def test_one_side_counts_alone() -> None:
    values = np.random.default_rng(3).pareto(3.0, 50_000) + 1.0
    values[::2] *= -1.0
    losses = statistics.tail_index(-values, 0.025, *one_block(50_000))[0]
    assert losses == pytest.approx(hill(-values[::2], 0.05), rel=0.02)


def test_no_tail_where_nothing_moves() -> None:
    assert np.isnan(statistics.tail_index(np.zeros(1000), 0.05, *one_block(1000))).all()


def test_a_profile_is_the_mean_of_each_bin(values: Floats, blocks: Ints, weights: Floats) -> None:
    bins = np.arange(N) % 6
    size = np.where(np.arange(N) % 11 == 0, np.nan, np.abs(values))
    found = statistics.profile(size, bins, 6, blocks, weights)
    for row, got in zip(weights, found, strict=True):
        bars = repeated(blocks, row)
        expected = pd.Series(size[bars]).groupby(bins[bars]).mean() / np.nanmean(size[bars])
        assert got == pytest.approx(expected.to_numpy(), rel=1e-10)


def test_a_power_law_has_its_exponent() -> None:
    assert statistics.decay(np.arange(1.0, 251.0)[None] ** -0.3, 10)[0] == pytest.approx(0.3)


def test_blocks_are_sessions_or_equal_pieces() -> None:
    assert blocks_of(np.repeat(np.arange(12), 5)).tolist() == list(range(0, 60, 5))
    assert blocks_of(np.repeat([4, 9], 50)).tolist() == list(range(0, 100, 5))
    assert blocks_of(np.arange(100)).tolist() == list(range(0, 100, 5))
