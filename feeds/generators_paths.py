"""Markets that can be generated: their parameters, and the path of the log price that follows from them.

Every model derives from `Generator` and gives the log steps of n minutes from named streams of random numbers.
Deviations and drifts are of log returns; a bps is 1e-4. What drives each market is returned beside it, so that the
best achievable profit can be computed.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from engine.base.config import Config
from engine.types.blocks import Floats, Ints
from engine.types.instruments import Instrument, NonNegative, Positive
from feeds.generators_bars import Draws, Generated, LogPath, bars_of, bounce, close_times, year_of
from feeds.synthetic import first_price

BPS = 1e-4
Minutes = Annotated[float, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Tail = Annotated[float, Field(gt=2)]

TURBULENCE = 2.5
"""Volatility of volatile spells, in multiples of the scenario's."""

VOLATILE_TAIL = 4.0
"""Degrees of freedom of the returns in volatile spells."""

LEAST_WIDTH = 0.3
"""Deviation within a minute where there is little noise, in multiples of the scenario's: bars still have a range."""

PANIC = 4.0
"""Deviation within the minutes of a crash, in multiples of the usual."""


class Generator(Config):
    """What every synthetic market has.

    Attributes:
        price: First price; by default 20,000 ticks, or 100 where prices are continuous.
        volume: Typical contracts a minute.
    """

    price: Positive | None = None
    volume: Positive = 200.0

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """Log steps.

        Args:
            draws: Streams of random numbers.
            times: At which the minutes close, nanoseconds UTC, shape (n,).
            year: Minutes of open market in a year.
        """
        raise NotImplementedError

    def made(self, instrument: Instrument, bars: int, start_ns: int, draws: Draws) -> Generated:
        """Bars along the path, with what drives them.

        Args:
            instrument: Its name, ticks, sizes and sessions are respected.
            bars: How many.
            start_ns: Bars close after this time, nanoseconds UTC.
            draws: Streams of random numbers.

        Raises:
            UsageError: If prices run away.
        """
        ts_event = close_times(instrument, bars, start_ns)
        path = self.path(draws, ts_event, year_of(instrument, start_ns))
        price = first_price(instrument, self.price)
        return Generated(bars_of(instrument, ts_event, path, price, self.volume, draws), path.hidden)


class RandomWalk(Generator):
    """No drift, no memory: nothing can be earned here.

    Attributes:
        volatility: Of log returns, annualised.
    """

    volatility: Positive = 0.2

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """Normal steps of one deviation."""
        bars = len(times)
        width = np.full(bars, self.volatility / math.sqrt(year))
        return LogPath(bounce(width, draws), width * draws["shocks"].standard_normal(bars), width, np.zeros(bars))


class RegimeDrift(Generator):
    """Drift of one size whose sign is a hidden two-state Markov chain (Hamilton, 1989).

    Attributes:
        drift_bps: Of a minute.
        volatility_bps: Deviation of a minute.
        mean_minutes: Mean length of a regime; each minute ends it with probability 1 / mean_minutes.
    """

    drift_bps: NonNegative = 0.5
    volatility_bps: Positive = 2.0
    mean_minutes: Annotated[float, Field(ge=2)] = 1440.0

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """Drift of alternating sign plus normal steps."""
        bars = len(times)
        lengths = draws.spells(bars, self.mean_minutes)
        first = 1.0 if draws["kinds"].random() < 0.5 else -1.0
        sign = np.repeat(first * (1.0 - 2.0 * (np.arange(len(lengths)) % 2)), lengths)[:bars]
        width = np.full(bars, self.volatility_bps * BPS)
        # steps between bars would blur what is known of the optimum: open is the last close
        change = self.drift_bps * BPS * sign + width * draws["shocks"].standard_normal(bars)
        return LogPath(np.zeros(bars), change, width, sign)


