from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from engine.base.errors import UsageError
from training.evaluation.seeds import (
    better,
    difference,
    interquartile_mean,
    normalised,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

Scores = NDArray[np.float64]


def drawn(runs: int, tasks: int, seed: int, mean: float = 0.0) -> Scores:
    return np.random.default_rng(seed).normal(mean, 1.0, (runs, tasks))


def pairs_won(a: Scores, b: Scores) -> float:
    """Probability of improvement, pair by pair."""
    tasks = range(a.shape[1])
    won = [
        [(x > y) + 0.5 * (x == y) for x, y in itertools.product(a[:, task].tolist(), b[:, task].tolist())]
        for task in tasks
    ]
    return float(np.mean([np.mean(one) for one in won]))


@pytest.mark.parametrize(("runs", "tasks"), [(1, 1), (2, 1), (3, 1), (5, 1), (7, 3), (10, 8)])
def test_the_interquartile_mean_against_scipy(runs: int, tasks: int) -> None:
    scores = drawn(runs, tasks, 1)
    assert interquartile_mean(scores).value == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


def test_one_run_far_off_does_not_move_the_interquartile_mean() -> None:
    scores = drawn(8, 1, 2)
    far = scores.copy()
    far[scores.argmax()] = 1e6
    assert interquartile_mean(far).value == interquartile_mean(scores).value


def test_the_probability_of_improvement_against_all_pairs_and_scipy() -> None:
    a, b = np.round(drawn(6, 4, 3), 1), np.round(drawn(9, 4, 4), 1)
    found = probability_of_improvement(a, b)
    assert found.value == pytest.approx(pairs_won(a, b))
    statistics = [stats.mannwhitneyu(a[:, task], b[:, task]).statistic for task in range(4)]
    assert found.value == pytest.approx(np.mean(statistics) / (6 * 9))
    assert found.low is not None and found.high is not None
    assert found.low < pairs_won(a, b) < found.high
    assert probability_of_improvement(b, a).value == pytest.approx(1 - pairs_won(a, b))
    assert probability_of_improvement(np.zeros(5), np.zeros(5)).tree() == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_the_probability_between_two_normal_laws_is_known() -> None:
    found = probability_of_improvement(drawn(300, 1, 5, mean=1.0), drawn(300, 1, 6))
    assert found.value == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.05)


def test_the_optimality_gap_counts_what_is_above_the_target_as_the_target() -> None:
    assert optimality_gap([0.5, 1.0, 3.0]).value == pytest.approx(0.5 / 3)
    assert optimality_gap([2.0, 3.0]).tree() == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert optimality_gap([0.5, 3.0], target=2.0).value == pytest.approx(0.75)


def test_a_profile_is_the_share_above_each_threshold() -> None:
    scores = drawn(9, 5, 7)
    found = performance_profile(scores, [-1.0, 0.0, float(scores[3, 2]), 9.0])
    assert found.above.tolist() == pytest.approx([(scores > level).mean() for level in found.thresholds])
    assert (found.low <= found.above).all() and (found.above <= found.high).all()
    assert found.high[-1] == 0.0
    single = performance_profile(scores[:, :1], [0.0], plain=True)
    share = (scores[:, 0] > 0).mean()  # what is drawn again is binomial
    assert single.low[0] == pytest.approx(stats.binom.ppf(0.025, 9, share) / 9)
    assert single.high[0] == pytest.approx(stats.binom.ppf(0.975, 9, share) / 9)


def test_runs_are_drawn_again_within_their_task() -> None:
    # tasks far apart, runs all alike: drawn across tasks the mean would vary
    scores = np.tile([0.0, 10.0, 20.0], (5, 1))
    assert interquartile_mean(scores).tree() == {"value": 10.0, "low": 10.0, "high": 10.0}


