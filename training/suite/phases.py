"""Spells of trend, of a range and of turbulence: kind of spell and place in the range are the state.

With full information, the chain is exact. What prices tell is approximate: a filter over the kinds of spells that keeps
one normal law of the place in the range (interacting multiple models; Blom and Bar-Shalom, 1988) knows the scenario's
volatility, and weighs the values of full information. Its profit can be reached from prices, and the best possible
one lies between it and that of full information.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.types.blocks import Floats, Ints
from feeds.generators_paths import LEAST_WIDTH, TURBULENCE, Conditions
from feeds.synthetic import TICK_BOUNCE
from training.suite.chains import FARTHEST, autoregression_grid, decay
from training.suite.estimates import Seen
from training.suite.optimum import Chain

PLACES = 61
"""Grid of places in the range."""

DOWN, UP, SIDEWAYS, VOLATILE = range(4)


@dataclass(frozen=True)
class Phases:
    """Four kinds of spells: down, up, sideways and volatile.

    Attributes:
        minute: Deviation of a minute in this scenario.
        noise: Share of the deviation that cannot be foreseen.
        length: Mean length of a spell, bars.
        memory: Share of a deviation from the middle of the range left after a bar.
        width: Stationary deviation from the middle.
        weights: Of the kinds.
    """

    minute: float
    noise: float
    length: float
    memory: float
    width: float
    weights: tuple[float, float, float, float]
    hides = True
    exact = False
    resolution = 30

    @classmethod
    def of(cls, generator: Conditions, minute: float) -> Phases:
        """The law of a scenario; its volatility is rounded to about 3 %, so that few problems have to be solved."""
        rounded = math.exp(round(math.log(minute) * 16.0) / 16.0)
        weights = np.array([generator.trend / 2.0, generator.trend / 2.0, generator.sideways, generator.volatile])
        down, up, sideways, volatile = (weights / weights.sum()).tolist()
        return cls(
            rounded,
            generator.noise,
            generator.mean_minutes,
            generator.memory,
            generator.width(rounded),
            (down, up, sideways, volatile),
        )

    @property
    def drift(self) -> float:
        """Of a bar of a trend."""
        return math.sqrt(1.0 - self.noise**2) * self.minute / math.sqrt(self.length)

    @property
    def stays(self) -> float:
        """Probability that a spell goes on for another bar."""
        return 1.0 - 1.0 / self.length

    def known(self, period: int) -> Chain:
        """With full information: states number places in the range, within kinds."""
        places, moves = autoregression_grid(self.memory**period, self.width, PLACES)
        stays = self.stays**period
        kinds = stays * np.eye(4) + (1.0 - stays) * np.array(self.weights)[None, :]
        # what the price follows of each step in the range is the probability that the spell is sideways then
        bars = np.arange(1, period + 1)
        steps = self.memory**bars - self.memory ** (bars - 1.0)
        sideways = self.weights[SIDEWAYS]
        ahead = np.zeros((4, PLACES))
        for kind in range(4):
            share = sideways + (float(kind == SIDEWAYS) - sideways) * self.stays**bars
            ahead[kind] = places * float(share @ steps)
        ahead[UP] += self.drift * decay(self.stays, period)
        ahead[DOWN] -= self.drift * decay(self.stays, period)
        return Chain(
            np.arange(4 * PLACES).astype(np.float64),
            np.asarray(np.kron(kinds, moves), np.float64),
            ahead.ravel(),
            period,
        )

    def believed(self, period: int, observe: int = 1) -> Chain:
        """The same chain: its values are weighed by what is believed."""
        return self.known(period)

    def places(self, kind: Ints, direction: Floats, deviation: Floats) -> Floats:
        """States of the chain.

        Args:
            kind: 0 trend, 1 sideways, 2 volatile, shape (n,).
            direction: Of trends, shape (n,).
            deviation: From the middle of the range, in stationary deviations, shape (n,).
        """
        which = np.where(kind == 0, np.where(direction > 0, UP, DOWN), np.where(kind == 1, SIDEWAYS, VOLATILE))
        return (which * PLACES + self._nearest(deviation)).astype(np.float64)

    def filtered(self, closes: Floats, observe: int = 1) -> Floats:
        """Weights of the states after each close that is seen, shape (n, S)."""
        probability, deviation = self._beliefs(np.diff(np.log(closes)), observe)
        found = np.zeros((len(closes), 4, PLACES))
        found[np.arange(len(closes)), :, self._nearest(deviation / self.width)] = probability
        return found.reshape(len(closes), -1)

    def _nearest(self, deviation: Floats) -> Ints:
        at = (deviation / FARTHEST + 1.0) / 2.0 * (PLACES - 1)
        return np.asarray(np.clip(np.round(at), 0, PLACES - 1), np.int64)

    def _beliefs(self, returns: Floats, bars: int) -> tuple[Floats, Floats]:
        """Probabilities of the kinds, shape (n + 1, 4), and estimated deviation, shape (n + 1,).

        A spell is taken to end between closes only.
        """
        bounce = bars * TICK_BOUNCE * (max(self.noise, LEAST_WIDTH) * self.minute) ** 2
        trend = bars * (self.noise * self.minute) ** 2 + bounce
        wild = bars * (1.0 + TICK_BOUNCE) * (TURBULENCE * self.minute) ** 2
        left = self.memory**bars
        own = self.width**2 * (1.0 - left**2)
        around = bars * (0.5 * self.noise * self.minute) ** 2 + bounce
        seen = Seen(left, left - 1.0, own, own + around, own)
        centres = [-bars * self.drift, bars * self.drift, 0.0, 0.0]
        spreads = [trend, trend, 0.0, wild]
        weights, stays = self.weights, self.stays**bars
        # a series begins in the middle of its range
        believed, at, unsure = list(weights), 0.0, 0.0
        probabilities, deviations = [believed], [at]
        for change in returns.tolist():
            centres[SIDEWAYS] = seen.told * at
            spreads[SIDEWAYS] = seen.told**2 * unsure + seen.noise
            exponents = [
                -0.5 * ((change - centre) ** 2 / spread + math.log(spread))
                for centre, spread in zip(centres, spreads, strict=True)
            ]
            most = max(exponents)
            believed = [
                (stays * one + (1.0 - stays) * weight) * math.exp(exponent - most)
                for one, weight, exponent in zip(believed, weights, exponents, strict=True)
            ]
            total = sum(believed)
            believed = [one / total for one in believed] if total > 0.0 else list(weights)
            gain, known = seen.gain(unsure)
            moved = left * at
            told = moved + gain * (change - seen.told * at)
            share = believed[SIDEWAYS]
            at = share * told + (1.0 - share) * moved
            other = left**2 * unsure + own
            unsure = share * known + (1.0 - share) * other + share * (1.0 - share) * (told - moved) ** 2
            probabilities.append(believed)
            deviations.append(at)
        return np.array(probabilities), np.array(deviations)
