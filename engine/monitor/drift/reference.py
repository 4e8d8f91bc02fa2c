"""What the drift detector compares with: ranks by time of day, and limits that hold on the reference itself.

A score is the normal quantile of a value's rank among the reference values of its hour (UTC), standardised, less what
the score before it predicts (its correlation with the one before). Ranks need no distribution; hours take out the shape
of the day; the correlation takes out most of what makes a cumulative sum grow by itself.

The limit of a stream is where the mean time to a false alarm is the run length asked for, by playing blocks of the
reference's own scores (a block bootstrap: Kunsch 1989, Annals of Statistics 17(3); length of the blocks by Politis and
White 2004, Econometric Reviews 23(1), corrected 2009): what dependence is left counts as it is. Run lengths of up to
20,000 are played; beyond, the logarithm of the run length is continued along the logarithm of the limit, in which it
is linear (Wald's approximation).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.base.files import read_file
from engine.base.replacing import replaced_file
from engine.base.restoring import array_of, parts_of
from engine.base.state import decode, encode
from engine.monitor.drift.kernels import HOUR_NS, HOURS, SUMS, pass_levels, score_values
from engine.monitor.drift.streams import Observations
from engine.types.blocks import Floats, Ints

QUANTILES = 257
FEWEST, FEWEST_OF_HOUR = 1000, 100
"""Observations of a stream before it is watched, and of an hour before it has quantiles of its own."""
MOST_CORRELATION = 0.98
SMALLEST = 1e-9
"""A smaller deviation of scores is none."""
FOLDS = 5
DAY_NS = HOURS * HOUR_NS
MOST_PLAYED = 20_000
PATHS, LONGEST_PATH = 200, 4
"""Paths that are played, and their length in run lengths."""
FEWEST_HITS = 20
SCALES, FEWEST_MEANS = (10, 30, 100, 300, 1000, 3000), 30
LEVELS = np.exp(np.concatenate([np.linspace(0.5, 40.0, 400), np.arange(41.0, 681.0)]))
"""Limits that are tried. Scores that stay high for hundreds in a row, as those of range and volume do, need one of 100
or more as a logarithm; the highest is nearly what the sums can hold (MOST_EVIDENCE)."""
FLATTEST = 0.01
"""Slope of the logarithm of the run length along that of the limit: 1 for independent normal numbers, less the longer
dependence lasts."""
MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of K streams.

    Attributes:
        names: Of the streams.
        timeframe_ns: Length of the bars.
        run_length: Mean number of observations between false alarms of a stream.
        counts: Observations, shape (K,).
        quantiles: Of every hour, ascending, shape (K, 24, Q).
        moments: Mean and deviation of the scores, correlation with the one before, shape (K, 3).
        blocks: Length of the blocks, shape (K,); 0 for a stream that is not watched.
        limits: Of the mean of the sums, shape (K,); infinite for a stream that is not watched.
    """

    names: tuple[str, ...]
    timeframe_ns: int
    run_length: float
    counts: Ints
    quantiles: Floats
    moments: Floats
    blocks: Ints
    limits: Floats

    @property
    def unwatched(self) -> dict[str, str]:
        """Why a stream is not watched, for each one that is not."""
        return {
            name: f"{count:,} observations, and {FEWEST:,} are needed"
            if count < FEWEST
            else f"stays high or low for too long in the reference itself: no limit keeps false alarms "
            f"{self.run_length:,.0f} observations apart"
            for name, count, limit in zip(self.names, self.counts.tolist(), self.limits.tolist(), strict=True)
            if not math.isfinite(limit)
        }

    @cached_property
    def content(self) -> bytes:
        """As a file holds it."""
        parts = {name: getattr(self, name) for name in _ARRAYS}
        head = {"names": list(self.names), "timeframe_ns": self.timeframe_ns, "run_length": self.run_length}
        return encode({"drift_reference": 1, **head, **parts})

    @cached_property
    def sha256(self) -> str:
        """Hash of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def write(self, path: Path) -> None:
        """Write it to a file.

        Raises:
            UsageError: If nothing can be written there.
            OSError: If the disk refuses later.
        """
        with replaced_file(path) as part:
            part.write_bytes(self.content)


_HEAD = ("names", "timeframe_ns", "run_length")
_ARRAYS = ("counts", "quantiles", "moments", "blocks", "limits")


def read_reference(path: Path) -> Reference:
    """Read what `Reference.write` wrote.

    Raises:
        UsageError: If there is no such file.
        DataError: If it holds something else.
    """
    try:
        content = read_file(path, MOST_BYTES)
    except OSError as error:
        raise UsageError(
            f"cannot read the reference: {error.strerror}",
            where=str(path),
            hint="`grandmodel monitor RUN --write-reference FILE` writes one",
        ) from error
    try:
        tree = parts_of(decode(content, "the reference"), ("drift_reference", *_HEAD, *_ARRAYS))
        names = tuple(map(str, tree["names"]))
        k = len(names)
        like: dict[str, Any] = {
            "counts": np.empty(k, np.int64),
            "quantiles": np.empty((k, HOURS, QUANTILES)),
            "moments": np.empty((k, 3)),
            "blocks": np.empty(k, np.int64),
            "limits": np.empty(k),
        }
        arrays = {name: array_of(tree[name], array, name) for name, array in like.items()}
        return Reference(names, int(tree["timeframe_ns"]), float(tree["run_length"]), **arrays)
    except (DataError, TypeError, ValueError) as error:
        what = error.what if isinstance(error, DataError) else str(error)
        raise DataError(
            f"this is no reference of a drift detector: {what}",
            where=str(path),
            expected="what `grandmodel monitor RUN --write-reference FILE` wrote",
        ) from error


def build_reference(
    names: Sequence[str], timeframe_ns: int, found: Observations, run_length: float, seed: int = 0
) -> Reference:
    """Statistics and limits of streams.

    Args:
        names: Of the K streams.
        timeframe_ns: Length of the bars.
        found: All observations; those of one stream are in order.
        run_length: Mean number of observations between false alarms of a stream.
        seed: Of the blocks that are played.

    Raises:
        DataError: If no stream has enough observations.
    """
    k = len(names)
    counts = np.bincount(found.streams, minlength=k).astype(np.int64)
    quantiles, moments = np.zeros((k, HOURS, QUANTILES)), np.tile([0.0, 1.0, 0.0], (k, 1))
    blocks, limits = np.zeros(k, np.int64), np.full(k, np.inf)
    if counts.max(initial=0) < FEWEST:
        raise DataError(
            "too little to compare with",
            expected=f"{FEWEST:,} bars at least",
            found=f"{counts.max(initial=0):,}",
            hint="use a longer run as the reference",
        )
    for stream in np.flatnonzero(counts >= FEWEST).tolist():
        own = found.streams == stream
        fitted = _fit(found.times[own], found.values[own])
        quantiles[stream], moments[stream] = fitted.quantiles, fitted.moments
        scores = fitted.scores
        blocks[stream] = max(block_length(scores), slow_block(scores), fitted.least_block)
        limits[stream] = limit_for(scores, int(blocks[stream]), run_length, np.random.default_rng([seed, stream]))
    return Reference(tuple(names), timeframe_ns, run_length, counts, quantiles, moments, blocks, limits)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """One stream: quantiles by hour, moments, the reference's own scores, and how long blocks of them must be."""

    quantiles: Floats
    moments: Floats
    scores: Floats
    least_block: int


