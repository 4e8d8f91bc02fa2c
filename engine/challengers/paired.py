"""Is a challenger better than the champion? A paired test that may be read after every block of bars.

Both trade the same bars, so what is tested are differences: the net return of the challenger over a block less that of
the champion. The hypothesis is that, whatever came before, the mean difference is at most the margin; the evidence
against it is a betting e-process (`engine.monitor.evidence`), valid at every moment at which it is read.

The bets need a bound below: losses count in full down to it, the kill switch, and gains only up to a cap. Cutting the
losses off as well would promote sellers of tails, whose rare large losses would count as small ones; cutting off gains
costs power only. `python -m benchmarks.challengers` measures both.

One who starts many challengers finds a lucky one. The k-th ever started has to reach 1/alpha_k, where
alpha_k = 6 alpha / (pi^2 k^2): all of them add up to alpha, however many there will be.

Blocks must be long enough that their differences do not follow each other. Their lag-1 correlation is measured, and
while it is above MOST_CORRELATION by more than a standard error, blocks from there on are twice as long, and nobody is
promoted. What was won before stays won: the length of a block is decided before the block begins.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.base.restoring import arrays_of, parts_of, snapshot_of
from engine.base.state import State
from engine.monitor.evidence import MeanEvidence
from engine.types.blocks import Floats

FRACTIONS: Floats = np.geomspace(1 / 8, 0.95, 6)
"""Bets for differences whose standard deviation is a tenth of the bound or less, where small bets win too slowly."""
MOST_CORRELATION = 0.05
FIRST_LOOK = 64
"""Blocks of one length after which their correlation is looked at first; then at twice as many, and so on."""
LONGEST = 64
"""Blocks never grow beyond so many of the configured length."""


def threshold(alpha: float, number: int) -> float:
    """The e-value that promotes the k-th challenger ever started, counted from 1."""
    return math.pi**2 * number**2 / (6.0 * alpha)


class PairedTest:
    """Evidence that a challenger's mean net return over blocks exceeds the champion's by more than a margin.

    Args:
        bound: The largest loss against the champion in one block, as a fraction; more counts as this much.
        gain_cap: The largest gain that counts, as a fraction.
        margin: By how much it must be better in a block, as a fraction.

    Attributes:
        length: Blocks of the configured length that are one block of the test now.
        beyond: Whether it has ever lost more than the bound in one block.

    Raises:
        UsageError: If the margin is not between the bound and the cap.
    """

    def __init__(self, *, bound: float, gain_cap: float, margin: float = 0.0) -> None:
        self._evidence = MeanEvidence(margin, low=-bound, high=gain_cap, side="above", fractions=FRACTIONS)
        self.length = 1
        self.beyond = False
        self._open = np.zeros(3)  # growth of both and how many short blocks, within the block that is not complete
        self._begin_block()
        self._moments = np.zeros(6)
        self._correlated = False

    def add(self, challenger: float, champion: float) -> None:
        """Take the net returns of both over the next block of the configured length, as fractions.

        A block in which neither book moved (no position, or a closed market) says nothing and is passed over.
        """
        if challenger == 0.0 and champion == 0.0 and not self._open[2]:
            return
        self._open[0] *= 1.0 + challenger
        self._open[1] *= 1.0 + champion
        self._open[2] += 1.0
        if self._open[2] < self.length:
            return
        difference = float(self._open[0] - self._open[1])
        self._begin_block()
        self.beyond = self.beyond or difference < self._evidence.low
        self._evidence.update((min(max(difference, self._evidence.low), self._evidence.high),))
        self._measure(difference)

    @property
    def blocks(self) -> int:
        """Complete blocks so far."""
        return self._evidence.count

    @property
    def e_value(self) -> float:
        """The evidence so far; 1 at the beginning."""
        return self._evidence.value

    @property
    def correlated(self) -> bool:
        """Whether the differences follow each other, as far as the last look at their correlation tells."""
        return self._correlated

    @property
    def mean(self) -> float:
        """Of the differences of the present length, as a fraction; 0 before the first."""
        count = self._moments[0]
        return float(self._moments[1] / count) if count else 0.0

    @property
    def deviation(self) -> float:
        """Standard deviation of the differences of the present length; 0 before the second."""
        count = self._moments[0]
        if count < 2:
            return 0.0
        return math.sqrt(max(0.0, float(self._moments[2]) / count - self.mean**2))

    @property
    def correlation(self) -> float:
        """Correlation of one difference with the next one; 0 where it is not known."""
        count, total, squares, products, first, last = self._moments.tolist()
        mean = self.mean
        spread = squares - count * mean**2
        if count < 3 or spread <= 0.0:
            return 0.0
        return (products - mean * (2.0 * total - first - last) + (count - 1.0) * mean**2) / spread

    def snapshot(self) -> State:
        """The carried state."""
        return {"evidence": self._evidence.snapshot(), "blocks": snapshot_of(self._made(), self._carried())}

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a test made alike.
        """
        parts = parts_of(state, ("evidence", "blocks"))
        self._evidence.restore(parts["evidence"])
        found = arrays_of(parts["blocks"], self._made(), self._carried())
        self._open, self._moments = found["open"], found["moments"]
        length, beyond, correlated = found["flags"].tolist()
        self.length, self.beyond, self._correlated = int(length), bool(beyond), bool(correlated)

    def _begin_block(self) -> None:
        self._open[:] = (1.0, 1.0, 0.0)

    def _measure(self, difference: float) -> None:
        """Add to the moments, and look at the correlation now and then."""
        moments = self._moments
        if moments[0]:
            moments[3] += moments[5] * difference
        else:
            moments[4] = difference
        moments[0] += 1.0
        moments[1] += difference
        moments[2] += difference * difference
        moments[5] = difference
        count = int(moments[0])
        if count < FIRST_LOOK or count & (count - 1):
            return
        self._correlated = self.correlation > MOST_CORRELATION + 1.0 / math.sqrt(count)
        if self._correlated and self.length < LONGEST:
            self.length *= 2
            moments[:] = 0.0

    def _made(self) -> dict[str, Any]:
        return {"test": "paired"}

    def _carried(self) -> dict[str, Any]:
        flags = np.array([self.length, self.beyond, self._correlated], np.int64)
        return {"open": self._open, "moments": self._moments, "flags": flags}
