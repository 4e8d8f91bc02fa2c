"""Markets whose drift can be foreseen: from how long it lasts, from the volatility, or from the time of day.

There is no step from a close to the next open, so that what is known of the optimum is not blurred.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from engine.types.blocks import Bools, Floats, Ints
from engine.types.instruments import NonNegative, Positive
from engine.types.timeframe import DAY_NS, MINUTE_NS
from feeds.generators_bars import BATCH, Draws, LogPath
from feeds.generators_paths import BPS, Generator, Minutes, autoregression

DAY_MINUTES = DAY_NS // MINUTE_NS


class Trending(Generator):
    """A hidden drift of changing size: an autoregression of first order. Its truth is the drift of each minute.

    Attributes:
        drift_bps: Stationary deviation of the drift of a minute.
        half_life_minutes: Time in which half of a drift is gone.
        volatility_bps: Deviation of a minute around its drift.
    """

    drift_bps: NonNegative = 0.5
    half_life_minutes: Minutes = 480.0
    volatility_bps: Positive = 3.0

    @property
    def memory(self) -> float:
        """Share of a drift that is left after a minute."""
        return math.exp2(-1.0 / self.half_life_minutes)

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """The drift, from its stationary law on, plus normal steps."""
        first = float(draws["scenario"].standard_normal())
        drift = autoregression(draws["events"], len(times), self.memory, self.drift_bps * BPS, first)[1:]
        return _drifting(drift, np.full(len(times), self.volatility_bps * BPS), draws, hidden=drift)


class VolatilityPremium(Generator):
    """Calm spells that are rewarded, and turbulent ones that are not: the size of returns tells which it is.

    Its truth is 1 in calm minutes and -1 in turbulent ones.

    Attributes:
        calm_drift_bps, turbulent_drift_bps: Of a minute.
        calm_volatility_bps, turbulent_volatility_bps: Deviation of a minute.
        calm_minutes, turbulent_minutes: Mean length of a spell.
    """

    calm_drift_bps: NonNegative = 0.2
    turbulent_drift_bps: Annotated[float, Field(le=0)] = -0.4
    calm_volatility_bps: Positive = 1.5
    turbulent_volatility_bps: Positive = 4.0
    calm_minutes: Annotated[float, Field(ge=2)] = 960.0
    turbulent_minutes: Annotated[float, Field(ge=2)] = 480.0

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """Normal steps whose mean and deviation are those of the spell."""
        calm = self._calm(draws, len(times))
        drift = np.where(calm, self.calm_drift_bps, self.turbulent_drift_bps) * BPS
        width = np.where(calm, self.calm_volatility_bps, self.turbulent_volatility_bps) * BPS
        return _drifting(drift, width, draws, hidden=np.where(calm, 1.0, -1.0))

    def _calm(self, draws: Draws, bars: int) -> Bools:
        """Whether each minute is calm: spells alternate, from the stationary law on."""
        means = np.array([self.calm_minutes, self.turbulent_minutes])
        first = 0 if draws["kinds"].random() < means[0] / means.sum() else 1
        ends = 1.0 / np.resize(np.roll(means, first), BATCH)
        lengths: list[Ints] = []
        while sum(int(part.sum()) for part in lengths) < bars:
            lengths.append(draws["spells"].geometric(ends))
        spells = np.concatenate(lengths)
        return np.repeat((np.arange(len(spells)) + first) % 2 == 0, spells)[:bars]


class TimeOfDay(Generator):
    """A drift that follows a sine over the 24 hours of a UTC day. Its truth is the minute of the day at each close.

    Attributes:
        drift_bps: Largest drift of a minute.
        rise_minute: Minute of the day from which on the drift is upward, for twelve hours.
        volatility_bps: Deviation of a minute around its drift.
    """

    drift_bps: NonNegative = 0.2
    rise_minute: Annotated[float, Field(ge=0, lt=DAY_MINUTES)] = 360.0
    volatility_bps: Positive = 3.0

    def drift(self, minute: Floats) -> Floats:
        """Expected log return of the minutes that close at these minutes of the day."""
        return self.drift_bps * BPS * np.sin(2.0 * math.pi * (minute - self.rise_minute) / DAY_MINUTES)

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """The drift of the hour plus normal steps."""
        minute = (times // MINUTE_NS % DAY_MINUTES).astype(np.float64)
        return _drifting(self.drift(minute), np.full(len(times), self.volatility_bps * BPS), draws, hidden=minute)


def _drifting(drift: Floats, width: Floats, draws: Draws, hidden: Floats) -> LogPath:
    change = drift + width * draws["shocks"].standard_normal(len(drift))
    return LogPath(np.zeros(len(drift)), change, width, hidden)
