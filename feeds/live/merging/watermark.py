"""How far event time has come: the slowest partition says."""

from __future__ import annotations

from typing import Final

NEVER: Final = -(2**63)
# a partition that is so many bars ahead of all others closes rows only after so many steps of its own
FAR_BARS: Final = 60
STEPS_ALONE: Final = 5


class Watermark:
    """The event time up to which partitions have been heard.

    A partition that is there, is not quiet and was never heard holds it back. A partition that speaks is there, and is
    not quiet, until `heard` says otherwise. One that is far ahead of all others does not decide for them, until it has
    gone on alone for some time.

    Args:
        lateness_ns: How far behind its newest event a partition may still send older ones, nanoseconds.
        far_ns: How far is far ahead, nanoseconds.

    Attributes:
        value: Every event before this time has come; NEVER while a partition holds it back.
        newest: The largest event time of all partitions; NEVER if there was none.
        settled: Nothing is on its way: all partitions are quiet. `value` is then that of the newest event.
        times: The largest event time of each partition, NEVER if it has not been heard.
        known, quiet: Partitions that are there, and those of them that are quiet.
        alone: How often the leading partition has moved on since another one did.
    """

    def __init__(self, lateness_ns: int = 0, far_ns: int = 2**62) -> None:
        self._lateness, self._far = lateness_ns, far_ns
        self.times: dict[str, int] = {}
        self.known: frozenset[str] = frozenset()
        self.quiet: frozenset[str] = frozenset()
        self.alone = 0
        self.value = NEVER
        self.restart()

    def restart(self) -> None:
        """Work out the rest anew from `times`, `known`, `quiet` and `alone`."""
        self.newest = max(self.times.values(), default=NEVER)
        self._speaking = tuple(self.known - self.quiet)
        self.settled = bool(self.known) and not self._speaking
        self._update()

    def advance(self, partition: str, time_ns: int) -> None:
        """Take note of an event."""
        before = self.times.get(partition, NEVER)
        if time_ns > before:
            leads = time_ns > self.newest and self.newest in {before, NEVER}
            self.alone = self.alone + 1 if leads else int(time_ns > self.newest)
        if partition not in self.known or partition in self.quiet:
            self.times[partition] = max(before, time_ns)
            self.heard(self.known | {partition}, self.quiet - {partition})
        elif time_ns > before:
            self.times[partition] = time_ns
            self.newest = max(self.newest, time_ns)
            # only the slowest partition, or any while some are quiet, can move the value
            if before - self._lateness <= self.value or self.quiet:
                self._update()

    def follow(self, partition: str, time_ns: int) -> bool:
        """Take note of the next event of a partition that is the only one, as `advance` does; else do nothing."""
        times = self.times
        if len(times) != 1 or self.quiet or partition not in self.known or len(self.known) != 1:
            return False
        if not times[partition] == self.newest == self.value < time_ns or self._lateness:
            return False
        times[partition] = self.newest = self.value = time_ns
        self.alone += 1
        return True

    def speaks(self, partition: str) -> None:
        """A partition that is there has sent what does not count yet: it is waited for."""
        if partition in self.quiet:
            self.heard(self.known, self.quiet - {partition})

    def heard(self, partitions: frozenset[str], quiet: frozenset[str]) -> None:
        """Take note of which partitions there are and which of them are quiet."""
        if partitions == self.known and quiet == self.quiet:
            return
        self.known, self.quiet = partitions, quiet & partitions
        for partition in partitions:
            self.times.setdefault(partition, NEVER)
        self.restart()

    def end(self) -> None:
        """Nothing will follow: no partition is ahead of what others may still send."""
        self.alone = STEPS_ALONE

    def _update(self) -> None:
        slowest = min(map(self.times.__getitem__, self._speaking), default=NEVER)
        if self.settled:
            self.value = self.newest
        elif slowest == NEVER:
            self.value = NEVER
        else:
            self.value = slowest - self._lateness
        if self.quiet and self.alone < STEPS_ALONE:
            self._hold_back()

    def _hold_back(self) -> None:
        """Keep the value near the partitions behind the leading one."""
        others = sorted(self.times.values())[-2:-1]
        if others and others[0] != NEVER:
            self.value = min(self.value, others[0] + self._far)
