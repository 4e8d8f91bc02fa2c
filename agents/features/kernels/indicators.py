"""Indicators with carried state, each one step at a time; the features of both seats are made of them."""

from __future__ import annotations

import math
from typing import Any

from engine.base.compiled import inlined
from engine.types.records import Bars

DEAD = 1e-9
"""An average true range below this fraction of the price is rounding noise and divides nothing."""

SMALLEST, LARGEST = 1e-100, 1e100
"""Prices between these have ratios, logarithms and squares that are finite."""


@inlined
def usable(bars: Bars, i: int, s: int) -> bool:
    """Whether a symbol has a bar of positive prices, so that ratios and logarithms exist."""
    inside = bars.low[i, s] > SMALLEST and bars.high[i, s] < LARGEST
    return bars.present[i, s] and inside and SMALLEST < bars.close[i, s] < LARGEST


@inlined
def known_volume(volume: float) -> float:
    """The volume, or NaN where it is unknown or makes no sense."""
    return volume if 0.0 <= volume < LARGEST else math.nan


@inlined
def smoothed(value: float, count: int, length: int, rate: float, sample: float) -> float:
    """One step of an exponential average that starts as the simple mean of its first `length` samples.

    Args:
        value: Sum of the samples while there are fewer than `length`, their average from then on.
        count: Number of this sample, counted from 1.
        length: Samples in the first mean.
        rate: Weight of a new sample: 2 / (length + 1) for an EMA, 1 / length for Wilder's average.

    Returns:
        The next value: an average only once `count >= length`.
    """
    if count < length:
        return value + sample
    if count == length:
        return (value + sample) / length
    return value + rate * (sample - value)


@inlined
def true_range(high: float, low: float, before: float) -> float:
    """Wilder's true range; `before` is the close of the bar before."""
    return max(high - low, abs(high - before), abs(low - before))


@inlined
def centred_rsi(gain: float, loss: float) -> float:
    """(RSI - 50) / 50 from the average gain and loss; 0 where nothing moved."""
    moved = gain + loss
    return (gain - loss) / moved if moved > 0.0 else 0.0


@inlined
def in_ranges(value: float, atr: float, close: float) -> float:
    """A price difference in average true ranges; 0 in a dead market."""
    return value / atr if atr > DEAD * close else 0.0


@inlined
def close_location(high: float, low: float, close: float) -> float:
    """Where in its range the bar closed, -1 at the low to 1 at the high; 0 if it has no range."""
    return ((close - low) - (high - close)) / (high - low) if high > low else 0.0


@inlined
def bound(row: Any, low: Any, high: Any) -> None:
    """Clip a feature row, shape (F,), to the ranges of its features."""
    for j in range(row.shape[0]):
        row[j] = min(max(row[j], low[j]), high[j])
