"""The fields of a message as protobuf writes them, one after the other, without a schema."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Field = tuple[int, int | memoryview]


def text_of(value: int | memoryview) -> str:
    """Text, its first 64 bytes at most, for comparison and for messages."""
    return "a number" if isinstance(value, int) else bytes(value[:64]).decode("utf-8", "replace")


def fields_of(content: memoryview) -> Iterator[Field]:
    """Number and value of each field of a message; fixed numbers as their bytes.

    Raises:
        ValueError: If a field is cut off or of a wire type that is not known.
        IndexError: If the message ends within a number.
    """
    at, end = 0, len(content)
    while at < end:
        key, at = varint(content, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = varint(content, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = varint(content, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"a field has wire type {wire}")
        if at + size > end:
            raise ValueError("a field is cut off")
        yield number, content[at : at + size]
        at += size


def varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends.

    Raises:
        ValueError: If it has no end.
        IndexError: If the message ends before.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ValueError("a number has no end")
