"""Making the state of the intake again from the bars that a journal holds."""

from __future__ import annotations

import numpy as np

from engine.journal.reading import JournalReader
from feeds.reading.ordering import NEVER

MERGER, SEEN = "merger", "seen"


def seen_of(reader: JournalReader) -> bytes:
    """The state of the search for gaps: the last bar of each symbol."""
    seen = np.full(len(reader.symbols), NEVER, np.int64)
    for step in reader.steps(reader.first_seq):
        times = np.where(step.bars.present, step.bars.ts_event[:, np.newaxis], NEVER)
        seen = np.maximum(seen, times.max(axis=0))
    return seen.tobytes()