@pytest.mark.parametrize(("runs", "tasks", "plain_below"), [(3, 4, 0.90), (5, 1, 1.0), (8, 4, 1.0)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(runs: int, tasks: int, plain_below: float) -> None:
    held, plain = 0, 0
    for seed in range(200):
        scores = drawn(runs, tasks, seed)
        wide, narrow = interquartile_mean(scores), interquartile_mean(scores, plain=True)
        assert wide.low is not None and wide.high is not None and narrow.low is not None and narrow.high is not None
        held += wide.low <= 0.0 <= wide.high
        plain += narrow.low <= 0.0 <= narrow.high
        assert wide.low <= narrow.low <= narrow.high <= wide.high
    assert 0.90 <= held / 200 <= 0.99
    assert plain / 200 < plain_below


def test_the_plain_interval_of_many_runs_is_that_of_scipy() -> None:
    scores = drawn(40, 1, 8)[:, 0]

    def middle(values: Scores, axis: int) -> Scores:
        return np.asarray(stats.trim_mean(values, 0.25, axis=axis))

    expected = stats.bootstrap((scores,), middle, method="percentile", rng=np.random.default_rng(1)).confidence_interval
    found = interquartile_mean(scores, plain=True)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_the_same_scores_and_seed_give_the_same_interval() -> None:
    scores = drawn(5, 3, 9)
    assert interquartile_mean(scores) == interquartile_mean(scores)
    assert interquartile_mean(scores) != interquartile_mean(scores, seed=1)
    assert interquartile_mean(scores[:, 0]) == interquartile_mean(scores[:, :1])


def test_resamples_that_do_not_fit_at_once_are_drawn_in_pieces() -> None:
    scores = drawn(50, 30, 10)
    found = interquartile_mean(scores)
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(1.2 / 1500), rel=0.15)


def test_better_needs_both_intervals() -> None:
    a, b = drawn(8, 3, 11, mean=2.0), drawn(8, 3, 12)
    assert (better(a, b), better(b, a), better(a, a)) == ("better", "worse", "not shown")
    # half of the runs are far better, and which half the middle of a resample falls into is open
    assert better(np.repeat([0.0, 100.0], 4), np.zeros(8)) == "not shown"
    # A is larger by far in one task and surely a little smaller in the other: larger on average, and as often smaller
    little = drawn(8, 2, 15) / 100
    mixed = little + np.array([9.0, -1.0])
    found = difference(mixed, little)
    assert found.low is not None and found.low > 0
    assert better(mixed, little) == "not shown"


def test_too_few_runs_show_nothing_whatever_they_score() -> None:
    assert better([10.0, 11.0, 12.0], [1.0, 2.0, 3.0]) == "not shown"
    assert better([10.0, 11.0, 12.0, 13.0], [1.0, 2.0, 3.0, 4.0]) == "better"
    assert better([5.0], [1.0]) == "not shown"
    assert interquartile_mean([5.0]).tree() == {"value": 5.0, "low": None, "high": None}


def test_equals_are_seldom_told_apart() -> None:
    verdicts = [better(drawn(5, 2, seed), drawn(5, 2, 1000 + seed)) for seed in range(150)]
    assert sum(verdict != "not shown" for verdict in verdicts) <= 12  # 5 % would be 7.5


def test_a_difference_is_that_of_the_means() -> None:
    a, b = drawn(6, 2, 13), drawn(9, 2, 14)
    expected = stats.trim_mean(a, 0.25, axis=None) - stats.trim_mean(b, 0.25, axis=None)
    assert difference(a, b).value == pytest.approx(expected)


def test_normalised_scores_lie_between_floor_and_optimum() -> None:
    scores = normalised([[1.0, 10.0], [3.0, 30.0]], floor=[1.0, 0.0], optimum=[3.0, 20.0])
    assert scores.tolist() == [[0.0, 0.5], [1.0, 1.5]]
    assert normalised([5.0, 10.0], 0.0, 10.0).tolist() == [[0.5], [1.0]]
    with pytest.raises(UsageError, match="above its floor"):
        normalised([1.0], 1.0, 1.0)


@pytest.mark.parametrize("scores", [[], [[1.0], [math.nan]], [[[1.0]]], [math.inf]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    with pytest.raises(UsageError, match="scores cannot be used"):
        interquartile_mean(scores)


def test_other_tasks_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="2 and 3 tasks"):
        better(drawn(5, 2, 1), drawn(5, 3, 1))
