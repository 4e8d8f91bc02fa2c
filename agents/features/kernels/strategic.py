"""The thirteen features of the strategic seat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agents.features.kernels.indicators import (
    bound,
    centred_rsi,
    close_location,
    in_ranges,
    known_volume,
    smoothed,
    true_range,
    usable,
)
from engine.base.compiled import inlined, kernel
from engine.types.records import Bars, Records

RING = 32  # a power of two above the longest look back
MASK = RING - 1
RSI, ATR = 14, 14
FAST, SLOW, SIGNAL = 12, 26, 9
BAND = 20
TREND = 24
CALM, LIVELY = 12, 48
STRATEGIC_WARMUP = LIVELY + 1
"""Bars after which every feature exists: the slow volatility needs 48 returns, so the first row is the 49th."""

_AVERAGES = "gain loss atr fast slow signal brisk_variance slow_variance"
STRATEGIC_STATE = np.dtype(
    [("seen", np.int64)]
    + [(name, np.float64) for name in f"high low {_AVERAGES}".split()]
    + [("closes", np.float64, (RING,)), ("volumes", np.float64, (RING,))]
)
"""State of one symbol: bars seen, the last high and low, the averages, and rings of closes and volumes in which bar
number n (from 0) lies at n modulo the size."""


@inlined
def advance(state: Any, high: float, low: float, close: float, volume: float) -> None:
    """Take one bar into the averages and rings; the last bar's high and low stay for `write`."""
    n = state.seen
    if n > 0:
        before = state.closes[(n - 1) & MASK]
        change = close - before
        state.gain = smoothed(state.gain, n, RSI, 1.0 / RSI, max(change, 0.0))
        state.loss = smoothed(state.loss, n, RSI, 1.0 / RSI, max(-change, 0.0))
        state.atr = smoothed(state.atr, n, ATR, 1.0 / ATR, true_range(high, low, before))
        square = math.log(close / before) ** 2
        state.brisk_variance = smoothed(state.brisk_variance, n, CALM, 2.0 / (CALM + 1), square)
        state.slow_variance = smoothed(state.slow_variance, n, LIVELY, 2.0 / (LIVELY + 1), square)
    # both averages of the MACD line begin at the same bar: the fast one leaves out the first SLOW - FAST closes
    if n >= SLOW - FAST:
        state.fast = smoothed(state.fast, n + 1 - (SLOW - FAST), FAST, 2.0 / (FAST + 1), close)
    state.slow = smoothed(state.slow, n + 1, SLOW, 2.0 / (SLOW + 1), close)
    if n + 1 >= SLOW:
        state.signal = smoothed(state.signal, n + 2 - SLOW, SIGNAL, 2.0 / (SIGNAL + 1), state.fast - state.slow)
    state.closes[n & MASK] = close
    state.volumes[n & MASK] = known_volume(volume)
    state.seen = n + 1


@inlined
def band(closes: Any, last: int, close: float) -> tuple[float, float]:
    """Mean less close, and population deviation, of the last BAND closes."""
    total = 0.0
    for k in range(BAND):
        total += closes[(last - k) & MASK] - close
    mean = total / BAND
    squares = 0.0
    for k in range(BAND):
        squares += (closes[(last - k) & MASK] - close - mean) ** 2
    return mean, math.sqrt(squares / BAND)


@inlined
def volume_ratio(volumes: Any, last: int) -> float:
    """Volume over the mean of those known among the last BAND; 1 where that says nothing."""
    volume = volumes[last & MASK]
    total, count = 0.0, 0
    for k in range(BAND):
        value = volumes[(last - k) & MASK]
        if not math.isnan(value):
            total += value
            count += 1
    return volume * count / total if total > 0.0 and not math.isnan(volume) else 1.0


@inlined
def trend_regime(closes: Any, last: int) -> float:
    """Sign of the change over TREND bars if Kaufman's efficiency ratio is at least 0.3, else 0."""
    change = closes[last & MASK] - closes[(last - TREND) & MASK]
    path = 0.0
    for k in range(TREND):
        path += abs(closes[(last - k) & MASK] - closes[(last - k - 1) & MASK])
    if path == 0.0 or abs(change) < 0.3 * path:
        return 0.0
    return 1.0 if change > 0.0 else -1.0


