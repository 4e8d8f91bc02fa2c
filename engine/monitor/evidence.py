"""How strongly bounded observations speak against a mean: an e-process, valid at every moment at which it is read.

A test with a fixed number of observations is wrong more often than it says when it is read after every one of them. An
e-process may be read at any time: its value is the capital of one who bets against the hypothesis at fair or worse
odds, beginning with 1. While the hypothesis holds, the chance that it ever reaches 1/alpha is at most alpha (Ville
1939).

The hypothesis is that, whatever came before, each observation has a mean of at least `threshold` (of at most, for the
side "above"). A bet of size b multiplies its stake by 1 + b * (threshold - x). Stakes lie on several sizes at once, so
that neither the variance nor the true mean need be known: Waudby-Smith and Ramdas 2024, "Estimating means of bounded
random variables by betting", JRSS B 86(1); a mixture over fixed bets is their diversified Kelly betting.

With `any_start` the stakes are also laid down over time: that of observation t is 2^-e / ((e + 1) * (e + 2)), where
e = floor(log2 t), and all of them add up to 1. One who began to bet only when things went bad has lost nothing before,
so that a change after a long good time is found; the chance of a false alarm stays at most alpha for all time
(a mixture of e-processes is one; compare Shin, Ramdas and Rinaldo 2024, "E-detectors", NEJSDS 2(2)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from engine.base.compiled import entry_point
from engine.base.errors import DataError, UsageError
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.monitor.kernels import bet
from engine.types.blocks import Floats

Side = Literal["below", "above"]
FRACTIONS = np.geomspace(1 / 64, 0.95, 12)
"""Sizes of the bets, as parts of the largest that can never lose more than its stake."""
MOST_CAPITAL = 1e12
"""What is won beyond this is given away, which keeps the guarantee and numbers finite."""


class MeanEvidence:
    """Evidence that the mean of bounded observations lies on one side of a threshold.

    Args:
        threshold: The mean in question, within the bounds.
        low, high: Bounds of every observation.
        side: Where the mean lies if the evidence grows: "below" the threshold or "above" it.
        any_start: Also look for a change after any observation, rather than betting everything from the first on.
        fractions: Sizes of the bets, as FRACTIONS; larger ones find a large difference sooner.

    Attributes:
        count: Observations so far.

    Raises:
        UsageError: If the threshold is not within the bounds.
    """

    def __init__(
        self,
        threshold: float,
        *,
        low: float = 0.0,
        high: float = 1.0,
        side: Side = "below",
        any_start: bool = False,
        fractions: Floats = FRACTIONS,
    ) -> None:
        if not low < threshold < high:
            raise UsageError(
                "the threshold of a mean must lie between the bounds",
                expected=f"above {low:g} and below {high:g}",
                found=f"{threshold:g}",
            )
        self.threshold, self.low, self.high = threshold, low, high
        self.side: Side = side
        self.any_start = any_start
        room = high - threshold if side == "below" else threshold - low
        self._bets = (fractions if side == "below" else -fractions) / room
        self._capital, self._read = np.zeros(len(fractions)), np.ones(2)
        self._one = np.zeros(1)
        self._quick: Callable[..., Any] | None = None
        self.count = 0

    def reset(self) -> None:
        """Begin again, with an e-value of 1."""
        self._capital[:], self._read[:] = 0.0, 1.0
        self.count = 0

    def update(self, observations: Sequence[float] | Floats) -> None:
        """Take further observations, in order; how they are cut into calls does not matter.

        Raises:
            DataError: If one lies beyond the bounds or is not a number; then none of them is taken.
        """
        for place, value in enumerate(observations):
            if not self.low <= value <= self.high:
                raise DataError(
                    "an observation lies beyond the bounds",
                    where=f"observation {self.count + place + 1}",
                    expected=f"{self.low:g} to {self.high:g}",
                    found=f"{value:g}",
                )
        values = np.array(observations, np.float64)
        bet(values, self.threshold, self._bets, MOST_CAPITAL, self.any_start, self.count, self._capital, self._read)
        self.count += len(values)

    def add(self, observation: float) -> None:
        """Take one observation; as `update` does, and quicker.

        Raises:
            DataError: If it lies beyond the bounds or is not a number; then it is not taken.
        """
        if not self.low <= observation <= self.high:
            self.update([observation])  # which says so
        if self._quick is None:
            self._quick = entry_point(bet, *self._arguments())
        self._one[0] = observation
        self._quick(*self._arguments())
        self.count += 1

    def _arguments(self) -> tuple[Any, ...]:
        bets, most = self._bets, MOST_CAPITAL
        return self._one, self.threshold, bets, most, self.any_start, self.count, self._capital, self._read

    @property
    def value(self) -> float:
        """The e-value: capital, with what has not been staked yet."""
        return float(self._read[0])

    @property
    def largest(self) -> float:
        """Largest e-value so far; what the guarantee is about."""
        return float(self._read[1])

    def proved(self, alpha: float) -> bool:
        """Whether the e-value has ever reached 1/alpha: wrongly so with a chance of at most alpha."""
        return self.largest >= 1.0 / alpha

    def snapshot(self) -> State:
        """The carried state."""
        return snapshot_of(self._made(), self._carried())

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of evidence made alike.
        """
        found = arrays_of(state, self._made(), self._carried())
        self._capital, self._read, self.count = found["capital"], found["read"], int(found["count"][0])

    def _made(self) -> dict[str, Any]:
        bounds = {"threshold": self.threshold, "low": self.low, "high": self.high}
        return {
            "evidence": "mean",
            "side": self.side,
            "any_start": self.any_start,
            "bets": self._bets.tolist(),
            **bounds,
        }

    def _carried(self) -> dict[str, Any]:
        return {"capital": self._capital, "read": self._read, "count": np.array([self.count])}
