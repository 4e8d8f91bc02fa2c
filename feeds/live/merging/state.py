"""What a row merger keeps between two runs of a session."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.base.errors import DataError
from engine.base.restoring import parts_of
from engine.base.state import State
from feeds.live.merging.lanes import Lane
from feeds.live.merging.rows import Memory, Row
from feeds.live.merging.ticks import Flow, TickBar


class Carried(msgspec.Struct):
    """What a merger carries besides its memory of rows; times in nanoseconds UTC.

    Attributes:
        symbols, timeframe_ns: What the merger was made for.
        next_seq, last_ts: Number of the next row that is taken, and close time of the last one taken.
        edge: Close time of the last row closed.
        closed: Rows that are closed and not taken yet.
        bars: Whole bars of open rows, by close time and column.
        ticks, ids: Bars that trades or quotes are making, likewise; the last trade id of each column.
        times, known, quiet: What the watermark knows of partitions.
        lanes: What each partition has told of time, and what is held of it.
        alone: How often the leading partition has moved on since another one did.
        passing: What refused messages tell of the time of a partition.
        flows: Who took in the last trade of each column.
        ticked: Whether a bar was made of trades or quotes, so that rows have their extra columns.
    """

    symbols: tuple[str, ...]
    timeframe_ns: int
    next_seq: int
    last_ts: int | None
    edge: int
    closed: list[tuple[int, Row]]
    bars: dict[int, Row]
    ticks: dict[int, dict[int, TickBar]]
    ids: dict[int, int]
    times: dict[str, int]
    known: list[str]
    quiet: list[str]
    lanes: dict[str, Lane] = {}
    alone: int = 0
    passing: dict[str, Lane] = {}
    flows: dict[int, Flow] = {}
    ticked: bool = False


def snapshot_of(carried: Carried, memory: Memory) -> State:
    """A merger's state as a tree."""
    plain = msgspec.to_builtins(carried, builtin_types=(bytes,), str_keys=True)
    return {"carried": plain, "memory": memory.snapshot()}


def carried_of(state: Any) -> Carried:
    """What a merger carries, from its state; the memory left out.

    Raises:
        DataError: If it is not the state of a merger.
    """
    parts = parts_of(state, ("carried", "memory"))
    try:
        return msgspec.convert(parts["carried"], Carried, builtin_types=(bytes,), str_keys=True)
    except msgspec.ValidationError as error:
        raise DataError("the state of the row merger cannot be read", found=str(error)) from error


def check_alike(what: str, ours: str, theirs: str) -> None:
    """Refuse to resume from the state of another session.

    Raises:
        DataError: If the two differ.
    """
    if ours != theirs:
        raise DataError(
            f"the saved session has {what}",
            expected=ours,
            found=theirs,
            hint="keep those settings, or start a new session",
        )
