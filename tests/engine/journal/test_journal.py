from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine.base.errors import DataError, UsageError
from engine.journal.blocks import encode
from engine.journal.entries import Entry, Gap, Ordered
from engine.journal.files import FILE, JournalError, check_version
from engine.journal.journal import Journal
from engine.journal.reading import JournalReader
from engine.loop.weights import Activation
from engine.types.dead_letter import DeadLetter
from engine.types.records import Operation
from tests.engine.journal.steps import make_old, steps_of

SESSION = {"session": json.dumps({"symbols": ["S0", "S1"]})}
LETTER = DeadLetter("topic/0", 7, "late", "a bar after 12:00", "a bar of 11:59", b"\xff\x00raw")


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    steps = steps_of(20, 2, (7,))
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION, activations=[Activation(0, "v1", "ab")]))
        for step in steps:
            journal.commit(
                Entry(
                    [step],
                    step.bars.seq + len(step),
                    {"topic/0": str(step.bars.seq)},
                    {"agent": b"x"},
                    counts={"bars": 2},
                )
            )
        gap = Gap(20, "S1", 1, 5, 3)
        order = Ordered(20, 99, Operation.PAUSE, "ctl")
        journal.commit(Entry(seq=20, dead_letters=[LETTER], gaps=[gap], operation=order, counts={"bars": 1}))
    with JournalReader(tmp_path) as reader:
        assert reader.symbols == ("S0", "S1")
        assert reader.next_seq == 20
        assert reader.positions() == {"topic/0": "14"}
        assert reader.states() == {"agent": (20, b"x")}
        assert reader.counters() == {"bars": 7}
        assert reader.gaps() == [gap]
        assert reader.operations() == [order]
        assert reader.operations(since=21) == []
        assert reader.activations() == [Activation(0, "v1", "ab")]
        assert list(reader.dead_letters()) == [(1, LETTER)]
        assert [block.seq for block in reader.stored()] == [0, 7, 14]
        assert list(reader.stored())[1] == encode(steps[1])
        assert [len(step) for step in reader.steps(rows=10)] == [14, 6]
        assert [step.bars.seq for step in reader.steps(since=7, rows=1)] == [7, 14]
        assert reader.integrity() == "ok"


def test_a_reader_sees_one_moment_until_it_looks_again(tmp_path: Path) -> None:
    steps = steps_of(3, 2)
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION))
        journal.commit(Entry(steps[:1], 1))
        with JournalReader(tmp_path) as reader:
            journal.commit(Entry(steps[1:2], 2))
            assert reader.next_seq == 1
            reader.refresh()
            assert reader.next_seq == 2


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    steps = steps_of(3, 2)
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION))
        journal.commit(Entry(steps[:1], 1, {"a": "1"}, {"agent": b"1"}))
        with pytest.raises(JournalError):
            journal.commit(Entry([steps[1], steps[0]], 2, {"a": "2"}, {"agent": b"2"}))  # row 0 is there already
        with JournalReader(tmp_path) as reader:
            assert (reader.next_seq, reader.positions(), reader.states()["agent"]) == (1, {"a": "1"}, (1, b"1"))
        journal.commit(Entry(steps[1:2], 2, {"a": "2"}, {"agent": b"2"}))
        with JournalReader(tmp_path) as reader:
            assert (reader.next_seq, reader.states()["agent"]) == (2, (2, b"2"))


def test_an_unchanged_state_keeps_its_bytes_and_moves_its_row(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION, states={"a": b"same", "b": b"1"}, seq=1))
        journal.commit(Entry(states={"a": b"same", "b": b"2"}, seq=2))
        with JournalReader(tmp_path) as reader:
            assert reader.states() == {"a": (2, b"same"), "b": (2, b"2")}


def test_states_may_follow_in_a_transaction_of_their_own(tmp_path: Path) -> None:
    steps = steps_of(2, 2)
    with Journal(tmp_path) as journal:
        journal.commit(Entry(steps, 2, meta=SESSION, states={"merger": b"m"}))
        journal.save(2, {"agent": b"a", "hash": b"h"})
        journal.save(2, {"agent": b"a", "hash": b"i"})
        with JournalReader(tmp_path) as reader:
            assert reader.states() == {"merger": (2, b"m"), "agent": (2, b"a"), "hash": (2, b"i")}


def test_letters_are_handed_on_in_order_and_once(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION, dead_letters=[LETTER] * 5))
        first = journal.unsent(most=3)
        assert [number for number, _ in first] == [1, 2, 3]
        journal.mark_sent(3)
        assert [number for number, _ in journal.unsent()] == [4, 5]
        journal.mark_sent(5)
        assert journal.unsent() == []


def test_only_the_last_letters_that_were_handed_on_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.journal.LETTERS_KEPT", 3)
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION, dead_letters=[LETTER] * 8))
        journal.mark_sent(5)
        with JournalReader(tmp_path) as reader:
            assert [number for number, _ in reader.dead_letters()] == [3, 4, 5, 6, 7, 8]


def test_the_oldest_letters_are_given_up_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.journal.GIVEN_UP_AT_ONCE", 5)
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION, dead_letters=[LETTER] * 16))
        assert journal.give_up(after=2, most=10) == 0  # 14 wait behind those on their way
        journal.commit(Entry(dead_letters=[LETTER] * 4))
        assert journal.give_up(after=2, most=10) == 8
        assert [number for number, _ in journal.unsent()] == [1, 2, *range(11, 21)]
        journal.mark_sent(2)
        assert journal.give_up(after=2, most=10) == 0
        journal.commit(Entry(dead_letters=[LETTER] * 5))
        assert journal.give_up(after=2, most=10) == 5
    with JournalReader(tmp_path) as reader:
        assert reader.check() == {}
        assert reader.counters() == {"letters_given_up": 13}


