"""A session watched from outside, over journals that real sessions wrote."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.app.journal.recovering import recover
from engine.app.live.attaching import MAKING_S, SIMULATOR, Attached, appears, last_steps, read_book, standing_of
from engine.app.live.commands import operate_stopped
from engine.app.live.control import ControlServer
from engine.app.live.folder import SOCKET, SessionLock
from engine.app.live.open_or_resume import stored_setup
from engine.base.errors import DataError, UsageError
from engine.journal.blocks import joined
from engine.journal.entries import Entry
from engine.journal.files import FILE
from engine.journal.journal import Journal
from engine.journal.reading import JournalReader
from engine.types.records import ORDER, Operation
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.journal.steps import steps_of

SYMBOLS = ("A", "B")


def session(folder: Path, rows: int = 60, cuts: tuple[int, ...] = (1,), **settings: Any) -> None:
    # three orders each: a target is reached with a market order, so that some always work
    short = case(live_bars(200, SYMBOLS, absent=0.2), agent="random:seed=3,hold=2", **settings)
    short.run(folder, cuts=cuts, payloads=short.payloads[: 2 * rows])


def begun(folder: Path) -> Journal:
    journal = Journal(folder, "process")
    journal.commit(Entry(meta={"session": json.dumps({"symbols": ["S0"]})}))
    return journal


@pytest.mark.parametrize("rows", [1, 23, 60])
def test_the_last_step_carries_the_state_that_recovery_comes_to(tmp_path: Path, rows: int) -> None:
    session(tmp_path, rows)
    [step] = last_steps(tmp_path)
    with JournalReader(tmp_path) as reader:
        simulator = recover(reader, stored_setup(reader)).simulator
        [stored] = reader.steps()
    assert step.account.tobytes() == simulator.account.tobytes()
    assert step.position_records.tobytes() == simulator.positions.tobytes()
    assert step.orders.tobytes() == simulator.orders.tobytes()
    assert step.ledger.tobytes() == stored.ledger.tobytes()
    assert step.fills.tobytes() == stored.fills.tobytes()


def test_a_book_reads_as_the_simulator_wrote_it_and_another_state_is_refused(tmp_path: Path) -> None:
    session(tmp_path)
    with JournalReader(tmp_path) as reader:
        _, state = reader.states()[SIMULATOR]
    book = read_book(state, 2)
    assert all(part.tobytes() == state[name].tobytes() for name, part in book._asdict().items())
    assert len(book.orders) == book.account["orders"][0]
    order = np.zeros(1, ORDER)
    order["quantity"] = 7.5
    assert read_book({**state, "orders": order}, 2).orders["quantity"].tolist() == [7.5]
    for wrong in ({**state, "orders": book.account}, {**state, "positions": book.positions[:1]}, {}, b"", None):
        with pytest.raises(DataError, match="snapshot"):
            read_book(wrong, 2)


def test_without_a_saved_state_the_bars_tell_what_they_can(tmp_path: Path) -> None:
    session(tmp_path, journal={"snapshot_every": 1000})
    [step] = last_steps(tmp_path)
    with JournalReader(tmp_path) as reader:
        assert SIMULATOR not in reader.states()
        simulator = recover(reader, stored_setup(reader)).simulator
    expected = simulator.positions
    for field in ("quantity", "mark"):
        assert step.position_records[field].tolist() == expected[field].tolist()
    assert np.isnan(step.position_records["avg_price"]).all()


@pytest.mark.parametrize(("history", "cuts"), [(1, (1,)), (10, (1, 7)), (10, (100,)), (4096, (5,))])
def test_the_first_look_goes_back_far_enough_and_not_much_further(
    tmp_path: Path, history: int, cuts: tuple[int, ...]
) -> None:
    session(tmp_path, cuts=cuts)
    with JournalReader(tmp_path) as reader:
        blocks = [(block.seq, block.rows) for block in reader.stored()]
        whole = joined(list(reader.steps()))
    step = joined(last_steps(tmp_path, history))
    wanted = max(0, len(whole) - history)
    assert step.bars.seq in dict(blocks)
    assert step.bars.seq + len(step) == len(whole)
    assert np.array_equal(step.ledger, whole.ledger[step.bars.seq :])
    # it begins with a block, the first behind the wanted row or, if that one is too large, around it
    largest = max(rows for _, rows in blocks)
    assert abs(step.bars.seq - wanted) < 2 * largest


def test_looks_find_what_is_new_in_a_session_that_goes_on(tmp_path: Path) -> None:
    session(tmp_path, 20)
    with Attached(tmp_path) as attached:
        assert [(step.bars.seq, len(step)) for step in attached.look()] == [(0, len(last_steps(tmp_path)[0]))]
        assert attached.look() == []
        with attached.reading() as reader:
            before = reader.next_seq
        session(tmp_path, 60)
        [step] = attached.look()
        assert step.bars.seq == before
        [last] = last_steps(tmp_path)
        assert step.bars.seq + len(step) == len(last)
        assert step.position_records.tobytes() == last.position_records.tobytes()
        assert attached.counters()["bars"] == last.bars.present.sum()


def test_what_operators_order_is_told_once(tmp_path: Path) -> None:
    session(tmp_path, 20)
    with Attached(tmp_path) as attached:
        assert attached.orders() == []
        row = operate_stopped(tmp_path, Operation.HALT, by="me")
        operate_stopped(tmp_path, Operation.PAUSE, by="you")
        assert [(one.seq, one.kind, one.by) for one in attached.orders()] == [
            (row, Operation.HALT, "me"),
            (row, Operation.PAUSE, "you"),
        ]
        assert attached.orders() == []


def test_nothing_is_held_between_looks(tmp_path: Path) -> None:
    steps = steps_of(12)
    with begun(tmp_path) as journal, Attached(tmp_path) as attached:
        writer = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        for step in steps:
            journal.commit(Entry(steps=[step], seq=step.bars.seq + 1))
            for look in (attached.look, attached.orders, attached.counters):
                look()
                # a reader within a transaction would keep the log of the database from being emptied
                busy, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                assert not busy
        writer.close()


async def test_steps_come_as_they_are_committed(tmp_path: Path) -> None:
    written = steps_of(40, sizes=(1, 3, 2))
    with begun(tmp_path) as journal, Attached(tmp_path) as attached:
        waiting = iter([written[:1], [], written[1:4], written[4:5], written[5:]])

        async def sleep(_: float) -> None:
            for step in next(waiting):
                journal.commit(Entry(steps=[step], seq=step.bars.seq + len(step)))

        seen = []
        async for step in attached.steps(sleep=sleep):
            seen.append(step)
            if step.bars.seq + len(step) == 40:
                break
    assert [step.bars.seq for step in seen] == [written[at].bars.seq for at in (0, 1, 4, 5)]
    assert joined(seen).ledger.tobytes() == joined(written).ledger.tobytes()
    assert joined(seen).fills.tobytes() == joined(written).fills.tobytes()


async def test_a_session_says_how_it_stands(tmp_path: Path) -> None:
    answers = [
        {"state": "trading", "connected": True, "feed": "connected"},
        {"state": "waiting", "connected": False, "feed": "lost the connection"},
    ]
    assert standing_of(tmp_path) == ("stopped", "not running", (), None)
    with SessionLock(tmp_path):
        async with ControlServer(tmp_path, lambda command, by, name: answers.pop(0) if command == "status" else {}):
            assert await asyncio.to_thread(standing_of, tmp_path) == ("trading", "", (), None)
            assert await asyncio.to_thread(standing_of, tmp_path) == ("waiting", "lost the connection", (), None)
            word, feed, *_ = await asyncio.to_thread(standing_of, tmp_path)
            assert (word, "refused" in feed) == ("", True)
        (tmp_path / SOCKET).touch()
        assert "does not answer" in standing_of(tmp_path).feed
    # what a process that was killed leaves
    assert standing_of(tmp_path) == ("stopped", "not running", (), None)


async def test_a_session_can_be_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    journals: list[Journal] = []

    def empty() -> None:
        folder.mkdir()
        (folder / FILE).touch()

    stages = iter([lambda: None, empty, lambda: journals.append(begun(folder)), lambda: pytest.fail("it is there")])

    async def sleep(_: float) -> None:
        next(stages)()

    await appears(folder, sleep=sleep)
    assert len(journals) == 1
    journals[0].close()


async def test_a_damaged_journal_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 100)
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with pytest.raises(DataError, match="journal"):
        await appears(tmp_path, pause_s=0.5, sleep=sleep)
    assert sum(slept) <= MAKING_S


def test_a_folder_without_a_session_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no live session"):
        Attached(tmp_path)
