"""Offsets in a Kafka log: where to resume, and how to check that it is still the same log."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from engine.base.errors import DataError


@dataclass(frozen=True, slots=True)
class ResumeOffset:
    """A place in one partition.

    Attributes:
        crc: CRC-32 of the last message, which had the offset before; None if there was none.
    """

    next: int
    crc: int | None = None

    @property
    def text(self) -> str:
        """As it is kept with the effects of what came before it."""
        return json.dumps({"next": self.next} if self.crc is None else {"next": self.next, "crc32": f"{self.crc:08x}"})

    @staticmethod
    def after(offset: int, payload: bytes) -> ResumeOffset:
        """The place behind a message."""
        return ResumeOffset(offset + 1, zlib.crc32(payload))

    def follows(self, offset: int, payload: bytes) -> bool:
        """Whether a message is the one before this place."""
        return offset == self.next - 1 and zlib.crc32(payload) == self.crc


def read_offsets(positions: Mapping[str, str]) -> dict[str, ResumeOffset]:
    """Read places back.

    Raises:
        DataError: If a text is none of ours.
    """
    return {name: _read(name, text) for name, text in positions.items()}


def _read(name: str, text: str) -> ResumeOffset:
    try:
        values = json.loads(text)
        crc = values.get("crc32")
        return ResumeOffset(int(values["next"]), None if crc is None else int(crc, 16))
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
        check: Whether the first message is the last one we had, and must prove it.
        notice: What the operator should know, if anything.
    """

    seek: int
    resume: ResumeOffset
    check: bool = False
    notice: str | None = None


def place(name: str, resume: ResumeOffset, start: int) -> Placed:
    """Find a place in a log as it is now.

    Args:
        start: Offset of the first message there is.
    """
    if start > resume.next:
        lost = start - resume.next
        notice = f"{name}: {lost:,} message{'s are' if lost > 1 else ' is'} lost: the log begins at {start} now, "
        notice += f"but {resume.next} was expected; resuming from there"
        return Placed(start, ResumeOffset(start), notice=notice)
    if resume.crc is None or start == resume.next:
        return Placed(resume.next, resume)
    return Placed(resume.next - 1, resume, check=True)


def place_again(name: str, resume: ResumeOffset, start: int, why: str) -> Placed:
    """Begin a log from its start because our place in it is not there."""
    if start > resume.next:
        return place(name, resume, start)
    notice = f"{name}: the log was replaced or cut ({why}); resuming from its earliest message"
    return Placed(start, ResumeOffset(start), notice=notice)
