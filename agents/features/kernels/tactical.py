"""The seven features of the tactical seat, and its average true range."""

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

RING = 16  # a power of two above the longest look back
MASK = RING - 1
RSI, ATR = 7, 14
SHORT, LONG = 3, 12
FLOW = 12
DEVIATION = 48
TACTICAL_WARMUP = DEVIATION + FLOW
"""Bars after which every feature exists: the deviation needs 48 changes, and order flow 12 bars that have one, so
the first row is the 60th."""

STATE_FIELDS = "gain loss atr variance"
TACTICAL_STATE = np.dtype(
    [("seen", np.int64)]
    + [(name, np.float64) for name in STATE_FIELDS.split()]
    + [(name, np.float64, (RING,)) for name in ("closes", "volumes", "flows")]
)
"""State of one symbol: bars seen, the averages, and rings of closes, volumes and net bought fractions of the volume,
in which bar number n (from 0) lies at n modulo the size."""


@inlined
def bought_fraction(change: float, variance: float, volume: float, signed_volume: float) -> float:
    """Bought less sold over all volume of one bar, -1 to 1.

    Measured where the signed volume is known; else by bulk volume classification (Easley, Lopez de Prado & O'Hara,
    2012): 2 * Phi(change / deviation) - 1, which is the error function of that over the square root of 2.
    """
    if volume > 0.0 and not math.isnan(signed_volume):
        return min(max(signed_volume / volume, -1.0), 1.0)
    return math.erf(change / math.sqrt(2.0 * variance)) if variance > 0.0 else 0.0


@inlined
def advance(state: Any, high: float, low: float, close: float, volume: float, signed_volume: float) -> None:
    """Take one bar into the averages and rings."""
    n = state.seen
    at = n & MASK
    state.volumes[at] = known_volume(volume)
    if n > 0:
        before = state.closes[(n - 1) & MASK]
        change = close - before
        state.gain = smoothed(state.gain, n, RSI, 1.0 / RSI, max(change, 0.0))
        state.loss = smoothed(state.loss, n, RSI, 1.0 / RSI, max(-change, 0.0))
        state.atr = smoothed(state.atr, n, ATR, 1.0 / ATR, true_range(high, low, before))
        state.variance = smoothed(state.variance, n, DEVIATION, 2.0 / (DEVIATION + 1), change * change)
        state.flows[at] = bought_fraction(change, state.variance, state.volumes[at], signed_volume)
    state.closes[at] = close
    state.seen = n + 1


@inlined
def order_flow(flows: Any, volumes: Any, last: int) -> float:
    """Mean bought fraction of the last FLOW bars, weighted by volume; equally if one is unknown or all are 0."""
    total, weighted, plain = 0.0, 0.0, 0.0
    for k in range(FLOW):
        at = (last - k) & MASK
        total += volumes[at]
        weighted += volumes[at] * flows[at]
        plain += flows[at]
    return weighted / total if total > 0.0 else plain / FLOW


@inlined
def write(state: Any, high: float, low: float, close: float, out: Any) -> None:
    """Write the feature row of the bar just taken."""
    last = state.seen - 1
    closes = state.closes
    out[0] = math.log(close / closes[(last - 1) & MASK])
    out[1] = math.log(close / closes[(last - SHORT) & MASK])
    out[2] = math.log(close / closes[(last - LONG) & MASK])
    out[3] = centred_rsi(state.gain, state.loss)
    out[4] = close_location(high, low, close)
    out[5] = order_flow(state.flows, state.volumes, last)
    out[6] = in_ranges(high - low, state.atr, close)


@kernel
def tactical_rows(
    lowest: Any,
    highest: Any,
    state: Records,
    bars: Bars,
    signed_volume: Any,
    out: Any,
    ready: Any,
    atr: Any,
) -> None:
    """Features of consecutive bars of the tactical timeframe.

    Args:
        lowest: Lower ends of the features' ranges, shape (7,).
        highest: Upper ends, shape (7,).
        state: TACTICAL_STATE, shape (S,), changed.
        bars: The bars, arrays of shape (n, S).
        signed_volume: Volume bought less volume sold, shape (n, S); NaN where not known, which is then estimated
            from the price.
        out: Features, float32 or float64, shape (n, S, 7); 0 where not ready.
        ready: Whether every feature exists, shape (n, S).
        atr: Average true range in price units, shape (n, S); NaN without a bar and before it exists.
    """
    for s in range(state.shape[0]):
        record = state[s]
        for i in range(bars.ts_event.shape[0]):
            ready[i, s] = False
            atr[i, s] = np.nan
            out[i, s, :] = 0.0
            if not usable(bars, i, s):
                continue
            high, low, close = bars.high[i, s], bars.low[i, s], bars.close[i, s]
            advance(record, high, low, close, bars.volume[i, s], signed_volume[i, s])
            if record.seen > ATR:
                atr[i, s] = record.atr
            if record.seen >= TACTICAL_WARMUP:
                ready[i, s] = True
                write(record, high, low, close, out[i, s])
                bound(out[i, s], lowest, highest)
