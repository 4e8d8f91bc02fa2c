"""What a publisher says before its bars: how many follow. One that stops early differs from a feed that ended."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from feeds.live.messages import VERSION
from feeds.live.source import Record

_MOST: Final = 2**53
_Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
LONGEST_NAME: Final = 100
MOST_NAMES: Final = 16
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]


class Announcement(msgspec.Struct, frozen=True, tag_field="type", tag="begin"):
    """Bars follow.

    Attributes:
        id: Of the publishing, so that one that comes twice counts once.
        bars: How many bars will follow.
        v: Version of the schema.
        synthetic: Names of the files among them whose bars are made up.
    """

    id: _Count
    bars: _Count
    v: Literal[1] = VERSION
    synthetic: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=MOST_NAMES)] = ()


def encode_announcement(announcement: Announcement, *, format: Literal["json", "msgpack"]) -> bytes:  # noqa: A002
    """An announcement as a message."""
    module: Any = getattr(msgspec, format)
    return bytes(module.encode(announcement))


def read_announcement(record: Record) -> Announcement | None:
    """The announcement that a message is; None if it is none."""
    # JSON begins with ASCII, a MessagePack map does not
    module: Any = msgspec.msgpack if record.payload[:1] >= b"\x80" else msgspec.json
    try:
        found: Announcement = module.decode(record.payload, type=Announcement)
    except (ValueError, RecursionError):
        return None
    return found
