"""One hash of everything that happened to the money: equal hashes mean equal runs, bit for bit."""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.base.packing import pack, unpack
from engine.loop.hashing.sha256 import ResumableSha256
from engine.types.step import StepBlock

STREAMS = ("ts_event", "ledger", "positions", "fills")


class Digest(Protocol):
    """A hash that takes a stream in pieces."""

    def update(self, data: memoryview, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest so far."""
        ...


class LedgerHash:
    """SHA-256 of the ledger, the positions and the fills of a run.

    Each stream is hashed on its own, so that how rows were cut into blocks does not show; the digests are
    then hashed together with the symbols. Floats count by their bits: 0.0 and -0.0 differ, as do two NaNs.

    Args:
        resumable: Whether its state can be saved, for a live session; the digest is the same, but comes slower.
    """

    def __init__(self, resumable: bool = False) -> None:
        self._resumable = tuple(ResumableSha256() for _ in STREAMS) if resumable else ()
        self._hashes: tuple[Digest, ...] = self._resumable or tuple(hashlib.sha256() for _ in STREAMS)
        self._symbols: tuple[str, ...] = ()

    def update(self, step: StepBlock) -> None:
        """Add the rows and fills of one block."""
        self._symbols = step.bars.symbols
        arrays = (step.bars.ts_event, step.ledger, step.positions, step.fills)
        for digest, array in zip(self._hashes, arrays, strict=True):
            if array.size:
                digest.update(np.ascontiguousarray(array).data)

    def hexdigest(self) -> str:
        """The hash so far, 64 hexadecimal digits; more may be added afterwards."""
        parts = {name: digest.hexdigest() for name, digest in zip(STREAMS, self._hashes, strict=True)}
        text = json.dumps({"symbols": list(self._symbols), **parts}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def snapshot(self) -> bytes:
        """The state; equal states give equal bytes.

        Raises:
            UsageError: If it was not made resumable.
        """
        self._check_resumable()
        streams = {name: digest.snapshot() for name, digest in zip(STREAMS, self._resumable, strict=True)}
        return pack({"symbols": json.dumps(self._symbols).encode(), **streams})

    def restore(self, state: bytes) -> None:
        """Continue from a snapshot.

        Raises:
            UsageError: If it was not made resumable.
            DataError: If the snapshot is not one of a ledger hash.
        """
        self._check_resumable()
        parts = unpack(state, ("symbols", *STREAMS))
        for name, digest in zip(STREAMS, self._resumable, strict=True):
            digest.restore(parts[name])
        try:
            self._symbols = tuple(json.loads(parts["symbols"]))
        except (ValueError, TypeError):
            raise DataError("the snapshot is damaged", expected="names of symbols") from None

    def _check_resumable(self) -> None:
        if not self._resumable:
            raise UsageError("this ledger hash has no state that can be saved", expected="LedgerHash(resumable=True)")
