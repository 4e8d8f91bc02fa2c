"""The stylised facts of returns (Cont, 2001) of one series, each with an interval.

    facts = measure(series)
    facts.figures["tail"]            # Estimate(value=3.1, low=2.9, high=3.4)
    facts.curves["size_acf"].value   # autocorrelations of the size of returns, lags 1 to 250

Intervals hold the middle 95 % of resamples of whole sessions (`feeds.stylised.resampling`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats, Ints
from feeds.stylised import statistics
from feeds.stylised.resampling import block_sums, blocks_of, optimal_length, resample_weights
from feeds.stylised.series import Series

LAGS = 250
RESAMPLES = 500
TAIL_SHARE = 0.05
DECAY_FROM = 10
NEAR = 30
"""Lags, in bars, over which small effects are averaged."""

BIN_MINUTES = 30
LEAST_SHARE = 0.25
"""A bin of the season counts as busiest or quietest if it holds at least this share of the usual number of bars."""

HORIZONS = np.array([1, 5, 15, 30, 60, 120, 240], np.int64)
LEVEL = 0.95

FIGURES: dict[str, tuple[str, str]] = {
    "tail": ("tail index of returns", "2 to 5"),
    "left_tail": ("tail index of losses", "2 to 5"),
    "right_tail": ("tail index of gains", "2 to 5"),
    "skewness": ("skewness", "below 0 in stocks"),
    "kurtosis": ("excess kurtosis, 1 bar", "far above 0"),
    "kurtosis_60": ("excess kurtosis, 60 bars", "smaller"),
    "kurtosis_240": ("excess kurtosis, 240 bars", "smaller still"),
    "acf_1": ("autocorrelation of returns, lag 1", "near 0, or below: bounce"),
    "acf_near": ("autocorrelation of returns, mean of lags 2 to 30", "0"),
    "size_acf_1": ("autocorrelation of size, lag 1", "0.2 to 0.4"),
    "size_acf_60": ("autocorrelation of size, lag 60", "above 0"),
    "size_acf_250": ("autocorrelation of size, lag 250", "above 0"),
    "calm_acf_60": ("the same without the season, lag 60", "above 0"),
    "calm_acf_250": ("the same without the season, lag 250", "above 0"),
    "decay": ("exponent of its decay, without the season", "0.2 to 0.4"),
    "leverage": ("leverage: return with later size, mean of lags 1 to 30", "below 0 in stocks"),
    "volume_size": ("correlation of log volume and size", "above 0"),
    "volume_acf_1": ("autocorrelation of log volume, lag 1", "above 0"),
    "season": ("season: size in the busiest half-hour over the quietest", "above 1"),
    "volume_season": ("season: volume, likewise", "above 1"),
}
"""By key: what it is, and what markets show (Cont, 2001). The size of a return is its absolute value."""

CURVES: dict[str, tuple[str, str]] = {
    "acf": ("Autocorrelation of returns", "lag, bars"),
    "size_acf": ("Autocorrelation of the size of returns", "lag, bars"),
    "calm_acf": ("Autocorrelation of size, without the season", "lag, bars"),
    "leverage": ("Leverage: correlation of a return with later size", "lag, bars"),
    "kurtosis": ("Excess kurtosis of returns over several bars", "bars"),
    "season": ("Size of returns by time of the session, mean 1", "minutes since the open"),
    "volume_season": ("Volume by time of the session, mean 1", "minutes since the open"),
    "tail": ("Share of returns larger than so many deviations", "deviations"),
}
"""By key: title and what is across."""


class Estimate(NamedTuple):
    """A figure with the ends of its interval; NaN where it is not known."""

    value: float
    low: float
    high: float


class Curve(NamedTuple):
    """Figures along an axis, each of shape (k,)."""

    x: Floats
    value: Floats
    low: Floats
    high: Floats


class Facts(NamedTuple):
    """What was found of one series.

    Attributes:
        name: Of the series.
        bars: Returns that were used.
        blocks: Sessions, or pieces in their place, that were resampled.
        run: Mean number of blocks that stay together in a resample.
        left_out: Bars after gaps.
        figures: By the keys of `FIGURES`.
        curves: By the keys of `CURVES`; those that do not apply are missing.
    """

    name: str
    bars: int
    blocks: int
    run: float
    left_out: int
    figures: dict[str, Estimate]
    curves: dict[str, Curve]


def measure(series: Series, lags: int = LAGS, resamples: int = RESAMPLES, seed: int = 0) -> Facts:
    """All facts of a series.

    Args:
        series: At least 500 returns.
        lags: Of autocorrelations, bars; fewer where the series is short.
        resamples: For the intervals.
        seed: Of the resamples.
    """
    size = np.abs(series.returns)
    starts = blocks_of(series.session)
    lengths = np.diff(np.append(starts, len(size)))
    run = optimal_length(np.log(block_sums(size, starts) / lengths + 1e-300))
    weights = resample_weights(len(starts), resamples, run, seed)
    lags = min(lags, len(size) // 4)
    raw = _curves(series, size, lags, starts, weights)
    figures = _figures(series, size, raw, starts, weights)
    curves = {key: _curve(x, values) for key, (x, values) in raw.items()}
    return Facts(
        series.name,
        len(size),
        len(starts),
        run,
        series.left_out,
        {key: _estimate(figures[key]) if key in figures else Estimate(math.nan, math.nan, math.nan) for key in FIGURES},
        curves,
    )


def without_season(values: Floats, bins: Ints, count: int) -> Floats:
    """Values over the mean of their bin, shape (n,); bins in which all are 0 stay so."""
    means = np.bincount(bins, values, minlength=count) / np.maximum(np.bincount(bins, minlength=count), 1)
    return np.asarray(values / np.where(means > 0.0, means, 1.0)[bins])


def distance(one: Facts, other: Facts, curve: str) -> float:
    """Root mean square difference of a curve of two series, over what both have; NaN if one lacks it."""
    a, b = one.curves.get(curve), other.curves.get(curve)
    if a is None or b is None:
        return math.nan
    _, at, to = np.intersect1d(a.x, b.x, return_indices=True)
    gaps = a.value[at] - b.value[to]
    gaps = gaps[np.isfinite(gaps)]
    return float(np.sqrt(np.mean(gaps**2))) if len(gaps) else math.nan


def apart(one: Estimate, other: Estimate) -> bool | None:
    """Whether two intervals do not meet; None where one of them is not known."""
    if not all(map(math.isfinite, (*one, *other))):
        return None
    return one.high < other.low or other.high < one.low


Raw = dict[str, tuple[Floats, Floats]]
"""Axis, shape (k,), and values for each row of weights, shape (W, k)."""


def _curves(series: Series, size: Floats, lags: int, starts: Ints, weights: Floats) -> Raw:
    axis = np.arange(1.0, lags + 1)
    bins = (series.minute - 1) // BIN_MINUTES
    count = int(bins.max()) + 1
    calm = without_season(size, bins, count)
    horizons = HORIZONS[len(size) // HORIZONS >= statistics.LEAST_POINTS]
    found = {
        "acf": (axis, statistics.autocorrelation(series.returns, lags, starts, weights)),
        "size_acf": (axis, statistics.autocorrelation(size, lags, starts, weights)),
        "calm_acf": (axis, statistics.autocorrelation(calm, lags, starts, weights)),
        "leverage": (axis, statistics.lagged_correlation(series.returns, size, lags, starts, weights)),
        "kurtosis": (
            horizons.astype(np.float64),
            statistics.aggregated_kurtosis(series.returns, horizons, starts, weights),
        ),
        "tail": _exceedance(series.returns, starts, weights),
    }
    if count > 1:
        middle = (np.arange(count) + 0.5) * BIN_MINUTES
        found["season"] = middle, statistics.profile(size, bins, count, starts, weights)
        if np.isfinite(series.volume).any():
            found["volume_season"] = middle, statistics.profile(series.volume, bins, count, starts, weights)
    return found


def _exceedance(returns: Floats, starts: Ints, weights: Floats) -> tuple[Floats, Floats]:
    """Share of returns whose size exceeds multiples of the deviation of the data."""
    levels = np.geomspace(0.5, 30.0, 25)
    size = np.abs(returns - returns.mean()) / max(float(returns.std()), 1e-300)
    above = (size[:, None] > levels).astype(np.float64)
    counts = weights @ block_sums(np.ones(len(size)), starts)
    share = weights @ block_sums(above, starts) / counts[:, None]
    shown = share[0] > 0.0
    return levels[shown], share[:, shown]


def _figures(series: Series, size: Floats, raw: Raw, starts: Ints, weights: Floats) -> Mapping[str, Floats]:
    returns = series.returns
    known = series.volume > 0.0
    log_volume = np.where(known, np.log(np.where(known, series.volume, 1.0)), np.nan)
    skewness, kurtosis = statistics.shape(returns, starts, weights)
    found = {
        "tail": statistics.tail_index(size, TAIL_SHARE, starts, weights),
        # half of the bars are losses, so half the share reaches as far out
        "left_tail": statistics.tail_index(-returns, TAIL_SHARE / 2, starts, weights),
        "right_tail": statistics.tail_index(returns, TAIL_SHARE / 2, starts, weights),
        "skewness": skewness,
        "kurtosis": kurtosis,
        "acf_near": raw["acf"][1][:, 1:NEAR].mean(axis=1),
        "leverage": raw["leverage"][1][:, :NEAR].mean(axis=1),
        "decay": statistics.decay(raw["calm_acf"][1], DECAY_FROM),
        "volume_size": statistics.correlation(log_volume, size, starts, weights),
    }
    for curve, lag in (("acf", 1), ("size_acf", 1), ("size_acf", 60), ("size_acf", 250), ("calm_acf", 60),
                       ("calm_acf", 250)):  # fmt: skip
        if lag <= raw[curve][1].shape[1]:
            found[f"{curve}_{lag}"] = raw[curve][1][:, lag - 1]
    for column, horizon in enumerate(raw["kurtosis"][0].tolist()):
        if horizon > 1:
            found[f"kurtosis_{horizon:.0f}"] = raw["kurtosis"][1][:, column]
    if known.all():
        found["volume_acf_1"] = statistics.autocorrelation(log_volume, 1, starts, weights)[:, 0]
    for key in ("season", "volume_season"):
        if key in raw:
            found[key] = _amplitude(raw[key][1], series.minute)
    return found


def _amplitude(profile: Floats, minute: Ints) -> Floats:
    """The largest over the smallest of the bins that are full enough."""
    counts = np.bincount((minute - 1) // BIN_MINUTES, minlength=profile.shape[1])
    full = profile[:, counts >= LEAST_SHARE * np.median(counts)]
    # which bins these are is settled by the data: the extremes of resamples would be further apart
    busiest, quietest = int(np.argmax(full[0])), int(np.argmin(full[0]))
    return np.asarray(full[:, busiest] / np.where(full[:, quietest] > 0.0, full[:, quietest], np.nan))


def _estimate(values: Floats) -> Estimate:
    low, high = _ends(values[1:, None])
    return Estimate(float(values[0]), float(low[0]), float(high[0]))


def _curve(x: Floats, values: Floats) -> Curve:
    return Curve(x, values[0], *_ends(values[1:]))


def _ends(resampled: Floats) -> tuple[Floats, Floats]:
    """Ends of the intervals of columns; NaN where no resample has a value."""
    if not len(resampled) or not np.isfinite(resampled).any():
        nothing = np.full(resampled.shape[1], np.nan)
        return nothing, nothing
    known = np.isfinite(resampled).any(axis=0)
    ends = np.full((2, resampled.shape[1]), np.nan)
    tail = 100.0 * (1.0 - LEVEL) / 2
    ends[:, known] = np.nanpercentile(resampled[:, known], [tail, 100.0 - tail], axis=0)
    return ends[0], ends[1]