class MeanReversion(Generator):
    """Ornstein-Uhlenbeck log price around a constant.

    Attributes:
        half_life_minutes: Time in which half of a deviation is gone.
        deviation_bps: Stationary deviation of the log price from its mean.
        noise_bps: Deviation a minute of a random walk that is added; it cannot be foreseen.
    """

    half_life_minutes: Minutes = 120.0
    deviation_bps: Positive = 50.0
    noise_bps: NonNegative = 0.0

    @property
    def memory(self) -> float:
        """Share of a deviation that is left after a minute."""
        return math.exp2(-1.0 / self.half_life_minutes)

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """From the stationary law on."""
        bars = len(times)
        deviation = self.deviation_bps * BPS
        away = autoregression(draws["shocks"], bars, self.memory, deviation, float(draws["scenario"].standard_normal()))
        noise = self.noise_bps * BPS
        change = np.diff(away) + noise * draws["tails"].standard_normal(bars)
        width = np.full(bars, math.hypot(deviation * math.sqrt(1.0 - self.memory**2), noise))
        return LogPath(np.zeros(bars), change, width, away[1:])


class Conditions(Generator):
    """Spells of trend, of a range and of turbulence, at a volatility drawn for the scenario.

    Over a spell of mean length a trend moves by about the volatility of that time: `noise` of it is a random walk,
    the rest a straight line.

    Attributes:
        volatility_min, volatility_max: Annualised; each scenario draws one between them.
        noise: Share of the deviation that cannot be foreseen, 0 to 1.
        mean_minutes: Mean length of a spell.
        trend, sideways, volatile: Weights of the three kinds of spells.
    """

    volatility_min: Positive = 0.1
    volatility_max: Positive = 0.5
    noise: Share = 0.4
    mean_minutes: Minutes = 480.0
    trend: NonNegative = 1.0
    sideways: NonNegative = 1.0
    volatile: NonNegative = 1.0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        ordered("volatility", self.volatility_min, self.volatility_max)
        if self.trend + self.sideways + self.volatile == 0.0:
            raise ValueError("one of trend, sideways and volatile must be above 0")
        return self

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """The three kinds of motion, switched by spell."""
        bars = len(times)
        minute = self.minute(draws, year)
        kind, direction = self.spells(draws, bars)
        line = math.sqrt(1.0 - self.noise**2)
        shock = draws["shocks"].standard_normal(bars)
        span = math.sqrt(self.mean_minutes)
        range_ = np.diff(self.range_(draws, bars, minute))
        student = shock * np.sqrt((VOLATILE_TAIL - 2) / (2 * draws["tails"].standard_gamma(VOLATILE_TAIL / 2, bars)))
        change = np.where(
            kind == 0,
            direction * line * minute / span + self.noise * minute * shock,
            np.where(kind == 1, range_ + 0.5 * self.noise * minute * shock, TURBULENCE * minute * student),
        )
        calm = max(self.noise, LEAST_WIDTH) * minute
        width = np.where(kind == 2, TURBULENCE * minute, calm)
        return LogPath(bounce(width, draws), change, width, np.where(kind == 0, direction, 0.0))

    @property
    def memory(self) -> float:
        """Share of a deviation from the middle of the range that is left after a minute."""
        return math.exp2(-1.0 / max(1.0, self.mean_minutes / 8.0))

    def width(self, minute: float) -> float:
        """Stationary deviation from the middle of the range, from the deviation of a minute."""
        return 0.5 * math.sqrt(1.0 - self.noise**2) * minute * math.sqrt(self.mean_minutes)

    def minute(self, draws: Draws, year: float) -> float:
        """Deviation of a minute in this scenario."""
        return float(draws["scenario"].uniform(self.volatility_min, self.volatility_max)) / math.sqrt(year)

    def range_(self, draws: Draws, bars: int, minute: float) -> Floats:
        """Deviation from the middle of the range before and after each minute, shape (bars + 1,).

        It moves on in other spells, too, where prices do not follow it.
        """
        return autoregression(draws["events"], bars, self.memory, self.width(minute), 0.0)

    def spells(self, draws: Draws, bars: int) -> tuple[Ints, Floats]:
        """Kind (0 trend, 1 sideways, 2 volatile) and direction of each minute."""
        lengths = draws.spells(bars, self.mean_minutes)
        weights = np.array([self.trend, self.sideways, self.volatile])
        edges = np.cumsum(weights / weights.sum())[:2]
        uniform = draws["kinds"].random((len(lengths), 2))
        kind = np.searchsorted(edges, uniform[:, 0], side="right").astype(np.int64)
        direction = np.where(uniform[:, 1] < 0.5, 1.0, -1.0)
        return np.repeat(kind, lengths)[:bars], np.repeat(direction, lengths)[:bars]


