"""One hash of everything that happened to the money: equal hashes mean equal runs, bit for bit.

Hashed are times, cash, equity, positions and fills. The other columns of the ledger follow from these, so hashing them
would take time and tell nothing more:

* `realized` and `fees` are the sums of these fields of the fills, in their order;
* `unrealized` is what each position gains from its last fill's `avg_price` to its mark, and equity less cash;
* `margin`, `gross_exposure` and `net_exposure` are what the positions need and are worth at their marks.

Marks are the closes of the bars, whose own hash is in the manifest (a journal keeps one with each block of rows);
multipliers and margin rates are configuration, which is in the manifest, too.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError
from engine.base.restoring import MADE, describe, parts_of
from engine.base.state import State
from engine.types.records import LEDGER_COLUMNS
from engine.types.step import StepBlock

STREAMS = ("ts_event", "ledger", "positions", "fills")
HASHED = LEDGER_COLUMNS[:2]
"""Columns of the ledger that are hashed: cash and equity."""
FORM = 2
"""Number of this way to hash; another gives other hashes over the same run."""
CHUNK = 16_384
"""Bytes of a stream that are hashed at once."""
HEAD = 32
"""Bytes of the hash of all chunks so far."""
_MADE = {"form": FORM}


class _Stream:
    """A hash of bytes whose state can be saved, which hashlib's objects do not allow.

    The bytes are cut into chunks of fixed length, and each replaces the head by the SHA-256 of head and chunk; the
    digest is that of the head and the bytes of the chunk that is not full yet.
    """

    def __init__(self) -> None:
        self._head = bytes(HEAD)
        self._pending = bytearray()

    def update(self, array: NDArray[Any]) -> None:
        """Add the bytes of an array; how a stream is cut into arrays does not show in the digest."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        at = 0
        if self._pending:
            at = CHUNK - len(self._pending)
            self._pending += data[:at]
            if len(self._pending) < CHUNK:
                return
            self._head = sha256(self._head + self._pending).digest()
            self._pending.clear()
        whole = at + (len(data) - at) // CHUNK * CHUNK
        for start in range(at, whole, CHUNK):
            link = sha256(self._head)
            link.update(data[start : start + CHUNK])
            self._head = link.digest()
        self._pending += data[whole:]

    def hexdigest(self) -> str:
        """The digest so far, 64 hexadecimal digits; more may be added afterwards."""
        return sha256(self._head + self._pending).hexdigest()

    def snapshot(self) -> bytes:
        """Head and pending bytes."""
        return self._head + self._pending

    def restore(self, state: bytes) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one.
        """
        if not HEAD <= len(state) < HEAD + CHUNK:
            expected = f"{HEAD} to {HEAD + CHUNK - 1} bytes"
            raise DataError("the snapshot is damaged", expected=expected, found=f"{len(state)} bytes")
        self._head, self._pending = state[:HEAD], bytearray(state[HEAD:])


class LedgerHash:
    """SHA-256 of the times, the ledger (HASHED), the positions and the fills of a run.

    Each stream is hashed on its own, so that how rows were cut into blocks does not show; the digests are
    then hashed together with the symbols. Floats count by their bits: 0.0 and -0.0 differ, as do two NaNs.
    """

    def __init__(self) -> None:
        self._streams = tuple(_Stream() for _ in STREAMS)
        self._symbols: tuple[str, ...] = ()

    def update(self, step: StepBlock) -> None:
        """Add the rows and fills of one block."""
        self._symbols = step.bars.symbols
        arrays = (step.bars.ts_event, step.ledger[:, : len(HASHED)], step.positions, step.fills)
        for stream, array in zip(self._streams, arrays, strict=True):
            if array.size:
                stream.update(array)

    def hexdigest(self) -> str:
        """The hash so far, 64 hexadecimal digits; more may be added afterwards."""
        parts = {name: stream.hexdigest() for name, stream in zip(STREAMS, self._streams, strict=True)}
        text = json.dumps({"symbols": list(self._symbols), **parts}, sort_keys=True)
        return sha256(text.encode()).hexdigest()

    def snapshot(self) -> State:
        """The state of every stream, and the symbols."""
        streams = {name: stream.snapshot() for name, stream in zip(STREAMS, self._streams, strict=True)}
        return {MADE: describe(_MADE), "symbols": list(self._symbols), **streams}

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        One of another form takes the place of the rows behind it.

        Raises:
            DataError: If the snapshot is not one of a ledger hash.
        """
        other, parts = of_other_form(state), _parts(state)
        for name, stream in zip(STREAMS, self._streams, strict=True):
            stream.restore(sha256(parts[name]).digest() if other else parts[name])
        self._symbols = tuple(parts["symbols"])


def of_other_form(state: State) -> bool:
    """Whether a snapshot is of another form, whose hashes differ over the same rows.

    Raises:
        DataError: If the snapshot is not one of a ledger hash.
    """
    made: str = _parts(state)[MADE]
    return made != describe(_MADE)


def _parts(state: State) -> State:
    parts = parts_of(state, (MADE, "symbols", *STREAMS))
    if not all(isinstance(parts[name], bytes) for name in STREAMS):
        raise DataError("the snapshot is damaged", expected="bytes for each stream")
    return parts
