"""Bars for tests: seeded random walks on or off a tick grid."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import BarBlock

MINUTE = 60_000_000_000


def random_bars(
    rows: int,
    seed: int = 1,
    symbols: tuple[str, ...] = ("X",),
    start: float = 100.0,
    tick: float = 0.01,
    absent: float = 0.0,
    volatility: float = 1e-3,
    first_ns: int = MINUTE,
) -> BarBlock:
    """One-minute bars of a random walk; `absent` is the chance that a symbol misses a row (never all of them)."""
    rng = np.random.default_rng(seed)
    shape = (rows, len(symbols))
    close = start * np.exp(np.cumsum(rng.normal(0.0, volatility, shape), axis=0))
    open_ = np.vstack([np.full((1, len(symbols)), start), close[:-1]]) * np.exp(rng.normal(0.0, volatility / 3, shape))
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0.0, volatility / 2, shape)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0.0, volatility / 2, shape)))
    if tick:
        open_, close = np.round(open_ / tick) * tick, np.round(close / tick) * tick
        high, low = np.ceil(high / tick) * tick, np.floor(low / tick) * tick
    high, low = np.maximum.reduce([high, open_, close]), np.minimum.reduce([low, open_, close])
    volume = np.round(rng.gamma(2.0, 50.0, shape))
    present = rng.random(shape) >= absent
    present[:, 0] |= ~present.any(axis=1)
    columns = {"open": open_, "high": high, "low": low, "close": close, "volume": volume}
    masked = {name: np.where(present, values, np.nan) for name, values in columns.items()}
    ts_event = first_ns + np.arange(rows, dtype=np.int64) * MINUTE
    return BarBlock.from_columns(symbols, ts_event, masked, present)
