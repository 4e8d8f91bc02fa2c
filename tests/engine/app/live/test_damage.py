"""A bit that changes in a journal is noticed: the session goes on to the right ledger, or says what is damaged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.app.journal import retention
from engine.app.journal.mending import mend
from engine.app.journal.recovering import MERGER, SEEN
from engine.app.journal.verifying import audit, replay_whole
from engine.app.live.folder import SOCKET
from engine.base.errors import CheckFailed, DataError, GrandModelError
from engine.base.restoring import MADE, describe
from engine.base.state import encode
from engine.journal import journal as journal_module
from engine.journal.digests import SEALED, Seal, digest_of, total_of
from engine.journal.files import FILE
from engine.journal.journal import OLDER
from engine.journal.reading import JournalReader
from engine.loop.ledger_hash import FORM
from engine.types.records import Operation
from tests.engine.app.live.sessions import Case, case, live_bars

CUTS = (3,)
# only sessions with models have activations; those are tested with the journal
TABLES = [table for table in SEALED if table != "activations"]
TRADER = ("agent", "simulator", "hash")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path]:
    """A session with every kind of row, stopped after some rows."""
    folder = tmp_path_factory.mktemp("stopped")
    short = case(live_bars(60, ("A", "B"), absent=0.2), standby=True)
    short.run(folder, CUTS, end={"bars": 30})
    from engine.app.live.commands import operate_stopped

    operate_stopped(folder, Operation.RESUME, "test")
    short.run(folder, CUTS, end={"bars": 50})
    return short, folder


def flipped(value: Any, chance: Random) -> Any:
    """A value with one bit changed."""
    if isinstance(value, int):
        return value ^ (1 << chance.randrange(31))
    body = bytearray(value.encode() if isinstance(value, str) else value)
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return bytes(body)


def damage(folder: Path, table: str, chance: Random, column: str | None = None, key: str | None = None) -> str:
    """Change one bit of a value in a table; returns what was changed."""
    db = sqlite3.connect(folder / FILE, isolation_level=None)
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    rows = db.execute(f"SELECT * FROM {table}").fetchall()
    row = chance.choice([row for row in rows if key is None or row[0] == key])
    at = (
        columns.index(column)
        if column
        else chance.choice([k for k, cell in enumerate(row) if cell not in (None, b"", "")])
    )
    kind = "CAST(? AS TEXT)" if isinstance(row[at], str) else "?"
    db.execute(f"UPDATE {table} SET {columns[at]} = {kind} WHERE {columns[0]} = ?", (flipped(row[at], chance), row[0]))
    db.close()
    return f"{table}.{columns[at]} of {row[0]}"


@pytest.fixture(scope="module")
def expected(stopped: tuple[Case, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    short, folder = stopped
    whole = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(folder, whole)
    return short.traded(whole, CUTS)


@pytest.mark.parametrize("table", [*TABLES, "seal", "blocks"])
def test_a_flipped_bit_never_gives_another_ledger(
    table: str, stopped: tuple[Case, Path], expected: str, tmp_path: Path
) -> None:
    short, folder = stopped
    noticed = 0
    for seed in range(25):
        copy = tmp_path / str(seed)
        shutil.copytree(folder, copy)
        what = damage(copy, table, Random(seed))
        with pytest.raises(GrandModelError):
            audit(copy)
        try:
            assert short.traded(copy, CUTS) == expected, what
        except GrandModelError as error:
            noticed += 1
            assert error.where and error.hint, what
    assert noticed or table in {"state", "blocks"}


def flipped_file(path: Path, chance: Random) -> str:
    """Change one bit of a file, where it holds something; returns what was changed."""
    content = np.fromfile(path, np.uint8)
    at = chance.choice(np.flatnonzero(content).tolist())
    content[at] ^= 1 << chance.randrange(8)
    content.tofile(path)
    return f"byte {at} of {path.name}"


def resumed(folder: Path, short: Case, expected: str, what: str) -> bool:
    """Whether a damaged session goes on, and then to the right ledger; if not, it has to say that it is damaged."""
    try:
        assert short.traded(folder, CUTS) == expected, what
    except GrandModelError as error:
        assert error.exit_code == 2, what
        assert FILE in str(error.where) and ("journal" in error.what or "saved state" in error.what), what
        return False
    return True


def test_a_bit_of_the_file_itself_never_gives_another_ledger(
    stopped: tuple[Case, Path], expected: str, tmp_path: Path
) -> None:
    """Pages, pointers and schema of SQLite among them, which no table shows."""
    short, folder = stopped
    went_on = []
    for seed in range(120):
        shutil.copytree(folder, copy := tmp_path / str(seed))
        went_on.append(resumed(copy, short, expected, flipped_file(copy / FILE, Random(seed))))
    assert {True, False} == set(went_on)


def test_a_bit_of_the_log_of_a_killed_session_never_gives_another_ledger(tmp_path: Path) -> None:
    """The log's own sums end it at the damage: what follows is delivered again."""
    short = case(live_bars(60, ("A", "B"), absent=0.2))
    whole = short.traded(tmp_path / "whole", CUTS)
    assert short.killed(tmp_path / "killed", 150, CUTS)
    log = f"{FILE}-wal"
    assert (tmp_path / "killed" / log).stat().st_size
    (tmp_path / "killed" / SOCKET).unlink(missing_ok=True)
    went_on = []
    for seed in range(60):
        shutil.copytree(tmp_path / "killed", copy := tmp_path / str(seed))
        went_on.append(resumed(copy, short, whole, flipped_file(copy / log, Random(seed))))
    assert any(went_on)


