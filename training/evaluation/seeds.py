"""Trainings over several seeds, compared by robust figures with intervals instead of by their best seed.

After Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (arXiv 2108.13264),
whose sections are named below.

Scores are arrays of shape (runs, tasks), a run being a seed and a task a market; shape (runs,) is one task. Intervals
come from the stratified bootstrap (section 4.1): runs are drawn again within each task. Its percentiles are too narrow
for few runs (they hold the mean of three normal runs of four tasks in about 84 % of cases, not in 95 %), so they are
taken further out: the expanded percentile interval of Hesterberg (2015), "What Teachers Should Know About the
Bootstrap". `plain` takes them as Agarwal et al. do. The same scores and seed give the same intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from engine.base.errors import UsageError
from engine.types.blocks import Floats
from training.evaluation.statistics import CONFIDENCE, Estimate, t_quantile

RESAMPLES = 10_000
CUT = 0.25
"""Share of the scores that the interquartile mean leaves out at either end."""
AT_ONCE = 2_000_000
"""Numbers of resampled scores held at a time."""

Verdict = Literal["better", "worse", "not shown"]


@dataclass(frozen=True)
class Profile:
    """How large a share of the runs scores above each of some thresholds (section 4.2).

    Attributes:
        thresholds: Shape (K,).
        above: Share of all runs of all tasks whose score is larger, shape (K,).
        low, high: 95 % interval at each threshold by itself, shape (K,).
    """

    thresholds: Floats
    above: Floats
    low: Floats
    high: Floats


def normalised(scores: ArrayLike, floor: ArrayLike, optimum: ArrayLike) -> Floats:
    """Scores of which 0 is the floor and 1 the optimum, shape (runs, tasks).

    Args:
        scores: Shape (runs, tasks) or (runs,).
        floor: What needs no skill earns in each task (staying flat), shape (tasks,) or a number.
        optimum: The best that can be earned, likewise.

    Raises:
        UsageError: If a number is not finite, or an optimum is not above its floor.
    """
    given = _checked(scores)
    low, high = (np.broadcast_to(np.asarray(end, np.float64), given.shape[1:]) for end in (floor, optimum))
    if not (np.isfinite(low) & np.isfinite(high) & (high > low)).all():
        raise UsageError("an optimum has to be above its floor", found=f"floors {low.tolist()}, optima {high.tolist()}")
    scaled: Floats = (given - low) / (high - low)
    return scaled


def interquartile_mean(scores: ArrayLike, *, seed: int = 0, plain: bool = False) -> Estimate:
    """Mean of the middle half of all runs of all tasks (section 4.3), with its interval.

    Args:
        scores: Shape (runs, tasks) or (runs,).
        seed: Of the resampling.
        plain: Whether percentiles are not taken further out for few runs.
    """
    return _estimate(_middle_mean, (_checked(scores),), seed, plain)


def optimality_gap(scores: ArrayLike, target: float = 1.0, *, seed: int = 0, plain: bool = False) -> Estimate:
    """By how much the runs stay below a target on average; what is above it counts as the target (section 4.3).

    Args:
        scores: Normalised, shape (runs, tasks) or (runs,).
        target: The score beyond which nothing is asked for.
        seed: Of the resampling.
        plain: As of `interquartile_mean`.
    """

    def gap(drawn: Floats) -> Floats:
        below: Floats = target - np.minimum(drawn, target).mean(axis=(1, 2))
        return below

    return _estimate(gap, (_checked(scores),), seed, plain)


def probability_of_improvement(a: ArrayLike, b: ArrayLike, *, seed: int = 0, plain: bool = False) -> Estimate:
    """How likely a run of A scores above one of B in the same task (section 4.3).

    In a task it is the Mann-Whitney statistic over the number of pairs, a tie counting half; tasks are averaged.

    Args:
        a, b: Shapes (runs, tasks) or (runs,), with the same tasks in the same order.
        seed: Of the resampling.
        plain: As of `interquartile_mean`.

    Raises:
        UsageError: If the tasks differ in number.
    """
    return _estimate(_wins, _pair(a, b), seed, plain)


def difference(a: ArrayLike, b: ArrayLike, *, seed: int = 0, plain: bool = False) -> Estimate:
    """Interquartile mean of A less that of B, with its interval; arguments as of `probability_of_improvement`."""
    return _estimate(lambda x, y: _middle_mean(x) - _middle_mean(y), _pair(a, b), seed, plain)


def better(a: ArrayLike, b: ArrayLike, *, seed: int = 0) -> Verdict:
    """Whether A is better than B, worse, or neither is shown.

    The intervals of `difference` and `probability_of_improvement` both have to lie beyond 0 and 0.5. So few runs that
    even those of A all above those of B would happen by chance in more than 5 % of comparisons show nothing: with one
    task, four runs each are the least.

    Args:
        a, b: Shapes (runs, tasks) or (runs,), with the same tasks in the same order; larger scores are better.
        seed: Of the resampling.

    Raises:
        UsageError: If the tasks differ in number.
    """
    x, y = _pair(a, b)
    orders = math.comb(len(x) + len(y), len(x)) ** x.shape[1]
    if (1 - CONFIDENCE) * orders < 2:
        return "not shown"
    apart, wins = difference(x, y, seed=seed), probability_of_improvement(x, y, seed=seed)
    if apart.low is None or apart.high is None or wins.low is None or wins.high is None:
        return "not shown"
    if apart.low > 0 and wins.low > 0.5:
        return "better"
    return "worse" if apart.high < 0 and wins.high < 0.5 else "not shown"


def performance_profile(scores: ArrayLike, thresholds: ArrayLike, *, seed: int = 0, plain: bool = False) -> Profile:
    """Share of the runs above each threshold, with bands (section 4.2).

    Args:
        scores: Shape (runs, tasks) or (runs,).
        thresholds: Shape (K,).
        seed: Of the resampling.
        plain: As of `interquartile_mean`.
    """
    levels = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))

    def above(drawn: Floats) -> Floats:
        ordered = np.sort(drawn.reshape(len(drawn), -1), axis=1)
        below = np.stack([np.searchsorted(row, levels, side="right") for row in ordered])
        share: Floats = 1.0 - below / ordered.shape[1]
        return share

    value, low, high = _bootstrap(above, (_checked(scores),), seed, plain)
    return Profile(levels, value, low, high)


def _middle_mean(drawn: Floats) -> Floats:
    """Interquartile mean of each resample, shape (B, runs, tasks) to (B,)."""
    ordered = np.sort(drawn.reshape(len(drawn), -1), axis=1)
    cut = int(CUT * ordered.shape[1])
    middle: Floats = ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)
    return middle


def _wins(x: Floats, y: Floats) -> Floats:
    """Share of pairs that x wins, shapes (B, runs, tasks) to (B,)."""
    share = np.zeros(len(x))
    for run in range(x.shape[1]):  # a loop over the runs of one side holds what is compared at once small
        own = x[:, run, None, :]
        share += ((own > y) + 0.5 * (own == y)).mean(axis=(1, 2))
    mean: Floats = share / x.shape[1]
    return mean


def _estimate(statistic: Callable[..., Floats], scores: tuple[Floats, ...], seed: int, plain: bool) -> Estimate:
    value, low, high = _bootstrap(statistic, scores, seed, plain)
    if min(len(one) for one in scores) < 2:
        return Estimate(float(value))
    return Estimate(float(value), float(low), float(high))


def _bootstrap(
    statistic: Callable[..., Floats], scores: tuple[Floats, ...], seed: int, plain: bool
) -> tuple[Floats, Floats, Floats]:
    """A statistic, and the ends of its interval; a statistic of one run is all three."""
    value = statistic(*(one[None] for one in scores))[0]
    found = np.concatenate([statistic(*drawn) for drawn in _resamples(scores, seed)])
    tail = (1 - CONFIDENCE) / 2 if plain else _tail(scores)
    low, high = np.quantile(found, (tail, 1 - tail), axis=0)
    return value, low, high


def _resamples(scores: tuple[Floats, ...], seed: int) -> Iterator[list[Floats]]:
    """Runs drawn again within each task, in pieces of shape (B, runs, tasks)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    piece = max(1, min(RESAMPLES, AT_ONCE // sum(one.size for one in scores)))
    for start in range(0, RESAMPLES, piece):
        count = min(piece, RESAMPLES - start)
        yield [
            np.take_along_axis(one[None], generator.integers(len(one), size=(count, *one.shape)), axis=1)
            for one in scores
        ]


def _tail(scores: tuple[Floats, ...]) -> float:
    """Probability beyond either end of the expanded percentile interval.

    Resamples of n runs vary by (n - 1) / n of what they should, and their deviation is known from as many degrees of
    freedom as there are runs less one, in each task.
    """
    fewest, tasks = min(len(one) for one in scores), scores[0].shape[1]
    freedom = tasks * sum(len(one) - 1 for one in scores)
    if fewest < 2:
        return (1 - CONFIDENCE) / 2
    return NormalDist().cdf(-math.sqrt(fewest / (fewest - 1)) * t_quantile(freedom))


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    x, y = _checked(a), _checked(b)
    if x.shape[1] != y.shape[1]:
        raise UsageError(
            "only scores of the same tasks can be compared",
            expected="as many tasks on either side, in the same order",
            found=f"{x.shape[1]} and {y.shape[1]} tasks",
        )
    return x, y


def _checked(scores: ArrayLike) -> Floats:
    array = np.asarray(scores, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise UsageError(
            "scores cannot be used",
            expected="finite numbers of shape (runs, tasks), or (runs,) for one task",
            found=f"shape {array.shape}" + ("" if np.isfinite(array).all() else " with numbers that are not finite"),
        )
    return array
