"""An operator's orders: obeyed at once, journaled, kept over crashes and restarts, replayed where they were given."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from engine.app.journal.recovering import recover
from engine.app.journal.verifying import replay_whole
from engine.app.live import control
from engine.app.live.commands import obey, operate_stopped
from engine.app.live.control import ask
from engine.app.live.folder import SOCKET, SessionLock, is_running
from engine.app.live.intake import Intake
from engine.app.live.open_or_resume import open_session, stored_setup
from engine.app.live.paper import PaperRun, run_paper
from engine.app.live.session import Session
from engine.app.verify import verify
from engine.base.errors import CheckFailed, UsageError
from engine.journal.reading import JournalReader
from engine.loop.runner import Screen
from engine.types.records import Operation
from engine.types.step import StepBlock
from feeds.live.source import Delivery
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.trees import saved
from tests.waiting import LIMIT_S, until

Orders = Mapping[int, str]


class OrderingSource(ListSource):
    """Gives orders to the session between its deliveries, once all rows before are traded."""

    def __init__(self, payloads: list[bytes], orders: Orders) -> None:
        super().__init__(payloads)
        self.session: Session | None = None
        self._orders = orders
        self.answers: dict[int, str] = {}

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        async for delivery in super().deliveries(positions):
            at = delivery.records[0].offset if delivery.records else -1
            if at in self._orders:
                assert self.session is not None
                while self.session.driver.next_seq < at:
                    await asyncio.sleep(0)
                try:
                    self.answers[at] = str(obey(self.session, self._orders[at], "test")["done"])
                except UsageError as error:
                    self.answers[at] = error.what
            yield delivery


def _ordered(short: Case, folder: Path, orders: Orders, **more: Any) -> tuple[PaperRun, OrderingSource]:
    source = OrderingSource(short.payloads, orders)

    def screen(session: Session) -> Screen:
        source.session = session

        async def show(steps: AsyncIterator[StepBlock]) -> None:
            async for _ in steps:
                pass

        return show

    return run_paper(short.config(**more), folder, [screen], source), source


def _positions(folder: Path) -> list[float]:
    with JournalReader(folder) as reader:
        return [float(x) for step in reader.steps() for x in step.positions[:, 0]]


def test_flatten_closes_the_book_and_resume_trades_again(tmp_path: Path) -> None:
    short = case(live_bars(60), agent="buy_and_hold", journal={"durability": "process", "snapshot_every": 5})
    run, source = _ordered(short, tmp_path, {20: "flatten", 40: "resume"})
    assert source.answers == {20: "flattened", 40: "resumed"}
    positions = _positions(tmp_path)
    assert positions[1:20] == [1.0] * 19  # bought at the open of row 1
    assert positions[20:41] == [0.0] * 21
    assert positions[41:] == [1.0] * 19
    assert run.exported is not None
    rows, digest = replay_whole(tmp_path)
    assert (rows, digest) == (60, run.exported.manifest["ledger_sha256"])
    assert digest != short.expected
    kinds = [(one["seq"], one["kind"], one["by"]) for one in run.exported.manifest["operations"]]
    assert kinds == [(20, "flatten", "test"), (40, "resume", "test")]


def test_a_backtest_knows_no_operators_orders_and_says_so(tmp_path: Path) -> None:
    short = case(live_bars(40), agent="buy_and_hold")
    _ordered(short, tmp_path, {20: "pause"})
    with pytest.raises(UsageError, match="an operator gave commands"):
        verify(str(tmp_path))


def test_a_halt_stays_over_restarts_until_it_is_reset(tmp_path: Path) -> None:
    short = case(live_bars(80), agent="buy_and_hold")
    halting = Case(short.bars, short.settings, short.payloads[:30])
    _, source = _ordered(halting, tmp_path, {10: "halt", 20: "resume"})
    assert source.answers == {10: "halted", 20: "resumed; trading stays halted until reset-halt"}
    assert _positions(tmp_path)[10:] == [0.0] * 20
    more = Case(short.bars, short.settings, short.payloads[:40])
    more.traded(tmp_path)
    assert _positions(tmp_path)[10:] == [0.0] * 30
    assert operate_stopped(tmp_path, Operation.RESET_HALT, "reset-halt") == 40
    run = short.run(tmp_path)
    assert _positions(tmp_path)[41:] == [1.0] * 39
    assert run.exported is not None
    assert replay_whole(tmp_path)[1] == run.exported.manifest["ledger_sha256"]


def test_a_reset_that_cannot_be_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    short = case(live_bars(20))
    short.traded(tmp_path)
    with pytest.raises(UsageError):
        operate_stopped(tmp_path, Operation.RESET_HALT, "reset-halt")
    with JournalReader(tmp_path) as reader:
        assert reader.operations() == []


def test_orders_before_the_first_bar_hold_from_it(tmp_path: Path) -> None:
    short = case(live_bars(40), agent="buy_and_hold")
    waiting = Case(short.bars, short.settings, [])
    waiting.run(tmp_path, standby=True)
    run, _ = _ordered(short, tmp_path, {25: "start"})
    positions = _positions(tmp_path)
    assert positions[:26] == [0.0] * 26
    assert positions[26:] == [1.0] * 14
    assert run.exported is not None
    assert replay_whole(tmp_path)[1] == run.exported.manifest["ledger_sha256"]


def test_an_order_that_was_lost_from_the_journal_is_found_out(tmp_path: Path) -> None:
    import sqlite3

    short = case(live_bars(40), agent="buy_and_hold")
    _ordered(short, tmp_path, {20: "flatten"})
    db = sqlite3.connect(tmp_path / "journal.sqlite")
    db.execute("DELETE FROM operations")
    db.commit()
    with pytest.raises(CheckFailed, match=r"differ in ledger\.cash|differ in"):
        replay_whole(tmp_path)


def test_the_socket_is_the_owners_alone_and_answers(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 90) / ("b" * 90)  # longer than a socket's path may be
    short = case(live_bars(30))
    seen: dict[str, Any] = {}

    def asking() -> None:
        until((deep / SOCKET).exists)
        seen["mode"] = (deep / SOCKET).stat().st_mode & 0o777
        for command in ("status", "pause", "resume", "reset-halt", "nonsense", "stop"):
            try:
                seen[command] = ask(deep, command)
            except UsageError as error:
                seen[command] = error.what

    source = ListSource(short.payloads, ends=False)
    forever = source.deliveries

    async def deliveries(positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        async for delivery in forever(positions):
            yield delivery
        while True:
            await asyncio.sleep(0.01)
            yield Delivery()

    source.deliveries = deliveries  # type: ignore[method-assign]
    thread = threading.Thread(target=asking)
    thread.start()
    run = run_paper(short.config(), deep, source=source)
    thread.join()
    assert seen["mode"] == 0o600
    assert seen["status"]["pid"] == os.getpid()
    assert seen["pause"]["state"] == "paused"
    assert seen["resume"]["done"] == "resumed"
    assert "refused the command" in seen["reset-halt"]
    assert "no command 'nonsense'" in seen["nonsense"]
    assert run.ended.because == "stopped by ctl"
    assert not (deep / SOCKET).exists()
    with pytest.raises(UsageError, match="no session is running"):
        ask(deep, "status")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    short = case(live_bars(5))
    with SessionLock(tmp_path), pytest.raises(UsageError, match="a session is running") as caught:
        short.run(tmp_path)
    assert caught.value.found == f"process {os.getpid()}"


def test_a_session_that_never_began_leaves_no_folder(tmp_path: Path) -> None:
    """It fails once the folder is taken; an empty one that was there before stays."""
    there = tmp_path / "there"
    there.mkdir()
    for folder in (there, tmp_path / "new" / "session"):
        with pytest.raises(UsageError, match="no such file"):
            run_paper(case(live_bars(5)).config(feed={"address": "replay:no/where.csv"}), folder)
    assert list(tmp_path.rglob("*")) == [there]


def test_a_lock_whose_file_was_removed_holds_nobody_out(tmp_path: Path) -> None:
    """One process waits for a lock that another lets go of together with its file: it takes a new one."""
    folder = tmp_path / "session"
    holding, taken = SessionLock(folder), threading.Event()

    def wait_for_it() -> None:
        with SessionLock(folder):
            (folder / "kept").touch()
            taken.set()

    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    holding.release()
    waiting.join()
    assert taken.is_set()
    with SessionLock(folder):
        assert is_running(folder)


def test_no_state_is_saved_behind_an_order_that_would_be_obeyed_again(tmp_path: Path) -> None:
    short = case(live_bars(30), agent="buy_and_hold")
    config = short.config()
    with SessionLock(tmp_path):
        opened = open_session(tmp_path, config, {"X": config.instrument_for("X")}, 60_000_000_000)
        with opened.journal:
            intake = Intake(opened.setup.instruments, 60_000_000_000, config.feed)
            session = Session(config, opened, intake, ListSource(short.payloads))
            asyncio.run(session.run())
            session.operate(Operation.FLATTEN, "test")
            session._unsaved_entries = 1
            session._save()
            held = saved(session.driver.simulator)
    with JournalReader(tmp_path) as reader:
        recovered = recover(reader, stored_setup(reader))
    assert saved(recovered.simulator) == held


@contextmanager
def listening(folder: Path, answer: bytes | None) -> Iterator[None]:
    """Something that listens in place of a session, whose lock is held, and says one thing to whoever asks."""
    with SessionLock(folder), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen()

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    if answer is None:
                        silent.wait(LIMIT_S)
                    else:
                        connection.sendall(answer)

        silent, thread = threading.Event(), threading.Thread(target=serve)
        thread.start()
        yield
        silent.set()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "found"), [(None, "nothing came within 0.05 seconds"), (b"", "it has just ended"), (b"{", "just ended")]
)
def test_a_session_that_does_not_answer_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | None, found: str
) -> None:
    monkeypatch.setattr(control, "ANSWER_S", 0.05)
    with listening(tmp_path, answer), pytest.raises(UsageError, match="the session does not answer") as caught:
        ask(tmp_path, "status")
    assert found in str(caught.value.found)


def test_a_session_whose_socket_is_not_there_yet_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TRIES", 1)
    with SessionLock(tmp_path), pytest.raises(UsageError, match="does not answer") as caught:
        ask(tmp_path, "status")
    assert "about to start or to end" in str(caught.value.found)


def test_a_folder_that_can_have_no_socket_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / SOCKET).mkdir()
    with pytest.raises(UsageError, match="cannot listen for the operator's commands"):
        case(live_bars(5)).run(tmp_path)
