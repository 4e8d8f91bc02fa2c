"""TensorBoard's event files, written without TensorBoard: only looking at them needs the package.

A file is a sequence of records: length (uint64), masked CRC-32C of the length, payload, masked CRC-32C of the payload,
all little-endian (`tensorflow/core/lib/io/record_writer.h`). A payload is the protocol buffer `tensorflow.Event`
(`event.proto`, `summary.proto`); of its fields five are written here.

`torch.utils.tensorboard` writes the same files, but only where `tensorboard` is installed, which brings grpcio,
protobuf, werkzeug, pillow and a data server: too much for a few scalars in every installation that trains.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

POLYNOMIAL = 0x82F63B78
MASK_DELTA = 0xA282EAD8
VERSION = b"brain.Event:2"
DOUBLE, BYTES, FLOAT, VARINT = 1, 2, 5, 0
SESSION_START = 1


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(content: bytes) -> int:
    """Castagnoli's cyclic redundancy check (RFC 3720, appendix B.4)."""
    value, table = 0xFFFFFFFF, _TABLE
    for byte in content:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def framed(payload: bytes) -> bytes:
    """A payload as a record of the file."""
    length = struct.pack("<Q", len(payload))
    return length + _masked(length) + payload + _masked(payload)


def version_event(wall_time: float) -> bytes:
    """The record that a file begins with; `wall_time` in seconds since 1970."""
    return framed(_event(wall_time, 0) + _nested(3, VERSION))


def session_event(wall_time: float, step: int) -> bytes:
    """The record that says: what was written for this step and later ones before is void."""
    return framed(_event(wall_time, step) + _nested(7, _tag(1, VARINT) + _varint(SESSION_START)))


def scalars_event(wall_time: float, step: int, scalars: Mapping[str, float]) -> bytes:
    """The record that gives each name a value at a step, 0 or later."""
    values = [
        _nested(1, _nested(1, name.encode()) + _tag(2, FLOAT) + struct.pack("<f", _single(value)))
        for name, value in scalars.items()
    ]
    return framed(_event(wall_time, step) + _nested(5, b"".join(values)))


def _event(wall_time: float, step: int) -> bytes:
    return _tag(1, DOUBLE) + struct.pack("<d", wall_time) + _tag(2, VARINT) + _varint(step)


def _single(value: float) -> float:
    """What a 32-bit float can hold, the greatest where it is too great."""
    most = 3.4028234e38
    return min(max(value, -most), most)


def _nested(field: int, content: bytes) -> bytes:
    return _tag(field, BYTES) + _varint(len(content)) + content


def _tag(field: int, kind: int) -> bytes:
    return bytes([field << 3 | kind])


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _masked(content: bytes) -> bytes:
    value = crc32c(content)
    return struct.pack("<I", ((value >> 15 | value << 17) + MASK_DELTA) & 0xFFFFFFFF)
