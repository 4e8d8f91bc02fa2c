"""From a path of log prices to 1-minute bars on the sessions and ticks of an instrument.

Everything random comes from streams of their own, each read in order of time: a longer series begins with the shorter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, Bools, Floats, Ints
from engine.types.calendar import sessions_between
from engine.types.instruments import Instrument
from feeds.synthetic import (
    HORIZON_NS,
    LOG_VOLUME_NOISE,
    START_TICKS,
    TICK_BOUNCE,
    VOLUME_STEP,
    YEAR_NS,
    minutes_a_year,
    open_minutes,
    to_grid,
)

STREAMS = ("scenario", "shocks", "tails", "spells", "kinds", "events", "gaps", "up", "down", "volume")
BATCH = 1024
LARGEST_LOG = 30.0
"""Prices that grow or fall by more than e^30 are no market, and would end in infinities."""


class Path(NamedTuple):
    """Log steps of n minutes.

    Attributes:
        gap: From a close to the next open, shape (n,).
        change: From open to close, shape (n,).
        width: Deviation of the Brownian bridge between open and close, shape (n,).
        hidden: What drives the market and is not seen: the sign of the drift of each minute, or the deviation of the
            log price from its mean at each close, shape (n,).
    """

    gap: Floats
    change: Floats
    width: Floats
    hidden: Floats


class Generated(NamedTuple):
    """Bars, and the truth behind them.

    Attributes:
        bars: One symbol.
        hidden: As in `Path`, shape (rows,); 0 where the generator has none.
    """

    bars: BarBlock
    hidden: Floats


class Draws:
    """Independent streams of random numbers (PCG64), by name.

    Args:
        seed: Same seed, same numbers.
    """

    def __init__(self, seed: int) -> None:
        sequences = np.random.SeedSequence(seed).spawn(len(STREAMS))
        self._streams = {
            name: np.random.Generator(np.random.PCG64(sequence))
            for name, sequence in zip(STREAMS, sequences, strict=True)
        }

    def __getitem__(self, stream: str) -> np.random.Generator:
        return self._streams[stream]

    def spells(self, bars: int, mean: float) -> Ints:
        """Lengths of geometric spells of that mean, in bars, that together reach at least so far."""
        lengths: list[Ints] = []
        total = 0
        while total < bars:
            drawn = self["spells"].geometric(1.0 / mean, BATCH)
            lengths.append(drawn)
            total += int(drawn.sum())
        return np.concatenate(lengths)

    def events(self, bars: int, mean: float) -> Ints:
        """Bars at which something happens, a geometric number of that mean apart, shape (k,)."""
        at: list[Ints] = []
        last = 0
        while last < bars:
            drawn = last + np.cumsum(self["events"].geometric(1.0 / mean, BATCH))
            at.append(drawn)
            last = int(drawn[-1])
        every = np.concatenate(at)
        return every[every < bars]


def year_of(instrument: Instrument, start_ns: int) -> float:
    """Minutes of open market in the year after the start."""
    return minutes_a_year(sessions_between(instrument, start_ns + 1, start_ns + YEAR_NS))


def close_times(instrument: Instrument, bars: int, start_ns: int) -> Ints:
    """Close times of the first minutes of open market after the start, nanoseconds UTC, shape (bars,).

    Raises:
        UsageError: If the number of bars or the start makes no sense.
    """
    if bars < 1:
        raise UsageError("a synthetic series needs bars", expected="a number of bars from 1 up", found=str(bars))
    if not 0 <= start_ns < HORIZON_NS:
        raise UsageError("the start is out of range", expected="a time from 1970 to 2189", found=f"{start_ns} ns")
    parts: list[Ints] = []
    found = 0
    for minutes in open_minutes(instrument, start_ns):
        parts.append(minutes.ts_event)
        found += len(minutes.ts_event)
        if found >= bars:
            break
    return np.concatenate(parts)[:bars]


def first_price(instrument: Instrument, price: float | None) -> float:
    """The price given, or 20,000 ticks, or 100 where prices are continuous."""
    return price or (START_TICKS * instrument.tick_size if instrument.tick_size else 100.0)


def bars_of(instrument: Instrument, ts_event: Ints, path: Path, price: float, volume: float, draws: Draws) -> BarBlock:
    """Bars along a path.

    High and low follow the exact law of the extremes of a Brownian bridge between open and close; volume follows the
    size of the change.

    Args:
        instrument: Its name, ticks and sizes are respected.
        ts_event: Close times, shape (n,).
        path: Log steps.
        price: Before the first bar.
        volume: Typical contracts a minute.
        draws: Streams for extremes and volume.

    Raises:
        UsageError: If the path leads to prices that no market has.
    """
    n = len(ts_event)
    change, width = path.change, path.width
    close = np.cumsum(path.gap + change)
    if not bool((np.abs(close) < LARGEST_LOG).all()):
        raise UsageError(
            "the synthetic prices run away",
            expected=f"prices within a factor of e^{LARGEST_LOG:g} of the first",
            hint="ask for fewer bars, or for less drift or volatility",
        )
    open_ = close - change
    up, down = draws["up"].random(n), draws["down"].random(n)
    # extremes of a Brownian bridge: P(max > m) = exp(-2 m (m - change) / width^2), inverted
    rise = (change + np.sqrt(change**2 - 2 * width**2 * np.log1p(-up))) / 2
    fall = (change - np.sqrt(change**2 - 2 * width**2 * np.log1p(-down))) / 2
    logs = {"open": open_, "high": open_ + rise, "low": open_ + fall, "close": close}
    # continuous prices keep eight significant figures, which is readable and finer than any use
    step = instrument.tick_size or 10.0 ** (math.floor(math.log10(price)) - 7)
    columns = {name: np.maximum(to_grid(price * np.exp(values), step), step) for name, values in logs.items()}
    columns["volume"] = _volumes(instrument, path, volume, draws["volume"])
    return BarBlock.from_columns((instrument.name,), ts_event, columns)


def _volumes(instrument: Instrument, path: Path, volume: float, rng: np.random.Generator) -> Floats:
    moved: Bools = path.width > 0
    surprise = np.abs(path.change) / np.where(moved, path.width, 1.0)
    noise = np.exp(LOG_VOLUME_NOISE * rng.standard_normal(len(moved)))
    step = max(instrument.size_step, VOLUME_STEP)
    return np.maximum(to_grid(volume * (0.5 + 0.5 * np.minimum(surprise, 20.0)) * noise, step), step)


def bounce(width: Floats, draws: Draws) -> Floats:
    """Small steps from a close to the next open, shape (n,)."""
    return np.asarray(math.sqrt(TICK_BOUNCE) * width * draws["gaps"].standard_normal(len(width)))
