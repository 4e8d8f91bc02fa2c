"""The features once more: by TA-Lib where it has them, else from their definitions over whole arrays."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view

from agents.features.kernels.strategic import STRATEGIC_STATE, strategic_rows
from agents.features.kernels.tactical import TACTICAL_STATE, tactical_rows
from engine.types.blocks import BarBlock, Bools, Floats

Answer = tuple[Floats, Bools, Floats]  # features, ready, average true range


def run_strategic(block: BarBlock, session: Floats | None = None, spread: Floats | None = None) -> Answer:
    """The kernel on bars as they are, in float64 and without clipping."""
    shape = block.close.shape
    out, ready, atr = np.full((*shape, 13), np.nan), np.empty(shape, np.bool_), np.empty(shape)
    session = np.zeros(len(block)) if session is None else session
    spread = np.full(shape, np.nan) if spread is None else spread
    state, wide = np.zeros(shape[1], STRATEGIC_STATE), np.full(13, np.inf)
    strategic_rows(-wide, wide, state, block.kernel_view(), session, spread, out, ready, atr)
    return out, ready, atr


def run_tactical(block: BarBlock, signed_volume: Floats | None = None) -> Answer:
    """The kernel on bars as they are, in float64 and without clipping."""
    shape = block.close.shape
    out, ready, atr = np.full((*shape, 7), np.nan), np.empty(shape, np.bool_), np.empty(shape)
    signed_volume = np.full(shape, np.nan) if signed_volume is None else signed_volume
    state, wide = np.zeros(shape[1], TACTICAL_STATE), np.full(7, np.inf)
    tactical_rows(-wide, wide, state, block.kernel_view(), signed_volume, out, ready, atr)
    return out, ready, atr


def strategic(block: BarBlock, session: Floats) -> Floats:
    """All strategic features of the first symbol, NaN where one does not exist, shape (n, 13)."""
    high, low, close, volume = (getattr(block, name)[:, 0].copy() for name in ("high", "low", "close", "volume"))
    atr = talib.ATR(high, low, close, 14)
    macd, signal, _ = talib.MACD(close, 12, 26, 9)
    upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    columns = (
        (talib.RSI(close, 14) - 50) / 50,
        macd / atr,
        signal / atr,
        atr / close,
        (upper - close) / close,
        (close - lower) / close,
        volume_ratio(volume),
        log_change(close, 1),
        trend_regime(close),
        volatility_regime(close),
        session,
        close_location(high, low, close),
        np.array([np.nan] + [spread_of_two(high, low, close, i) for i in range(1, len(close))]),
    )
    return np.stack(columns, axis=1)


def tactical(block: BarBlock) -> Floats:
    """All tactical features of the first symbol, volumes known, NaN where one does not exist, shape (n, 7)."""
    high, low, close, volume = (getattr(block, name)[:, 0].copy() for name in ("high", "low", "close", "volume"))
    columns = (
        log_change(close, 1),
        log_change(close, 3),
        log_change(close, 12),
        (talib.RSI(close, 7) - 50) / 50,
        close_location(high, low, close),
        rolling(bulk_fraction(close) * volume, 12) / rolling(volume, 12),
        (high - low) / talib.ATR(high, low, close, 14),
    )
    return np.stack(columns, axis=1)


def late(values: Floats, length: int) -> Floats:
    """Values that begin so many rows later than `length` rows, NaN before."""
    return np.concatenate([np.full(length - len(values), np.nan), values])


def log_change(close: Floats, bars: int) -> Floats:
    return late(np.log(close[bars:]) - np.log(close[:-bars]), len(close))


def rolling(values: Floats, length: int) -> Floats:
    return late(sliding_window_view(values, length).sum(axis=1), len(values))


def volume_ratio(volume: Floats) -> Floats:
    means = np.array([np.nan if np.isnan(w).all() else np.nanmean(w) for w in sliding_window_view(volume, 20)])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = volume[19:] / means
    return late(np.where(np.isfinite(ratio), ratio, 1.0), len(volume))


def trend_regime(close: Floats) -> Floats:
    change = close[24:] - close[:-24]
    path = sliding_window_view(np.abs(np.diff(close)), 24).sum(axis=1)
    return late(np.where(np.abs(change) >= 0.3 * path, np.sign(change), 0.0), len(close))


def volatility_regime(close: Floats) -> Floats:
    squares = np.diff(np.log(close)) ** 2
    ratio = np.sqrt(talib.EMA(squares, 12) / talib.EMA(squares, 48))
    return late(np.where(np.isnan(ratio), np.nan, (ratio > 1.25) * 1.0 - (ratio < 0.8)), len(close))


def close_location(high: Floats, low: Floats, close: Floats) -> Floats:
    width = high - low
    return np.where(width > 0, (2 * close - high - low) / np.where(width > 0, width, 1), 0.0)


def spread_of_two(high: Floats, low: Floats, close: Floats, i: int) -> float:
    """Corwin & Schultz (2012), equations 14 to 18, of bars i - 1 and i, the second moved next to the first's close."""
    shift = 0.0
    if low[i] > close[i - 1]:
        shift = low[i] - close[i - 1]
    elif high[i] < close[i - 1]:
        shift = high[i] - close[i - 1]
    high_2, low_2 = high[i] - shift, low[i] - shift
    beta = math.log(high[i - 1] / low[i - 1]) ** 2 + math.log(high_2 / low_2) ** 2
    gamma = math.log(max(high[i - 1], high_2) / min(low[i - 1], low_2)) ** 2
    k = 3 - 2 * math.sqrt(2)
    alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / k - math.sqrt(gamma / k)
    return max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0.0)


def bulk_fraction(close: Floats) -> Floats:
    changes = np.diff(close)
    deviation = np.sqrt(talib.EMA(changes**2, 48))
    return late(np.array([2 * NormalDist().cdf(z) - 1 for z in changes / deviation]), len(close))
