"""Changing the prices of bars: ticks, the order of low, open, close and high, and extra columns are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.types.blocks import PRICE_COLUMNS, BarBlock, Bools, Floats
from engine.types.extras import EXTRA_COLUMNS
from feeds.synthetic import to_grid

QUOTES = ("bid", "ask")


def chosen(block: BarBlock, symbol: str | None) -> Bools:
    """Which columns an operator changes, shape (S,): that of a symbol, or all."""
    return np.array([symbol is None or name == symbol for name in block.symbols])


def last_close(block: BarBlock, row: int) -> Floats:
    """The last close of each symbol before a row, else its first open; NaN where it has no bar, shape (S,)."""
    found = np.full(len(block.symbols), np.nan)
    for s in range(len(found)):
        known = np.flatnonzero(block.present[:row, s])
        later = np.flatnonzero(block.present[row:, s])
        if len(known):
            found[s] = block.close[known[-1], s]
        elif len(later):
            found[s] = block.open[row + later[0], s]
    return found


def scaled(block: BarBlock, row: int, before: Floats, after: Floats, ticks: Sequence[float]) -> BarBlock:
    """Multiply the prices from a row on.

    High and low take the factor that widens the bar, so that they enclose the path between open and close.

    Args:
        before, after: Logs of the factors of open and close, shape (rows - row, S). Bars where both are 0 stay as they
            are, bit for bit.
        ticks: Tick size of each symbol; 0 is none.
    """
    opening, closing = np.exp(before), np.exp(after)
    factors = {
        "open": opening,
        "high": np.maximum(opening, closing),
        "low": np.minimum(opening, closing),
        "close": closing,
    }
    prices = {name: getattr(block, name)[row:] * factor for name, factor in factors.items()}
    return repriced(block, row, prices, (before != 0.0) | (after != 0.0), ticks)


def repriced(block: BarBlock, row: int, prices: dict[str, Floats], touched: Bools, ticks: Sequence[float]) -> BarBlock:
    """Put other prices into the bars from a row on.

    Args:
        prices: Open, high, low and close, each of shape (rows - row, S).
        touched: Which bars change, likewise; the others stay as they are.
        ticks: Tick size of each symbol; 0 is none. No price falls below one tick.
    """
    made = {name: on_ticks(values, ticks) for name, values in prices.items()}
    made["high"] = np.maximum(made["high"], np.maximum(made["open"], made["close"]))
    made["low"] = np.minimum(made["low"], np.minimum(made["open"], made["close"]))
    columns = {name: getattr(block, name).copy() for name in PRICE_COLUMNS}
    for name, values in made.items():
        columns[name][row:] = np.where(touched, values, columns[name][row:])
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.where(touched, columns["close"][row:] / block.close[row:], 1.0)
    return replace(block, **columns, extra=_extras(block, row, factor, ticks))


def on_ticks(values: Floats, ticks: Sequence[float]) -> Floats:
    """Nearest prices on the ticks of each symbol, one tick at least, shape (rows, S)."""
    columns = [
        np.maximum(to_grid(values[:, s], tick), tick) if tick > 0.0 else values[:, s] for s, tick in enumerate(ticks)
    ]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def with_volume(block: BarBlock, start: int, stop: int, factor: float, columns: Bools) -> BarBlock:
    """Multiply the volumes of rows start to stop."""
    volume = block.volume.copy()
    volume[start:stop] = np.where(columns, np.round(volume[start:stop] * factor, 8), volume[start:stop])
    return replace(block, volume=volume)


def without(block: BarBlock, start: int, stop: int) -> BarBlock:
    """The block without rows start to stop; the rest is numbered through."""
    keep = np.ones(len(block), bool)
    keep[start:stop] = False
    names = ("ts_event", *PRICE_COLUMNS, "volume", "present")
    columns: dict[str, Any] = {name: np.ascontiguousarray(getattr(block, name)[keep]) for name in names}
    return replace(block, **columns, extra={name: values[keep] for name, values in block.extra.items()})


def _extras(block: BarBlock, row: int, factor: Floats, ticks: Sequence[float]) -> dict[str, Floats]:
    """Extra columns that are prices move with the close; the spread follows bid and ask."""
    extra = dict(block.extra)
    for name, values in block.extra.items():
        known = EXTRA_COLUMNS.get(name)
        if known is None or known.unit not in {"price", "quote currency"} or name == "spread":
            continue
        moved = values[row:] * factor
        if name in QUOTES:
            moved = on_ticks(moved, ticks)
        extra[name] = values.copy()
        extra[name][row:] = np.where(factor == 1.0, values[row:], moved)
    if "spread" in extra and all(name in extra for name in QUOTES):
        spread = extra["spread"].copy()
        spread[row:] = np.where(factor == 1.0, spread[row:], (extra["ask"] - extra["bid"])[row:])
        extra["spread"] = spread
    return extra
