"""Bounds on what compressed messages of Kafka unpack to.

The client unpacks a batch at once, whatever comes out of it: a megabyte of packed zeros is a gigabyte. It has no
setting for this, so its functions that unpack, and its iterator over the records of an answer, are replaced by bounded
ones. A batch that unpacks to too much, or cannot be read at all, becomes one record that says so.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from aiokafka.consumer import fetcher
from aiokafka.errors import UnsupportedCodecError

from engine.types.dead_letter import MOST_PAYLOAD
from feeds.live.source import MOST_MESSAGE, Record

# of one batch
MOST_UNPACKED: Final = 8 << 20
# of all batches that are read at once; those behind them are asked for again
MOST_AT_ONCE: Final = 4 << 20
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16


class Oversize(bytes):
    """The beginning of a message that is too large, and what about it is."""

    what: str

    def __new__(cls, payload: bytes, what: str) -> Oversize:
        """A message of these bytes."""
        made = super().__new__(cls, payload)
        made.what = what
        return made


def as_records(value: Any) -> Any:
    """As the `value_deserializer` of a consumer: it gives a `Record` for each message, at less cost than its own."""
    return value


class Budget:
    """Bytes unpacked since messages were last asked for; the caller sets them to 0 then."""

    spent = 0


class PassedOver:
    """Offsets of batches that hold no message to be read (marks of transactions, what was aborted), by partition.

    What is missing between two messages beyond these is not in the log any more.
    """

    offsets: ClassVar[dict[str, int]] = {}

    @classmethod
    def count(cls, partition: str, offsets: int) -> None:
        """Count what lies between the last message of a partition and its next one."""
        cls.offsets[partition] = cls.offsets.get(partition, 0) + offsets

    @classmethod
    def take(cls, partition: str) -> int:
        """What was counted since the last call."""
        return cls.offsets.pop(partition, 0)


def install() -> None:
    """Let the client unpack within bounds, from now on and in the whole process."""
    if fetcher.PartitionRecords is _Records:
        return
    fetcher.PartitionRecords = _Records
    for package in ("aiokafka.record", "aiokafka.record._crecords"):
        for module in ("default_records", "legacy_records"):
            try:
                home = import_module(f"{package}.{module}")
            except ImportError:  # a client without compiled parts
                continue
            for name, unpack in _UNPACK.items():
                if hasattr(home, f"{name}_decode"):
                    setattr(home, f"{name}_decode", _counted(unpack))


class _TooMuchError(Exception):
    """A batch unpacks to more than MOST_UNPACKED bytes."""


class _EnoughError(Exception):
    """What follows is for the next time that messages are asked for."""


class _Records(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of an answer, each batch read within bounds."""

    def __init__(self, tp: Any, records: Any, *others: Any) -> None:
        self._partition = f"{tp.topic}/{tp.partition}"
        super().__init__(tp, _Batches(records, self._partition), *others)

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except _EnoughError:
            self._records_iterator = None
            raise StopIteration from None

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        value = record.value
        if self._value_deserializer is as_records:
            if value is None or len(value) <= MOST_MESSAGE:
                what = value.what if isinstance(value, Oversize) else ""
                return Record(self._partition, record.offset, b"" if value is None else bytes(value), what)
            return Record(self._partition, record.offset, bytes(value[:MOST_PAYLOAD]), f"{len(value):,} bytes")
        made = super()._consumer_record(tp, record)
        if value is not None and len(value) > MOST_MESSAGE:
            made.value = Oversize(value[:MOST_PAYLOAD], f"{len(value):,} bytes")
        return made


class _Batches:
    def __init__(self, records: Any, partition: str) -> None:
        self._records, self._partition = records, partition
        self.has_next = records.has_next

    def next_batch(self) -> _Batch:
        return _Batch(self._records.next_batch(), self._partition)


class _Batch:
    """A batch of which iterating never fails; one that is not iterated was passed over, and is no hole."""

    def __init__(self, batch: Any, partition: str) -> None:
        self._batch, self._partition = batch, partition
        self._size = batch.next_offset - getattr(batch, "base_offset", batch.next_offset)
        PassedOver.count(partition, self._size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        PassedOver.count(self._partition, -self._size)
        if Budget.spent >= MOST_AT_ONCE:
            raise _EnoughError
        try:
            yield from self._batch
        except UnsupportedCodecError:
            raise
        except _TooMuchError:
            yield self._stand_in(f"a batch of messages that unpacks to more than {MOST_UNPACKED:,} bytes")
        except Exception as error:  # the unpackers' own, each another; the next batch may be a good one
            yield self._stand_in(f"a batch of messages that cannot be read: {str(error) or type(error).__name__}")

    def _stand_in(self, what: str) -> SimpleNamespace:
        PassedOver.count(self._partition, self._size - 1)  # one letter stands for all of them
        return SimpleNamespace(
            offset=self._batch.next_offset - 1,
            key=None,
            value=Oversize(b"", what),
            timestamp=-1,
            timestamp_type=0,
            checksum=None,
            headers=(),
        )


def _counted(unpack: Callable[[bytes], bytes]) -> Callable[[Any], bytes]:
    def counted(payload: Any) -> bytes:
        unpacked = unpack(bytes(payload))
        Budget.spent += len(unpacked)
        return unpacked

    return counted


def _gzip(payload: bytes) -> bytes:
    found = bytearray()
    while payload:
        unpacking = zlib.decompressobj(wbits=31)
        found += unpacking.decompress(payload, MOST_UNPACKED + 1 - len(found))
        if len(found) > MOST_UNPACKED:
            raise _TooMuchError
        if not unpacking.eof:
            raise EOFError("the compressed data end too early")
        payload = unpacking.unused_data.lstrip(b"\x00")
    return bytes(found)


def _snappy(payload: bytes) -> bytes:
    from cramjam import snappy  # noqa: PLC0415 - optional, and only where it is used

    found = bytearray()
    for block in _snappy_blocks(payload):
        if snappy.decompress_raw_len(block) > MOST_UNPACKED - len(found):
            raise _TooMuchError
        found += bytes(snappy.decompress_raw(block))
    return bytes(found)


def _snappy_blocks(payload: bytes) -> Iterator[bytes]:
    if not payload.startswith(_XERIAL):
        yield payload
        return
    at = _XERIAL_HEADER_BYTES
    while at < len(payload):
        (size,) = struct.unpack_from("!I", payload, at)
        yield payload[at + 4 : at + 4 + size]
        at += 4 + size


def _into(codec: str) -> Callable[[bytes], bytes]:
    """An unpacker that writes into a buffer of the largest size."""

    def unpack(payload: bytes) -> bytes:
        import cramjam  # noqa: PLC0415 - optional, and only where it is used

        buffer = bytearray(MOST_UNPACKED)
        size = getattr(cramjam, codec).decompress_into(payload, buffer)
        return bytes(memoryview(buffer)[:size])

    return unpack


_UNPACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": _gzip,
    "snappy": _snappy,
    "lz4": _into("lz4"),
    "zstd": _into("zstd"),
}
