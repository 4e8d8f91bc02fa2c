"""Numbers in messages: what a publisher gives to each of its own, so that a reader sees where one is missing.

MQTT has no offsets. `publisher` names who counts and `number` counts its messages from 0, in every message beside the
other fields; a list travels as `items`. Readers that do not know these fields pass them over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from feeds.live.checks import Refused, read_time
from feeds.live.messages import VERSION
from feeds.live.source import MOST_MESSAGE

LONGEST_NAME: Final = 64
_MOST: Final = 2**53
_Number = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
# first bytes of MessagePack: small maps, then small arrays up to small texts, and the larger ones
_FIXMAP, _FIXMAP_END, _FIXSTR = 0x80, 0x90, 0xA0
_MAP16, _ARRAYS = 0xDE, {0xDC, 0xDD}


class Numbered(NamedTuple):
    """Who counts, the number of this message, and the event time of its last element (ns; 0 if it tells none)."""

    publisher: str
    number: int
    ts_event: int


class _Timed(msgspec.Struct):
    timestamp: Any = None
    ts_event: Any = None


class _Stamped(_Timed):
    publisher: _Number | _Name | None = None
    number: _Number | None = None
    items: list[_Timed] | None = None


_JSON, _MSGPACK = msgspec.json.Decoder(_Stamped), msgspec.msgpack.Decoder(_Stamped)


def numbered(payload: bytes, publisher: int, number: int) -> bytes:
    """A message with a number, in the format that it has; one that would become too large stays as it is.

    So does one that is neither an element nor a list.
    """
    fields = {"publisher": publisher, "number": number}
    stamped = _in_msgpack(payload, fields) if payload[:1] >= b"\x80" else _in_json(payload, fields)
    return stamped if len(stamped) <= MOST_MESSAGE else payload


def read_number(payload: bytes) -> Numbered | None:
    """The number of a message; None if it has none, or cannot be read."""
    decoder = _MSGPACK if payload[:1] >= b"\x80" else _JSON
    if payload[:1] == b"[":
        return None
    try:
        found = decoder.decode(payload)
    except (ValueError, RecursionError):
        return None
    if found.publisher is None or found.number is None:
        return None
    return Numbered(str(found.publisher), found.number, _time_of(found.items[-1] if found.items else found))


def _time_of(timed: _Timed) -> int:
    stamp = timed.timestamp if timed.timestamp is not None else timed.ts_event
    if isinstance(stamp, bool) or not isinstance(stamp, int | str):
        return 0
    try:
        return read_time(stamp)
    except Refused:
        return 0


def _in_json(payload: bytes, fields: Mapping[str, int]) -> bytes:
    head = msgspec.json.encode(fields)[:-1] + b","
    if payload[:1] == b"{":
        return head + payload[1:]
    return head + b'"v":%d,"items":' % VERSION + payload + b"}" if payload[:1] == b"[" else payload


def _in_msgpack(payload: bytes, fields: Mapping[str, int]) -> bytes:
    pairs = msgspec.msgpack.encode(fields)[1:]
    first = payload[0]
    if _FIXMAP <= first < _FIXMAP_END:
        return bytes([_MAP16, 0, first - _FIXMAP + len(fields)]) + pairs + payload[1:]
    if not _FIXMAP_END <= first < _FIXSTR and first not in _ARRAYS:
        return payload
    return msgspec.msgpack.encode({**fields, "v": VERSION, "items": msgspec.Raw(payload)})
