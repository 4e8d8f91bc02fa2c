"""What may go wrong around a session: a full disk, a feed that goes away, clocks, observers that fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.app.live import deliveries as taking
from engine.app.live import session as sessions_module
from engine.app.live.folder import SessionLock
from engine.app.live.intake import Intake
from engine.app.live.open_or_resume import open_session
from engine.app.live.session import Session
from engine.app.live.watching import Committed, Ended
from engine.base.errors import DataError, GrandModelError
from engine.journal.files import JournalError
from engine.journal.reading import JournalReader
from engine.monitor.alerts import Severity
from feeds.live.options import SourceOptions
from feeds.live.source import Delivery, LiveSource, Loss
from feeds.live.stdin_source import StdinSource
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.waiting import eventually


class Watching:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        self.kinds.append(kind)

    def committed(self, committed: Committed) -> None:
        pass


class Failing(Watching):
    """Fails whenever it is told something."""

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        raise RuntimeError("a screen fell over")

    def committed(self, committed: Committed) -> None:
        raise RuntimeError("a screen fell over")


def _run(
    short: Case,
    folder: Path,
    source: LiveSource,
    observers: list[Watching],
    wall: Any = None,
    clock: Callable[[], float] = time.perf_counter,
    **more: Any,
) -> tuple[Ended, str]:
    config = short.config(**more)
    with SessionLock(folder):
        opened = open_session(folder, config, {"X": config.instrument_for("X")}, 60_000_000_000)
        with opened.journal:
            intake = Intake(opened.setup.instruments, 60_000_000_000, config.feed, *([wall] if wall else []))
            intake.restore(opened.states, opened.driver.next_seq)
            session = Session(config, opened, intake, source, observers, clock)
            if hasattr(source, "meet"):
                source.meet(session)
            return asyncio.run(session.run()), opened.driver.ledger_sha256


class FullDisk(ListSource):
    """The disk is full from one delivery on, for a while."""

    def meet(self, session: Session) -> None:
        self.session, self.db = session, session.opened.journal._db

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        async for delivery in super().deliveries(positions):
            if delivery.records and delivery.records[0].offset == 20:
                pages = self.db.execute("PRAGMA page_count").fetchone()[0]
                self.db.execute(f"PRAGMA max_page_count = {pages}")
                self.freeing = asyncio.create_task(self.free())
            yield delivery

    async def free(self) -> None:
        await eventually(lambda: self.session.trouble is not None)
        for _ in range(5):
            await asyncio.sleep(sessions_module.RETRY_S)  # the timers of a loop expire in turn: it tries meanwhile
        self.db.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_holds_the_session_up_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "RETRY_S", 0.01)
    short, watching = case(live_bars(200)), Watching()
    ended, digest = _run(short, tmp_path, FullDisk(short.payloads), [watching])
    assert digest == short.expected
    assert ended.rows == 200
    assert watching.kinds == ["journal_unwritable", "journal_back"]


class Deleting(ListSource):
    """Somebody takes the journal away before its twentieth message, and perhaps puts another file in its place."""

    def __init__(self, payloads: list[bytes], take: Callable[[], object]) -> None:
        super().__init__(payloads)
        self.take = take

    def meet(self, session: Session) -> None:
        self.session = session

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        async for delivery in super().deliveries(positions):
            if delivery.records and delivery.records[0].offset == 20:
                await eventually(lambda: self.session.driver.next_seq == 20)
                self.take()
            yield delivery


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal", "."])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_journal_that_is_taken_away_ends_the_session_at_the_next_commit(
    tmp_path: Path, name: str, replaced: bool
) -> None:
    folder = tmp_path / "run"
    path = folder / name

    def take() -> None:
        path.rename(tmp_path / "elsewhere")
        if replaced and path.suffix:
            path.touch()

    with pytest.raises(DataError, match="deleted, moved or replaced") as caught:
        _run(case(live_bars(30)), folder, Deleting(case(live_bars(30)).payloads, take), [])
    assert caught.value.found == ("another file" if replaced and path.suffix else "no such file")


class StaysFull(FullDisk):
    async def free(self) -> None:
        await eventually(lambda: self.session.trouble is not None)
        self.session.stop("stopped by SIGTERM")


def test_a_session_can_be_stopped_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "RETRY_S", 0.01)
    short = case(live_bars(200))
    with pytest.raises(JournalError, match="the disk is full"):
        _run(short, tmp_path, StaysFull(short.payloads), [])
    assert short.traded(tmp_path) == short.expected


def test_an_observer_that_fails_changes_nothing(tmp_path: Path) -> None:
    short = case(live_bars(30))
    _, digest = _run(short, tmp_path, ListSource(short.payloads), [Failing()])
    assert digest == short.expected


@pytest.mark.parametrize("wall", [0.0, 4e9, -1.0])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, wall: float) -> None:
    short = case(live_bars(30))
    times = iter([1.8e9] * 10 + [wall] * 1000)
    _, digest = _run(short, tmp_path, ListSource(short.payloads), [], wall=lambda: next(times))
    assert digest == short.expected


class Losing(ListSource):
    """Says before its twentieth message that one was lost."""

    lost = False

    def take_notices(self) -> list[str]:
        told, self.lost = [Loss("a message was lost")] * self.lost, False
        return list(told)

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        async for delivery in super().deliveries(positions):
            self.lost = bool(delivery.records) and delivery.records[0].offset == 20
            yield delivery


def test_a_loss_is_told_and_stops_a_strict_session_before_it_trades_on(tmp_path: Path) -> None:
    short, watching = case(live_bars(30)), Watching()
    for _ in range(2):  # stops there again
        with pytest.raises(DataError, match="messages of the feed are lost") as caught:
            _run(short, tmp_path, Losing(short.payloads), [watching], feed={"strict": True})
        assert caught.value.found == "a message was lost"
        with JournalReader(tmp_path) as reader:
            assert reader.next_seq == 20
    _, digest = _run(short, tmp_path, Losing(short.payloads), [watching])
    assert digest == short.expected
    assert watching.kinds == ["feed"] * 3


class Silent(ListSource):
    """Says nothing more after its messages, as a broker without news; the connection comes and goes.

    A hundredth of a second passes with each of its words, by the clock that it gives to the session.
    """

    def __init__(self, payloads: list[bytes]) -> None:
        super().__init__(payloads, ends=False)
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        async for delivery in super().deliveries(positions):
            yield delivery
        for turn in range(10_000):
            self.connected = turn % 4 < 2
            self.time += 0.01
            yield Delivery(partitions=frozenset({"list"}))


def test_silence_ends_a_session_that_is_told_so(tmp_path: Path) -> None:
    short, watching = case(live_bars(30)), Watching()
    source = Silent(short.payloads)
    ended, digest = _run(short, tmp_path, source, [watching], clock=source.now, end={"silence_s": 0.2})
    assert ended.because == "no bar came for 0.2 s"
    assert digest == short.expected
    assert {"feed_lost", "feed_back"} <= set(watching.kinds)


@pytest.mark.parametrize("most", [7, 1000])
def test_the_end_of_a_pipe_is_no_loss(tmp_path: Path, most: int) -> None:
    """Also where lines are still to be delivered when the pipe has ended."""
    short, watching, lines = case(live_bars(30)), Watching(), tmp_path / "lines"
    lines.write_bytes(b"\n".join(short.payloads))
    with lines.open("rb") as pipe:
        source = StdinSource(SourceOptions(max_records=most), descriptor=pipe.fileno())
        ended, digest = _run(short, tmp_path / "run", source, [watching])
    assert (ended.because, digest) == ("the feed ended", short.expected)
    assert watching.kinds == []


def test_a_strategy_that_fails_ends_the_session_and_commits_nothing_of_the_row(tmp_path: Path) -> None:
    file = tmp_path / "failing.py"
    file.write_text(
        "from agents.strategy import Strategy\n\n\nclass Failing(Strategy):\n    def on_bar(self, context):\n"
        "        if context.seq == 12:\n            raise ValueError('no')\n"
    )
    short = case(live_bars(30), agent=f"{file}:Failing")
    for _ in range(2):
        with pytest.raises(GrandModelError, match="the strategy fails"):
            short.traded(tmp_path / "run")
    with JournalReader(tmp_path / "run") as reader:
        assert reader.next_seq == 12
        assert reader.positions() == {"list": "12"}


class HalfDeaf(ListSource):
    """Another partition is there, says nothing, and nobody knows whether it will."""

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        there = frozenset({"list", "other"})
        async for delivery in super().deliveries(positions):
            yield replace(delivery, partitions=there, ended=False)
        for _ in range(3):
            await asyncio.sleep(0.01)
            yield Delivery(partitions=there)
        yield Delivery(partitions=there, ended=True)


def test_rows_that_wait_for_a_silent_partition_are_told_once_and_traded_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "STALLED_S", 0.0)
    short, watching = case(live_bars(150)), Watching()
    _, digest = _run(short, tmp_path, HalfDeaf(short.payloads, (40,)), [watching])
    assert watching.kinds == ["rows_wait"]
    assert digest == short.expected
