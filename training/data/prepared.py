"""A stream of bars into episodes and normalised features, in memory that hardly grows with it.

Rows, parts, episodes and statistics are those that a training on the same bars would come to
(`training.data.parts`, `training.data.normalise`); only what a row of bars needs to be placed is kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agents.features.stream import FeatureStream
from agents.spec import AGENTS
from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Ints
from engine.types.calendar import sessions_for
from engine.types.instruments import Instrument
from training.config import Split
from training.data.normalise import LEAST
from training.data.parts import NAMES, SourceRows, by_time
from training.environment.market import half_overlapping

SEATS = ("strategic", "tactical")
Array = NDArray[np.float64]


class Part(NamedTuple):
    """One part of the rows, and the episodes that begin in it.

    Attributes:
        name: training, validation or test.
        first, stop: Its rows.
        starts: Rows at which episodes begin.
    """

    name: str
    first: int
    stop: int
    starts: Ints


class FeatureRowsFile:
    """The ready feature rows of one seat, written as they come and read again by batches.

    Args:
        seat: strategic or tactical.
        instrument: Of the bars.
        symbol: Of the bars.
        first_ns: Close of the first bar, nanoseconds UTC.
        path: Parquet file to write: row of the bars at which each became known, its close time, the features.
    """

    def __init__(self, seat: str, instrument: Instrument, symbol: str, first_ns: int, path: Path) -> None:
        self.seat, self.path = seat, path
        self.names = tuple(feature.name for feature in AGENTS[seat].features)
        self._window = AGENTS[seat].window or 1
        self._stream = FeatureStream(seat, (symbol,), sessions_for([instrument], first_ns))
        fields = [("row", pa.int64()), ("close_time", pa.timestamp("ns", "UTC"))]
        self._schema = pa.schema([*fields, *((name, pa.float32()) for name in self.names)])
        self._writer = pq.ParquetWriter(path.absolute(), self._schema, compression="zstd")
        self._known: list[Ints] = []

    def add(self, block: BarBlock) -> None:
        """Take the next bars."""
        rows = self._stream.push(block)
        ready = rows.ready[:, 0]
        if not ready.any():
            return
        known = rows.known_at[ready]
        self._known.append(known)
        self._writer.write_table(_table(self._schema, known, rows.ts_event[ready], rows.features[ready, 0]))

    def close(self) -> None:
        """No more bars will come."""
        self._writer.close()

    @property
    def known_at(self) -> Ints:
        """Row of the bars at which each feature row became known, shape (K,)."""
        return np.concatenate([np.empty(0, np.int64), *self._known])

    @property
    def complete(self) -> Ints:
        """Rows of the bars at which a complete window became known."""
        return self.known_at[self._window - 1 :]

    def statistics(self, stop: int) -> tuple[Array, Array]:
        """Mean and deviation of every feature over the rows that some window shows before row `stop`, shape (F,).

        Raises:
            DataError: If there is no window.
        """
        count = int(np.searchsorted(self.known_at, stop, side="left"))
        if count < self._window:
            raise DataError(
                f"no observation of the {self.seat} agent lies in the training part",
                expected=f"{self._window} feature rows or more",
                found=f"{count}",
                hint="give more bars, or lower --validation and --test",
            )
        total, squares = np.zeros(len(self.names)), np.zeros(len(self.names))
        for values in self._batches(count):
            total += values.sum(axis=0)
        mean = total / count
        for values in self._batches(count):
            squares += ((values - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(squares / count)
        return mean, np.where(deviation < LEAST, 1.0, deviation)

    def normalise(self, mean: Array, deviation: Array, path: Path) -> None:
        """Write the same rows less the mean, over the deviation."""
        scale = (mean.astype(np.float32), deviation.astype(np.float32))
        with pq.ParquetWriter(path.absolute(), self._schema, compression="zstd") as writer:
            for batch in pq.ParquetFile(self.path).iter_batches():
                table = pa.Table.from_batches([batch])
                rows, times = (table.column(name).cast(pa.int64()).to_numpy() for name in ("row", "close_time"))
                values = (_values(table, self.names) - scale[0]) / scale[1]
                writer.write_table(_table(self._schema, rows, times, values.astype(np.float32)))

    def _batches(self, count: int) -> Iterator[Array]:
        left = count
        for batch in pq.ParquetFile(self.path).iter_batches(columns=list(self.names)):
            values = _values(pa.Table.from_batches([batch]), self.names)[:left].astype(np.float64)
            left -= len(values)
            yield values
            if not left:
                return


def divide_rows(rows: int, seats: dict[str, FeatureRowsFile], split: Split, length: int) -> list[Part]:
    """Parts of a file of so many bars, and where episodes begin in them.

    Args:
        rows: Bars.
        seats: By name, whose windows must be complete where an episode begins.
        split: Shares and embargo.
        length: Bars of an episode.
    """
    possible = np.intersect1d(seats["strategic"].complete, seats["tactical"].complete)
    found = []
    for name, (first, stop) in zip(NAMES, by_time(SourceRows(0, rows, 0, historical=True), split), strict=True):
        within = possible[(possible >= first) & (possible < stop)]
        found.append(Part(name, first, stop, half_overlapping(within, stop, length)))
    return found


def _values(table: pa.Table, names: tuple[str, ...]) -> NDArray[np.float32]:
    return np.stack([table.column(name).to_numpy() for name in names], axis=1)


def _table(schema: pa.Schema, rows: Ints, times: Ints, values: NDArray[np.float32]) -> pa.Table:
    columns: list[Any] = [pa.array(rows), pa.array(times).cast(pa.timestamp("ns", "UTC"))]
    columns += [pa.array(np.ascontiguousarray(values[:, at])) for at in range(values.shape[1])]
    return pa.Table.from_arrays(columns, schema=schema)