def test_a_full_disk_is_named_and_passes(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION))
        db = journal._db
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(JournalError, match="the disk is full"):
            journal.commit(Entry(states={"agent": os.urandom(100_000)}, seq=1))
        with JournalReader(tmp_path) as reader:
            assert reader.states() == {}
        db.execute("PRAGMA max_page_count = 1000000")
        journal.commit(Entry(states={"agent": b"1" * 100_000}, seq=1))
        with JournalReader(tmp_path) as reader:
            assert len(reader.states()["agent"][1]) == 100_000


def test_a_journal_that_begins_while_its_version_is_read_is_one(tmp_path: Path) -> None:
    class Slow(sqlite3.Connection):
        begun = False

        def execute(self, *words: Any) -> sqlite3.Cursor:
            found = super().execute(*words)
            if not self.begun:
                self.begun = True
                row = found.fetchone()
                Journal(tmp_path).close()  # between the first question and the second
                found = super().execute("SELECT ?", row)
            return found

    db = sqlite3.connect(tmp_path / FILE, isolation_level=None, factory=Slow)
    check_version(db, tmp_path / FILE)
    check_version(db, tmp_path / FILE)
    db.close()


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no live session"):
        JournalReader(tmp_path)
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("CREATE TABLE other (a)")
    db.close()
    with pytest.raises(DataError, match="not the journal of a session"):
        Journal(tmp_path)
    with pytest.raises(DataError, match="not the journal of a session"):
        JournalReader(tmp_path)
    (tmp_path / FILE).write_bytes(b"not a database at all, but long enough to look at" * 30)
    with pytest.raises(JournalError, match="not a database"):
        Journal(tmp_path)


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal._db.execute("PRAGMA user_version = 3")
    with pytest.raises(DataError, match="another version"):
        Journal(tmp_path)


def test_killed_inside_a_transaction_nothing_of_it_is_there(tmp_path: Path) -> None:
    steps = steps_of(4, 2)
    with Journal(tmp_path) as journal:
        journal.commit(Entry(meta=SESSION))
    statements: list[int] = []
    for kill_at in range(30):
        child = os.fork()
        if child == 0:
            seen = 0

            def trace(_: str, at: int = kill_at) -> None:
                nonlocal seen
                if seen == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

            try:
                journal = Journal(tmp_path, trace=trace)
                with JournalReader(tmp_path) as reader:
                    seq = reader.next_seq
                if seq < len(steps):
                    journal.commit(Entry([steps[seq]], seq + 1, {"a": str(seq + 1)}, {"agent": b"%d" % (seq + 1)}))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        statements.append(status)
        with JournalReader(tmp_path) as reader:
            seq = reader.next_seq
            assert reader.positions().get("a", "0") == str(seq)
            assert reader.states().get("agent", (0, b"0"))[1] == b"%d" % seq
            assert reader.integrity() == "ok"
    assert signal.SIGKILL in statements
    assert 0 in statements


def _journal(folder: Path) -> None:
    with Journal(folder) as journal:
        journal.commit(Entry(meta=SESSION, activations=[Activation(0, "v1", "ab"), Activation(7, "v2", "cd")]))
        order = Ordered(0, 99, Operation.PAUSE, "ctl")
        journal.commit(Entry(steps_of(3, 2), 3, {"p": "1"}, {"merger": b"m"}, operation=order, counts={"bars": 6}))
        journal.commit(Entry(seq=3, positions={"p": "2", "q": "1"}, counts={"bars": 0, "gaps": 1}))


CHANGES = [
    ("meta", "value = replace(value, 'S0', 'S2')"),
    ("operations", "kind = kind + 1"),
    ("operations", "id = 2"),
    ("activations", "sha256 = 'ef'"),
    ("activations", "seq = seq + 1"),
    ("positions", "position = '3'"),
    ("positions", "partition = partition || 'x'"),
    ("counters", "value = value + 1"),
    ("state", "body = x'00'"),
    ("state", "name = 'other'"),
    ("state", "digest = digest + 1"),
    ("seal", "digest = 0"),
    ("blocks", "first_ts = first_ts + 1"),
]


@pytest.mark.parametrize(("table", "change"), CHANGES)
def test_what_was_changed_since_it_was_written_is_noticed(tmp_path: Path, table: str, change: str) -> None:
    _journal(tmp_path)
    with JournalReader(tmp_path) as reader:
        assert reader.check() == {}
    db = sqlite3.connect(tmp_path / FILE)
    db.execute(f"UPDATE {table} SET {change}")
    db.commit()
    db.close()
    with pytest.raises(DataError, match="damaged"), JournalReader(tmp_path) as reader:
        reader.check()
        list(reader.steps())


def test_a_journal_without_digests_is_read_and_gets_them_when_it_is_written(tmp_path: Path) -> None:
    _journal(tmp_path)
    with JournalReader(tmp_path) as reader:
        before = reader.positions(), reader.operations(), reader.activations(), reader.counters(), reader.states()
    make_old(tmp_path)
    with JournalReader(tmp_path) as reader:
        assert reader.check() == {}
        read = reader.positions(), reader.operations(), reader.activations(), reader.counters(), reader.states()
        assert read == before
    with Journal(tmp_path) as journal:
        journal.commit(Entry(seq=3, counts={"bars": 1}))
    with JournalReader(tmp_path) as reader:
        assert reader.check() == {}
        assert reader.counters() == {"bars": 7, "gaps": 1}
        assert reader.operations() == before[1]
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("UPDATE positions SET position = '9'")
    with JournalReader(tmp_path) as reader, pytest.raises(DataError, match="damaged"):
        reader.check()
