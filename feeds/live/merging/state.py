"""What a row merger keeps between two runs of a session."""

from __future__ import annotations

from typing import Final

import msgspec

from engine.base.errors import DataError
from feeds.live.merging.lanes import Lane
from feeds.live.merging.rows import Row
from feeds.live.merging.ticks import TickBar
from feeds.live.merging.watermark import NEVER

STATE_VERSION: Final = 2


class State(msgspec.Struct, array_like=True):
    """The complete state of a merger; times in nanoseconds UTC.

    Attributes:
        version: Of this layout.
        symbols, timeframe_ns: What the merger was made for.
        next_seq, last_ts: Number of the next row that is taken, and close time of the last one taken.
        edge: Close time of the last row closed.
        closed: Rows that are closed and not taken yet.
        bars: Whole bars of open rows, by close time and column.
        ticks, ids: Bars that trades or quotes are making, likewise; the last trade id of each column.
        memory: Columns present in the last rows, a bit each, by close time.
        times, known, quiet: What the watermark knows of partitions.
        lanes: What each partition has told of time, and what is held of it.
        alone: How often the leading partition has moved on since another one did.
        passing: What refused messages tell of the time of a partition.
    """

    version: int
    symbols: tuple[str, ...]
    timeframe_ns: int
    next_seq: int
    last_ts: int | None
    edge: int
    closed: list[tuple[int, Row]]
    bars: dict[int, Row]
    ticks: dict[int, dict[int, TickBar]]
    ids: dict[int, int]
    memory: dict[int, bytes]
    times: dict[str, int]
    known: list[str]
    quiet: list[str]
    lanes: dict[str, Lane] = {}
    alone: int = 0
    passing: dict[str, Lane] = {}


def read_state(snapshot: bytes) -> State:
    """Read a snapshot.

    Raises:
        DataError: If it is none, or one of another version.
    """
    try:
        state = msgspec.msgpack.decode(snapshot, type=State)
    except msgspec.MsgspecError as error:
        raise DataError("the state of the row merger cannot be read", found=str(error)) from error
    if state.version == 1:
        return _upgraded(state)
    check_alike("another version of its state", str(STATE_VERSION), str(state.version))
    return state


def _upgraded(state: State) -> State:
    """Version 1 believed the time of refused messages, too: a partition has come no further than rows have begun."""
    reached = max(state.edge, *state.bars, *state.ticks, NEVER)
    times = {partition: min(time, reached) for partition, time in state.times.items()}
    lanes = {partition: Lane(time, time + state.timeframe_ns) for partition, time in times.items()}
    return msgspec.structs.replace(state, version=STATE_VERSION, times=times, lanes=lanes)


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
