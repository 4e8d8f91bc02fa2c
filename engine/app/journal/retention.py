"""Keeping the journal bounded over months: old rows go to an archive, or are folded into figures and forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.app.journal.exporting import RECORDER
from engine.app.wiring import Setup, trade_book
from engine.base.state import State
from engine.journal.blocks import StoredBlock, encode, joined
from engine.journal.journal import OLDER, Journal
from engine.journal.reading import JournalReader
from engine.loop.driver import SIMULATOR
from engine.record.recorder import RunRecorder
from engine.types.calendar import DAY_NS, Sessions
from engine.types.step import StepBlock

CHUNK_ROWS = 4096


class Retention:
    """Looks now and then whether rows are old enough to leave the journal, and moves a chunk of them.

    Args:
        sessions: Where trading days end.
        keep_days: Rows older than this, by their own time, leave.
        archive: Whether they go to the archive; otherwise only their totals are kept.
    """

    def __init__(self, journal: Journal, setup: Setup, sessions: Sessions, keep_days: float, archive: bool) -> None:
        self._journal, self._setup, self._sessions = journal, setup, sessions
        self._keep_ns, self._archive = round(keep_days * DAY_NS), archive
        self._folder: Path = journal.path.parent
        self._look_at = 0

    def after(self, next_seq: int, last_ts: int) -> bool:
        """Called after a commit; returns whether rows left the journal.

        Args:
            next_seq: Number of the row that comes next.
            last_ts: Close of the last row, nanoseconds UTC.
        """
        if next_seq < self._look_at:
            return False
        self._look_at = next_seq + CHUNK_ROWS
        with JournalReader(self._folder) as reader:
            through = self._through(reader, last_ts - self._keep_ns)
            if through is None:
                return False
            if self._archive:
                base = None
                self._journal.archive(compacted(reader, through))
            else:
                base = self._folded(reader, through)
        self._journal.forget(through, {} if base is None else {RECORDER: base})
        self._look_at = next_seq + CHUNK_ROWS // 8  # there may be more
        return True

    def _through(self, reader: JournalReader, before_ts: int) -> int | None:
        """Number of the row before which a chunk of old rows ends; None if there is no whole chunk yet."""
        # older states, too, need the rows behind them
        states = reader.states(SIMULATOR, OLDER + SIMULATOR).values()
        saved = min((seq for seq, _ in states), default=0)
        if not saved and not self._archive:
            return None  # the agent's state is rebuilt from its bars: they must stay
        held = reader.held(before_ts)
        if held is None:
            return None
        first, end = held
        end = min(end, saved or end, first + 2 * CHUNK_ROWS)
        return end if end - first >= CHUNK_ROWS else None

    def _folded(self, reader: JournalReader, through: int) -> State:
        """State of a recorder that saw all rows before `through`."""
        setup = self._setup
        trades = trade_book(setup.instruments)
        recorder = RunRecorder(None, setup.symbols, setup.config.initial_capital, trades, self._sessions)
        states = reader.states(RECORDER)
        first = 0
        if RECORDER in states:
            first, state = states[RECORDER]
            recorder.restore(state)
        for step in reader.steps(first, 1):
            if step.bars.seq >= through:
                break
            recorder.write(step)
        return recorder.snapshot()


def compacted(reader: JournalReader, through: int) -> Iterator[StoredBlock]:
    """The journal's own blocks that end before a row, joined to a few large ones: a row takes half the room there."""
    held: list[StepBlock] = []
    rows = 0
    for stored in reader.own(through):
        held.append(reader.decoded(stored))
        rows += stored.rows
        if rows >= CHUNK_ROWS:
            yield encode(joined(held))
            held, rows = [], 0
    if held:
        yield encode(joined(held))
