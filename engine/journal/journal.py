"""The journal of a live session: every delivery's offsets, effects and state behind them in one transaction.

Kill the process anywhere: what was committed is whole, and what was not will be delivered again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from engine.dead_letter import DeadLetter
from engine.errors import DataError, GrandModelError
from engine.journal.blocks import StoredBlock, encode
from engine.journal.schema import APPLICATION_ID, BLOCKS, INSERT_BLOCK, TABLES, VERSION
from engine.records import Operation
from engine.step import StepBlock

FILE = "journal.sqlite"
ARCHIVE = "archive.sqlite"
LETTERS_KEPT = 100_000
Durability = Literal["power", "process"]
# a power cut loses nothing, or the last transactions, each of them as a whole; the end of the process loses nothing
SYNCHRONOUS: Mapping[Durability, str] = {"power": "FULL", "process": "NORMAL"}
# the write-ahead log is emptied while nothing waits, and by a commit only where that comes too late
CHECKPOINT_PAGES, LATEST_CHECKPOINT_PAGES = 1000, 8000


class JournalError(GrandModelError):
    """The journal cannot be written: the disk is full or refuses; nothing of the transaction has happened."""


class Gap(NamedTuple):
    """Bars of a symbol missing while the market was open, between two close times; `seq` is the row after them."""

    seq: int
    symbol: str
    after_ns: int
    before_ns: int
    missing: int


class Ordered(NamedTuple):
    """What a person ordered, and the number of the row before which it holds."""

    seq: int
    ts_event: int
    kind: Operation
    by: str


class Activation(NamedTuple):
    """Models, and the number of the row from which they decide."""

    seq: int
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one transaction holds.

    Attributes:
        steps: What happened, in order of the rows.
        seq: Number of the next row, once all of this has happened.
        positions: Where partitions go on; only those that moved.
        states: Carried state of parts by name; one that is left out stays as it is.
        letters: Messages that could not be used.
        gaps: Bars that are missing.
        operation: What a person ordered.
        activations: Models that took over.
        meta: Facts about the session.
        counts: What to add to running counts.
    """

    steps: Sequence[StepBlock] = ()
    seq: int = 0
    positions: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, bytes] = field(default_factory=dict)
    letters: Sequence[DeadLetter] = ()
    gaps: Sequence[Gap] = ()
    operation: Ordered | None = None
    activations: Sequence[Activation] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


