"""How far a partition's own messages may move its time: a jump ahead waits until later messages confirm it."""

from __future__ import annotations

from statistics import median_low
from typing import Final, Literal, NamedTuple

import msgspec

from feeds.live.merging.watermark import NEVER
from feeds.live.messages import Element

# distinct times that confirm a jump, at most; and lower ones, coming after, that refute it
CONFIRMATIONS: Final = 5
# a jump of so many paces is believed once its partition is drained and silent
NEAR_PACES: Final = 20
STEPS_KEPT: Final = 15
MOST_FOLLOWED: Final = 64
# of fewer steps one long gap would be the median
_STEPS_FOR_MEDIAN: Final = 5

Mode = Literal["waiting", "drained", "ended"]


class Rules(NamedTuple):
    """How much confirmation a jump needs.

    Attributes:
        width: Length of a bar, nanoseconds.
        lateness: How far behind the newest element others may come, nanoseconds.
        confirmations: Most distinct times that a jump needs, its own included; 1 believes every jump.
    """

    width: int
    lateness: int = 0
    confirmations: int = CONFIRMATIONS

    def needed(self, paces: int | None, *, drained: bool) -> int:
        """Distinct times that a jump of so many paces needs; None stands for the first time of a partition."""
        if paces is None:
            return min(2 if drained else self.confirmations, self.confirmations)
        if paces <= 1 or (drained and paces <= NEAR_PACES):
            return 0
        return min(paces, self.confirmations)


class Held(msgspec.Struct, array_like=True, gc=False):
    """An element that waits for its time to be confirmed.

    Attributes:
        time_ns: Its event time, nanoseconds UTC.
        column: Of its symbol.
        offset, payload: Of its message, for a dead letter.
        element: As it was sent.
        fresh: Whether nothing has moved its partition's time forward since it came.
        doubts: Distinct times before its own that came after it.
    """

    time_ns: int
    column: int
    offset: int
    payload: bytes
    element: Element
    fresh: bool = True
    doubts: int = 0


class Lane(msgspec.Struct, array_like=True):
    """What one partition tells of time.

    A message within reach of those before it, one pace and the lateness ahead of the newest, counts at once. One
    further ahead is held: released from the lowest time on, once as many distinct times were held as it would skip
    bars (`confirmations` at most), and refused once as many lower ones have come after it. So neither a single wrong
    clock nor a few wrong messages in a row move the time past bars that are still to come, and a week-end, where
    only higher times follow, costs a short wait and no bar.

    Attributes:
        newest: The largest event time that counted, NEVER before the first.
        reach: The time up to which the next one counts at once.
        live: Whether the newest was close to the wall clock when it came.
        pace: The usual distance between two times, at least the length of a bar; 0 before there are two.
        steps: The last distances between distinct times that counted.
        held: In order of arrival.
    """

    newest: int = NEVER
    reach: int = NEVER
    live: bool = False
    pace: int = 0
    steps: list[int] = []
    held: list[Held] = []

    def advance(self, time_ns: int, rules: Rules, *, live: bool) -> None:
        """Take note of a time that counts and is the newest."""
        if self.newest != NEVER:
            self._step(time_ns - self.newest, rules.width)
        self.newest, self.live = time_ns, live
        # a symbol that trades once in five bars is not ahead of itself
        self.reach = time_ns + rules.lateness + max(self.pace, rules.width)

    def _step(self, step: int, width: int) -> None:
        steps = self.steps
        steps.append(step)
        gone = steps.pop(0) if len(steps) > STEPS_KEPT else None
        if step != self.pace or gone != step:  # as nearly always: nothing changes
            self.pace = width if len(steps) < _STEPS_FOR_MEDIAN else max(width, median_low(steps))

    def follow(self, held: Held, rules: Rules, *, live: bool) -> None:
        """Take note of the time of a message that is not used itself."""
        time_ns = held.time_ns
        if self.newest < time_ns <= self.reach or (self.live and live and time_ns > self.newest):
            self.advance(time_ns, rules, live=live)
        elif time_ns > self.reach and len(self.held) < MOST_FOLLOWED:
            if self.hold(held):
                self.doubt(time_ns, moved=False)
            through = self.confirmed(rules)
            if self.release(through, rules.width):
                self.advance(through, rules, live=live)
            self.refuted(rules.confirmations)

    def hold(self, held: Held) -> bool:
        """Keep an element; returns whether its time is another than those held since time moved last."""
        is_new = all(one.time_ns != held.time_ns or not one.fresh for one in self.held)
        self.held.append(held)
        return is_new

    def doubt(self, time_ns: int, *, moved: bool) -> None:
        """Take note of a distinct time that came after what is held.

        Args:
            moved: Whether it counted and moved the partition's time.
        """
        for one in self.held:
            one.doubts += one.time_ns > time_ns
            one.fresh = one.fresh and not moved

    def confirmed(self, rules: Rules, mode: Mode = "waiting") -> int:
        """The largest time up to which what is held may be released, NEVER if nothing may.

        Args:
            mode: `waiting` for more, `drained` and silent for now, or `ended`.
        """
        if mode == "ended":
            return max((one.time_ns for one in self.held), default=NEVER)
        pace, newest, through = max(self.pace, rules.width), self.newest, NEVER
        fresh = sorted({one.time_ns for one in self.held if one.fresh})
        for time_ns in sorted({one.time_ns for one in self.held}):
            # rounded up: a time between two paces skips the lower one
            paces = None if newest == NEVER else -(-(time_ns - newest - rules.lateness) // pace)
            if sum(one >= time_ns for one in fresh) < rules.needed(paces, drained=mode == "drained"):
                break
            newest = through = time_ns
        return through

    def release(self, through: int, width: int) -> list[Held]:
        """Take out what is held up to a time, row by row, and within a row in order of arrival."""
        # elements of one row go in together, since letting in a later time may close it
        released = sorted(
            (one for one in self.held if one.time_ns <= through), key=lambda one: -(-one.time_ns // width)
        )
        self.held = [one for one in self.held if one.time_ns > through]
        return released

    def refuted(self, doubts: int) -> list[Held]:
        """Take out what so many lower times have come after."""
        wrong = [one for one in self.held if one.doubts >= doubts]
        self.held = [one for one in self.held if one.doubts < doubts]
        return wrong
