"""The journal of a live session: every delivery's offsets, effects and state behind them in one transaction.

Kill the process anywhere: what was committed is whole, and what was not will be delivered again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.base.errors import DataError
from engine.base.state import encode as encode_state
from engine.journal.blocks import StoredBlock, encode
from engine.journal.digests import SEALED, Key, Sealing, digest_of
from engine.journal.entries import NAMED, Entry
from engine.journal.files import ARCHIVE, FILE, check_columns, check_version, explained
from engine.journal.schema import APPLICATION_ID, BLOCKS, INSERT_BLOCK, OLD_VERSION, SEAL, TABLES, VERSION
from engine.types.dead_letter import DeadLetter

# those that were handed on; with payloads of 4 KB each about 40 MB
LETTERS_KEPT = 10_000
# those that could not be handed on yet, about 400 MB at most; the oldest beyond them are given up, so many at once
DEAD_LETTERS_WAITING = 100_000
GIVEN_UP_AT_ONCE = 1_000
GIVEN_UP = "letters_given_up"
# states of an earlier row, and how many rows lie between two of them
OLDER = "older:"
OLDER_ROWS = 4096
Durability = Literal["power", "process"]
# a power cut loses nothing, or the last transactions, each of them as a whole; the end of the process loses nothing
SYNCHRONOUS: Mapping[Durability, str] = {"power": "FULL", "process": "NORMAL"}
# the write-ahead log is emptied while nothing waits, and by a commit only where that comes too late
CHECKPOINT_PAGES, LATEST_CHECKPOINT_PAGES = 1000, 8000


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
        self._files = (self.path, self.path.with_name(f"{FILE}-wal"))
        self._inodes: dict[Path, int] = {}
        with explained(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            check_version(self._db, self.path)
            if self._db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                check_columns(self._db, self.path)
            self._db.set_trace_callback(trace)
            self._sealing = Sealing()
            self._counters: dict[str, int] = {}
            if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._create()
            elif self._db.execute("PRAGMA user_version").fetchone()[0] == OLD_VERSION:
                self._upgrade()
            else:
                self._load()
        self._synchronous = SYNCHRONOUS[durability]
        self._set(self._synchronous, LATEST_CHECKPOINT_PAGES)
        self._states: dict[str, bytes] = {}

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commit(self, entry: Entry) -> None:
        """All of the entry, or nothing."""
        with self.transaction() as db:
            for step in entry.steps:
                db.execute(INSERT_BLOCK.format(schema="main", replace=""), encode(step))
                self._sealing.reach(step.bars.seq + len(step))
            for partition, position in entry.positions.items():
                self._put(db, "positions", partition, position)
            changed = self._put_states(db, entry.seq, entry.states)
            counters = self._notes(db, entry)
        self._states.update(changed)
        self._counters.update(counters)

    def save(self, seq: int, states: Mapping[str, Any]) -> None:
        """States behind rows that are committed, all of them or none.

        The disk is not waited for: after a power cut the states before these may be there, and the rows since are run
        over again. It is also the time to move what was committed into the main file, which the disk is waited for.
        Now and then the states saved before stay as older ones, for a journal whose latest are damaged.
        """
        with self._unawaited(CHECKPOINT_PAGES):
            with self.transaction() as db:
                self._keep_older(db, states)
                changed = self._put_states(db, seq, states)
            self._states.update(changed)

    def _keep_older(self, db: sqlite3.Connection, states: Mapping[str, Any]) -> None:
        rows: dict[str, int] = dict(db.execute("SELECT name, seq FROM state"))
        seqs = {rows.get(name) for name in states}
        seq = seqs.pop()
        if seq is None or seqs or seq - max((rows.get(OLDER + name, 0) for name in states), default=0) < OLDER_ROWS:
            return
        for name in states:
            body = db.execute("SELECT body FROM state WHERE name = ?", (name,)).fetchone()[0]
            self._put(db, "state", OLDER + name, seq, body)

    def _put_states(self, db: sqlite3.Connection, seq: int, states: Mapping[str, Any]) -> dict[str, bytes]:
        """Write states, of those that are as before only the row; returns the others."""
        changed: dict[str, bytes] = {}
        for name, state in states.items():
            body = encode_state(state)
            if self._states.get(name) != body:
                self._put(db, "state", name, seq, body)
                changed[name] = body
            else:
                digest = digest_of("state", (name, seq, body))
                db.execute("UPDATE state SET seq = ?, digest = ? WHERE name = ?", (seq, digest, name))
                self._sealing.put("state", name, digest)
        return changed

    def _put(self, db: sqlite3.Connection, table: str, *values: str | int | bytes) -> None:
        """Write a row of a sealed table; its key is the first value."""
        digest = digest_of(table, values)
        places = ",".join("?" * (len(values) + 1))
        db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", (*values, digest))  # noqa: S608 - constants
        self._sealing.put(table, _key(values[0]), digest)

    @contextmanager
    def _unawaited(self, checkpoint_pages: int) -> Iterator[None]:
        """Transactions inside do not wait for the disk."""
        self._set(SYNCHRONOUS["process"], checkpoint_pages)
        try:
            yield
        finally:
            self._set(self._synchronous, LATEST_CHECKPOINT_PAGES)

    def _set(self, synchronous: str, checkpoint_pages: int) -> None:
        with explained(self.path):
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")

    def _notes(self, db: sqlite3.Connection, entry: Entry) -> dict[str, int]:
        """Writes what most transactions lack; returns the counters that moved."""
        if entry.dead_letters:
            db.executemany(
                "INSERT INTO dead_letters (seq, partition, offset, reason, expected, found, payload) "
                "VALUES (?,?,?,?,?,?,?)",
                (
                    (entry.seq, one.partition, one.offset, one.reason, one.expected, one.found, one.payload)
                    for one in entry.dead_letters
                ),
            )
        if entry.gaps:
            columns = "seq, symbol, after_ns, before_ns, missing"
            db.executemany(f"INSERT INTO gaps ({columns}) VALUES (?,?,?,?,?)", entry.gaps)  # noqa: S608 - constant
        if entry.operation is not None:
            seq, ts_event, kind, by, name = entry.operation
            number = self._sealing.highest("operations") + 1
            self._put(db, "operations", number, seq, ts_event, int(kind), by)
            if name:
                self._put(db, "meta", f"{NAMED}{number}", name)
        for activation in entry.activations:
            self._put(db, "activations", *activation)
        for key, value in entry.meta.items():
            self._put(db, "meta", key, value)
        counters = {name: self._counters.get(name, 0) + count for name, count in entry.counts.items()}
        for name, total in counters.items():
            self._put(db, "counters", name, total)
        return counters

    def unsent(self, most: int = 250) -> list[tuple[int, DeadLetter]]:
        """Dead letters that were not forwarded yet, with their numbers."""
        columns = "partition, offset, reason, expected, found, payload"
        query = f"SELECT id, {columns} FROM dead_letters WHERE sent = 0 ORDER BY id LIMIT ?"  # noqa: S608 - constant
        with explained(self.path):
            return [(row[0], DeadLetter(*row[1:])) for row in self._db.execute(query, (most,))]

    def give_up(self, after: int, most: int = DEAD_LETTERS_WAITING) -> int:
        """Delete the oldest dead letters that wait to be forwarded, where more than so many do.

        Args:
            after: Number of a dead letter; those up to it stay, because they are on their way.
            most: How many may wait; so that this costs little, GIVEN_UP_AT_ONCE more before any is deleted.

        Returns:
            How many were deleted; the running count GIVEN_UP has them, too.
        """
        with explained(self.path):
            last = self._db.execute("SELECT max(id) FROM dead_letters").fetchone()[0] or 0
            first = self._db.execute("SELECT min(id) FROM dead_letters WHERE sent = 0 AND id > ?", (after,)).fetchone()[
                0
            ]
        # numbers are in sequence, so they tell how many there are
        if first is None or last - first + 1 < most + GIVEN_UP_AT_ONCE:
            return 0
        with self.transaction() as db:
            through = last - most
            query = "DELETE FROM dead_letters WHERE sent = 0 AND id > ? AND id <= ?"
            count = db.execute(query, (after, through)).rowcount
            total = self._counters.get(GIVEN_UP, 0) + count
            self._put(db, "counters", GIVEN_UP, total)
        self._counters[GIVEN_UP] = total
        return count

    def mark_sent(self, through: int) -> None:
        """Dead letters up to this number were forwarded; only the last of them stay here.

        The disk is not waited for: after a power cut some may be handed on again, under the same numbers.
        """
        with self._unawaited(LATEST_CHECKPOINT_PAGES), self.transaction() as db:
            db.execute("UPDATE dead_letters SET sent = 1 WHERE sent = 0 AND id <= ?", (through,))
            db.execute("DELETE FROM dead_letters WHERE sent = 1 AND id <= ?", (through - LETTERS_KEPT,))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is rolled back if anything fails inside.

        Raises:
            DataError: If the files are not those that were opened; JournalError if they cannot be written.
        """
        self._see_that_files_are_there()
        with explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                if self._sealing.changed:
                    body = msgspec.msgpack.encode(self._sealing.seal())
                    self._db.execute("INSERT OR REPLACE INTO seal VALUES (0,?,?)", (body, digest_of("seal", (body,))))
                self._db.execute("COMMIT")
                self._sealing.commit()
            except BaseException:
                self._sealing.discard()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _see_that_files_are_there(self) -> None:
        """SQLite writes on to files that were deleted, and all of it is gone when the process ends.

        Raises:
            DataError: If one of them is gone, or another one is in its place.
        """
        for path in self._files:
            try:
                inode = os.stat(path).st_ino  # noqa: PTH116 - before every commit, and ten times as fast
            except OSError:
                inode = 0
            if inode != self._inodes.setdefault(path, inode) or (not inode and path == self.path):
                raise DataError(
                    "the journal was deleted, moved or replaced while the session runs",
                    where=str(path),
                    expected="the file that this session has opened",
                    found="another file" if inode else "no such file",
                    hint="nothing of this is committed; restore the whole folder from a copy, or begin in another one",
                )
            if not inode:
                del self._inodes[path]  # it is made with the first transaction

    def archive(self, blocks: Iterable[StoredBlock]) -> None:
        """Copy blocks to the archive beside the journal; done again after a crash, it changes nothing."""
        with explained(self.path):
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

    def forget(self, through: int, states: Mapping[str, Any]) -> None:
        """Delete the blocks before a row, and save what stands for them."""
        with self.transaction() as db:
            db.execute("DELETE FROM blocks WHERE seq + rows <= ?", (through,))
            for name, state in states.items():
                self._put(db, "state", name, through, encode_state(state))

    def drop_states(self, names: Iterable[str]) -> None:
        """Delete states that are damaged: others stand in for them."""
        with self.transaction() as db:
            for name in names:
                db.execute("DELETE FROM state WHERE name = ?", (name,))
                self._sealing.put("state", name, None)

    def rewrite(self, tables: Mapping[str, Iterable[Sequence[str | int | bytes]]], end: int) -> None:
        """Put other rows in place of all that sealed tables hold, and delete the blocks and gaps from a row on.

        Args:
            tables: By name, their rows without digests; tables that are left out stay.
            end: Number of the row that comes next then.
        """
        with self.transaction() as db:
            db.execute("DELETE FROM blocks WHERE seq >= ?", (end,))
            db.execute("DELETE FROM gaps WHERE seq >= ?", (end,))
            self._sealing.reach(end)
            for table, rows in tables.items():
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
                self._sealing.clear(table)
                for row in rows:
                    self._put(db, table, *row)
        self._states.clear()
        self._load_counters()

    @property
    def last_operation(self) -> int:
        """Number of the last command of the operator that is committed; 0 if there is none."""
        return self._sealing.highest("operations")

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(file.stat().st_size for file in self._files if file.exists())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _create(self) -> None:
        with self.transaction() as db:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            for table in TABLES:
                db.execute(table)

    def _upgrade(self) -> None:
        """Give a journal of the version before its digests, over the values that it has."""
        with self.transaction() as db:
            for table, columns in SEALED.items():
                rows = db.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608 - constants
                db.execute(f"ALTER TABLE {table} ADD COLUMN digest INTEGER NOT NULL DEFAULT 0")
                for row in rows:
                    self._put(db, table, *row)
            db.execute(SEAL)
            self._sealing.reach(_next_seq(db))
            db.execute(f"PRAGMA user_version = {VERSION}")
        self._load_counters()

    def _load(self) -> None:
        for table, columns in SEALED.items():
            key = columns.partition(",")[0]
            for name, digest in self._db.execute(f"SELECT {key}, digest FROM {table}"):  # noqa: S608 - constants
                self._sealing.load(table, name, digest)
        self._sealing.reach(_next_seq(self._db))
        self._sealing.commit()
        self._load_counters()

    def _load_counters(self) -> None:
        self._counters = dict(self._db.execute("SELECT name, value FROM counters"))


def _next_seq(db: sqlite3.Connection) -> int:
    last = db.execute("SELECT seq + rows FROM blocks ORDER BY seq DESC LIMIT 1").fetchone()
    return int(last[0]) if last else 0


def _key(value: str | int | bytes) -> Key:
    return value if isinstance(value, int) else str(value)