class Journal:
    """Writes the journal of one session folder; one process at a time.

    Args:
        folder: Of the session; the journal is made there if there is none.
        durability: What committed means: safe from a power cut (the disk is waited for), or from the end of the
            process (several times faster).
        trace: Told every SQL statement before it is executed.

    Raises:
        DataError: If the file is no journal, or one of another version.
        JournalError: If it cannot be opened, from any method also if it cannot be written.
    """

    def __init__(
        self, folder: Path, durability: Durability = "power", trace: Callable[[str], object] | None = None
    ) -> None:
        self.path = folder / FILE
        with _explained(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            check_version(self._db, self.path)
            self._db.set_trace_callback(trace)
            if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._create()
        self._synchronous = SYNCHRONOUS[durability]
        self._set(self._synchronous, LATEST_CHECKPOINT_PAGES)
        self._states: dict[str, bytes] = {}

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def commit(self, entry: Entry) -> None:
        """All of the entry, or nothing."""
        with self.transaction() as db:
            for step in entry.steps:
                db.execute(INSERT_BLOCK.format(schema="main", replace=""), encode(step))
            db.executemany("INSERT OR REPLACE INTO positions VALUES (?,?)", entry.positions.items())
            changed = self._put_states(db, entry.seq, entry.states)
            self._notes(db, entry)
        self._states.update(changed)

    def save(self, seq: int, states: Mapping[str, bytes]) -> None:
        """States behind rows that are committed, all of them or none.

        The disk is not waited for: after a power cut the states before these may be there, and the rows since are run
        over again. It is also the time to move what was committed into the main file, which the disk is waited for.
        """
        self._set(SYNCHRONOUS["process"], CHECKPOINT_PAGES)
        try:
            with self.transaction() as db:
                changed = self._put_states(db, seq, states)
            self._states.update(changed)
        finally:
            self._set(self._synchronous, LATEST_CHECKPOINT_PAGES)

    def _put_states(self, db: sqlite3.Connection, seq: int, states: Mapping[str, bytes]) -> dict[str, bytes]:
        """Write states, of those that are as before only the row; returns the others."""
        changed = {name: body for name, body in states.items() if self._states.get(name) != body}
        db.executemany(
            "INSERT OR REPLACE INTO state VALUES (?,?,?)", ((name, seq, body) for name, body in changed.items())
        )
        if len(changed) < len(states):
            same = [name for name in states if name not in changed]
            db.executemany("UPDATE state SET seq = ? WHERE name = ?", ((seq, name) for name in same))
        return changed

    def _set(self, synchronous: str, checkpoint_pages: int) -> None:
        with _explained(self.path):
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")

    def _notes(self, db: sqlite3.Connection, entry: Entry) -> None:
        """What most transactions have none of."""
        if entry.letters:
            db.executemany(
                "INSERT INTO dead_letters (seq, partition, offset, reason, expected, found, payload) "
                "VALUES (?,?,?,?,?,?,?)",
                (
                    (entry.seq, one.partition, one.offset, one.reason, one.expected, one.found, one.payload)
                    for one in entry.letters
                ),
            )
        if entry.gaps:
            columns = "seq, symbol, after_ns, before_ns, missing"
            db.executemany(f"INSERT INTO gaps ({columns}) VALUES (?,?,?,?,?)", entry.gaps)  # noqa: S608 - constant
        if entry.operation is not None:
            db.execute("INSERT INTO operations (seq, ts_event, kind, by) VALUES (?,?,?,?)", entry.operation)
        if entry.activations:
            db.executemany("INSERT OR REPLACE INTO activations VALUES (?,?,?)", entry.activations)
        if entry.meta:
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", entry.meta.items())
        db.executemany(
            "INSERT INTO counters VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            entry.counts.items(),
        )

    def unsent(self, most: int = 1000) -> list[tuple[int, DeadLetter]]:
        """Dead letters that were not handed on yet, with their numbers."""
        columns = "partition, offset, reason, expected, found, payload"
        query = f"SELECT id, {columns} FROM dead_letters WHERE sent = 0 ORDER BY id LIMIT ?"  # noqa: S608 - constant
        with _explained(self.path):
            return [(row[0], DeadLetter(*row[1:])) for row in self._db.execute(query, (most,))]

    def mark_sent(self, through: int) -> None:
        """The letters up to this number were handed on; only the last ones of them stay here."""
        with self.transaction() as db:
            db.execute("UPDATE dead_letters SET sent = 1 WHERE sent = 0 AND id <= ?", (through,))
            db.execute("DELETE FROM dead_letters WHERE sent = 1 AND id <= ?", (through - LETTERS_KEPT,))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is rolled back if anything fails inside."""
        with _explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def archive(self, blocks: Iterable[StoredBlock]) -> None:
        """Copy blocks to the archive beside the journal; done again after a crash, it changes nothing."""
        with _explained(self.path):
            self._db.execute("ATTACH ? AS archive", (str(self.path.with_name(ARCHIVE)),))
            try:
                self._db.execute("PRAGMA archive.journal_mode = WAL")
                self._db.execute(f"PRAGMA archive.application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA archive.user_version = {VERSION}")
                self._db.execute(BLOCKS.format(schema="archive"))
                with self.transaction() as db:
                    db.executemany(INSERT_BLOCK.format(schema="archive", replace="OR REPLACE "), blocks)
            finally:
                self._db.execute("DETACH archive")

    def forget(self, through: int, states: Mapping[str, bytes]) -> None:
        """Delete the blocks before a row, and save what stands for them."""
        with self.transaction() as db:
            db.execute("DELETE FROM blocks WHERE seq + rows <= ?", (through,))
            db.executemany(
                "INSERT OR REPLACE INTO state VALUES (?,?,?)", ((name, through, body) for name, body in states.items())
            )

    def size(self) -> int:
        """Bytes on the disk."""
        files = (self.path, self.path.with_name(FILE + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _create(self) -> None:
        with self.transaction() as db:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            for table in TABLES:
                db.execute(table)


def remove(folder: Path) -> None:
    """Take the journal of a session away.

    Raises:
        JournalError: If the disk refuses.
    """
    with _explained(folder / FILE):
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            (folder / name).unlink(missing_ok=True)


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """See that a database is a journal that this program reads, or empty.

    Raises:
        DataError: If it is not.
    """
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (application, version) != (APPLICATION_ID, VERSION) and not empty:
        other = application == APPLICATION_ID
        raise DataError(
            "this journal was written by another version" if other else "this file is no journal of a session",
            where=str(path),
            expected=f"version {VERSION}",
            found=f"version {version}" if other else f"a database with application id {application:#x}",
            hint="use the version of grandmodel that wrote it, or start a new session in another folder",
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        full = "full" in str(error)
        raise JournalError(
            f"the journal cannot be {'written: the disk is full' if full else f'used: {error}'}",
            where=str(path),
            hint="free some space; the session goes on where it was" if full else None,
        ) from error
