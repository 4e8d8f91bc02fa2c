"""Columnar blocks: what travels over the bus.

A block holds one or more rows; a row is one timestamp across all symbols. How bars are cut into blocks means
nothing: any blocking of the same bars gives the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError
from engine.types.records import Bars

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PRICE_COLUMNS = ("open", "high", "low", "close")
BAR_COLUMNS = (*PRICE_COLUMNS, "volume")
UNKNOWN_VOLUME = -1.0  # how brokers and data vendors write a volume that is not known; blocks hold NaN instead


@dataclass(frozen=True, slots=True, eq=False)
class BarBlock:
    """Consecutive closed bars of one timeframe.

    Attributes:
        symbols: Names of the S columns, the same in every block of a stream.
        seq: Number of the first row, counted from 0 over the whole stream.
        ts_event: Close time of each row, nanoseconds UTC, strictly increasing, shape (rows,).
        open, high, low, close: Prices in quote currency, shape (rows, S), C-contiguous; NaN where absent.
        volume: Traded size, shape (rows, S); NaN where absent or not known to the source.
        present: Whether the symbol has a bar in this row, shape (rows, S).
        extra: Further columns by name (see `engine.types.extras`), each of shape (rows, S); NaN where not known. A
            column that a block does not have is not known in it.
    """

    symbols: tuple[str, ...]
    seq: int
    ts_event: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    present: Bools
    extra: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ts_event)

    def slice(self, start: int, stop: int) -> BarBlock:
        """Rows start to stop as views; `seq` moves along."""
        return replace(
            self,
            seq=self.seq + start,
            ts_event=self.ts_event[start:stop],
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
            present=self.present[start:stop],
            extra={name: values[start:stop] for name, values in self.extra.items()},
        )

    def split(self, cuts: Iterable[int]) -> Iterator[BarBlock]:
        """Yield the rows between consecutive cut positions (row offsets into this block)."""
        start = 0
        for cut in cuts:
            if start < cut < len(self):
                yield self.slice(start, cut)
                start = cut
        if start < len(self):
            yield self.slice(start, len(self))

    def kernel_view(self) -> Bars:
        """The arrays as kernels take them: read-only, whether they own their memory or lie in an Arrow buffer.

        One type for both keeps kernels from being compiled twice, and from writing into their input.
        """
        return Bars(*(_read_only(getattr(self, name)) for name in Bars._fields))

    @staticmethod
    def from_columns(
        symbols: Sequence[str],
        ts_event: Ints,
        columns: dict[str, Floats],
        present: Bools | None = None,
        seq: int = 0,
        extra: Mapping[str, Floats] | None = None,
    ) -> BarBlock:
        """Build a block from arrays of shape (rows,) or (rows, S); checks shapes and order.

        Args:
            symbols: S names.
            ts_event: Close times, nanoseconds UTC, shape (rows,).
            columns: open, high, low, close and optionally volume.
            present: Mask of shape (rows, S); by default a bar is present where its close is not NaN.
            seq: Number of the first row.
            extra: Further columns by name.

        Raises:
            DataError: If shapes differ or times do not increase strictly.
        """
        ts = np.ascontiguousarray(ts_event, dtype=np.int64)
        shape = (ts.shape[0], len(symbols))
        if ts.shape[0] > 1 and not bool((np.diff(ts) > 0).all()):
            row = int(np.argmin(np.diff(ts) > 0)) + 1
            raise DataError(
                "bar times must increase strictly",
                where=f"row {row}",
                expected=f"a time after {ts[row - 1]}",
                found=str(ts[row]),
                hint="sort the bars by time and drop duplicates (`grandmodel data validate FILE` lists them)",
            )
        arrays = {name: _column(name, columns, shape) for name in BAR_COLUMNS}
        mask = ~np.isnan(arrays["close"]) if present is None else np.ascontiguousarray(present).reshape(shape)
        more = {name: _shaped(name, values, shape) for name, values in (extra or {}).items()}
        return BarBlock(tuple(symbols), seq, ts, present=mask, extra=more, **arrays)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _column(name: str, columns: dict[str, Floats], shape: tuple[int, int]) -> Floats:
    if name not in columns:
        if name == "volume":
            return np.full(shape, np.nan)
        raise DataError(f"bars need a column {name!r}", expected=", ".join(PRICE_COLUMNS), found=", ".join(columns))
    return _shaped(name, columns[name], shape)


def _shaped(name: str, given: Floats, shape: tuple[int, int]) -> Floats:
    values = np.ascontiguousarray(given, dtype=np.float64)
    if values.size != shape[0] * shape[1]:
        raise DataError(f"column {name!r} has the wrong shape", expected=str(shape), found=str(values.shape))
    return values.reshape(shape)


def concat(blocks: Sequence[BarBlock]) -> BarBlock:
    """Join consecutive blocks of one stream into one.

    Raises:
        DataError: If there is no block, or symbols differ.
    """
    if not blocks:
        raise DataError("no bars", expected="at least one block")
    if any(block.symbols != blocks[0].symbols for block in blocks):
        raise DataError("blocks of different symbols cannot be joined")
    return BarBlock(
        blocks[0].symbols,
        blocks[0].seq,
        ts_event=np.concatenate([b.ts_event for b in blocks]),
        open=np.concatenate([b.open for b in blocks]),
        high=np.concatenate([b.high for b in blocks]),
        low=np.concatenate([b.low for b in blocks]),
        close=np.concatenate([b.close for b in blocks]),
        volume=np.concatenate([b.volume for b in blocks]),
        present=np.concatenate([b.present for b in blocks]),
        extra=joined_extra(blocks),
    )


def joined_extra(blocks: Sequence[BarBlock]) -> dict[str, Floats]:
    """The extra columns of consecutive blocks; NaN in those that lack one which another has."""
    names = dict.fromkeys(name for block in blocks for name in block.extra)
    return {name: np.concatenate([_extra_of(block, name) for block in blocks]) for name in names}


def _extra_of(block: BarBlock, name: str) -> Floats:
    found = block.extra.get(name)
    return np.full(block.present.shape, np.nan) if found is None else found


def reblock(blocks: Iterable[BarBlock], sizes: Iterable[int]) -> Iterator[BarBlock]:
    """Re-cut a stream into blocks of the given sizes; the last size is repeated once `sizes` runs out."""
    size_iter = iter(sizes)
    size = next(size_iter)
    pending: list[BarBlock] = []
    held = 0
    for block in blocks:
        rest = block
        while held + len(rest) >= size:
            head = rest.slice(0, size - held)
            yield concat([*pending, head]) if pending else head
            rest = rest.slice(size - held, len(rest))
            pending, held = [], 0
            size = next(size_iter, size)
        if len(rest):
            pending.append(rest)
            held += len(rest)
    if pending:
        yield concat(pending)
