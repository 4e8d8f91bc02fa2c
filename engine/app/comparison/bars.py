"""The bars of a comparison: read once, held as one block, and shared with the workers through mapped files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from engine.app.indicators import refuse_taken
from engine.app.preparing import Prepared
from engine.base.errors import DataError
from engine.types.blocks import BarBlock, concat
from feeds.indicators.joining import Indicators
from feeds.memory import MemorySource

SETTING = "setting.pickle"
"""The setting of a comparison, beside its bars."""
_ARRAYS = tuple(field.name for field in fields(BarBlock) if field.name not in {"symbols", "seq", "extra"})
_EXTRA = "extra."
"""Prefix of the files of extra columns."""


def read_bars(prepared: Prepared) -> BarBlock:
    """All bars of a source as one block, with the economic indicators.

    Raises:
        DataError: If there are none, or they cannot be read.
    """
    blocks = [block for block in prepared.source.blocks(prepared.config.block) if len(block)]
    if not blocks:
        raise DataError("no bars to trade on", where=", ".join(map(str, prepared.paths)))
    bars = blocks[0] if len(blocks) == 1 else concat(blocks)
    refuse_taken(prepared.config.indicators, bars)
    return Indicators(prepared.indicators)(bars)


def save_bars(bars: BarBlock, folder: Path) -> None:
    """Write the arrays of a block to a folder, a file each."""
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(bars, name))
    for name, values in bars.extra.items():
        np.save(folder / f"{_EXTRA}{name}.npy", values)


def load_bars(symbols: tuple[str, ...], folder: Path) -> BarBlock:
    """The block, its arrays mapped from the files: every process that does so shares the same memory."""
    arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in _ARRAYS}
    files = sorted(folder.glob(f"{_EXTRA}*.npy"))
    extra = {file.stem.removeprefix(_EXTRA): np.asarray(np.load(file, mmap_mode="r")) for file in files}
    return BarBlock(symbols, 0, **arrays, extra=extra)


class SharedBars(MemorySource):
    """Bars in memory whose timeframe is known."""

    def __init__(self, bars: BarBlock, timeframe_ns: int) -> None:
        super().__init__(bars)
        self._timeframe_ns = timeframe_ns

    @property
    def timeframe_ns(self) -> int:
        """Length of the bars, nanoseconds."""
        return self._timeframe_ns