def _fit(times: Ints, values: Floats) -> _Fitted:
    pooled = np.tile(_quantiles(values), (HOURS, 1))
    scores = _raw_scores(times, values, pooled)
    if not _hours_differ(times, scores):
        return _standardised(pooled, scores, 1)
    # days are scored by the quantiles of other days, as later ones will be: the hours' own errors are part of it then
    fold = (times // DAY_NS) % FOLDS
    for number in range(FOLDS):
        held = fold == number
        if held.any() and not held.all():
            scores[held] = _raw_scores(times[held], values[held], _by_hour(times[~held], values[~held]))
    hours = times // HOUR_NS
    an_hour = len(hours) / len(np.unique(hours))
    return _standardised(_by_hour(times, values), scores, min(math.ceil(an_hour), max(1, len(values) // 100)))


def _standardised(quantiles: Floats, scores: Floats, least_block: int) -> _Fitted:
    mean, deviation = float(scores.mean()), float(scores.std())
    deviation = deviation if deviation > SMALLEST else 1.0
    scores = (scores - mean) / deviation
    tied = _correlation(scores)
    scores[1:] = (scores[1:] - tied * scores[:-1]) / math.sqrt(1.0 - tied * tied)
    return _Fitted(quantiles, np.array([mean, deviation, tied]), scores, least_block)


def _raw_scores(times: Ints, values: Floats, quantiles: Floats) -> Floats:
    scores, numbers = np.empty(len(values)), np.zeros(len(values), np.int64)
    plain = np.array([[0.0, 1.0, 0.0]])
    score_values(numbers, times, values, len(values), quantiles[np.newaxis], plain, scores)
    return scores


def _quantiles(values: Floats) -> Floats:
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    # of values that are there, so that ties stay ties
    found: Floats = np.quantile(values, shares, method="inverted_cdf")
    return found


def _by_hour(times: Ints, values: Floats) -> Floats:
    """Quantiles of every hour; those of the whole day where an hour has few values."""
    found = np.tile(_quantiles(values), (HOURS, 1))
    hours = times // HOUR_NS % HOURS
    for hour in range(HOURS):
        own = values[hours == hour]
        if len(own) >= FEWEST_OF_HOUR:
            found[hour] = _quantiles(own)
    return found


def _hours_differ(times: Ints, scores: Floats) -> bool:
    """Whether the hours' scores differ in mean or in mean square, by more than chance at 1 %.

    The correlation of each score with the one before counts as if it were an autoregression. Hours that do not differ
    share the quantiles of the day, which are known better.
    """
    variance = float(scores.var())
    if variance <= SMALLEST:
        return False
    tied = _correlation(scores - scores.mean())
    hours = times // HOUR_NS % HOURS
    squares = (scores - scores.mean()) ** 2 / variance
    of_means = of_squares = 0.0
    known = [hour for hour in range(HOURS) if np.count_nonzero(hours == hour) >= FEWEST_OF_HOUR]
    for hour in known:
        own = hours == hour
        count = np.count_nonzero(own)
        of_means += count * float(scores[own].mean() - scores.mean()) ** 2 / variance
        of_squares += count * float(squares[own].mean() - 1.0) ** 2 / max(float(squares.var()), SMALLEST)
    of_means *= (1.0 - tied) / (1.0 + tied)
    of_squares *= (1.0 - tied * tied) / (1.0 + tied * tied)
    return len(known) > 1 and max(of_means, of_squares) > _chi_square(len(known) - 1)


def _chi_square(degrees: int) -> float:
    """What a chi-square exceeds with a chance of 1 % (Wilson and Hilferty 1931)."""
    part = 2.0 / (9.0 * degrees)
    found: float = degrees * (1.0 - part + 2.326 * math.sqrt(part)) ** 3
    return found


def _correlation(scores: Floats) -> float:
    """Of each score with the one before."""
    squares = float(np.dot(scores, scores))
    found = float(np.dot(scores[1:], scores[:-1])) / squares if squares > 0.0 else 0.0
    return min(max(found, -MOST_CORRELATION), MOST_CORRELATION)


def block_length(scores: Floats) -> int:
    """Length of the blocks of a circular block bootstrap by Politis and White (2004, 2009), at most n / 50."""
    n = len(scores)
    most = max(1, n // 50)
    root = math.sqrt(math.log10(n))
    lags = min(most, 200 + int(math.sqrt(n)))
    centred = scores - scores.mean()
    covariances = np.array([np.dot(centred[: n - lag], centred[lag:]) / n for lag in range(2 * lags + 1)])
    if covariances[0] <= 0.0:
        return 1
    small = np.abs(covariances / covariances[0]) < 2.0 * root / math.sqrt(n)
    run = max(5, int(root))
    last = next((lag for lag in range(1, lags) if small[lag : lag + run].all()), lags)
    width = 2 * max(1, last - 1)
    lag = np.arange(1, min(width, 2 * lags) + 1)
    weights = np.where(lag / width <= 0.5, 1.0, 2.0 * (1.0 - lag / width))
    slope = 2.0 * float(np.sum(weights * lag * covariances[lag]))
    spectrum = covariances[0] + 2.0 * float(np.sum(weights * covariances[lag]))
    if spectrum <= 0.0:
        return most
    length = (2.0 * slope * slope / (4.0 / 3.0 * spectrum * spectrum)) ** (1 / 3) * n ** (1 / 3)
    return int(min(max(1, math.ceil(length)), most))


def slow_block(scores: Floats) -> int:
    """Length of blocks that hold dependence too faint for single lags and too long to leave out; 1 where there is none.

    Means of m scores in a row vary by 1/m of what scores do if these do not depend on each other. Twice the longest m
    for which they vary by more than that and four standard errors, at most n / 20.
    """
    n, variance = len(scores), float(scores.var())
    found = 1
    for length in SCALES:
        count = n // length
        if count < FEWEST_MEANS or variance <= SMALLEST:
            break
        means = scores[: count * length].reshape(count, length).mean(axis=1)
        if length * float(means.var()) > variance * (1.0 + 4.0 * math.sqrt(2.0 / count)):
            found = min(2 * length, n // 20)
    return found


def limit_for(scores: Floats, block: int, run_length: float, rng: np.random.Generator) -> float:
    """Limit of the mean of the sums at which false alarms are a run length apart, on average.

    Args:
        scores: Of the reference, in order.
        block: Length of the blocks that are played.
        run_length: Asked for, observations.
        rng: Draws the blocks.

    Returns:
        The limit; infinity where there is none.
    """
    played = min(run_length, MOST_PLAYED)
    rows = int(LONGEST_PATH * played)
    begins = rng.integers(0, len(scores), (PATHS, rows // block + 1))
    times, hits = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    pass_levels(scores, begins, block, rows, LEVELS, np.ones(SUMS), times, hits)
    reached = hits >= FEWEST_HITS
    lengths, levels = np.log(times[reached] / hits[reached]), np.log(LEVELS[reached])
    if not len(lengths):  # a number that is always the same
        return run_length
    if lengths[-1] < math.log(played):  # scores stay high or low for so long that the sums reach whatever they can hold
        return math.inf
    if run_length <= played:
        return math.exp(float(np.interp(math.log(run_length), lengths, levels)))
    late = lengths > math.log(played) - 2.5
    slope = max(FLATTEST, float(np.polyfit(levels[late], lengths[late], 1)[0]))
    at = float(np.interp(math.log(played), lengths, levels))
    limit = at + (math.log(run_length) - math.log(played)) / slope
    return math.exp(limit) if limit <= math.log(LEVELS[-1]) else math.inf
