"""Bars that are in memory already: arrays, a pandas or a polars frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from engine.blocks import BAR_COLUMNS, BarBlock, Floats, Ints
from engine.errors import DataError

TIME_NAMES = ("ts_event", "timestamp", "timestamp_utc", "datetime", "date", "time", "index")


class MemorySource:
    """One block held in memory, handed out in slices.

    Args:
        block: All bars, labelled by close.
    """

    def __init__(self, block: BarBlock) -> None:
        self._block = block

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return self._block.symbols

    @property
    def total_rows(self) -> int:
        """Rows in all."""
        return len(self._block)

    @property
    def timeframe_ns(self) -> int:
        """The most frequent distance between rows, nanoseconds; a minute if there is only one row."""
        gaps = np.diff(self._block.ts_event[:100_000])
        if not len(gaps):
            return 60_000_000_000
        values, counts = np.unique(gaps, return_counts=True)
        return int(values[counts.argmax()])

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Slices of `rows` rows, as views."""
        for start in range(0, len(self._block), rows):
            yield self._block.slice(start, min(start + rows, len(self._block)))


def source_from_arrays(ts_event: Ints, columns: Mapping[str, Floats], symbols: Sequence[str] = ("X",)) -> MemorySource:
    """Bars from arrays; see `BarBlock.from_columns`."""
    return MemorySource(BarBlock.from_columns(symbols, ts_event, dict(columns)))


def source_from_frame(frame: Any, symbol: str = "X") -> MemorySource:
    """Bars of one symbol from a pandas or polars frame.

    Args:
        frame: Columns open, high, low, close and optionally volume in any case, and close times in a column called
            like one of TIME_NAMES or, in pandas, as the index.
        symbol: What to call it.

    Raises:
        DataError: If a column is missing, times do not increase, or prices are not finite and positive.
    """
    if hasattr(frame, "reset_index"):
        frame = frame.reset_index() if getattr(frame.index, "name", None) or _is_time(frame.index) else frame
    by_name = {str(name).lower(): name for name in frame.columns}
    time_name = next((by_name[name] for name in TIME_NAMES if name in by_name), None)
    if time_name is None:
        raise DataError(
            "no time column", expected=f"one of {', '.join(TIME_NAMES)}", found=", ".join(map(str, by_name))
        )
    ts_event = _nanoseconds(frame[time_name])
    columns = {
        name: np.asarray(frame[by_name[name]].to_numpy(), dtype=np.float64) for name in BAR_COLUMNS if name in by_name
    }
    source = source_from_arrays(ts_event, columns, [symbol])
    prices = np.stack([columns[name] for name in ("open", "high", "low", "close")])
    bad = np.flatnonzero(~(np.isfinite(prices) & (prices > 0)).all(axis=0))
    if len(bad):
        raise DataError(
            "prices must be finite and above 0", where=f"row {bad[0]}", found=str(prices[:, bad[0]].tolist())
        )
    return source


def _nanoseconds(times: Any) -> Ints:
    """Close times as nanoseconds UTC; a zone in pandas is converted, one in polars is UTC inside already."""
    if getattr(getattr(times, "dt", None), "tz", None) is not None:
        times = times.dt.tz_convert(None)
    elif getattr(times.dtype, "time_zone", None) is not None:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return np.asarray(times.to_numpy()).astype("datetime64[ns]").astype(np.int64)


def _is_time(index: Any) -> bool:
    return getattr(index.dtype, "kind", "") == "M"
