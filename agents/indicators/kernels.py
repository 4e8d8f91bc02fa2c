"""Indicators over the bars of one symbol, with carried state: any cut of the bars gives the same bits.

Every kernel has the signature `(bars, params, state, out)`:

    bars    open, high, low, close and volume in rows, shape (5, n); a column of NaN is a row without a bar
    params  index of the row of `bars` to read, tick size (0: none, prices are taken as decimals), then the indicator's
            own parameters
    state   float64, all 0 at the beginning; changed
    out     shape (outputs, n); NaN until there are enough bars; not written where there is no bar

They are seeded as TA-Lib seeds them: exponential averages start as the simple mean of their first samples.
"""

from __future__ import annotations

import math
from typing import Any

from agents.exact.kernels import CONTINUOUS, exact_mean, grown_scale, in_steps, rescale, steps_per_unit
from agents.features.kernels.indicators import smoothed, true_range
from engine.base.compiled import inlined, kernel

HIGH, LOW, CLOSE = 1, 2, 3
RING = 3
"""Where a ring begins in a state: before it are the number of samples, the place of the oldest and their scale."""


@inlined
def is_bar(bars: Any, i: int) -> bool:
    """Whether the symbol has a bar in a row."""
    return not math.isnan(bars[CLOSE, i])


@inlined
def put(state: Any, length: int, value: float) -> float:
    """Put a sample into the ring of the last `length`; returns the one that it replaces."""
    at = int(state[1])
    before = state[RING + at]
    state[RING + at] = value
    state[0] += 1.0
    state[1] = 0.0 if at + 1 == length else at + 1.0
    return before


@inlined
def put_price(state: Any, length: int, price: float, tick: float) -> None:
    """Put a price into the ring in steps of its grid: ticks, or its last decimal where there is no tick."""
    scale = steps_per_unit(tick) if tick > 0.0 else grown_scale(state[2], price, float(length))
    if scale != state[2]:
        rescale(state[RING : RING + length], state[2], scale)
        state[2] = scale
    put(state, length, in_steps(price, scale))


@inlined
def put_ratio(state: Any, length: int, ratio: float) -> None:
    """Put a sample that lies on no grid into the ring."""
    state[2] = CONTINUOUS
    put(state, length, ratio)


@inlined
def ring_total(state: Any, length: int, base: float) -> float:
    """Sum of what the samples of the ring lie above `base`, oldest first."""
    at, total = int(state[1]), 0.0
    for k in range(at, length):
        total += state[RING + k] - base
    for k in range(at):
        total += state[RING + k] - base
    return total


@inlined
def ring_mean(state: Any, length: int) -> float:
    """Mean of the ring, in steps where it holds steps; equal samples have exactly their value as mean."""
    base = state[RING + int(state[1])] if state[2] == CONTINUOUS else 0.0
    return base + ring_total(state, length, base) / length


@inlined
def ring_price(state: Any, length: int) -> float:
    """Mean of the ring as a price."""
    if state[2] == CONTINUOUS:
        return ring_mean(state, length)
    return exact_mean(ring_total(state, length, 0.0), length, state[2])


@kernel
def sma_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Simple mean; parameters: length. State: ring."""
    column, tick, length = int(params[0]), params[1], int(params[2])
    for i in range(out.shape[1]):
        if is_bar(bars, i):
            put_price(state, length, bars[column, i], tick)
            out[0, i] = math.nan if state[0] < length else ring_price(state, length)


@kernel
def ema_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Exponential mean; parameters: length. State: samples, average."""
    column, length = int(params[0]), int(params[2])
    for i in range(out.shape[1]):
        if is_bar(bars, i):
            state[0] += 1.0
            state[1] = smoothed(state[1], int(state[0]), length, 2.0 / (length + 1), bars[column, i])
            out[0, i] = math.nan if state[0] < length else state[1]


@kernel
def rsi_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Wilder's relative strength, 0 to 100; parameters: length. State: samples, last value, mean gain and loss."""
    column, length = int(params[0]), int(params[2])
    for i in range(out.shape[1]):
        if not is_bar(bars, i):
            continue
        value, count = bars[column, i], int(state[0])
        if count > 0:
            change = value - state[1]
            state[2] = smoothed(state[2], count, length, 1.0 / length, max(change, 0.0))
            state[3] = smoothed(state[3], count, length, 1.0 / length, max(-change, 0.0))
        moved = state[2] + state[3]
        out[0, i] = math.nan if count < length else (100.0 * (state[2] / moved) if moved > 0.0 else 0.0)
        state[0], state[1] = count + 1.0, value


@kernel
def atr_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Wilder's average true range; parameters: length. State: samples, last close, average."""
    length = int(params[2])
    for i in range(out.shape[1]):
        if not is_bar(bars, i):
            continue
        count = int(state[0])
        if count > 0:
            span = true_range(bars[HIGH, i], bars[LOW, i], state[1])
            state[2] = smoothed(state[2], count, length, 1.0 / length, span)
        out[0, i] = math.nan if count < length else state[2]
        state[0], state[1] = count + 1.0, bars[CLOSE, i]


