"""Synthetic 1-minute bars: realistic enough to try everything on, and free to ship.

The log price is a random walk whose volatility is the product of a regime (a Markov chain of calm, normal
and turbulent spells), an autoregressive clustering term, the time of day and a heavy-tailed mixture (the t
distribution). High and low are drawn from the exact law of the extremes of a Brownian bridge between open and
close. Volume follows volatility. Minutes lie on the sessions of the instrument's calendar, prices on its
ticks. A few minutes are missing, rather in quiet times.

Random numbers are drawn for chunks of fixed length, so neither the block size nor the number of bars asked
for changes a bar: a longer series begins with the shorter one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from engine.base.config import Config
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, Bools, Floats, Ints, reblock
from engine.types.calendar import Sessions, sessions_between
from engine.types.instruments import IS_FRACTION, Instrument, Positive
from engine.types.timeframe import DAY_NS, MINUTE_NS

CHUNK = 4096
YEAR_NS = 364 * DAY_NS
HORIZON_NS = 220 * 365 * DAY_NS  # nanoseconds since 1970 fit int64 until 2262
START_TICKS = 20_000  # default first price: 1.0 for the Euro future, 5,000 for the S&P, 10,000 for bitcoin
VOLUME_STEP = 0.001  # volumes are not reported finer, however finely an instrument can be traded
TICK_BOUNCE = 0.02  # variance of the step from one close to the next open, of a minute's
CLOSED_VARIANCE = 0.05  # variance of a minute in which the market is closed, of an open one's
LOG_VOLUME_NOISE = 0.4


class Regime(Config):
    """One state of the market.

    Attributes:
        name: For people.
        volatility: Multiple of the configured volatility.
        drift: Expected log return a year.
        duration: Mean length of a spell, minutes.
    """

    name: str
    volatility: Positive = 1.0
    drift: float = 0.0
    duration: Annotated[float, Field(ge=1)] = 600.0


CALM = Regime(name="calm", volatility=0.55, duration=900)
NORMAL = Regime(name="normal", volatility=1.0, duration=600)
TURBULENT = Regime(name="turbulent", volatility=2.2, duration=150)


class SyntheticConfig(Config):
    """How the market behaves.

    Attributes:
        price: First price; by default 20,000 ticks, or 100 where prices are continuous.
        volatility: Of log returns, annualised, in the regime of multiple 1.
        regimes: States; a spell that ends is followed by any other with equal chance.
        clustering: Standard deviation of the log volatility inside a regime.
        clustering_minutes: Time in which a burst of volatility falls to 1/e.
        tail: Degrees of freedom of the returns given the volatility; small is heavy-tailed.
        volume: Typical contracts a minute.
        missing: Share of minutes without a bar.
    """

    price: Positive | None = None
    volatility: Positive = 0.2
    regimes: tuple[Regime, ...] = (NORMAL, CALM, TURBULENT)
    clustering: Annotated[float, Field(ge=0, le=2)] = 0.35
    clustering_minutes: Positive = 60.0
    tail: Annotated[float, Field(gt=2)] = 5.0
    volume: Positive = 200.0
    missing: Annotated[float, Field(ge=0, lt=0.5), IS_FRACTION] = 0.005

    @model_validator(mode="after")
    def _some_regime(self) -> Self:
        if not self.regimes:
            raise ValueError("regimes must name at least one state")
        return self


class SyntheticBars:
    """A source of synthetic 1-minute bars of one instrument; every call of `blocks` gives the same bars.

    Args:
        instrument: Its name, ticks, sizes and calendar are respected.
        start_ns: Bars close after this time, nanoseconds UTC; whole minutes count from the session's open.
        seed: A seed, or a generator from which one is drawn.

    Raises:
        UsageError: If the number of bars, the start or the seed makes no sense.
    """

    def __init__(
        self,
        instrument: Instrument,
        bars: int,
        start_ns: int,
        seed: int | np.random.Generator,
        config: SyntheticConfig | None = None,
    ) -> None:
        check_series(bars, start_ns, seed if isinstance(seed, int) else 0)
        self._instrument = instrument
        self._bars = bars
        self._start_ns = start_ns
        self._seed = seed if isinstance(seed, int) else int(seed.integers(2**63))
        self._config = config or SyntheticConfig()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instrument's name."""
        return (self._instrument.name,)

    @property
    def timeframe_ns(self) -> int:
        """One minute."""
        return MINUTE_NS

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Yield consecutive blocks of `rows` rows (the last may be shorter).

        Raises:
            UsageError: If `rows` is below 1, or the series would run beyond the year 2189.
        """
        if rows < 1:
            raise UsageError("a block needs rows", expected="a number of rows from 1 up", found=str(rows))
        return reblock(self._chunks(), [rows])

    def _chunks(self) -> Iterator[BarBlock]:
        year = sessions_between(self._instrument, self._start_ns + 1, self._start_ns + YEAR_NS)
        walk = _Walk(self._instrument, self._config, self._seed, minutes_a_year(year))
        seq = 0
        for minutes in _chunked(open_minutes(self._instrument, self._start_ns)):
            columns, present = walk.next_chunk(minutes)
            # a series begins with its first minute, even where that would be missing
            present[0] |= seq == 0
            keep = np.flatnonzero(present)[: self._bars - seq]
            if len(keep):
                picked = {name: values[keep] for name, values in columns.items()}
                yield BarBlock.from_columns(self.symbols, minutes.ts_event[keep], picked, seq=seq)
            seq += len(keep)
            if seq == self._bars:
                return


@dataclass(frozen=True, slots=True)
class OpenMinutes:
    """Minutes of open market: close time, place in time of day, and closed minutes before."""

    ts_event: Ints
    activity: Floats
    closed: Floats


def open_minutes(instrument: Instrument, start_ns: int) -> Iterator[OpenMinutes]:
    """Minutes of one session after another, from the start for ever."""
    last_close, window = start_ns, start_ns
    while True:
        if window > HORIZON_NS:
            raise UsageError("the synthetic series would run beyond the year 2189", hint="ask for fewer bars")
        sessions = sessions_between(instrument, window + 1, window + YEAR_NS)
        for open_ns, close_ns in zip(sessions.opens.tolist(), sessions.closes.tolist(), strict=True):
            # the window has a margin at both ends: sessions seen before are skipped, later ones come again
            if close_ns <= last_close or open_ns >= window + YEAR_NS:
                continue
            ts = np.arange(open_ns + MINUTE_NS, close_ns + 1, MINUTE_NS, dtype=np.int64)
            ts = ts[ts > last_close]
            closed = np.zeros(len(ts))
            closed[:1] = max(0, open_ns - last_close) / MINUTE_NS
            last_close = close_ns
            yield OpenMinutes(ts, _activity(ts, open_ns, close_ns), closed)
        window += YEAR_NS


def _activity(ts: Ints, open_ns: int, close_ns: int) -> Floats:
    """Volatility by time of day, about 1 on average.

    Long sessions are busy when London and New York are, short ones at their open and close.
    """
    if close_ns - open_ns <= DAY_NS // 2:
        x = (ts - open_ns) / (close_ns - open_ns)
        return np.asarray(0.8 + 0.6 * (2 * x - 1) ** 2)
    hour = (ts % DAY_NS) / (DAY_NS / 24)
    london = np.exp(-(((hour - 8.5) / 2.0) ** 2))
    new_york = np.exp(-(((hour - 15.0) / 2.5) ** 2))
    return np.asarray(0.65 + 0.7 * london + 1.1 * new_york)


def _chunked(minutes: Iterator[OpenMinutes]) -> Iterator[OpenMinutes]:
    """The same minutes in pieces of exactly CHUNK."""
    held: list[OpenMinutes] = []
    size = 0
    for part in minutes:
        held.append(part)
        size += len(part.ts_event)
        while size >= CHUNK:
            joined = [np.concatenate([getattr(h, name) for h in held]) for name in ("ts_event", "activity", "closed")]
            yield OpenMinutes(*(column[:CHUNK] for column in joined))
            held = [OpenMinutes(*(column[CHUNK:] for column in joined))]
            size -= CHUNK


class _Walk:
    """The random walk with its carried state."""

    def __init__(self, instrument: Instrument, config: SyntheticConfig, seed: int, minutes_a_year: float) -> None:
        self._config = config
        self._instrument = instrument
        # spells take as many draws as they need, which must not shift the other numbers
        numbers, spells = np.random.SeedSequence(seed).spawn(2)
        self._rng = np.random.Generator(np.random.PCG64(numbers))
        self._spells = np.random.Generator(np.random.PCG64(spells))
        self._minutes_a_year = minutes_a_year
        self._price = first_price(instrument, config.price)
        self._log_return = 0.0
        self._clustering = 0.0
        self._regime = 0
        self._left = self._spell_length()

    def next_chunk(self, minutes: OpenMinutes) -> tuple[dict[str, Floats], Bools]:
        """Bars of the next CHUNK minutes, and which of them exist."""
        rng, n = self._rng, CHUNK
        shock, gap_shock, cluster_shock, volume_shock = rng.standard_normal((4, n))
        up, down, absent = rng.random((3, n))
        mixture = (self._config.tail - 2) / (2 * rng.standard_gamma(self._config.tail / 2, n))  # mean 1
        excitement, drift = self._excitement(cluster_shock)
        sigma = self._config.volatility / math.sqrt(self._minutes_a_year) * excitement * minutes.activity
        width = sigma * np.sqrt(mixture)
        gap = sigma * np.sqrt(TICK_BOUNCE + CLOSED_VARIANCE * minutes.closed) * gap_shock
        change = drift + width * shock
        close = self._log_return + np.cumsum(gap + change)
        self._log_return = float(close[-1])
        prices = bridged_prices(close, change, width, up, down, self._price, self._instrument)
        surprise = 0.5 + 0.5 * np.abs(shock) * np.sqrt(mixture)
        lognormal = np.exp(LOG_VOLUME_NOISE * volume_shock)
        liveliness = excitement * minutes.activity
        volume = traded(self._config.volume * liveliness * surprise * lognormal, self._instrument)
        present = absent >= np.minimum(self._config.missing / liveliness, 0.9)
        return {**prices, "volume": volume}, present

    def _excitement(self, shocks: Floats) -> tuple[Floats, Floats]:
        """Multiple of the configured volatility, and drift, of each minute."""
        regimes = self._config.regimes
        path = self._regime_path(len(shocks))
        level = np.array([regime.volatility for regime in regimes])[path]
        drift = np.array([regime.drift for regime in regimes])[path] / self._minutes_a_year
        memory = math.exp(-1 / self._config.clustering_minutes)
        scale = self._config.clustering * math.sqrt(1 - memory**2)
        steps = accumulate((scale * shocks).tolist(), lambda h, e: memory * h + e, initial=self._clustering)
        clustering = np.array(list(steps)[1:])
        self._clustering = float(clustering[-1])
        # the mean of the squared factor is 1, so clustering does not add volatility
        return level * np.exp(clustering - self._config.clustering**2), drift

    def _regime_path(self, n: int) -> Ints:
        path = np.empty(n, np.int64)
        at = 0
        while at < n:
            if self._left == 0:
                others = len(self._config.regimes) - 1
                hop = int(self._spells.integers(others)) + 1 if others else 0
                self._regime = (self._regime + hop) % len(self._config.regimes)
                self._left = self._spell_length()
            stop = min(n, at + self._left)
            path[at:stop] = self._regime
            self._left -= stop - at
            at = stop
        return path

    def _spell_length(self) -> int:
        return int(self._spells.geometric(1 / self._config.regimes[self._regime].duration))


def check_series(bars: int, start_ns: int, seed: int) -> None:
    """Refuse what no series can be made from.

    Raises:
        UsageError: If there are no bars, the start is not from 1970 to 2189, or the seed is negative.
    """
    if bars < 1:
        raise UsageError("a synthetic series needs bars", expected="a number of bars from 1 up", found=str(bars))
    if not 0 <= start_ns < HORIZON_NS:
        raise UsageError("the start is out of range", expected="a time from 1970 to 2189", found=f"{start_ns} ns")
    if seed < 0:
        raise UsageError("a seed cannot be negative", found=str(seed))


def first_price(instrument: Instrument, price: float | None) -> float:
    """The price given, or 20,000 ticks, or 100 where prices are continuous."""
    return price or (START_TICKS * instrument.tick_size if instrument.tick_size else 100.0)


def bridged_prices(
    close: Floats, change: Floats, width: Floats, up: Floats, down: Floats, price: float, instrument: Instrument
) -> dict[str, Floats]:
    """Open, high, low and close, each of shape (n,), on the instrument's ticks.

    Args:
        close: Log of each close over the first price, shape (n,).
        change: Log step from open to close, shape (n,).
        width: Deviation of the Brownian bridge between them, shape (n,).
        up, down: Uniform draws that place high and low, shape (n,).
        instrument: Its tick size.
    """
    open_ = close - change
    # extremes of a Brownian bridge: P(max > m) = exp(-2 m (m - change) / width^2), inverted
    rise = (change + np.sqrt(change**2 - 2 * width**2 * np.log1p(-up))) / 2
    fall = (change - np.sqrt(change**2 - 2 * width**2 * np.log1p(-down))) / 2
    logs = {"open": open_, "high": open_ + rise, "low": open_ + fall, "close": close}
    # continuous prices keep eight significant figures, which is readable and finer than any use
    step = instrument.tick_size or 10.0 ** (math.floor(math.log10(price)) - 7)
    return {name: np.maximum(to_grid(price * np.exp(values), step), step) for name, values in logs.items()}


def traded(volume: Floats, instrument: Instrument) -> Floats:
    """Volumes on the grid of sizes, at least one step each."""
    step = max(instrument.size_step, VOLUME_STEP)
    return np.maximum(to_grid(volume, step), step)


def minutes_a_year(sessions: Sessions) -> float:
    """Minutes in which the market is open in a year of these sessions."""
    span = float(sessions.closes[-1] - sessions.opens[0])
    minutes = float((sessions.closes - sessions.opens).sum()) / MINUTE_NS
    return minutes / span * 365.25 * DAY_NS


def to_grid(values: Floats, step: float) -> Floats:
    """Nearest multiples of the step, written with the step's decimals (1.1078, not 1.1078000000000001)."""
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    decimals = max(0, -exponent) if isinstance(exponent, int) else 0
    return np.asarray(np.round(np.round(values / step) * step, decimals))
