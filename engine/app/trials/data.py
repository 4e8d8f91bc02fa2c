"""Which data a trial used, by their bytes; and the sums over blocks of what it returned there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.app.trials.ledger import BlockSums
from engine.types.blocks import BarBlock, Floats
from engine.types.step import StepBlock
from portfolio.overfitting.pbo import BLOCKS, block_sums

ARRAYS = ("ts_event", "open", "high", "low", "close", "volume", "present")
"""What makes the data: not indicators or extra columns, which are only another way of looking at the same bars."""


class DataDigest:
    """Hash of bars, however they are cut into blocks and whatever file they come from.

    Args:
        symbols: Of the bars.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = list(symbols)
        self._digests = {name: hashlib.sha256() for name in ARRAYS}
        self.rows, self.first, self.last = 0, 0, 0

    def update(self, bars: BarBlock) -> None:
        """Take the next bars."""
        if not len(bars):
            return
        for name, digest in self._digests.items():
            digest.update(np.ascontiguousarray(getattr(bars, name)).data.cast("B"))
        self.first = self.first if self.rows else int(bars.ts_event[0])
        self.rows, self.last = self.rows + len(bars), int(bars.ts_event[-1])

    def hexdigest(self) -> str:
        """Of all bars so far."""
        parts = [digest.hexdigest() for digest in self._digests.values()]
        return hashlib.sha256(json.dumps([self._symbols, parts]).encode()).hexdigest()

    def about(self, files: Sequence[str] = ()) -> dict[str, Any]:
        """The data set in words, for the first line of its ledger."""
        return {
            "symbols": self._symbols, "rows": self.rows, "first_ns": self.first, "last_ns": self.last,
            "files": list(files),
        }  # fmt: skip


def data_digest(bars: BarBlock) -> DataDigest:
    """The digest of bars that are all there."""
    digest = DataDigest(bars.symbols)
    digest.update(bars)
    return digest


def sums_of(returns: Floats) -> BlockSums | None:
    """Sums over 16 blocks; None where a block would hold fewer than two returns, or a return is not finite."""
    if len(returns) < 2 * BLOCKS or not np.isfinite(returns).all():
        return None
    counts, total, square = block_sums(returns)
    return BlockSums(tuple(counts.tolist()), tuple(total.tolist()), tuple(square.tolist()))


class EquityReturns:
    """The return of every bar of a run, from its equity.

    Args:
        initial: Capital before the first bar.
    """

    def __init__(self, initial: float) -> None:
        self._parts: list[Floats] = [np.array([initial])]

    def update(self, step: StepBlock) -> None:
        """Take the rows of a step."""
        self._parts.append(step.column("equity").copy())

    def sums(self) -> BlockSums | None:
        """See `sums_of`; None once the equity was not above 0."""
        equity = np.concatenate(self._parts)
        if not (equity > 0).all():
            return None
        return sums_of(np.diff(equity) / equity[:-1])
