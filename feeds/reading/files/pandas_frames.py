"""What a pandas frame holds: an index that may be the time, columns of two levels, one or several symbols."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from engine.base.errors import DataError
from feeds.reading.columns.names import normalise

KIND = "pandas frame"
Fields = list[tuple[str, Callable[[], Any]]]
"""Names of columns, and how to get each."""
Columns = tuple[str, Fields, int, int | None]
"""Kind of frame, its columns, number of rows, and which column is known to be the time."""


def pandas_parts(frame: Any, values: Collection[str]) -> list[tuple[str | None, Columns]]:
    """The frames in a frame, with their symbols where columns of two levels name them, as yfinance writes them.

    Args:
        values: Normalised names of the columns of bars.

    Raises:
        DataError: If neither level of its columns names open, high, low and close.
    """
    if frame.columns.nlevels == 1:
        return [(None, _single(frame))]
    names = [{normalise(str(name)) for name in frame.columns.get_level_values(at)} for at in range(2)]
    level = next((at for at in range(2) if {"open", "high", "low", "close"} <= names[at]), None)
    if frame.columns.nlevels > 2 or level is None:
        raise DataError(
            "cannot tell what the columns are",
            where=KIND,
            expected="columns open, high, low and close; or two levels, one of them with these names",
            found=", ".join(repr(name) for name in list(frame.columns)[:6]),
            hint="flatten the columns, or pass a mapping from symbol to frame",
        )
    across = frame.columns.get_level_values(1 - level)
    symbols = list(dict.fromkeys(str(name) for name in across if str(name) != ""))
    parts: list[tuple[str | None, Columns]] = []
    for symbol in symbols:
        mine = frame.loc[:, [str(name) in {symbol, ""} for name in across]]
        mine = mine.set_axis(mine.columns.get_level_values(level), axis=1)
        held = [at for at, name in enumerate(mine.columns) if normalise(str(name)) in values]
        # a row that others have and this symbol has not is no bad bar
        there = mine.iloc[:, held].notna().any(axis=1) if len(symbols) > 1 else slice(None)
        parts.append((symbol, _single(mine.loc[there])))
    return parts


def _single(frame: Any) -> Columns:
    columns = [(str(name), partial(frame.iloc.__getitem__, (slice(None), at))) for at, name in enumerate(frame.columns)]
    index, time = _index(frame.index)
    return KIND, [*index, *columns], len(frame), time


def _index(index: Any) -> tuple[Fields, int | None]:
    """The levels of an index as columns, and which of them is the time; nothing for a plain count of the rows."""
    if type(index).__name__ == "RangeIndex":
        return [], None
    levels = [index.get_level_values(at) for at in range(index.nlevels)]
    times = [at for at, level in enumerate(levels) if level.dtype.kind == "M" or _is_period(level)]
    columns = [
        (_level_name(level, several=len(levels) > 1), level.to_timestamp if _is_period(level) else level.to_series)
        for level in levels
    ]
    return columns, times[0] if times else None


def _level_name(level: Any, *, several: bool) -> str:
    if _is_period(level):
        return "period_start"
    if level.name is not None:
        return str(level.name)
    return "symbol" if several and level.dtype.kind == "O" else "index"


def _is_period(level: Any) -> bool:
    return str(level.dtype).startswith("period")
