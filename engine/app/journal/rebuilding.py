"""Making the state of the intake again from the bars that a journal holds."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from engine.journal.reading import JournalReader
from feeds.live.merging.rows import Memory, Numbers
from feeds.live.merging.state import STATE_VERSION, State
from feeds.reading.ordering import NEVER

MERGER, SEEN = "merger", "seen"
_NO_NUMBERS: Final[Numbers] = (0.0, 0.0, 0.0, 0.0, 0.0)


def seen_of(reader: JournalReader) -> bytes:
    """The state of the search for gaps: the last bar of each symbol."""
    seen = np.full(len(reader.symbols), NEVER, np.int64)
    for step in reader.steps(reader.first_seq):
        times = np.where(step.bars.present, step.bars.ts_event[:, np.newaxis], NEVER)
        seen = np.maximum(seen, times.max(axis=0))
    return seen.tobytes()


def merger_of(reader: JournalReader, timeframe_ns: int) -> bytes:
    """The state of a merger that has closed the rows of a journal, one at least, and holds no other."""
    memory, last = Memory(len(reader.symbols)), NEVER
    for step in reader.steps(reader.first_seq):
        for time_ns, present in zip(step.bars.ts_event.tolist(), step.bars.present, strict=True):
            memory.add(time_ns, dict.fromkeys(np.flatnonzero(present).tolist(), _NO_NUMBERS))
            last = time_ns
    return msgspec.msgpack.encode(
        State(
            version=STATE_VERSION,
            symbols=reader.symbols,
            timeframe_ns=timeframe_ns,
            next_seq=reader.next_seq,
            last_ts=last,
            edge=last,
            closed=[],
            bars={},
            ticks={},
            ids={},
            memory=memory.rows,
            times={},
            known=[],
            quiet=[],
        )
    )
