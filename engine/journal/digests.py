"""A digest for every row that decides what comes next, and a seal over all of them.

A row carries the digest of its own values, so that a changed bit is noticed where it is read; the seal, written with
every transaction, holds the number of rows and their combined digest, so that a lost row is noticed, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from hashlib import blake2b
from operator import xor
from typing import Final

import msgspec

# tables whose rows carry a digest, as the last column, and the place of their key
SEALED: Final[Mapping[str, str]] = {
    "meta": "key, value",
    "operations": "id, seq, ts_event, kind, by",
    "activations": "seq, version, sha256",
    "positions": "partition, position",
    "state": "name, seq, body",
    "counters": "name, value",
}
Key = str | int


class Seal(msgspec.Struct, array_like=True, frozen=True):
    """What a journal holds.

    Attributes:
        next_seq: Number of the row that comes next.
        rows: Rows of each sealed table.
        totals: The combination of their digests, each by exclusive or.
    """

    next_seq: int
    rows: dict[str, int]
    totals: dict[str, int]


def digest_of(table: str, values: Sequence[object]) -> int:
    """The digest of a row, a signed 64-bit number.

    Args:
        values: Of all its columns but the digest.
    """
    body = msgspec.msgpack.encode((table, *values))
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "little", signed=True)


def total_of(digests: Iterable[int]) -> int:
    """The combination of digests, in any order."""
    return reduce(xor, digests, 0)


class Sealing:
    """The digests that a journal being written has, and those that the current transaction changes."""

    def __init__(self) -> None:
        self.next_seq = 0
        self._digests: dict[str, dict[Key, int]] = {table: {} for table in SEALED}
        self._totals = dict.fromkeys(SEALED, 0)
        self._staged: list[tuple[str, Key, int | None]] = []
        self._staged_seq: int | None = None

    def load(self, table: str, key: Key, digest: int) -> None:
        """Take note of a row that is there."""
        self.put(table, key, digest)
        self.commit()

    def put(self, table: str, key: Key, digest: int | None) -> None:
        """A row is written, or deleted if it has no digest."""
        self._staged.append((table, key, digest))

    def clear(self, table: str) -> None:
        """All rows of a table are deleted."""
        for key in self._digests[table]:
            self.put(table, key, None)

    def reach(self, next_seq: int) -> None:
        """Rows up to this one are written."""
        self._staged_seq = next_seq

    @property
    def changed(self) -> bool:
        """Whether the current transaction needs another seal."""
        return bool(self._staged) or self._staged_seq is not None

    def highest(self, table: str) -> int:
        """The highest number among the keys of a table; 0 if it has no rows."""
        return max((int(key) for key in self._digests[table]), default=0)

    def commit(self) -> None:
        """The current transaction has happened."""
        for table, key, digest in self._staged:
            before = self._digests[table].pop(key, 0)
            self._totals[table] ^= before
            if digest is not None:
                self._digests[table][key] = digest
                self._totals[table] ^= digest
        self.next_seq = self.next_seq if self._staged_seq is None else self._staged_seq
        self.discard()

    def discard(self) -> None:
        """The current transaction has not happened."""
        self._staged, self._staged_seq = [], None

    def seal(self) -> Seal:
        """The seal as it is once the current transaction has happened."""
        totals, rows = dict(self._totals), {table: len(held) for table, held in self._digests.items()}
        latest = {(table, key): self._digests[table].get(key) for table, key, _ in self._staged}
        for table, key, digest in self._staged:
            before = latest[table, key]
            totals[table] ^= (before or 0) ^ (digest or 0)
            rows[table] += (digest is not None) - (before is not None)
            latest[table, key] = digest
        return Seal(self.next_seq if self._staged_seq is None else self._staged_seq, rows, totals)
