"""Estimates with their uncertainty, for episodes that may overlap.

Episodes that share bars say less than as many that do not. Every interval counts them by `effective_count`: how many
episodes of their length the covered bars would hold. Episodes that overlap by half count half, which is what the
correlation of their sums amounts to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engine.types.blocks import Floats

CONFIDENCE = 0.95
RESAMPLES = 2000
GRID = 20_001
FEWEST_RESAMPLED = 5
"""Effective episodes below which a resampled interval would mean nothing."""


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % confidence interval; None where not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def tree(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


NOTHING = Estimate(None)


def estimate(value: float | None, half: float | None = None) -> Estimate:
    """A number, give or take `half`; what is not finite becomes None."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if half is None or not math.isfinite(half):
        return Estimate(float(value))
    return Estimate(float(value), float(value - half), float(value + half))


def bounded(found: Estimate, low: float, high: float = math.inf) -> Estimate:
    """The same with an interval that stays where the number can lie."""
    if found.low is None or found.high is None:
        return found
    return Estimate(found.value, max(found.low, low), min(found.high, high))


def effective_count(starts: Sequence[int], bars: Sequence[int]) -> float:
    """How many episodes without overlap the covered bars would hold, at most as many as there are.

    Args:
        starts: First row of each episode, shape (n,).
        bars: Bars of each episode, shape (n,).
    """
    covered, reached = 0, -1
    for start, length in sorted(zip(starts, bars, strict=True)):
        covered += max(0, start + length - max(start, reached))
        reached = max(reached, start + length)
    mean = sum(bars) / len(bars) if len(bars) else 0.0
    return min(float(len(bars)), covered / mean) if mean > 0 else float(len(bars))


def mean_estimate(values: Sequence[float] | Floats, effective: float | None = None) -> Estimate:
    """Mean with Student's t interval.

    Args:
        values: Shape (n,).
        effective: How many independent ones they count for; n by default.
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return NOTHING
    count = len(array) if effective is None else effective
    mean = float(array.mean())
    if len(array) < 2 or count < 2 or not math.isfinite(mean):
        return estimate(mean)
    return estimate(mean, t_quantile(count - 1) * float(array.std(ddof=1)) / math.sqrt(count))


def ratio_estimate(above: Sequence[float], below: Sequence[float], effective: float | None = None) -> Estimate:
    """Ratio of two sums over episodes, such as wins over trades, with an interval by linearisation.

    Episodes vary in both sums together, so trades are not counted as independent (Cochran, Sampling Techniques, 1977,
    section 2.11).
    """
    y, x = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    total = float(x.sum())
    if not len(x) or total == 0.0:
        return NOTHING
    ratio = float(y.sum()) / total
    count = len(x) if effective is None else effective
    if len(x) < 2 or count < 2:
        return estimate(ratio)
    residuals = y - ratio * x
    deviation = math.sqrt(float((residuals**2).sum()) / (len(x) - 1)) / abs(float(x.mean()))
    return estimate(ratio, t_quantile(count - 1) * deviation / math.sqrt(count))


def correlation_estimate(first: Sequence[float], second: Sequence[float], effective: float | None = None) -> Estimate:
    """Pearson's correlation with Fisher's interval; nothing where one of them does not vary."""
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(x) < 3 or not varies(x) or not varies(y):
        return NOTHING
    value = min(max(float(np.corrcoef(x, y)[0, 1]), -1.0), 1.0)
    count = len(x) if effective is None else effective
    if count <= 3 or abs(value) == 1.0:
        return estimate(value)
    middle, half = math.atanh(value), 1.959963984540054 / math.sqrt(count - 3)
    return Estimate(value, math.tanh(middle - half), math.tanh(middle + half))


def resampled_estimate(
    statistic: Callable[[Floats], Floats], values: Sequence[float] | Floats, effective: float | None = None
) -> Estimate:
    """A statistic with a percentile interval from resampling (Efron, 1979).

    Resamples hold as many episodes as there are, since tails of smaller ones lie further in; the interval is then
    widened about the value to what `effective` independent ones would give.

    Args:
        statistic: Of each row of an array, shape (m, n) to (m,).
        values: Shape (n,).
        effective: How many independent ones they count for; n by default.
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return NOTHING
    with np.errstate(all="ignore"):
        value = float(statistic(array[None])[0])
    count = len(array) if effective is None else effective
    if not math.isfinite(value) or count < FEWEST_RESAMPLED:
        return estimate(value)
    generator = np.random.Generator(np.random.PCG64(len(array)))  # the same episodes give the same interval
    with np.errstate(all="ignore"):
        found = statistic(array[generator.integers(len(array), size=(RESAMPLES, len(array)))])
    found = found[np.isfinite(found)]
    if len(found) < RESAMPLES // 2:
        return estimate(value)
    low, high = np.percentile(found, (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)))
    wider = math.sqrt(len(array) / count)
    return Estimate(value, value + (float(low) - value) * wider, value + (float(high) - value) * wider)


def varies(values: Floats) -> bool:
    """Whether numbers differ by more than rounding."""
    return len(values) > 1 and bool(np.ptp(values) > 1e-12 * np.abs(values).max())


def moment(values: Floats, order: int) -> Floats:
    """Standardised central moment of each row, shape (m, n) to (m,); NaN where a row does not vary."""
    apart = values - values.mean(axis=1, keepdims=True)
    spread = np.ptp(values, axis=1) > 1e-12 * np.abs(values).max(axis=1)
    variance = np.where(spread, (apart**2).mean(axis=1), np.nan)
    standardised: Floats = (apart**order).mean(axis=1) / variance ** (order / 2)
    return standardised


def skewness(values: Floats) -> Floats:
    """Skewness of each row."""
    return moment(values, 3)


def excess_kurtosis(values: Floats) -> Floats:
    """Kurtosis of each row, less the 3 of a normal distribution."""
    return moment(values, 4) - 3.0


def value_at_risk(values: Floats) -> Floats:
    """The return that 5 % of the episodes fall below, by row; as in `portfolio.metrics`."""
    low: Floats = np.percentile(values, 5, axis=1)
    return low


def expected_shortfall(values: Floats) -> Floats:
    """Mean of the worst 5 % of the returns, at least one, by row; as in `portfolio.metrics`."""
    count = int((values.shape[1] - 1) * 0.05) + 1
    worst: Floats = np.sort(values, axis=1)[:, :count].mean(axis=1)
    return worst


@lru_cache(maxsize=256)
def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Student's t: how many standard errors an interval reaches to either side.

    With t = sqrt(freedom) * tan(angle) the density is proportional to cos(angle) ** (freedom - 1), which is summed
    over a grid as far as it counts; right to five digits for one degree of freedom and more.

    Args:
        freedom: Degrees of freedom, at least 1; any number.
        confidence: Of the interval that lies around 0.
    """
    angle = np.linspace(0.0, min(math.pi / 2, 40.0 / math.sqrt(freedom)), GRID)
    density = np.cos(angle) ** (freedom - 1.0)
    share = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    at = float(np.interp(confidence, share / share[-1], angle))
    return math.sqrt(freedom) * math.tan(at)