@inlined
def volatility_regime(brisk_variance: float, slow_variance: float) -> float:
    """-1 where the brisk volatility is below 0.8 of the slow one, 1 where it is above 1.25, else 0."""
    if slow_variance == 0.0:
        return 0.0
    ratio = math.sqrt(brisk_variance / slow_variance)
    return -1.0 if ratio < 0.8 else (1.0 if ratio > 1.25 else 0.0)


@inlined
def high_low_spread(high: float, low: float, close: float, next_high: float, next_low: float) -> float:
    """Spread of two consecutive bars after Corwin & Schultz (2012), a fraction of the price, at least 0.

    A gap between the first close and the second bar is taken out, as in their section on overnight changes.
    """
    gap = max(next_low - close, 0.0) + min(next_high - close, 0.0)
    next_high -= gap
    next_low -= gap
    if next_low <= 0.0:
        return 0.0  # a gap so large that taking it out leaves no digits of the price
    beta = math.log(high / low) ** 2 + math.log(next_high / next_low) ** 2
    gamma = math.log(max(high, next_high) / min(low, next_low)) ** 2
    scale = 3.0 - 2.0 * math.sqrt(2.0)
    alpha = (math.sqrt(2.0 * beta) - math.sqrt(beta)) / scale - math.sqrt(gamma / scale)
    return max(2.0 * math.tanh(0.5 * alpha), 0.0)  # 2 (e^alpha - 1) / (1 + e^alpha)


@inlined
def write(state: Any, high: float, low: float, close: float, session: float, spread: float, out: Any) -> None:
    """Write the feature row of the bar just taken; all but `session` and `spread` come from the state."""
    last = state.seen - 1
    before = state.closes[(last - 1) & MASK]
    mean, deviation = band(state.closes, last, close)
    out[0] = centred_rsi(state.gain, state.loss)
    out[1] = in_ranges(state.fast - state.slow, state.atr, close)
    out[2] = in_ranges(state.signal, state.atr, close)
    out[3] = state.atr / close
    out[4] = (2.0 * deviation + mean) / close
    out[5] = (2.0 * deviation - mean) / close
    out[6] = volume_ratio(state.volumes, last)
    out[7] = math.log(close / before)
    out[8] = trend_regime(state.closes, last)
    out[9] = volatility_regime(state.brisk_variance, state.slow_variance)
    out[10] = session
    out[11] = close_location(high, low, close)
    out[12] = spread if spread >= 0.0 else high_low_spread(state.high, state.low, before, high, low)


@kernel
def strategic_rows(
    lowest: Any,
    highest: Any,
    state: Records,
    bars: Bars,
    session: Any,
    spread: Any,
    out: Any,
    ready: Any,
    atr: Any,
) -> None:
    """Features of consecutive bars of the strategic timeframe.

    Args:
        lowest: Lower ends of the features' ranges, shape (13,).
        highest: Upper ends, shape (13,).
        state: STRATEGIC_STATE, shape (S,), changed.
        bars: The bars, arrays of shape (n, S).
        session: Elapsed fraction of the session at each close, shape (n,).
        spread: Quoted spread as a fraction of the price, shape (n, S); NaN, or negative (crossed), where
            there is no good quote; it is then estimated.
        out: Features, float32 or float64, shape (n, S, 13); 0 where not ready.
        ready: Whether every feature exists, shape (n, S).
        atr: Average true range in price units, shape (n, S); NaN without a bar and before it exists.
    """
    for s in range(state.shape[0]):
        record = state[s]
        for i in range(session.shape[0]):
            ready[i, s] = False
            atr[i, s] = np.nan
            out[i, s, :] = 0.0
            if not usable(bars, i, s):
                continue
            high, low, close = bars.high[i, s], bars.low[i, s], bars.close[i, s]
            advance(record, high, low, close, bars.volume[i, s])
            if record.seen > ATR:
                atr[i, s] = record.atr
            if record.seen >= STRATEGIC_WARMUP:
                ready[i, s] = True
                write(record, high, low, close, session[i], spread[i, s], out[i, s])
                bound(out[i, s], lowest, highest)
            record.high, record.low = high, low
