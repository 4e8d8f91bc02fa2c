"""The dashboard at work: on terminals and elsewhere, and whatever happens to either."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import termios
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from engine.dashboard import live, terminal
from engine.dashboard.live import DRAW_SHARE, SHORTEST_FRAME_S, Dashboard, pause_after
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.terminal import Ink, Screen, ScreenWriter, can_draw, reading_keys
from engine.dashboard.view import frame, status_line
from engine.types.records import Reason
from tests.engine.dashboard.steps import Latest, make_step, unhurried
from tests.waiting import LIMIT_S, eventually, until

__all__ = ["unhurried"]  # a fixture
pytestmark = pytest.mark.usefixtures("unhurried")

INFO = RunInfo("backtest", "ensemble", ("EURUSD",), total_rows=10)
OPEN, CLOSE = "\x1b[?1049h", "\x1b[?1049l"
FRAME = "\x1b[?2026h"
SHOW_CURSOR = "\x1b[?25h"


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Stalled(Terminal):
    """A terminal that can be held up; whoever writes waits."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.released.set()
        self.stuck = False

    def write(self, text: str) -> int:
        assert threading.current_thread() is not threading.main_thread()
        self.stuck = not self.released.is_set()
        assert self.released.wait(LIMIT_S)
        return super().write(text)


class Gone(Terminal):
    """A terminal whose line is cut."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def console(file, width=100, height=30, **more):
    more = {"force_terminal": file.isatty(), "color_system": "standard", **more}
    return Console(file=file, width=width, height=height, _environ={"TERM": "xterm"}, **more)


class Clock:
    """Wall time that moves by a second with every look."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


async def feed(steps, dashboard, latest, first=0):
    """Put steps one by one, each after the one before was seen."""
    for number, step in enumerate(steps):
        latest.put(step)
        await eventually(lambda expected=first + number + 1: dashboard.state.rows >= expected)


@contextlib.asynccontextmanager
async def running(file, **options):
    """A dashboard at work, its subscription and its task."""
    dashboard = Dashboard(INFO, console(file), Clock(), **options)
    latest = Latest()
    task = asyncio.create_task(dashboard.run(latest))
    try:
        yield dashboard, latest, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def steps(count, first=0, **account):
    return [make_step([1000.0 + at], seq=at, **account) for at in range(first, first + count)]


async def test_without_a_terminal_it_prints_lines_and_the_last_state():
    file = io.StringIO()
    async with running(file, status_every_s=0.02) as (dashboard, latest, task):
        await feed(steps(2), dashboard, latest)
        await eventually(lambda: "1,001.00" in file.getvalue())
        await feed(steps(1, 2, halted=Reason.MAX_DRAWDOWN), dashboard, latest, 2)
        latest.close()
        await task
    lines = file.getvalue().splitlines()
    assert lines[-1] == f"ended: {status_line(dashboard.state)}"
    assert "equity 1,002.00 USD" in lines[-1]
    assert sum("critical" in line and "max drawdown" in line for line in lines) == 1
    assert "\x1b" not in file.getvalue()


async def test_nothing_new_prints_nothing():
    file = io.StringIO()
    async with running(file, status_every_s=0.01) as (dashboard, latest, _):
        await feed(steps(1), dashboard, latest)
        await eventually(lambda: "1,000.00" in file.getvalue())
        before = file.getvalue()
        for _ in range(10):
            await asyncio.sleep(0.01)  # the timers of a loop expire in turn, so it looks about as often as we do
        assert file.getvalue() == before


async def test_on_a_terminal_it_draws_and_gives_the_screen_back():
    file = Terminal()
    async with running(file) as (dashboard, latest, task):
        await feed(steps(3), dashboard, latest)
        await eventually(lambda: "1,002.00" in file.getvalue())
        latest.close()
        await task
    output = file.getvalue()
    assert output.startswith(OPEN)
    assert output.count(OPEN) == output.count(CLOSE) == 1
    after = output.split(CLOSE)[1]
    assert SHOW_CURSOR in output
    assert after.startswith("ended: 2024-01-01 00:03 UTC  equity 1,002.00 USD")
    assert len(after.splitlines()) == 1
    assert len(after.rstrip("\n")) <= 100


