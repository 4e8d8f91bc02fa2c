"""From a path of log prices to 1-minute bars on the sessions and ticks of an instrument.

Everything random comes from streams of their own, each read in order of time: a longer series begins with the shorter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import sessions_between
from engine.types.instruments import Instrument
from feeds.synthetic import LOG_VOLUME_NOISE, TICK_BOUNCE, YEAR_NS, bridged_prices, minutes_a_year, open_minutes, traded

STREAMS = ("scenario", "shocks", "tails", "spells", "kinds", "events", "gaps", "up", "down", "volume")
BATCH = 1024
LARGEST_LOG = 30.0
"""Prices that grow or fall by more than e^30 are no market, and would end in infinities."""


class LogPath(NamedTuple):
    """Log steps of n minutes.

    Attributes:
        gap: From a close to the next open, shape (n,).
        change: From open to close, shape (n,).
        width: Deviation of the Brownian bridge between open and close, shape (n,).
        hidden: What drives the market, shape (n,): the sign of the drift of each minute, or the drift itself, or the
            deviation of the log price from its mean at each close; each generator says which.
    """

    gap: Floats
    change: Floats
    width: Floats
    hidden: Floats


class Generated(NamedTuple):
    """Bars, and the truth behind them.

    Attributes:
        bars: One symbol.
        hidden: As in `LogPath`, shape (rows,); 0 where the generator has none.
    """

    bars: BarBlock
    hidden: Floats


class Draws:
    """Independent streams of random numbers (PCG64), by name.

    Args:
        seed: Same seed, same numbers.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        # apart, so that a parameter that needs more draws of one kind leaves the others as they were
        sequences = np.random.SeedSequence(seed).spawn(len(STREAMS))
        self._streams = {
            name: np.random.Generator(np.random.PCG64(sequence))
            for name, sequence in zip(STREAMS, sequences, strict=True)
        }

    def again(self) -> Draws:
        """The same numbers from the beginning."""
        return Draws(self._seed)

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
    """Close times of the first minutes of open market after the start, nanoseconds UTC, shape (bars,)."""
    parts: list[Ints] = []
    found = 0
    for minutes in open_minutes(instrument, start_ns):
        parts.append(minutes.ts_event)
        found += len(minutes.ts_event)
        if found >= bars:
            break
    return np.concatenate(parts)[:bars]


def bars_of(
    instrument: Instrument, ts_event: Ints, path: LogPath, price: float, volume: float, draws: Draws
) -> BarBlock:
    """Bars along a path.

    High and low follow the exact law of the extremes of a Brownian bridge between open and close; volume follows the
    size of the change.

    Args:
        instrument: Its name, ticks and sizes are respected.
        ts_event: Close times, shape (n,).
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
    columns = bridged_prices(close, change, width, draws["up"].random(n), draws["down"].random(n), price, instrument)
    surprise = np.abs(change) / np.where(width > 0, width, 1.0)
    noise = np.exp(LOG_VOLUME_NOISE * draws["volume"].standard_normal(n))
    columns["volume"] = traded(volume * (0.5 + 0.5 * np.minimum(surprise, 20.0)) * noise, instrument)
    return BarBlock.from_columns((instrument.name,), ts_event, columns)


def bounce(width: Floats, draws: Draws) -> Floats:
    """Small steps from a close to the next open, shape (n,)."""
    return np.asarray(math.sqrt(TICK_BOUNCE) * width * draws["gaps"].standard_normal(len(width)))
