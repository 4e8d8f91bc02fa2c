"""Reading a journal, also while a session writes it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from engine.base.errors import DataError, UsageError
from engine.base.nearest import nearest_folder
from engine.base.state import OtherRelease
from engine.base.state import decode as decode_state
from engine.journal.blocks import StoredBlock, decode, joined
from engine.journal.digests import SEALED, Seal, digest_of, total_of
from engine.journal.entries import LEARNING, NAMED, ROLES, Gap, Ordered
from engine.journal.files import ARCHIVE, FILE, check_version
from engine.journal.journal import OLDER
from engine.journal.schema import VERSION
from engine.loop.learner import LearningEvent
from engine.loop.rivals import RoleChange
from engine.loop.weights import Activation
from engine.types.dead_letter import DeadLetter
from engine.types.records import Operation
from engine.types.step import StepBlock

CHUNK_ROWS = 4096
# states that older ones, or the bars, can make again
REMAKEABLE = frozenset({"agent", "simulator", "hash", "challengers", "seen", "monitor"})
MEND = "restore the session folder from a copy, or see `grandmodel journal mend`"
SUBJECTS = {"merger": "feed", "hash": "ledger's hash", "seen": "latest messages", "monitor": "performance monitor"}
"""What a saved state is of, where its name does not say it."""
OTHER_RELEASE = "resume the session with the release that wrote it, or see `grandmodel journal mend`"
# what damaged bytes result in: an error of SQLite, text that is not valid, a value of another kind
DAMAGE = (sqlite3.Error, ValueError, TypeError, KeyError)


class JournalReader:
    """A journal, read-only, as it was when the reader was made or refreshed: everything read belongs together.

    Raises:
        UsageError: If there is no journal.
        DataError: If the file is no journal, or damaged; from any method.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        if not self.path.is_file():
            raise UsageError(
                "this folder holds no live session",
                where=str(folder),
                expected=f"a folder that `grandmodel paper --out` wrote, with its {FILE}",
                hint=nearest_folder(folder, FILE),
            )
        self._db = _open(self.path)
        archive = folder / ARCHIVE
        self._archive = _open(archive) if archive.is_file() else None
        self.refresh()
        with _readable(self.path):
            # a journal of the version before has no digests, and nothing of it can be checked
            self._sealed = self._db.execute("PRAGMA user_version").fetchone()[0] == VERSION
        session = self.meta("session") if _has_tables(self._db) else None
        if session is None:
            self.close()
            if has_begun(folder):
                raise _damaged(self.path, "meta", "session", "restore the session folder from a copy")
            raise DataError("the session in this folder never started", where=str(self.path))
        with _readable(self.path):
            self.session: dict[str, Any] = dict(json.loads(session))
            self.symbols: tuple[str, ...] = tuple(self.session["symbols"])

    def refresh(self) -> None:
        """Look at the journal as it is now."""
        with _readable(self.path):
            for db in filter(None, (self._db, self._archive)):
                if db.in_transaction:
                    db.execute("COMMIT")
                db.execute("BEGIN")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        if self._archive is not None:
            self._archive.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def meta(self, key: str) -> str | None:
        """A fact about the session."""
        found = self._rows("meta", "WHERE key = ?", key)
        return str(found[0][1]) if found else None

    @property
    def next_seq(self) -> int:
        """Number of the row that comes next."""
        last = self._all("SELECT seq + rows FROM blocks ORDER BY seq DESC LIMIT 1")
        return int(last[0][0]) if last else 0

    @property
    def last_ts(self) -> int | None:
        """Close time of the last row, nanoseconds UTC; None without rows."""
        last = self._all("SELECT last_ts FROM blocks ORDER BY seq DESC LIMIT 1")
        return int(last[0][0]) if last else None

    @property
    def untouched(self) -> bool:
        """Whether the session never received anything, neither messages nor commands."""
        letters = self._all("SELECT 1 FROM dead_letters LIMIT 1")
        return not (self.next_seq or self.operations() or self.positions() or letters)

    @property
    def first_seq(self) -> int:
        """Number of the first row that is kept, in the archive or here."""
        kept = int(self._all("SELECT coalesce(min(seq), 0) FROM blocks")[0][0])
        if self._archive is None:
            return kept
        with _readable(self.path.with_name(ARCHIVE)):
            archived = self._archive.execute("SELECT min(seq) FROM blocks").fetchone()[0]
        return kept if archived is None else min(kept, int(archived))

    def held(self, before_ts: int) -> tuple[int, int] | None:
        """First row that the journal itself holds, and the row before which those end that closed before a time."""
        found = self._all("SELECT min(seq), max(seq + rows) FROM blocks WHERE last_ts < ?", before_ts)[0]
        if found[0] is not None and found[1] is None:
            raise _damaged(self.path, "blocks", str(found[0]), "restore the session folder from a copy")
        return None if found[0] is None else (int(found[0]), int(found[1]))

    def positions(self) -> dict[str, str]:
        """The offset at which each partition resumes."""
        return dict(self._rows("positions"))

    def states(self, *names: str) -> dict[str, tuple[int, Any]]:
        """The latest state of each part, and the number of the row behind it; without those that are damaged.

        Args:
            names: Which; by default all.
        """
        where = f"WHERE name IN ({','.join('?' * len(names))})" if names else ""
        return {name: (seq, state) for (name, seq, _), state in self._state_rows(where, names)[0]}

    def _state_rows(
        self, where: str = "", names: Sequence[str] = ()
    ) -> tuple[list[tuple[tuple[str, int, bytes], Any]], dict[str, DataError]]:
        """States that are whole, as rows and as trees, and what is wrong with the others, by name."""
        damaged: set[str] = set()
        whole: list[tuple[tuple[str, int, bytes], Any]] = []
        rows = self._rows("state", where, *names, damaged=damaged)
        wrong = {name: _damaged(self.path, "state", name, MEND, _subject(name)) for name in damaged}
        for row in rows:
            with _readable(self.path):
                name, seq, body = str(row[0]), int(row[1]), bytes(row[2])
            try:
                whole.append(((name, seq, body), decode_state(body, _subject(name))))
            except DataError as error:
                place = f"{self.path}, table state, row {name!r}"
                hint = OTHER_RELEASE if isinstance(error, OtherRelease) else MEND
                wrong[name] = DataError(error.what, where=place, expected=error.expected, found=error.found, hint=hint)
        return whole, wrong

    def operations(self, since: int = 0) -> list[Ordered]:
        """The operator's commands from a row on, in order."""
        rows = self._rows("operations", "WHERE seq >= ? ORDER BY id", since)
        named = dict(self._rows("meta", "WHERE key LIKE ?", f"{NAMED}%"))
        with _readable(self.path):
            return [
                Ordered(seq, ts, Operation(kind), by, str(named.get(f"{NAMED}{number}", "")))
                for number, seq, ts, kind, by in rows
            ]

    def activations(self) -> list[Activation]:
        """Which models decided from which row on."""
        return [Activation(*row) for row in self._rows("activations", "ORDER BY seq")]

    def role_changes(self) -> list[RoleChange]:
        """Which roles champion and challengers had from which row on, in order."""
        rows = self._rows("meta", "WHERE key LIKE ? ORDER BY key", f"{ROLES}%")
        with _readable(self.path):
            return [RoleChange(**json.loads(value)) for _, value in rows]

    def learning_events(self) -> list[LearningEvent]:
        """What has become of training jobs, and of versions that an operator named, in order."""
        rows = self._rows("meta", "WHERE key LIKE ? ORDER BY key", f"{LEARNING}%")
        with _readable(self.path):
            return [LearningEvent(**json.loads(value)) for _, value in rows]

    def counters(self) -> dict[str, int]:
        """The running counts."""
        return dict(self._rows("counters"))

    def whole(self, table: str) -> list[Any] | None:
        """Rows of a sealed table without their digests; None if any is damaged."""
        damaged: set[str] = set()
        rows = self._rows(table, damaged=damaged)
        return None if damaged else rows

    def check(self) -> dict[str, DataError]:
        """Check every row that decides what comes next, and that none is lost.

        Returns:
            Saved states that are damaged, or of another release, and can be made again: what is wrong, by name.

        Raises:
            DataError: If anything else is damaged or lost.
        """
        rows, wrong = self._state_rows()
        if lost := wrong.keys() - REMAKEABLE - {OLDER + name for name in REMAKEABLE}:
            raise wrong[min(lost)]
        if not self._sealed:
            return wrong
        seal = self._seal()
        for table in SEALED:
            if table == "state":
                digests = [digest_of(table, row) for row, _ in rows]
            else:
                digests = [digest_of(table, row) for row in self._rows(table)]
            whole = len(digests) == seal.rows.get(table) and total_of(digests) == seal.totals.get(table)
            if not whole and not (table == "state" and len(digests) + len(wrong) == seal.rows.get(table)):
                raise DataError(
                    f"rows of the journal's table {table} are lost",
                    where=str(self.path),
                    expected=f"{seal.rows.get(table)} rows, as when it was written last",
                    found=f"{len(digests)} rows" + ("" if len(digests) != seal.rows.get(table) else ", others"),
                    hint=MEND,
                )
        if self.next_seq != seal.next_seq:
            raise DataError(
                "rows are missing at the end of the journal",
                where=str(self.path),
                expected=f"rows to {seal.next_seq - 1}",
                found=f"rows to {self.next_seq - 1}",
                hint=MEND,
            )
        return wrong

    def _seal(self) -> Seal:
        found = self._all("SELECT body, digest FROM seal WHERE id = 0")
        with _readable(self.path):
            if not found or digest_of("seal", (found[0][0],)) != found[0][1]:
                raise _damaged(self.path, "seal", "0", MEND)
            return msgspec.msgpack.decode(found[0][0], type=Seal)

    def gaps(self) -> list[Gap]:
        """Bars that were missing."""
        return [
            Gap(*row) for row in self._all("SELECT seq, symbol, after_ns, before_ns, missing FROM gaps ORDER BY id")
        ]

    def dead_letters(self, most: int = -1) -> Iterator[tuple[int, DeadLetter]]:
        """Dead letters with their numbers, the oldest first."""
        columns = "id, partition, offset, reason, expected, found, payload"
        query = f"SELECT {columns} FROM dead_letters ORDER BY id LIMIT ?"  # noqa: S608 - constant
        for row in self._all(query, most):
            yield row[0], DeadLetter(*row[1:])

    def stored(self, since: int = 0) -> Iterator[StoredBlock]:
        """Blocks as they are kept, those that begin at the row `since` or later, archived ones first."""
        at = since
        for db in filter(None, (self._archive, self._db)):
            with _readable(self.path if db is self._db else self.path.with_name(ARCHIVE)):
                # what an interrupted move left in both comes once
                for row in db.execute("SELECT * FROM blocks WHERE seq >= ? ORDER BY seq", (at,)):
                    block = StoredBlock(*row)
                    if not block.well_formed:
                        raise ValueError(f"the block after row {at - 1} has values of another kind")
                    if at > since and block.seq != at:
                        raise ValueError(f"rows {at} to {block.seq - 1} are missing")
                    at = block.seq + block.rows
                    yield block

    def own(self, through: int) -> Iterator[StoredBlock]:
        """Blocks of the journal itself, without the archive, that end before a row."""
        for row in self._all("SELECT * FROM blocks WHERE seq < ? AND seq + rows <= ? ORDER BY seq", through, through):
            yield StoredBlock(*row)

    def steps(self, since: int = 0, rows: int = CHUNK_ROWS) -> Iterator[StepBlock]:
        """Steps in order from a block that begins at the row `since`, joined to at least so many rows each."""
        held: list[StepBlock] = []
        count = 0
        for stored in self.stored(since):
            held.append(self.decoded(stored))
            count += stored.rows
            if count >= rows:
                yield joined(held)
                held, count = [], 0
        if held:
            yield joined(held)

    def block_with(self, row: int) -> int:
        """Number of the first row of the block that holds a row, in the archive or here."""
        at = 0
        for db in filter(None, (self._archive, self._db)):
            with _readable(self.path if db is self._db else self.path.with_name(ARCHIVE)):
                found = db.execute("SELECT max(seq) FROM blocks WHERE seq <= ?", (row,)).fetchone()[0]
            at = max(at, 0 if found is None else int(found))
        return at

    def decoded(self, stored: StoredBlock) -> StepBlock:
        """The step of a block.

        Raises:
            DataError: If the block was damaged; the file is named.
        """
        try:
            return decode(stored, self.symbols)
        except DataError as error:
            where = f"{self.path}, {error.where}"
            raise DataError(
                error.what, where=where, expected=error.expected, found=error.found, hint=error.hint
            ) from error

    def integrity(self) -> str:
        """What SQLite says of its files: `ok`, or what is wrong."""
        return "; ".join(str(row[0]) for row in self._all("PRAGMA integrity_check"))

    def _rows(self, table: str, rest: str = "", *values: object, damaged: set[str] | None = None) -> list[Any]:
        """Rows of a sealed table, without their digests, which are checked.

        Args:
            rest: What follows in the query.
            values: For the query.
            damaged: Takes the keys of rows that are damaged, in place of an error.

        Raises:
            DataError: If a row is damaged.
        """
        columns = SEALED[table] + (", digest" if self._sealed else "")
        rows = self._all(f"SELECT {columns} FROM {table} {rest}", *values)  # noqa: S608 - constants
        if not self._sealed:
            return rows
        whole = []
        for row in rows:
            if digest_of(table, row[:-1]) == row[-1]:
                whole.append(row[:-1])
            elif damaged is None:
                raise _damaged(self.path, table, str(row[0]), MEND)
            else:
                damaged.add(str(row[0]))
        return whole

    def _all(self, query: str, *values: object) -> list[Any]:
        with _readable(self.path):
            return self._db.execute(query, values).fetchall()


