"""The terminal: writing to it from a thread, drawing whole screens without flicker, reading keys.

Rich's Live writes from the thread that draws, so that a terminal that stalls (a slow line, Ctrl-S) would hold
up the event loop and the run with it. Here rich renders, a thread writes, and a frame that finds the thread
still busy is left out.
"""

from __future__ import annotations

import asyncio
import io
import os
import queue
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Literal, cast

from rich.console import Console
from rich.control import Control
from rich.segment import Segment, Segments

from engine.base.outbox import write_out
from engine.dashboard.cells import Line

# a terminal that knows them shows what lies between in one go; the others ignore them
SYNC_BEGIN, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
KEY_BYTES = 64


class ScreenWriter:
    """Writes texts to a file from a separate thread, in order.

    Args:
        file: Where to; only the thread touches it until `close`.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self.failed = False
        self._thread = threading.Thread(target=self._write, name="dashboard-outbox", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether something is still to be written."""
        with self._lock:
            return self._waiting > 0

    def send(self, text: str) -> None:
        """Hand a text over; returns at once."""
        with self._lock:
            self._waiting += 1
        self._texts.put(text)

    def close(self, timeout_s: float) -> None:
        """Let everything be written, but wait no longer than the timeout."""
        self._texts.put(None)
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while (text := self._texts.get()) is not None:
            try:
                if not self.failed:
                    write_out(self._file, text)
            except (OSError, ValueError):  # the terminal has gone, or the file was closed
                self.failed = True
            with self._lock:
                self._waiting -= 1


class Ink:
    """Renders as a console would, without ever touching its file.

    A console's own capture writes an empty text to the file at its end, and waits where the file is held up.

    Args:
        console: Says how colours are written.
    """

    def __init__(self, console: Console) -> None:
        self._buffer = io.StringIO()
        self._console = Console(
            file=self._buffer,
            force_terminal=console.is_terminal,
            color_system=cast("Literal['standard', '256', 'truecolor'] | None", console.color_system),
            no_color=console.no_color,
            legacy_windows=False,
        )

    def rendered(self, segments: Sequence[Segment]) -> str:
        """What the console would write for the segments."""
        self._console.print(Segments(segments), end="", crop=False)
        output = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return output


class Screen:
    """The alternate screen of a terminal; only lines that changed are written."""

    def __init__(self, ink: Ink, outbox: ScreenWriter) -> None:
        self._ink = ink
        self._outbox = outbox
        self._drawn: list[Line] = []
        self._size = (0, 0)

    def open(self) -> None:
        """Switch to the alternate screen and hide the cursor."""
        self._outbox.send(f"{Control.alt_screen(True)}{Control.show_cursor(False)}")

    def close(self) -> None:
        """Give the terminal back as it was."""
        self._outbox.send(f"{Control.show_cursor(True)}{Control.alt_screen(False)}")

    def draw(self, lines: Sequence[Line], size: tuple[int, int], *, whole: bool) -> None:
        """Show the lines.

        Args:
            lines: One for every row of the terminal, each as wide as it.
            size: Columns and rows for which they were made.
            whole: Write lines that did not change too, over whatever else was written to the terminal.
        """
        output: list[Segment] = []
        if size != self._size:
            output.append(Control.clear().segment)
            self._drawn, self._size = [], size
        old = self._drawn if not whole else []
        for row, line in enumerate(lines):
            if row >= len(old) or old[row] != line:
                output += [Control.move_to(0, row).segment, *line]
        self._drawn = list(lines)
        if output:
            self._outbox.send(f"{SYNC_BEGIN}{self._ink.rendered(output)}{SYNC_END}")


def can_draw(console: Console) -> bool:
    """Whether the console is a terminal on which whole screens can be drawn, and this process holds it."""
    if not console.is_terminal or console.is_dumb_terminal or console.options.ascii_only:
        return False
    # FORCE_COLOR makes rich call a pipe a terminal
    return console.file.isatty() and in_foreground(console.file)


def in_foreground(file: IO[str]) -> bool:
    """Whether this process may use the terminal: a job in the background may not."""
    try:
        return os.tcgetpgrp(file.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True  # not the terminal of this session, so that there is no job control


@contextmanager
def reading_keys(file: IO[str] | None, on_key: Callable[[str], None]) -> Iterator[bool]:
    """Call `on_key` in the event loop for every key, and put the terminal back at the end.

    Yields whether keys can be read: not if the file is no terminal, or this process is in the background.
    """
    fd = _terminal_fd(file)
    if fd is None:
        yield False
        return
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(fd)
    _quiet(fd)
    try:
        loop.add_reader(fd, lambda: _read(fd, on_key, lambda: loop.remove_reader(fd)))
        yield True
    finally:
        loop.remove_reader(fd)
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, before)


@contextmanager
def quiet(file: IO[str] | None) -> Iterator[None]:
    """Keys are neither echoed nor read, and Ctrl-C still interrupts; the terminal is put back at the end."""
    fd = _terminal_fd(file)
    if fd is None:
        yield
        return
    before = termios.tcgetattr(fd)
    _quiet(fd)
    try:
        yield
    finally:
        with suppress(termios.error):
            # what was typed meanwhile is not for the shell
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def _terminal_fd(file: IO[str] | None) -> int | None:
    try:
        usable = file is not None and file.isatty() and in_foreground(file)
        return file.fileno() if usable and file is not None else None
    except (OSError, ValueError):
        return None


def _quiet(fd: int) -> None:
    """Keys arrive one by one and unechoed; Ctrl-C still interrupts.

    Ctrl-S would freeze the screen, and Ctrl-Z leave the shell with the alternate screen, so both are off.
    """
    mode = termios.tcgetattr(fd)
    mode[0] &= ~termios.IXON
    mode[3] &= ~(termios.ECHO | termios.ICANON)
    mode[6] = list(mode[6])
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    mode[6][termios.VSUSP] = bytes([os.fpathconf(fd, "PC_VDISABLE") & 0xFF])
    termios.tcsetattr(fd, termios.TCSANOW, mode)


def _read(fd: int, on_key: Callable[[str], None], stop: Callable[[], object]) -> None:
    try:
        data = os.read(fd, KEY_BYTES)
    except OSError:
        data = b""
    if not data:
        stop()  # the terminal has gone; without this the loop would spin
    elif not data.startswith(b"\x1b"):  # arrows and the like are sequences of several characters
        for char in data.decode(errors="ignore"):
            on_key(char)
