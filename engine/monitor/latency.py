"""How long transactions take: the last ones exactly, however long the session is."""

from __future__ import annotations

from collections import deque

KEPT = 4096


class Latencies:
    """Percentiles over the last transactions.

    Attributes:
        count: Transactions so far.
    """

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=KEPT)
        self.count = 0

    def add(self, seconds: float) -> None:
        """Take in one."""
        self._kept.append(seconds)
        self.count += 1

    def percentile(self, share: float) -> float | None:
        """Seconds that a share of the last transactions stayed within; None before the first."""
        if not self._kept:
            return None
        ranked = sorted(self._kept)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
