"""One hash of everything that happened to the money: equal hashes mean equal runs, bit for bit."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from engine.step import StepBlock

STREAMS = ("ts_event", "ledger", "positions", "fills")


class LedgerHash:
    """SHA-256 of the ledger, the positions and the fills of a run.

    Each stream is hashed on its own, so that how rows were cut into blocks does not show; the digests are
    then hashed together with the symbols. Floats count by their bits: 0.0 and -0.0 differ, as do two NaNs.
    """

    def __init__(self) -> None:
        self._hashes = tuple(hashlib.sha256() for _ in STREAMS)
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