@pytest.mark.parametrize("name", TRADER)
def test_a_damaged_state_of_the_driver_is_made_again(
    name: str, stopped: tuple[Case, Path], expected: str, tmp_path: Path
) -> None:
    short, folder = stopped
    for seed in range(5):
        copy = tmp_path / str(seed)
        shutil.copytree(folder, copy)
        damage(copy, "state", Random(seed), "body", name)
        with pytest.raises(CheckFailed, match="states of the journal cannot be used") as caught:
            audit(copy)
        part = {"hash": "ledger's hash"}.get(name, name)
        assert caught.value.found == f"the saved state of the {part} is damaged"
        assert short.traded(copy, CUTS) == expected
        assert audit(copy).ledger_sha256 == expected


@pytest.mark.parametrize("table", [*TABLES, "blocks"])
def test_a_lost_row_is_noticed(table: str, stopped: tuple[Case, Path], tmp_path: Path) -> None:
    short, folder = stopped
    shutil.copytree(folder, tmp_path / "run")
    db = sqlite3.connect(tmp_path / "run" / FILE)
    last = {"blocks": "seq", "state": "rowid", "operations": "id"}.get(table)
    where = f"{last} = (SELECT max({last}) FROM {table})" if last else "1"
    db.execute(f"DELETE FROM {table} WHERE {where}")
    db.commit()
    db.close()
    with pytest.raises(GrandModelError):
        audit(tmp_path / "run")
    with pytest.raises(DataError):
        short.traded(tmp_path / "run", CUTS)


def test_an_older_state_stands_in_where_the_first_bars_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "OLDER_ROWS", 20)
    monkeypatch.setattr(retention, "CHUNK_ROWS", 10)
    short = case(live_bars(200), journal={"keep_days": 0.02, "archive": False})
    short.traded(tmp_path / "whole")
    for bars in (60, 110, 150):
        short.run(tmp_path / "run", end={"bars": bars})
    with JournalReader(tmp_path / "run") as reader:
        states = reader.states()
        assert 0 < reader.first_seq <= states[OLDER + "simulator"][0] < states["simulator"][0] == 150
    for name in TRADER:
        shutil.copytree(tmp_path / "run", tmp_path / name)
        damage(tmp_path / name, "state", Random(1), "body", name)
        assert short.traded(tmp_path / name) == short.expected
    for name in ("simulator", OLDER + "hash"):
        damage(tmp_path / "run", "state", Random(1), "body", name)
    with pytest.raises(DataError, match="cannot be recovered"):
        short.traded(tmp_path / "run")


