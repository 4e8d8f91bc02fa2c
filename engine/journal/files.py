"""The file of a journal: its name, whether it is one that this program reads, and why it cannot be used."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.base.errors import DataError, GrandModelError
from engine.journal.schema import APPLICATION_ID, OLD_VERSION, TABLES, VERSION

FILE = "journal.sqlite"
ARCHIVE = "archive.sqlite"


class JournalError(GrandModelError):
    """The journal cannot be written: the disk is full or refuses; nothing of the transaction has happened."""


def remove(folder: Path) -> None:
    """Take the journal of a session away.

    Raises:
        JournalError: If the disk refuses.
    """
    with explained(folder / FILE):
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            (folder / name).unlink(missing_ok=True)


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """See that a database is a journal that this program reads, or empty.

    Raises:
        DataError: If it is not.
    """
    # first: a session that begins now makes its tables and its numbers in one transaction, perhaps between these lines
    empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if (application != APPLICATION_ID or version not in {OLD_VERSION, VERSION}) and not empty:
        other = application == APPLICATION_ID
        raise DataError(
            "this journal was written by another version" if other else "this file is not the journal of a session",
            where=str(path),
            expected=f"version {VERSION}",
            found=f"version {version}" if other else f"a database with application id {application:#x}",
            hint="use the version of grandmodel that wrote it, or start a new session in another folder",
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What SQLite or the disk refuses becomes a JournalError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        full = "full" in str(error)
        raise JournalError(
            f"the journal cannot be {'written: the disk is full' if full else f'used: {error}'}",
            where=str(path),
            hint="free some space; the session then resumes" if full else None,
        ) from error


def check_columns(db: sqlite3.Connection, path: Path) -> None:
    """See that the tables are those that every write expects: one that fails later would be tried again for ever.

    Raises:
        DataError: If they are not.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as pattern:
        for table in TABLES:
            pattern.execute(table)
        missing = sorted(_columns(pattern) - _columns(db))
    if missing:
        table, column, *_ = missing[0]
        raise DataError(
            "the journal is damaged",
            where=f"{path}, table {table}",
            expected=f"a column {column}, as it was made",
            found=f"{len(missing):,} columns missing or different",
            hint="start a new session in another folder, or restore the journal from a copy",
        )


def _columns(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    found = db.execute(
        "SELECT m.name, c.name, c.type, c.pk FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    )
    return {tuple(map(str, row)) for row in found}
