"""Mending a journal: rows that a wrong time brought are taken back, and what is damaged is made again from the bars."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from engine.app.challengers import learner_of
from engine.app.journal.monitoring import MONITOR
from engine.app.journal.recovering import MERGER, SEEN, merger_of, recover, seen_of
from engine.app.live.config import PaperConfig
from engine.app.live.folder import SessionLock
from engine.app.live.open_or_resume import runnable_setup
from engine.app.wiring import Setup
from engine.base.errors import DataError
from engine.base.state import encode
from engine.journal.entries import LETTERS, Entry, fact_seq, learning_facts, role_facts
from engine.journal.files import FILE, remove
from engine.journal.journal import OLDER, Journal
from engine.journal.reading import JournalReader
from engine.learning.recorded import RecordedJobs
from engine.loop.driver import ALL_STATES
from engine.types.blocks import BarBlock
from engine.types.step import StepBlock


class Mended(NamedTuple):
    """What was done to a journal.

    Attributes:
        rows: Rows that were taken back, from the end.
        next_row: Number of the row that comes next now.
        remade: What was damaged and made again.
        reread: Whether the feed is read from its beginning at the next start.
        copy: The journal as it was; None if nothing had to be done.
        jump: The largest jump between two rows that are left: row and times, nanoseconds UTC; None
            where every row follows the one before.
    """

    rows: int
    next_row: int
    remade: tuple[str, ...]
    reread: bool
    copy: Path | None
    jump: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where rows end: the first row that goes, the block that holds it, and what of that block's bars stays."""

    row: int
    block: int
    part: BarBlock | None


def mend(
    folder: Path,
    before_ns: int | None = None,
    *,
    reread: bool = False,
    wall: Callable[[], float] = time.time,
    trust_code: bool = False,
) -> Mended:
    """Mend the journal of a session that is not running. It is mended as a whole, or stays as it was.

    Args:
        before_ns: Rows that close at this time or later, nanoseconds UTC, are taken back; by default those ahead of
            the clock.
        reread: Forget how far the feed was read: at the next start all that it still holds is read again, and what
            is known of it refused as `late` or `duplicate`.
        wall: Seconds since 1970.
        trust_code: As in `engine.app.live.open_or_resume.open_session`.

    Raises:
        UsageError: If there is no session, or it is running.
        DataError: If the journal cannot be mended.
    """
    with SessionLock(folder):
        with JournalReader(folder) as reader:
            setup = runnable_setup(reader, trust_code=trust_code)
            cut, jump = _look(
                reader, before_ns if before_ns is not None else _beyond(setup, wall()), setup.timeframe_ns
            )
            remade = _damaged(reader)
            if cut is None and not remade and not reread:
                return Mended(0, reader.next_seq, (), False, None, jump)
            rows, copy = reader.next_seq - cut.row if cut else 0, _copied(reader.path)
        try:
            _mend(folder, setup, cut, remade, reread=reread or "positions" in remade)
        except BaseException:
            remove(folder)
            copy.rename(folder / FILE)
            raise
        with JournalReader(folder) as reader:
            reader.check()
            return Mended(rows, reader.next_seq, remade, reread or "positions" in remade, copy, jump)


def _beyond(setup: Setup, now: float) -> int:
    """The time from which rows are ahead of the clock."""
    ahead = setup.config.feed.ahead_ns if isinstance(setup.config, PaperConfig) else None
    return 2**63 - 1 if ahead is None else int(now * 1e9) + ahead + setup.timeframe_ns


def _look(reader: JournalReader, before_ns: int, width: int) -> tuple[_Cut | None, tuple[int, int, int] | None]:
    """Where rows of a time begin, and the largest jump before."""
    jump: tuple[int, int, int] | None = None
    last: int | None = None
    for step in reader.steps(reader.first_seq, 1):
        for at, time_ns in enumerate(step.bars.ts_event.tolist()):
            if time_ns >= before_ns:
                return _Cut(step.bars.seq + at, step.bars.seq, step.bars.slice(0, at) if at else None), jump
            if last is not None and time_ns - last > (jump[2] - jump[1] if jump else width):
                jump = step.bars.seq + at, last, time_ns
            last = time_ns
    return None, jump


def _damaged(reader: JournalReader) -> tuple[str, ...]:
    """What is damaged and can be made again; the rest is an error."""
    try:
        return tuple(sorted(reader.check()))
    except DataError:
        for table in ("meta", "operations", "activations"):
            if reader.whole(table) is None:
                raise
        tables = tuple(table for table in ("counters", "positions") if reader.whole(table) is None)
        return (*tables, "state")