async def test_a_subscription_may_skip_steps():
    async with running(io.StringIO()) as (dashboard, latest, task):
        for step in steps(50):
            latest.put(step)
        latest.close()
        await task
    assert (dashboard.state.rows, dashboard.state.equity) == (50, 1049.0)
    assert dashboard.state.rows_missed == 49


async def test_cancelling_restores_the_terminal():
    file = Terminal()
    async with running(file) as (dashboard, latest, task):
        await feed(steps(1), dashboard, latest)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert file.getvalue().count(CLOSE) == 1
    assert file.getvalue().split(CLOSE)[1].startswith("stopped: ")


async def test_a_failing_screen_is_reported_and_does_not_raise():
    file = Terminal()

    async def broken():
        yield steps(1)[0]
        raise RuntimeError("no such step [red]")

    await Dashboard(INFO, console(file), Clock()).run(broken())
    after = file.getvalue().split(CLOSE)[1]
    assert "the dashboard failed, the run continues: RuntimeError: no such step [red]" in after


async def test_a_stalled_terminal_holds_up_nothing():
    file = Stalled()
    # work that costs nothing by this timer is followed by the shortest pause, and nothing is drawn again without need
    async with running(file, timer=lambda: 0.0) as (dashboard, latest, task):
        await feed(steps(1), dashboard, latest)
        await eventually(lambda: "1,000.00" in file.getvalue())
        file.released.clear()
        before = file.getvalue().count(FRAME)
        await feed(steps(1, 1), dashboard, latest, 1)
        await eventually(lambda: file.stuck)
        for first in range(2, 9):
            await feed(steps(1, first), dashboard, latest, first)
            await asyncio.sleep(SHORTEST_FRAME_S)  # the timers of a loop expire in turn: a frame is due each time
        assert file.getvalue().count(FRAME) == before
        file.released.set()
        latest.close()
        await task
    # of all that would have been drawn meanwhile only the frame that was stuck comes afterwards
    assert before < file.getvalue().count(FRAME) <= before + 2
    assert file.getvalue().count(CLOSE) == 1


async def test_a_terminal_that_has_gone_holds_up_nothing():
    async with running(Gone()) as (dashboard, latest, task):
        await feed(steps(5), dashboard, latest)
        latest.close()
        await task
    assert dashboard.state.rows == 5


async def test_q_leaves_the_screen_and_the_run_goes_on(monkeypatch):
    file, taken = Terminal(), []
    reading = terminal._read
    monkeypatch.setattr(terminal, "_read", lambda *given: taken.append(reading(*given)))
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    with os.fdopen(slave) as stdin:
        async with running(file, stdin=stdin, status_every_s=0.02) as (dashboard, latest, task):
            await feed(steps(1), dashboard, latest)
            await eventually(lambda: "1,000.00" in file.getvalue())
            os.write(master, b"\x1b[Bp")
            await eventually(lambda: taken)  # or the next key would be taken for a part of the arrow
            assert CLOSE not in file.getvalue()
            os.write(master, b"q")
            await eventually(lambda: CLOSE in file.getvalue())
            assert termios.tcgetattr(stdin.fileno()) == before
            assert not task.done()
            await feed(steps(1, 1), dashboard, latest, 1)
            await eventually(lambda: "1,001.00" in file.getvalue().split(CLOSE)[1])
            latest.close()
            await task
    os.close(master)
    assert file.getvalue().splitlines()[-1].startswith("ended: ")


async def test_keys_are_not_read_where_there_is_no_terminal(tmp_path):
    (tmp_path / "keys").write_text("qqq")
    with (tmp_path / "keys").open() as file, reading_keys(file, lambda _: None) as can_read:
        assert not can_read
    with reading_keys(None, lambda _: None) as can_read:
        assert not can_read
    with reading_keys(file, lambda _: None) as can_read:  # closed
        assert not can_read


