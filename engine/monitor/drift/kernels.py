"""Compiled row work of the drift detector: observations of bars, their scores, cumulative sums for several shifts."""

from __future__ import annotations

import math

import numpy as np

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Bools, Floats, Ints

RETURN, RANGE, VOLUME, GAP, FEATURES = 0, 1, 2, 3, 4
"""Observations of every bar of a symbol, and their number."""
HOUR_NS, HOURS = 3_600_000_000_000, 24
SUMS = 6
MOST_EVIDENCE = 1e300
"""Of a cumulative sum; six of them still add up to a number."""
MOST_DEVIATIONS = 5.0
"""A score counts for no more, such as that of a gap where gaps are rare."""
FADING = 0.01
"""Of the mean score that is shown."""


@kernel
def observe_bars(
    ts_event: Ints,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    present: Bools,
    timeframe_ns: int,
    last_ts: Ints,
    last_close: Floats,
    streams: Ints,
    times: Ints,
    values: Floats,
) -> int:
    """What the bars of a block say, in order of rows and symbols; a symbol's first bar says nothing.

    Args:
        ts_event: Close times, shape (rows,).
        high, low, close, volume, present: Shape (rows, S).
        timeframe_ns: Length of a bar.
        last_ts, last_close: Of each symbol's latest bar, 0 before the first, shape (S,); state.
        streams, times, values: Number of the stream, time and value of every observation; output, 4 a bar.

    Returns:
        Number of observations.
    """
    n = 0
    for i in range(ts_event.shape[0]):
        for s in range(close.shape[1]):
            price = close[i, s]
            if not present[i, s] or not price > 0.0:
                continue
            if last_ts[s] > 0:
                for feature in range(FEATURES):
                    streams[n + feature] = FEATURES * s + feature
                    times[n + feature] = ts_event[i]
                values[n + RETURN] = math.log(price / last_close[s])
                values[n + RANGE] = (high[i, s] - low[i, s]) / price
                values[n + VOLUME] = volume[i, s] if volume[i, s] == volume[i, s] else 0.0
                values[n + GAP] = (ts_event[i] - last_ts[s]) // timeframe_ns - 1
                n += FEATURES
            last_ts[s] = ts_event[i]
            last_close[s] = price
    return n


@inlined
def rank_of(value: float, quantiles: Floats) -> float:
    """Mid-rank of a value among quantiles, within (0, 1)."""
    low, high = 0, quantiles.shape[0]
    while low < high:
        middle = (low + high) // 2
        if quantiles[middle] < value:
            low = middle + 1
        else:
            high = middle
    first = low
    high = quantiles.shape[0]
    while low < high:
        middle = (low + high) // 2
        if quantiles[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return (0.5 * (first + low) + 0.5) / (quantiles.shape[0] + 1.0)


@inlined
def normal_quantile(p: float) -> float:
    """Quantile of the normal distribution, within 1.2e-9 of it (P. J. Acklam 2003)."""
    if p < 0.02425 or p > 0.97575:
        q = math.sqrt(-2.0 * math.log(p if p < 0.5 else 1.0 - p))
        top = -7.784894002430293e-03 * q - 3.223964580411365e-01
        top = (top * q - 2.400758277161838) * q - 2.549732539343734
        top = (top * q + 4.374664141464968) * q + 2.938163982698783
        below = 7.784695709041462e-03 * q + 3.224671290700398e-01
        below = ((below * q + 2.445134137142996) * q + 3.754408661907416) * q + 1.0
        return top / below if p < 0.5 else -top / below
    q = p - 0.5
    r = q * q
    top = -3.969683028665376e01 * r + 2.209460984245205e02
    top = (top * r - 2.759285104469687e02) * r + 1.383577518672690e02
    top = (top * r - 3.066479806614716e01) * r + 2.506628277459239
    below = -5.447609879822406e01 * r + 1.615858368580409e02
    below = (below * r - 1.556989798598866e02) * r + 6.680131188771972e01
    below = (below * r - 1.328068155288572e01) * r + 1.0
    return top * q / below


@inlined
def score_of(value: float, quantiles: Floats, mean: float, deviation: float) -> float:
    """Standardised normal score of a value among quantiles."""
    score = (normal_quantile(rank_of(value, quantiles)) - mean) / deviation
    return min(MOST_DEVIATIONS, max(-MOST_DEVIATIONS, score))


@inlined
def grown(evidence: float, factor: float) -> float:
    """One cumulative sum, as the exponential of it: it never falls below 1."""
    return min(MOST_EVIDENCE, max(1.0, evidence * factor))


@inlined
def add_score(sums: Floats, score: float) -> float:
    """Add a score to the cumulative sums for shifts of 0.25, 0.5 and 1 deviations up and down; returns their mean.

    Each is exp of a CUSUM (Page 1954) of the logarithm of the likelihood ratio d * score - d * d / 2.
    """
    quarter = math.exp(0.25 * score)
    half = quarter * quarter
    one = half * half
    sums[0] = grown(sums[0], quarter * 0.9692332344763441)
    sums[1] = grown(sums[1], 0.9692332344763441 / quarter)
    sums[2] = grown(sums[2], half * 0.8824969025845955)
    sums[3] = grown(sums[3], 0.8824969025845955 / half)
    sums[4] = grown(sums[4], one * 0.6065306597126334)
    sums[5] = grown(sums[5], 0.6065306597126334 / one)
    return (sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5]) / SUMS