def _copied(path: Path) -> Path:
    copy = path.with_name(f"{path.stem}-before-mend-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}{path.suffix}")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _mend(folder: Path, setup: Setup, cut: _Cut | None, remade: Iterable[str], *, reread: bool) -> None:
    with JournalReader(folder) as reader:
        end = cut.block if cut else reader.next_seq
        held = reader.held(2**63 - 1)  # by the journal itself, without its archive
        if cut and end < (held[0] if held else reader.next_seq):
            raise DataError(
                "rows that left the journal cannot be taken back", where=str(reader.path), expected="a later time"
            )
        later = [order for order in reader.operations() if order.seq > end]
        tables = _tables(reader, end, remade, reread=reread)
        events = [one for one in reader.learning_events() if cut is None or one.seq < cut.row]
    with Journal(folder) as journal:
        journal.rewrite(tables, end)
        with JournalReader(folder) as reader:
            driver = recover(reader, setup)
        if (learner := learner_of(driver)) is not None:
            learner.jobs = RecordedJobs(events)
            for order in (one for one in events if one.status == "ordered" and one.seq >= end):
                learner.order(order)
        steps = list(driver.process(cut.part)) if cut and cut.part is not None else []
        activations = tuple(driver.activations)
        meta = {"first_ns": str(int(steps[0].bars.ts_event[0]))} if steps and not end else {}
        meta |= role_facts(driver.take_role_changes())
        # orders of the rows that are cut in two stay, too
        meta |= learning_facts([one for one in events if one.status == "ordered" and one.seq >= end])
        meta |= learning_facts(driver.take_learning_events())
        journal.commit(Entry(steps, driver.next_seq, counts=_counts(steps), activations=activations, meta=meta))
        for command in later:
            journal.commit(Entry(operation=command._replace(seq=driver.next_seq)))
        with JournalReader(folder) as reader:
            if reader.next_seq and not reader.states(MERGER):
                states = {MERGER: merger_of(reader, setup.timeframe_ns), SEEN: seen_of(reader)}
                journal.commit(Entry(seq=reader.next_seq, states=states))


def _tables(reader: JournalReader, end: int, remade: Iterable[str], *, reread: bool) -> dict[str, list[Any]]:
    """The rows of all sealed tables as they are before a row."""
    cut = end < reader.next_seq
    states = [
        (name, seq, encode(state))
        for name, (seq, state) in reader.states().items()
        if (name.removeprefix(OLDER) in {*ALL_STATES, MONITOR} and seq <= end)
        or (name in {MERGER, SEEN} and not cut and not reread)
        or name.removeprefix(OLDER) not in {*ALL_STATES, MONITOR, MERGER, SEEN}
    ]
    counters = reader.whole("counters")
    if cut or counters is None:
        counters = _counted(reader, end, dict(counters or ()))
    meta = [row for row in reader.whole("meta") or () if row[0] != "first_ns" or end]
    meta = [row for row in meta if (seq := fact_seq(row[0])) is None or seq < end]
    operations = [row for row in reader.whole("operations") or () if row[1] <= end]
    activations = [row for row in reader.whole("activations") or () if row[0] < end or row[0] == 0]
    positions = [] if reread else reader.whole("positions") or []
    return {
        "meta": meta,
        "operations": operations,
        "activations": activations,
        "positions": positions,
        "state": states,
        "counters": counters,
    }


def _counted(reader: JournalReader, end: int, kept: dict[str, int]) -> list[tuple[str, int]]:
    """The running counts before a row: what blocks tell, taken from the kept counts or counted from the first on."""
    counters: Counter[str] = Counter(kept)
    if reader.first_seq > 0 and not kept:
        raise DataError("the counters are damaged, and the first rows are gone", where=str(reader.path))
    if kept:
        counters.subtract(_counts([step for step in reader.steps(reader.first_seq, 1) if step.bars.seq >= end]))
    else:
        counters.update(Counter(LETTERS + letter.reason for _, letter in reader.dead_letters()))
        counters.update(_counts([step for step in reader.steps(0, 1) if step.bars.seq < end]))
    gaps = [gap for gap in reader.gaps() if gap.seq < end]
    counters["gaps"], counters["missing"] = len(gaps), sum(gap.missing for gap in gaps)
    return sorted(counters.items())


def _counts(steps: Iterable[StepBlock]) -> dict[str, int]:
    counts = {"bars": 0, "decisions": 0, "fills": 0}
    for step in steps:
        counts["bars"] += int(step.bars.present.sum())
        counts["decisions"] += len(step.decisions)
        counts["fills"] += len(step.fills)
    return counts
