"""How far event time has come: the slowest partition says."""

from __future__ import annotations

from typing import Final

NEVER: Final = -(2**63)


class Watermark:
    """The event time up to which partitions have been heard.

    A partition that is there, is not quiet and was never heard holds it back. A partition that speaks is there, and is
    not quiet, until `heard` says otherwise.

    Args:
        lateness_ns: How far behind its newest event a partition may still send older ones, nanoseconds.

    Attributes:
        value: Every event before this time has come; NEVER while a partition holds it back.
        newest: The largest event time of all partitions; NEVER if there was none.
        settled: Nothing is on its way: all partitions are quiet. `value` is then that of the newest event.
        times: The largest event time of each partition, NEVER if it has not been heard.
        known, quiet: Partitions that are there, and those of them that are quiet.
    """

    def __init__(self, lateness_ns: int = 0) -> None:
        self._lateness = lateness_ns
        self.times: dict[str, int] = {}
        self.known: frozenset[str] = frozenset()
        self.quiet: frozenset[str] = frozenset()
        self.restart()

    def restart(self) -> None:
        """Work out the rest anew from `times`, `known` and `quiet`."""
        self.newest = max(self.times.values(), default=NEVER)
        self._speaking = tuple(self.known - self.quiet)
        self.settled = bool(self.known) and not self._speaking
        self._update()

    def advance(self, partition: str, time_ns: int) -> None:
        """Take note of an event."""
        before = self.times.get(partition, NEVER)
        if partition not in self.known or partition in self.quiet:
            self.times[partition] = max(before, time_ns)
            self.heard(self.known | {partition}, self.quiet - {partition})
        elif time_ns > before:
            self.times[partition] = time_ns
            self.newest = max(self.newest, time_ns)
            if before - self._lateness <= self.value:
                self._update()

    def heard(self, partitions: frozenset[str], quiet: frozenset[str]) -> None:
        """Take note of which partitions there are and which of them are quiet."""
        if partitions == self.known and quiet == self.quiet:
            return
        self.known, self.quiet = partitions, quiet & partitions
        for partition in partitions:
            self.times.setdefault(partition, NEVER)
        self.restart()

    def _update(self) -> None:
        slowest = min(map(self.times.__getitem__, self._speaking), default=NEVER)
        if self.settled:
            self.value = self.newest
        elif slowest == NEVER:
            self.value = NEVER
        else:
            self.value = slowest - self._lateness
