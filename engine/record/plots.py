"""The table of what a strategy plotted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.record.tables import BATCH, TIME, ParquetFile
from engine.types.step import Plots, StepBlock

WORDS = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("ts_event", TIME),
        ("row", pa.int64()),
        ("symbol", WORDS),
        ("name", WORDS),
        ("panel", WORDS),
        ("value", pa.float64()),
    ]
)
"""One row a value, in the order of plotting. `panel` is null for what is drawn over the price of `symbol`, else the
name of a panel below it; a `value` of NaN leaves a gap in the line."""


class PlotTable:
    """Collects what is plotted, and writes it to a Parquet file batch by batch if there is one.

    Args:
        path: The file; None keeps everything in memory.
        symbols: Names behind symbol numbers.
    """

    def __init__(self, path: Path | None, symbols: Sequence[str]) -> None:
        self._file = ParquetFile(path) if path else None
        self._symbols = pa.array(list(symbols), pa.string())
        self._parts: list[pa.Table] = []
        self._held = 0

    def add(self, step: StepBlock) -> None:
        """Append what was plotted in a step."""
        if step.plots is None:
            return
        self._parts.append(_table(step, step.plots, self._symbols))
        self._held += len(step.plots.seq)
        if self._file and self._held >= BATCH:
            self._flush(self._file)

    def table(self) -> pa.Table:
        """The values held as an Arrow table."""
        return pa.concat_tables([SCHEMA.empty_table(), *self._parts]).unify_dictionaries().combine_chunks()

    def close(self) -> None:
        """Write what is held and end the file; without values the file has its columns."""
        if self._file:
            self._flush(self._file)
            self._file.close()

    def _flush(self, file: ParquetFile) -> None:
        file.write(self.table())
        self._parts, self._held = [], 0


def _table(step: StepBlock, plots: Plots, symbols: pa.Array) -> pa.Table:
    series = plots.series
    times = step.bars.ts_event[plots.seq - step.bars.seq]
    panels = sorted({panel for panel in plots.panels if panel is not None})
    place = {panel: number for number, panel in enumerate(panels)}
    panel = np.array([-1 if name is None else place[name] for name in plots.panels], np.int32)[series]
    symbol = np.array(plots.symbols, np.int32)[series]
    return pa.table(
        [
            pa.array(times.view("datetime64[ns]"), type=TIME),
            pa.array(plots.seq),
            pa.DictionaryArray.from_arrays(pa.array(symbol), symbols),
            pa.DictionaryArray.from_arrays(pa.array(series.astype(np.int32)), pa.array(plots.names, pa.string())),
            pa.DictionaryArray.from_arrays(pa.array(panel, mask=panel < 0), pa.array(panels, pa.string())),
            pa.array(plots.values),
        ],
        schema=SCHEMA,
    )
