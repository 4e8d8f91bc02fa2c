"""The rows of a training job: kept while a run is replayed, or read from the journal of a session."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from engine.base.errors import DataError
from engine.base.state import State, decode, encode
from engine.journal.reading import JournalReader
from engine.learning.config import LearningConfig
from engine.learning.job import Job
from engine.types.blocks import BarBlock, concat

COLUMNS = ("ts_event", "open", "high", "low", "close", "volume", "present")


def first_row(config: LearningConfig, job: Job) -> int:
    """Number of the first row that a job looks at: older rows come before those that it learns from."""
    return job.first if config.older else max(0, job.first - config.window_bars)


class LastRows:
    """The last rows of a run, as many as its jobs look at."""

    def __init__(self, config: LearningConfig) -> None:
        self._most = 2 * config.window_bars
        self._blocks: deque[BarBlock] = deque()

    def add(self, bars: BarBlock) -> None:
        """Take rows that follow those before."""
        self._blocks.append(bars)
        begin = bars.seq + len(bars) - self._most
        while self._blocks[0].seq + len(self._blocks[0]) <= begin:
            self._blocks.popleft()

    def between(self, first: int, last: int) -> BarBlock:
        """Rows first to last, both included; both must be among those kept."""
        return _cut(list(self._blocks), first, last)


def recorded_rows(reader: JournalReader, first: int, last: int) -> BarBlock:
    """Rows first to last of a journal, both included.

    Raises:
        DataError: If the journal no longer has all of them.
    """
    if reader.first_seq > first:
        raise DataError(
            "rows that the job learns from have left the journal",
            where=str(reader.path),
            expected=f"rows from {first} on",
            found=f"rows from {reader.first_seq} on",
            hint="keep them for longer: journal.keep_days, or journal.archive=true",
        )
    blocks: list[BarBlock] = []
    for step in reader.steps(reader.block_with(first)):
        blocks.append(step.bars)
        if step.bars.seq + len(step) > last:
            break
    return _cut(blocks, first, last)


def write_rows(path: Path, bars: BarBlock) -> None:
    """Write rows for the process that learns from them.

    Raises:
        OSError: If the disk does not take them.
    """
    columns: State = {name: getattr(bars, name) for name in COLUMNS}
    extra: State = dict(bars.extra)
    path.write_bytes(encode({"symbols": list(bars.symbols), "seq": bars.seq, **columns, "extra": extra}))


def read_rows(path: Path) -> BarBlock:
    """Rows that `write_rows` wrote.

    Raises:
        DataError: If the file holds something else.
    """
    tree = decode(path.read_bytes(), "the rows of a training job")
    columns = {name: tree[name] for name in COLUMNS}
    return BarBlock(tuple(tree["symbols"]), int(tree["seq"]), **columns, extra=tree["extra"])


def _cut(blocks: list[BarBlock], first: int, last: int) -> BarBlock:
    whole = concat([one for one in blocks if one.seq <= last and one.seq + len(one) > first])
    return whole.slice(first - whole.seq, last + 1 - whole.seq)
