"""A session that a wrong time poisoned, or whose journal is damaged, goes on after `journal mend`."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from random import Random

import pytest

from engine.app.journal.mending import mend
from engine.app.journal.verifying import audit, replay_whole
from engine.app.live.commands import operate_stopped
from engine.base.errors import DataError
from engine.journal.files import FILE
from engine.journal.reading import JournalReader
from engine.types.records import Operation
from feeds.live.messages import encode_element
from tests.engine.app.live.sessions import START, Case, case, live_bars
from tests.engine.app.live.test_damage import damage
from tests.engine.cli.children import called, printed, refused
from tests.feeds.live.merging.test_lanes import bar

FUTURE = 8_835_955_200_000_000_000  # 2250
# as a version did that believed every time
BELIEVING = {"feed": {"confirmations": 1, "max_ahead_s": None}}


def poisoned(folder: Path, at: int, time_ns: int, cuts: tuple[int, ...] = (1,)) -> Case:
    """A session to which a bar of another time came, so that all that followed was late."""
    short = case(live_bars(60))
    stray = encode_element(bar("X", time_ns, 100.0))
    payloads = [*short.payloads[:at], stray, *short.payloads[at:45]]
    if at:
        short.run(folder, payloads=payloads, end={"bars": 5})
    run = short.run(folder, cuts, payloads=payloads, **BELIEVING)
    assert run.counters["letters.late"] > 10
    assert run.ended.refused is not None
    return short


@pytest.mark.parametrize("cuts", [(1,), (7,), (45,)])
def test_rows_ahead_of_the_clock_are_taken_back(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    short = poisoned(tmp_path, 20, FUTURE, cuts)
    with pytest.raises(DataError, match="ahead of the clock") as caught:
        short.traded(tmp_path)
    assert f"`grandmodel journal mend {tmp_path}`" in str(caught.value.hint)
    mended = mend(tmp_path, reread=True)
    assert (mended.rows, mended.next_row, mended.reread) == (1, 20, True)
    assert audit(tmp_path).next_row == 20
    assert short.traded(tmp_path) == short.expected
    assert replay_whole(tmp_path) == (60, short.expected)
    assert mended.copy is not None and mended.copy.is_file()


def test_rows_from_a_time_on_are_taken_back_and_orders_of_people_stay(tmp_path: Path) -> None:
    short = poisoned(tmp_path, 20, START + 3000 * 60 * 10**9)
    operate_stopped(tmp_path, Operation.PAUSE, "test")
    assert mend(tmp_path).copy is None
    row, after, at = mend(tmp_path).jump or (0, 0, 0)
    assert (row, at - after) == (20, (3000 - 19) * 60 * 10**9)
    mend(tmp_path, at, reread=True)
    with JournalReader(tmp_path) as reader:
        assert [(order.seq, order.kind) for order in reader.operations()] == [(20, Operation.PAUSE)]
        assert reader.counters()["bars"] == 20
    run = short.run(tmp_path)
    assert run.counters["bars"] == 60
    assert audit(tmp_path).next_row == 60


def test_the_first_row_may_be_the_wrong_one(tmp_path: Path) -> None:
    short = poisoned(tmp_path, 0, FUTURE)
    assert mend(tmp_path, FUTURE, reread=True).next_row == 0
    assert short.traded(tmp_path) == short.expected


@pytest.mark.parametrize("table", ["counters", "positions", "state", "seal"])
def test_what_is_damaged_is_made_again(table: str, tmp_path: Path) -> None:
    short = case(live_bars(60, ("A", "B"), absent=0.2))
    short.run(tmp_path / "run", (3,), end={"bars": 50})
    for seed in range(6):
        copy = tmp_path / str(seed)
        shutil.copytree(tmp_path / "run", copy)
        with JournalReader(copy) as reader:
            counters = reader.counters()
        damage(copy, table, Random(seed))
        mended = mend(copy, reread=True)
        assert mended.remade
        with JournalReader(copy) as reader:
            assert {k: v for k, v in reader.counters().items() if v} == {k: v for k, v in counters.items() if v}
        assert short.traded(copy, (3,)) == short.expected


@pytest.mark.parametrize("table", ["meta", "operations", "blocks"])
def test_what_cannot_be_made_again_is_refused_and_left_alone(table: str, tmp_path: Path) -> None:
    short = case(live_bars(30), standby=True)
    short.run(tmp_path)
    damage(tmp_path, table, Random(1))
    rows = list(sqlite3.connect(tmp_path / FILE).execute("SELECT * FROM state"))
    with pytest.raises(DataError):
        mend(tmp_path)
    assert not list(tmp_path.glob("journal-before-mend-*"))
    assert list(sqlite3.connect(tmp_path / FILE).execute("SELECT * FROM state")) == rows


def test_a_mending_that_fails_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(tmp_path, 20, FUTURE)
    digest = audit(tmp_path)
    monkeypatch.setattr("engine.app.journal.mending.merger_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mend(tmp_path)
    assert audit(tmp_path) == digest


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    poisoned(tmp_path / "run", 20, FUTURE)
    said = called("journal", "mend", str(tmp_path / "run"))[1]
    assert said.startswith("mended: 1 rows taken back, the next is row 20\n")
    assert "--reread" in said and "journal-before-mend-" in said
    said = called("journal", "mend", str(tmp_path / "run"))[1]
    assert said == "nothing to mend: no row is ahead of the clock, and nothing is damaged\n"
    assert printed("journal", "mend", str(tmp_path / "run"), "--before", "2024-01-01 00:11")["next_row"] == 10
    assert "not a time" in refused("journal", "mend", str(tmp_path / "run"), "--before", "yesterday")
    assert "holds no live session" in refused("journal", "mend", str(tmp_path / "other"))
