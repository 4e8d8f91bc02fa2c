from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from portfolio.ratios import risk_adjusted
from training.evaluation.statistics import (
    Estimate,
    bounded,
    correlation_estimate,
    effective_count,
    excess_kurtosis,
    expected_shortfall,
    mean_estimate,
    ratio_estimate,
    resampled_estimate,
    skewness,
    t_quantile,
    value_at_risk,
)


def sample(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_gamma(2.0, count) - 1.5


@pytest.mark.parametrize("freedom", [1.0, 1.7, 2.0, 5.0, 9.5, 30.0, 99.0, 1000.0, 1e5])
def test_students_t_against_scipy(freedom: float) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-5)


def test_a_mean_and_its_interval_against_scipy() -> None:
    values = sample(30)
    expected = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    found = mean_estimate(values)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-5)
    assert found.value == pytest.approx(values.mean())


def test_moments_against_scipy() -> None:
    rows = np.stack([sample(50, seed) for seed in range(4)])
    np.testing.assert_allclose(skewness(rows), stats.skew(rows, axis=1))
    np.testing.assert_allclose(excess_kurtosis(rows), stats.kurtosis(rows, axis=1))


def test_tails_as_the_backtest_defines_them() -> None:
    for count in (2, 19, 20, 21, 100):
        values = sample(count)
        metrics = risk_adjusted(values, 252)
        assert value_at_risk(values[None])[0] == pytest.approx(metrics["var_95"])
        assert expected_shortfall(values[None])[0] == pytest.approx(metrics["cvar_95"])


def test_correlation_against_scipy() -> None:
    x, noise = sample(40), sample(40, 1)
    expected = stats.pearsonr(x, x + noise)
    interval = expected.confidence_interval(0.95)
    found = correlation_estimate(x, x + noise)
    assert (found.value, found.low, found.high) == pytest.approx((expected.statistic, interval.low, interval.high))
    assert correlation_estimate(x, np.ones(40)) == Estimate(None)
    assert correlation_estimate(x, x).value == pytest.approx(1.0)


def test_a_ratio_of_sums_has_the_interval_of_a_jackknife() -> None:
    rng = np.random.default_rng(3)
    trades = rng.integers(1, 20, 80).astype(float)
    wins = rng.binomial(trades.astype(int), 0.55).astype(float)
    found = ratio_estimate(wins, trades)
    left_out = (wins.sum() - wins) / (trades.sum() - trades)
    spread = math.sqrt(79 / 80 * ((left_out - left_out.mean()) ** 2).sum())
    assert found.value == pytest.approx(wins.sum() / trades.sum())
    assert found.low is not None and found.value is not None
    assert found.value - found.low == pytest.approx(stats.t.ppf(0.975, 79) * spread, rel=0.05)


def test_what_is_not_defined_is_none() -> None:
    assert mean_estimate([]) == Estimate(None)
    assert mean_estimate([2.0]) == Estimate(2.0)
    assert mean_estimate([1.0, math.inf]) == Estimate(None)
    assert mean_estimate([1.0, 3.0], effective=1.5) == Estimate(2.0)
    assert ratio_estimate([0.0, 0.0], [0.0, 0.0]) == Estimate(None)
    assert ratio_estimate([1.0], [4.0]) == Estimate(0.25)
    assert resampled_estimate(skewness, np.ones(20)) == Estimate(None)
    assert resampled_estimate(skewness, []) == Estimate(None)
    assert correlation_estimate([1.0, 2.0], [1.0, 2.0]) == Estimate(None)


def test_episodes_that_overlap_by_half_count_half() -> None:
    starts = range(0, 1000, 50)
    assert effective_count(starts, [100] * 20) == pytest.approx(10.5)
    assert effective_count(range(0, 2000, 100), [100] * 20) == 20
    assert effective_count([7, 7, 7], [100] * 3) == 1
    assert effective_count([], []) == 0
    assert effective_count([5], [0]) == 1


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), min_size=1, max_size=12))
def test_effective_count_against_a_set_of_bars(episodes: list[tuple[int, int]]) -> None:
    covered = {bar for start, bars in episodes for bar in range(start, start + bars)}
    mean = sum(bars for _, bars in episodes) / len(episodes)
    found = effective_count([start for start, _ in episodes], [bars for _, bars in episodes])
    assert found == pytest.approx(min(len(episodes), len(covered) / mean))


def test_intervals_of_overlapping_episodes_cover_the_truth_as_often_as_they_say() -> None:
    rng, hits, naive = np.random.default_rng(5), 0, 0
    starts = list(range(0, 20 * 39, 20))
    effective = effective_count(starts, [40] * len(starts))
    for _ in range(600):
        bars = rng.normal(0.0, 1.0, starts[-1] + 40)
        rewards = [bars[start : start + 40].sum() for start in starts]
        figure, careless = mean_estimate(rewards, effective), mean_estimate(rewards)
        hits += figure.low <= 0.0 <= figure.high
        naive += careless.low <= 0.0 <= careless.high
    assert 0.92 <= hits / 600 <= 0.98
    assert naive / 600 < 0.88


def test_resampling_agrees_with_scipy_and_repeats() -> None:
    values = sample(60)
    found = resampled_estimate(skewness, values)
    expected = stats.bootstrap(
        (values,), stats.skew, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.1)
    assert resampled_estimate(skewness, values) == found
    wider = resampled_estimate(skewness, values, effective=15)
    assert wider.low is not None and wider.value is not None
    assert wider.value - wider.low == pytest.approx(2 * (found.value - found.low))
    assert resampled_estimate(skewness, values, effective=3).low is None


def test_an_interval_of_a_share_stays_within_0_and_1() -> None:
    wide = mean_estimate([0.9, 1.0, 0.4])
    assert wide.high is not None
    assert wide.high > 1.0
    found = bounded(wide, 0.0, 1.0)
    assert (found.value, found.low, found.high) == (wide.value, max(wide.low or 0.0, 0.0), 1.0)
    assert bounded(mean_estimate([]), 0.0) == mean_estimate([])