async def test_a_keyboard_that_goes_away_is_let_go(monkeypatch):
    master, slave = os.openpty()
    pressed: list[str] = []
    loop, removed = asyncio.get_running_loop(), []
    remove = loop.remove_reader
    monkeypatch.setattr(loop, "remove_reader", lambda fd: removed.append(remove(fd)))
    with os.fdopen(slave) as file, reading_keys(file, pressed.append) as can_read:
        assert can_read
        os.write(master, b"ab")
        await eventually(lambda: pressed == ["a", "b"])
        os.close(master)
        await eventually(lambda: removed)
        assert removed == [True]
        assert not remove(file.fileno())


@pytest.mark.parametrize(
    ("file", "options", "expected"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"force_terminal": True}, False),  # FORCE_COLOR on a pipe
    ],
)
def test_screens_are_drawn_on_terminals_only(file, options, expected):
    assert can_draw(console(file, **options)) is expected


def test_dumb_terminals_get_lines():
    assert not can_draw(Console(file=Terminal(), force_terminal=True, _environ={"TERM": "dumb"}))


@given(st.floats(0, 0.2), st.floats(0.001, 0.5))
def test_pauses_keep_work_to_its_share(cost, share):
    pause = pause_after(cost, share)
    assert cost <= share * (cost + pause) * (1 + 1e-9) or pause == 5.0
    assert pause_after(cost, share, 0.125) >= 0.125


async def test_costly_frames_come_seldom(monkeypatch):
    loop, drawn, drawing = asyncio.get_running_loop(), [], live.frame

    def frame_at(*given, **more):
        drawn.append(loop.time())
        return drawing(*given, **more)

    monkeypatch.setattr(live, "frame", frame_at)
    ticks = iter(range(10**6))
    # every look at the timer is a fiftieth of a second later, so a frame costs as much and is followed by 0.65 s
    async with running(Terminal(), timer=lambda: 0.02 * next(ticks)) as (dashboard, latest, _):
        for number in range(3):
            await feed(steps(1, number), dashboard, latest, number)
            await eventually(lambda expected=number + 1: len(drawn) >= expected)
    pauses = [later - earlier for earlier, later in pairwise(drawn)]
    assert min(pauses) >= pause_after(0.02, DRAW_SHARE) > 4 * SHORTEST_FRAME_S


class Emulator:
    """As much of a terminal as the screen needs."""

    def __init__(self, width: int, height: int) -> None:
        self.cells = [["#"] * width for _ in range(height)]
        self._row = self._column = 0

    def feed(self, output: str) -> None:
        for move, clear, ignored, char in re.findall(
            r"\x1b\[(\d+;\d+)H|(\x1b\[2J)|(\x1b\[[?\d;]*[a-zA-Z])|(.)", output
        ):
            if move:
                self._row, self._column = (int(number) - 1 for number in move.split(";"))
            elif clear:
                self.cells = [[" "] * len(line) for line in self.cells]
            elif not ignored:
                self.cells[self._row][self._column] = char
                self._column += 1

    @property
    def lines(self) -> list[str]:
        return ["".join(line) for line in self.cells]


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 45)])
def test_writing_changed_lines_only_shows_the_same_screen(size):
    file = Terminal()
    outbox = ScreenWriter(file)
    screen = Screen(Ink(console(file, *size)), outbox)
    state, emulator = DashboardState(INFO), Emulator(*size)
    for number in range(8):
        state.update(make_step([1000.0 + number], seq=number, fills=number % 2, events=number % 3, orders=2), 1.0)
        lines = frame(state, *size, 1.0)
        screen.draw(lines, size, whole=number == 5)
        until(lambda: not outbox.busy)
        emulator.feed(file.getvalue())
        written = file.getvalue()
        file.seek(0)
        file.truncate()
        assert emulator.lines == ["".join(part.text for part in line) for line in lines]
        if number in {0, 5}:
            assert len(re.findall(r"\x1b\[\d+;\d+H", written)) == size[1]
    screen.draw(lines, size, whole=False)
    outbox.close(LIMIT_S)
    assert file.getvalue() == ""