@kernel
def macd_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Line, signal and histogram; parameters: fast, slow, signal. State: samples and three averages."""
    column = int(params[0])
    fast, slow, signal = int(params[2]), int(params[3]), int(params[4])
    for i in range(out.shape[1]):
        if not is_bar(bars, i):
            continue
        value = bars[column, i]
        state[0] += 1.0
        count = int(state[0])
        # both averages begin at the same bar: the fast one leaves out the first samples
        if count > slow - fast:
            state[1] = smoothed(state[1], count - (slow - fast), fast, 2.0 / (fast + 1), value)
        state[2] = smoothed(state[2], count, slow, 2.0 / (slow + 1), value)
        line = state[1] - state[2]
        if count >= slow:
            state[3] = smoothed(state[3], count - slow + 1, signal, 2.0 / (signal + 1), line)
        ready = count >= slow + signal - 1
        out[0, i] = line if ready else math.nan
        out[1, i] = state[3] if ready else math.nan
        out[2, i] = line - state[3] if ready else math.nan


@kernel
def bollinger_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Middle, upper and lower band, and deviation; parameters: length, width in deviations. State: ring."""
    column, tick, length, width = int(params[0]), params[1], int(params[2]), params[3]
    for i in range(out.shape[1]):
        if not is_bar(bars, i):
            continue
        put_price(state, length, bars[column, i], tick)
        if state[0] < length:
            out[0, i] = out[1, i] = out[2, i] = out[3, i] = math.nan
            continue
        mean, squares = ring_mean(state, length), 0.0
        for k in range(length):
            squares += (state[RING + k] - mean) ** 2
        deviation = math.sqrt(squares / length) / max(state[2], 1.0)
        middle = ring_price(state, length)
        out[0, i], out[3, i] = middle, deviation
        out[1, i], out[2, i] = middle + width * deviation, middle - width * deviation


@kernel
def highest_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Largest of the last values; parameters: length. State: ring."""
    column, length = int(params[0]), int(params[2])
    for i in range(out.shape[1]):
        if is_bar(bars, i):
            put(state, length, bars[column, i])
            found = state[RING]
            for k in range(1, length):
                found = max(found, state[RING + k])
            out[0, i] = math.nan if state[0] < length else found


@kernel
def lowest_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Smallest of the last values; parameters: length. State: ring."""
    column, length = int(params[0]), int(params[2])
    for i in range(out.shape[1]):
        if is_bar(bars, i):
            put(state, length, bars[column, i])
            found = state[RING]
            for k in range(1, length):
                found = min(found, state[RING + k])
            out[0, i] = math.nan if state[0] < length else found


@kernel
def roc_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Change over `length` bars as a fraction; parameters: length. State: ring."""
    column, length = int(params[0]), int(params[2])
    for i in range(out.shape[1]):
        if is_bar(bars, i):
            value = bars[column, i]
            before = put(state, length, value)
            out[0, i] = math.nan if state[0] <= length else value / before - 1.0


@inlined
def stochastic_scale(scale: float, tick: float, high: float, low: float, close: float) -> float:
    """The scale of the prices of one symbol so far."""
    if tick > 0.0:
        return steps_per_unit(tick)
    return grown_scale(grown_scale(grown_scale(scale, high, 100.0), low, 100.0), close, 100.0)


@inlined
def percent_k(close: float, top: float, bottom: float, scale: float) -> float:
    """Where the close lies between bottom and top, in per cent, rounded once where prices lie on a grid."""
    if not top > bottom:
        return 0.0
    if close >= top:
        return 100.0
    base = in_steps(bottom, scale)
    return 100.0 * (in_steps(close, scale) - base) / (in_steps(top, scale) - base)


@kernel
def stochastic_rows(bars: Any, params: Any, state: Any, out: Any) -> None:
    """Slow %K and %D, 0 to 100; parameters: length, smooth, signal. State: rings of highs, lows, raw and slow %K."""
    tick, length, smooth, signal = params[1], int(params[2]), int(params[3]), int(params[4])
    lows, raw = RING + length, 2 * (RING + length)
    slow = raw + RING + smooth
    for i in range(out.shape[1]):
        if not is_bar(bars, i):
            continue
        put(state[:lows], length, bars[HIGH, i])
        put(state[lows:raw], length, bars[LOW, i])
        state[2] = stochastic_scale(state[2], tick, bars[HIGH, i], bars[LOW, i], bars[CLOSE, i])
        out[0, i] = out[1, i] = math.nan
        if state[0] < length:
            continue
        top, bottom = state[RING], state[lows + RING]
        for k in range(1, length):
            top, bottom = max(top, state[RING + k]), min(bottom, state[lows + RING + k])
        put_ratio(state[raw:slow], smooth, percent_k(bars[CLOSE, i], top, bottom, state[2]))
        if state[raw] < smooth:
            continue
        put_ratio(state[slow:], signal, ring_mean(state[raw:slow], smooth))
        if state[slow] >= signal:
            out[0, i] = ring_mean(state[raw:slow], smooth)
            out[1, i] = ring_mean(state[slow:], signal)


@kernel
def hold_rows(bars: Any, last: Any, out: Any) -> None:
    """Let the values stand in rows without a bar.

    Args:
        last: Values of the row before, shape (outputs,); changed.
        out: Shape (outputs, n); changed.
    """
    for i in range(out.shape[1]):
        for k in range(out.shape[0]):
            if is_bar(bars, i):
                last[k] = out[k, i]
            else:
                out[k, i] = last[k]