def _subject(name: str) -> str:
    part = name.removeprefix(OLDER)
    return f"the {'older ' if name != part else ''}saved state of the {SUBJECTS.get(part, part)}"


def _damaged(path: Path, table: str, key: str, hint: str, what: str = "the journal") -> DataError:
    return DataError(
        f"{what} is damaged",
        where=f"{path}, table {table}, row {key[:80]!r}",
        expected="the values that were written",
        found="different values: the digest does not match",
        hint=hint,
    )


def has_begun(folder: Path) -> bool:
    """Whether a session began in a folder; one that was killed while it made its journal did not.

    Raises:
        DataError: If there is a journal that cannot be read.
    """
    if not (folder / FILE).is_file():
        return False
    db = _open(folder / FILE)
    try:
        with _readable(folder / FILE):
            if not _has_tables(db):
                return False
            begun = "SELECT 1 FROM meta WHERE key = 'session' UNION ALL SELECT 1 FROM blocks LIMIT 1"
            return bool(db.execute(begun).fetchone())
    finally:
        db.close()


def _has_tables(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _open(path: Path) -> sqlite3.Connection:
    with _readable(path):
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        check_version(db, path)
        return db


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise DataError(
            f"cannot read the journal: {error}", where=str(path), hint="restore the session folder from a copy"
        ) from error