@kernel
def score_values(
    streams: Ints,
    times: Ints,
    values: Floats,
    count: int,
    quantiles: Floats,
    moments: Floats,
    scores: Floats,
) -> None:
    """Scores of values before what the one before predicts is taken off: how the reference itself is scored.

    Args:
        streams, times, values: The observations, `count` of them.
        quantiles: Of every stream and hour, shape (K, 24, Q).
        moments: Mean and deviation of a stream's scores, and their correlation with the one before, shape (K, 3).
        scores: Output.
    """
    for i in range(count):
        k, hour = streams[i], (times[i] // HOUR_NS) % HOURS
        scores[i] = score_of(values[i], quantiles[k, hour], moments[k, 0], moments[k, 1])


@kernel
def watch_values(
    streams: Ints,
    times: Ints,
    values: Floats,
    count: int,
    quantiles: Floats,
    moments: Floats,
    limits: Floats,
    sums: Floats,
    levels: Floats,
    counts: Ints,
    alarms: Ints,
    found: Floats,
) -> int:
    """Score observations, add them to the sums, and report where these reach their limits; those begin again then.

    Args:
        streams, times, values, count, quantiles, moments: As in `score_values`.
        limits: Of the mean of a stream's sums, shape (K,); infinite for a stream that is not watched.
        sums: Cumulative sums, shape (K, 6), 1 at first; state.
        levels: Score before and fading mean of the scores, shape (K, 2); state.
        counts: Observations of a stream, shape (K,); state.
        alarms: Stream, time and number of the observation of every alarm; output, shape (count, 3).
        found: Mean of the sums, and fading mean of the scores then; output, shape (count, 2).

    Returns:
        Number of alarms.
    """
    n = 0
    for i in range(count):
        k, hour = streams[i], (times[i] // HOUR_NS) % HOURS
        if limits[k] == np.inf:
            continue
        score = score_of(values[i], quantiles[k, hour], moments[k, 0], moments[k, 1])
        before = levels[k, 0] if counts[k] > 0 else 0.0
        counts[k] += 1
        levels[k, 0] = score
        levels[k, 1] += max(FADING, 1.0 / counts[k]) * (score - levels[k, 1])
        tied = moments[k, 2]
        evidence = add_score(sums[k], (score - tied * before) / math.sqrt(1.0 - tied * tied))
        if evidence >= limits[k]:
            alarms[n, 0], alarms[n, 1], alarms[n, 2] = k, times[i], counts[k]
            found[n, 0], found[n, 1] = evidence, levels[k, 1]
            n += 1
            for j in range(SUMS):
                sums[k, j] = 1.0
    return n


@kernel
def pass_levels(
    scores: Floats, begins: Ints, block: int, rows: int, levels: Floats, sums: Floats, times: Floats, hits: Floats
) -> None:
    """Play blocks of scores one after the other, and add up when the mean of the sums first reaches each level.

    Args:
        scores: To draw blocks from, in their order, shape (n,).
        begins: Where the blocks begin; they go on at the front, shape (paths, blocks).
        block: Length of a block.
        rows: After which a path ends.
        levels: Ascending, shape (m,).
        sums: Room, shape (6,).
        times: Rows played until each level was reached, or the path ended, shape (m,); added to.
        hits: Paths that reached each level, shape (m,); added to.
    """
    n = scores.shape[0]
    for path in range(begins.shape[0]):
        sums[:] = 1.0
        reached = 0
        for row in range(rows):
            evidence = add_score(sums, scores[(begins[path, row // block] + row % block) % n])
            while reached < levels.shape[0] and evidence >= levels[reached]:
                times[reached] += row + 1
                hits[reached] += 1
                reached += 1
            if reached == levels.shape[0]:
                break
        for level in range(reached, levels.shape[0]):
            times[level] += rows