class Trend(Conditions):
    """Strong trends, up and down."""

    sideways: NonNegative = 0.0
    volatile: NonNegative = 0.0
    noise: Share = 0.1


class TrendSideways(Conditions):
    """Trends and ranges."""

    volatile: NonNegative = 0.0
    noise: Share = 0.2


class Volatile(Conditions):
    """Turbulence without direction, with heavy tails."""

    trend: NonNegative = 0.0
    sideways: NonNegative = 0.0
    volatility_min: Positive = 0.5
    volatility_max: Positive = 1.0


class FlashCrash(RandomWalk):
    """A random walk in which the price falls within minutes and partly comes back; what stays lost returns slowly.

    Attributes:
        mean_minutes: Between crashes.
        depth: Fraction of the price that is lost.
        fall_minutes: From the start of the fall to its end.
        rebound: Share of the loss that is made good.
        rebound_minutes: Time that takes.
    """

    mean_minutes: Minutes = 3000.0
    depth: Annotated[float, Field(gt=0, lt=0.9)] = 0.08
    fall_minutes: Minutes = 5.0
    rebound: Share = 0.7
    rebound_minutes: Minutes = 60.0

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """The walk, with the falls added."""
        bars = len(times)
        calm = super().path(draws, times, year)
        down, up = round(self.fall_minutes), round(self.rebound_minutes)
        loss = math.log1p(-self.depth)
        # without this a short position held for ever would earn what crashes take
        drift, panic = np.full(bars, -loss * (1.0 - self.rebound) / self.mean_minutes), np.zeros(bars, np.bool_)
        for at in draws.events(bars, self.mean_minutes).tolist():
            drift[at : at + down] += loss / down
            drift[at + down : at + down + up] -= loss * self.rebound / up
            panic[at : at + down + up] = True
        factor = np.where(panic, PANIC, 1.0)
        return LogPath(calm.gap, drift + factor * calm.change, factor * calm.width, np.zeros(bars))


class OpeningGap(RandomWalk):
    """A random walk that sometimes opens far from its last close.

    Attributes:
        mean_minutes: Between gaps.
        size_bps: Deviation of a gap.
    """

    mean_minutes: Minutes = 1440.0
    size_bps: Positive = 200.0

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """The walk, with the gaps added."""
        bars = len(times)
        calm = super().path(draws, times, year)
        at = draws.events(bars, self.mean_minutes)
        gap = calm.gap.copy()
        gap[at] += self.size_bps * BPS * draws["tails"].standard_normal(len(at))
        return calm._replace(gap=gap)


class ConstantPrice(Generator):
    """A price that never moves."""

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """Nothing."""
        bars = len(times)
        return LogPath(*(np.zeros(bars) for _ in range(4)))


def autoregression(rng: np.random.Generator, bars: int, memory: float, deviation: float, start: float) -> Floats:
    """A stationary autoregression of first order, shape (bars + 1,).

    Args:
        rng: Of its shocks.
        bars: Steps.
        memory: Its coefficient.
        deviation: Its stationary deviation.
        start: First value, in deviations.
    """
    shocks = deviation * math.sqrt(1.0 - memory**2) * rng.standard_normal(bars)
    values = accumulate(shocks.tolist(), lambda x, e: memory * x + e, initial=deviation * start)
    return np.fromiter(values, np.float64, bars + 1)


def ordered(name: str, low: float, high: float) -> None:
    """Refuse a range whose ends are the wrong way round."""
    if low > high:
        raise ValueError(f"{name}_min cannot exceed {name}_max")
