"""SHA-256 whose state can be saved and restored in the middle of a stream; hashlib's objects cannot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.base.packing import pack_arrays, unpack_arrays
from engine.loop.hashing.kernels import BLOCK, CONSTANTS, INITIAL, absorb

_LENGTH_BYTES = 8
_MADE = {"hash": "sha256"}


class ResumableSha256:
    """SHA-256 (FIPS 180-4), the digests of hashlib.sha256 with a state that can be saved."""

    def __init__(self) -> None:
        self._words = INITIAL.copy()
        self._pending = np.zeros(BLOCK, np.uint8)
        self._taken = np.zeros(1, np.int64)
        self._schedule = np.empty(len(CONSTANTS), np.uint32)

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes; how a stream is cut does not show in the digest.

        Args:
            data: Anything with a C-contiguous buffer.
        """
        absorb(self._words, self._pending, self._taken, _bytes_of(data), self._schedule)

    def hexdigest(self) -> str:
        """The digest so far, 64 hexadecimal digits; more may be added afterwards."""
        taken = int(self._taken[0])
        # section 5.1.1: a bit, zeros up to 8 bytes before the end of a block, and the length in bits
        zeros = -(taken + 1 + _LENGTH_BYTES) % BLOCK
        padding = b"\x80" + bytes(zeros) + (8 * taken).to_bytes(_LENGTH_BYTES, "big")
        words = self._words.copy()
        absorb(words, self._pending.copy(), self._taken.copy(), _bytes_of(padding), self._schedule)
        return words.astype(">u4").tobytes().hex()

    def snapshot(self) -> bytes:
        """The state; equal states give equal bytes."""
        return pack_arrays(_MADE, self._state())

    def restore(self, state: bytes) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one.
        """
        found = unpack_arrays(state, _MADE, self._state())
        for name, array in self._state().items():
            array[:] = found[name]

    def _state(self) -> dict[str, NDArray[np.generic]]:
        return {"words": self._words, "pending": self._pending, "taken": self._taken}


def _bytes_of(data: bytes | memoryview) -> NDArray[np.uint8]:
    """The bytes, read-only whatever they come from, so that the kernels are compiled for one type."""
    view = np.frombuffer(data, np.uint8)
    view.flags.writeable = False
    return view
