"""Offsets in a Kafka log: where to resume, and how to check that it is still the same log."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.base.errors import DataError

GONE: Final = json.dumps({"gone": True})
"""In place of the offset of a partition that there is no more."""


@dataclass(frozen=True, slots=True)
class ResumeOffset:
    """A place in one partition.

    Attributes:
        crc: CRC-32 of the last message, which had an offset before; None if there was none.
        topic: Id of the topic; None where the servers tell none.
        end: Where the log ended at least when the place was taken; None if that was not known.
    """

    next: int
    crc: int | None = None
    topic: str | None = None
    end: int | None = None

    @property
    def text(self) -> str:
        """As it is kept with the effects of what came before it."""
        crc = None if self.crc is None else f"{self.crc:08x}"
        parts = {"next": self.next, "crc32": crc, "topic": self.topic, "end": self.end}
        return json.dumps({name: value for name, value in parts.items() if value is not None})

    def after(self, offset: int, payload: bytes, end: int | None = None) -> ResumeOffset:
        """The place behind a message.

        Args:
            end: Where the log ends now, if that is known.
        """
        known = max((one for one in (end, self.end) if one is not None), default=None)
        return replace(self, next=offset + 1, crc=zlib.crc32(payload), end=known)

    def follows(self, offset: int, payload: bytes) -> bool:
        """Whether a message is the one before this place."""
        return offset == self.next - 1 and zlib.crc32(payload) == self.crc


def read_offsets(positions: Mapping[str, str]) -> dict[str, ResumeOffset]:
    """Read places back; those of partitions that were gone are left out.

    Raises:
        DataError: If a text is none of ours.
    """
    return {name: _read(name, text) for name, text in positions.items() if text != GONE}


def _read(name: str, text: str) -> ResumeOffset:
    try:
        values: dict[str, Any] = json.loads(text)
        crc, topic, end = (values.get(key) for key in ("crc32", "topic", "end"))
        return ResumeOffset(
            int(values["next"]),
            None if crc is None else int(crc, 16),
            None if topic is None else str(topic),
            None if end is None else int(end),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            "a position that was kept cannot be read",
            where=name,
            expected=ResumeOffset(7, 1).text,
            found=repr(text[:80]),
            hint="the journal was written by another version or by hand",
        ) from error


@dataclass(frozen=True, slots=True)
class Placed:
    """Where reading of one partition begins.

    Attributes:
        resume: The place as it is known to be.
        check: Whether the first message may be the one before the place: it must prove to be the last one that we had,
            or where we had none, shows what comes before the place.
        notice: What the operator should know, if anything.
    """

    seek: int
    resume: ResumeOffset
    check: bool = False
    notice: str | None = None


def begin(at: int, start: int, topic: str | None, end: int | None = None) -> Placed:
    """Begin a log that was not read before.

    Args:
        at: Where.
        start: Offset of the first message there is.
        end: Where it ends, if that is known.
    """
    return Placed(max(at - 1, start), ResumeOffset(at, topic=topic, end=end), check=at > start)


def place(name: str, resume: ResumeOffset, start: int, topic: str | None) -> Placed:
    """Find a place in a log as it is now.

    Args:
        start: Offset of the first message there is.
        topic: Id of the topic now; None where the servers tell none.
    """
    if None not in {resume.topic, topic} and resume.topic != topic:
        notice = f"{name}: the topic was made again since it was read; resuming from its earliest message"
        return Placed(start, ResumeOffset(start, topic=topic), notice=notice)
    resume = replace(resume, topic=topic or resume.topic)
    if start > resume.next:
        lost = start - resume.next
        notice = f"{name}: {lost:,} message{'s are' if lost > 1 else ' is'} lost: the log begins at {start} now, "
        notice += f"but {resume.next} was expected; resuming from there"
        return Placed(start, ResumeOffset(start, topic=resume.topic), notice=notice)
    if start == resume.next:
        return Placed(resume.next, resume)
    if resume.crc is None and resume.topic is None:
        notice = f"{name}: nothing shows whether this is the log that was read up to {resume.next}: no message of it "
        notice += "was read before, and the servers tell no id of the topic; resuming there"
        return Placed(resume.next, resume, notice=notice)
    return Placed(resume.next - 1, resume, check=True)


def place_again(name: str, resume: ResumeOffset, start: int, why: str) -> Placed:
    """Begin a log from its start because our place in it is not there."""
    if start > resume.next:
        return place(name, resume, start, resume.topic)
    notice = f"{name}: the log was replaced or cut ({why}); resuming from its earliest message"
    return Placed(start, ResumeOffset(start, topic=resume.topic), notice=notice)


def shortened(name: str, resume: ResumeOffset, end: int) -> tuple[ResumeOffset, str]:
    """The place in a log that has lost messages behind it, and what the operator should know of that."""
    notice = f"{name}: the log ends at {end} now, but reached {resume.end} before: messages were cut off, and what "
    return replace(resume, end=end), notice + "was not read of them is lost"


def missing(name: str, count: int, end: int) -> str:
    """What the operator should know of offsets without a message, the last of them before `end`."""
    are = "messages before" if count > 1 else "message before"
    return f"{name}: {count:,} {are} {end} are lost: the log has no message at their offsets (was it compacted?)"