def rewritten(folder: Path, changed: Callable[[str, Any], bytes | None]) -> None:
    """Give a journal other states, whole by the journal's own digests; None leaves one as it is."""
    with JournalReader(folder) as reader:
        states = reader.states()
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        for name, (seq, state) in sorted(states.items()):
            body = changed(name, state)
            if body is None:
                continue
            row = (name, seq, body)
            db.execute("UPDATE state SET body = ?, digest = ? WHERE name = ?", (row[2], digest_of("state", row), name))
        totals = {table: total_of(one for (one,) in db.execute(f"SELECT digest FROM {table}")) for table in SEALED}
        body = db.execute("SELECT body FROM seal").fetchone()[0]
        body = msgspec.msgpack.encode(msgspec.structs.replace(msgspec.msgpack.decode(body, type=Seal), totals=totals))
        db.execute("UPDATE seal SET body = ?, digest = ?", (body, digest_of("seal", (body,))))


def as_earlier_release(folder: Path, *parts: str) -> None:
    """Give a journal states in another form."""
    rewritten(folder, lambda name, _: b"GMS1 and what it meant then" if name.removeprefix(OLDER) in parts else None)


def with_later_hash(folder: Path) -> None:
    """Give a journal a state of the ledger's hash of another form."""
    made = {MADE: describe({"form": FORM + 1})}
    rewritten(folder, lambda name, state: encode({**state, **made}) if name.endswith("hash") else None)


def test_a_hash_of_another_form_is_made_again_from_the_rows(tmp_path: Path) -> None:
    short = case(live_bars(100))
    short.run(tmp_path, end={"bars": 60})
    with_later_hash(tmp_path)
    audit(tmp_path)  # which has nothing to compare its own hash with
    assert short.traded(tmp_path) == short.expected


def test_a_hash_of_another_form_stands_for_rows_that_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK_ROWS", 10)
    short = case(live_bars(200), journal={"keep_days": 0.02, "archive": False})
    whole = short.run(tmp_path / "whole")
    for bars in (60, 150):
        short.run(tmp_path / "run", end={"bars": bars})
    with_later_hash(tmp_path / "run")
    run = short.run(tmp_path / "run")
    assert run.exported is not None and whole.exported is not None
    assert run.exported.metrics == whole.exported.metrics
    assert audit(tmp_path / "run").ledger_sha256 == run.exported.manifest["ledger_sha256"] != short.expected


def test_states_of_an_earlier_release_are_made_again_from_the_bars(tmp_path: Path) -> None:
    short = case(live_bars(100))
    short.run(tmp_path, end={"bars": 60})
    as_earlier_release(tmp_path, *TRADER, SEEN)
    with pytest.raises(CheckFailed, match="the saved state of the agent is of an earlier release"):
        audit(tmp_path)
    assert short.traded(tmp_path) == short.expected
    assert audit(tmp_path).ledger_sha256 == short.expected
    assert replay_whole(tmp_path) == (100, short.expected)


def test_without_the_bars_a_state_of_an_earlier_release_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK_ROWS", 10)
    short = case(live_bars(200), journal={"keep_days": 0.02, "archive": False})
    for bars in (60, 150):
        short.run(tmp_path, end={"bars": bars})
    as_earlier_release(tmp_path, *TRADER)
    with pytest.raises(DataError, match="cannot be recovered"):
        short.run(tmp_path)


def test_an_intake_of_an_earlier_release_is_refused_and_can_be_mended(tmp_path: Path) -> None:
    short = case(live_bars(100))
    short.run(tmp_path, end={"bars": 60})
    as_earlier_release(tmp_path, MERGER)
    with pytest.raises(DataError, match="the saved state of the feed is of an earlier release") as caught:
        short.run(tmp_path)
    assert "journal mend" in str(caught.value.hint) and "merger" in str(caught.value.where)
    mend(tmp_path)
    assert short.traded(tmp_path) == short.expected
