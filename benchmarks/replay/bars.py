"""Seeded one-minute bars for the benchmark, with no crossing so close that rounding could decide it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.serve import FAST, SLOW, Bars, Floats

MINUTE_NS = 60_000_000_000
START_NS = 1_577_836_800_000_000_000  # 2020-01-01 UTC
DECIMALS = 8
CLOSEST = 1e-10  # of the price; rounding in the means stays below 1e-13
SEEDS = 100


def mean(values: Floats, length: int) -> Floats:
    """Simple moving average by definition, shape (rows - length + 1,)."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1))


def walk(rows: int, seed: int) -> Bars:
    """A geometric random walk with a gap before every open.

    Args:
        rows: How many minutes.
        seed: Of a PCG64 generator.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    gap, change = 2e-5 * rng.standard_normal(rows), 1e-4 * rng.standard_normal(rows)
    logs = np.cumsum(gap + change)
    # a pull to the first price keeps a long walk within sight of it
    logs = 0.5 * np.tanh(2.0 * logs)
    open_, close = 100.0 * np.exp(np.concatenate([[0.0], logs[:-1]]) + gap), 100.0 * np.exp(logs)
    spread = 1e-4 * close * rng.random((2, rows))
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) + spread[0],
        "low": np.minimum(open_, close) - spread[1],
        "close": close,
        "volume": 1000.0 + np.floor(9000.0 * rng.random(rows)),
    }
    times = START_NS + (np.arange(rows, dtype=np.int64) + 1) * MINUTE_NS
    return Bars(times, {name: np.round(values, DECIMALS) for name, values in columns.items()})


def decidable(bars: Bars) -> bool:
    """Whether no two means come so close that a system's rounding could turn a decision."""
    close = bars.columns["close"]
    if len(close) < SLOW:
        return True
    apart = np.abs(mean(close, FAST)[SLOW - FAST :] - mean(close, SLOW))
    return bool((apart > CLOSEST * close[SLOW - 1 :]).all())


def benchmark_bars(rows: int, seed: int = 1) -> Bars:
    """The first decidable walk from a seed on.

    Raises:
        ValueError: If the next hundred seeds give no such series.
    """
    for attempt in range(seed, seed + SEEDS):
        bars = walk(rows, attempt)
        if decidable(bars):
            return bars
    raise ValueError(f"no walk of {rows} rows without near ties from seed {seed} on")


def opening_at_last_close(bars: Bars) -> Bars:
    """The same bars with every open at the close before; the first opens at its close."""
    close = bars.columns["close"]
    return replace(bars, columns={**bars.columns, "open": np.concatenate([close[:1], close[:-1]])})


def save(bars: Bars, path: Path) -> None:
    """Write bars where `benchmarks.peers.serve.load_bars` reads them."""
    arrays: dict[str, Any] = {"ts_event": bars.ts_event, **bars.columns}
    np.savez(path, **arrays)
