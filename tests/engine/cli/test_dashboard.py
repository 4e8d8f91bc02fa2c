"""The screens of live sessions: in their own process, where keys order, and from another terminal."""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from engine.app.live import attaching
from engine.app.live.commands import operate_stopped
from engine.app.live.paper import PaperRun, run_paper
from engine.base.errors import UsageError
from engine.cli.dashboard import dashboard
from engine.cli.live_screens import dashboard_screen, progress_screen, run_info
from engine.dashboard import text
from engine.journal.reading import JournalReader
from engine.types.records import Operation
from feeds.live.source import Delivery
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import Case, case, live_bars
from tests.engine.dashboard.steps import unhurried
from tests.engine.dashboard.test_live import CLOSE, OPEN, Terminal, console
from tests.waiting import patience

__all__ = ["unhurried"]  # a fixture
pytestmark = pytest.mark.usefixtures("unhurried")
app = typer.Typer()
app.command()(dashboard)


class Scripted(ListSource):
    """A feed in memory in which something happens before some deliveries."""

    def __init__(self, payloads: Sequence[bytes], script: Mapping[int, Callable[[], AsyncIterator[None]]]) -> None:
        super().__init__(payloads)
        self._script = script

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        number = 0
        async for delivery in super().deliveries(positions):
            if number in self._script:
                async with patience():
                    async for _ in self._script[number]():
                        # as a source does, so that the session can look at its clock
                        yield Delivery(partitions=delivery.partitions)
            number += 1
            yield delivery


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of a terminal that is standard input."""
    master, slave = os.openpty()
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield master
    os.close(master)


def short(**settings: object) -> Case:
    return case(live_bars(60, ("ES", "NQ")), agent="random:seed=3,hold=2", **settings)


def shown(folder: Path, *options: str) -> str:
    done = CliRunner().invoke(app, [str(folder), *options], env={"COLUMNS": "160", "LINES": "46"})
    assert done.exit_code == 0, done.output
    return done.stdout


def equity_of(run: PaperRun) -> str:
    assert run.exported is not None
    return text.money(run.exported.metrics["final_equity"])


async def appearing(file: io.StringIO, words: str) -> AsyncIterator[None]:
    """Wait until the screen shows something."""
    while words not in file.getvalue():
        await asyncio.sleep(0.01)
        yield


async def typed(file: io.StringIO, keyboard: int, keys: str, expected: Sequence[str]) -> AsyncIterator[None]:
    """Press keys one by one, each once the screen shows what the one before leads to."""
    for key, words in zip(keys, expected, strict=True):
        os.write(keyboard, key.encode())
        async for _ in appearing(file, words):
            yield


def test_keys_order_what_the_journal_then_holds(tmp_path: Path, keyboard: int) -> None:
    file, bars = Terminal(), short()
    script = {
        1: lambda: appearing(file, "close the dashboard, the session continues"),
        20: lambda: typed(file, keyboard, "p", ["pause: paused"]),
        30: lambda: typed(file, keyboard, "rx", ["resume: resumed", "resume trading after the halt?"]),
        31: lambda: typed(file, keyboard, "x", ["reset-halt refused: there is no halt to reset"]),
        40: lambda: typed(file, keyboard, "ff", ["close every position and pause?", "flatten: flattened"]),
        80: lambda: typed(file, keyboard, "ss", ["end the session?", "stop: stops after"]),
    }
    screen = dashboard_screen(bars.config(), console(file, 160, 46))
    run = run_paper(bars.config(), tmp_path, [screen], source=Scripted(bars.payloads, script))
    assert run.ended.because == "stopped by dashboard"
    with JournalReader(tmp_path) as reader:
        ordered = [(one.kind, one.by) for one in reader.operations()]
        [step] = reader.steps()
    assert ordered == [(kind, "dashboard") for kind in (Operation.PAUSE, Operation.RESUME, Operation.FLATTEN)]
    assert not step.positions[-1].any() and step.positions[:18].any()
    output = file.getvalue()
    assert " PAUSED " in output and "paused by dashboard before row 10" in output
    assert output.count(OPEN) == output.count(CLOSE) == 1
    assert f"equity {equity_of(run)} USD" in output.split(CLOSE)[1]


def test_a_session_that_goes_on_shows_what_was_before(tmp_path: Path) -> None:
    bars, file = short(), io.StringIO()
    before = bars.run(tmp_path)
    screen = dashboard_screen(bars.config(), console(file, 300))
    run = run_paper(bars.config(), tmp_path, [screen], source=ListSource(bars.payloads))
    assert run.resumed and run.ended.rows == 0
    last = file.getvalue().splitlines()[-1]
    for words in ("60 rows", f"equity {equity_of(before)} USD", f"{before.counters['fills']} fills"):
        assert words in last


def test_a_past_that_cannot_be_read_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Path) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    bars, file = short(), io.StringIO()
    bars.run(tmp_path, end={"bars": 60})
    monkeypatch.setattr(attaching, "last_steps", failing)
    screen = dashboard_screen(bars.config(), console(file))
    run = run_paper(bars.config(), tmp_path, [screen], source=ListSource(bars.payloads))
    assert (run.counters["bars"], run.ended.rows) == (120, 30)
    assert "the rows before this start are not shown: disk I/O error" in file.getvalue()


def test_a_feed_that_is_away_shows(tmp_path: Path) -> None:
    file, bars = Terminal(), short()
    source: Scripted

    async def away() -> AsyncIterator[None]:
        source.connected, source.status = False, "lost the connection, trying again"
        while not all(words in file.getvalue() for words in (" WAITING ", "trying again", "the feed is lost")):
            await asyncio.sleep(0.01)
            yield
        source.connected, source.status = True, "connected"
        while " RUNNING " not in file.getvalue().rpartition(" WAITING ")[2]:
            await asyncio.sleep(0.01)
            yield

    source = Scripted(bars.payloads, {50: away})
    run_paper(bars.config(), tmp_path, [dashboard_screen(bars.config(), console(file, 160, 46))], source=source)
    assert "the feed is back" in file.getvalue()


def test_one_line_changes_on_a_terminal_and_goes_at_the_end(tmp_path: Path) -> None:
    file, bars = Terminal(), short()
    # a row closes with the last of its messages
    script = {80: lambda: appearing(file, "40 rows  2024-01-01 00:40 UTC  equity ")}
    source = Scripted(bars.payloads, script)
    run_paper(bars.config(), tmp_path, [progress_screen(console(file))], source=source)
    output = file.getvalue()
    assert "trading  connected" in output and "\n" not in output
    assert output.endswith("\r\x1b[K")


def test_no_terminal_no_line(tmp_path: Path) -> None:
    file, bars = io.StringIO(), short()
    run_paper(bars.config(), tmp_path, [progress_screen(console(file))], source=ListSource(bars.payloads))
    assert file.getvalue() == ""


def test_the_screen_of_an_ended_session_is_printed_once(tmp_path: Path) -> None:
    bars = short()
    payloads = [*bars.payloads[:40], b"nonsense", *bars.payloads[40:]]
    run = bars.run(tmp_path, payloads=payloads)
    operate_stopped(tmp_path, Operation.PAUSE, by="me")
    screen = shown(tmp_path, "--once")
    lines = screen.splitlines()
    assert [len(line) for line in lines] == [160] * 45
    assert "STOPPED" in lines[0] and "ES NQ" in lines[0] and "not running" in lines[1]
    for words in (
        equity_of(run),
        "60 rows",
        "1 quarantined",
        "quarantined: messages, malformed",
        "paused by me before row 60",
        f"{run.counters['fills']} fills",
    ):
        assert words in screen
    assert "q close" not in screen and "\x1b" not in screen


def test_a_session_that_is_there_is_not_waited_for(tmp_path: Path) -> None:
    short().run(tmp_path)
    assert "STOPPED" in shown(tmp_path, "--once", "--wait")


def test_a_folder_that_is_no_session_is_explained(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(tmp_path), "--once"])
    assert isinstance(done.exception, UsageError) and "no live session" in str(done.exception)


@pytest.mark.parametrize(
    ("address", "source", "pace"),
    [
        ("kafka://127.0.0.1:9092/bars?username=me&password=env:SECRET", "kafka://127.0.0.1:9092/bars", None),
        ("replay:es-drift?speed=600", "replay:es-drift?speed=600", 600.0),
        ("replay:es-drift", "replay:es-drift", None),
        ("", "", None),
    ],
)
def test_what_is_known_before_the_first_bar(address: str, source: str, pace: float | None) -> None:
    config = short().config()
    info = run_info(config, {"ES": config.instrument_for("ES")}, address)
    assert (info.source, info.pace, info.live, info.symbols) == (source, pace, None, ("ES",))
