"""How fast a run goes and how far it is behind, measured where it is shown."""

from __future__ import annotations

import math

RATE_WINDOW_S = 0.25
RATE_MEMORY_S = 2.0
RECENT_S = 300.0


class Pace:
    """Measures a run by the rows that come.

    Args:
        live: Whether bars arrive as they close; None if the bars tell, from the first one on that is not old.
        factor: Seconds of data a second; None as fast as possible.

    Attributes:
        live: As given, or as determined from the bars.
        rate: Rows a second, smoothed; None until measured.
        lag: Seconds from the close of the last bar to its arrival here; None if that means nothing.
    """

    def __init__(self, live: bool | None, factor: float | None) -> None:
        self.live = live
        self.rate: float | None = None
        self.lag: float | None = None
        self._factor = factor
        self._from: tuple[float, int] | None = None
        self._schedule = math.inf

    def measure(self, now: float, rows: int, ts_event: int) -> None:
        """Take in that rows have come.

        Args:
            now: Wall time, seconds since 1970.
            rows: Rows of the run so far.
            ts_event: Close time of the last one, nanoseconds UTC.
        """
        self._measure_rate(now, rows)
        behind = now - ts_event / 1e9
        if self.live is None and self._factor is None and abs(behind) < RECENT_S:
            self.live = True
        if self.live:
            self.lag = behind
        elif self._factor:
            # a paced replay has no own clock: the earliest any bar came is taken as on time, and a
            # replay that jumps over a closed market resets that
            behind = now - ts_event / 1e9 / self._factor
            self._schedule = min(self._schedule, behind)
            self.lag = behind - self._schedule

    def _measure_rate(self, now: float, rows: int) -> None:
        if self._from is None or now < self._from[0]:
            self._from = now, rows
            return
        since, before = self._from
        elapsed = now - since
        if elapsed < RATE_WINDOW_S:
            return
        measured = (rows - before) / elapsed
        weight = 1.0 - math.exp(-elapsed / RATE_MEMORY_S)
        self.rate = measured if self.rate is None else self.rate + weight * (measured - self.rate)
        self._from = now, rows
