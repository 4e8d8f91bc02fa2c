"""The screen of a training at work, or lines where there is no terminal; both take the records of the training.

The training is one long computation without an event loop, so a thread draws. Whatever happens to the screen, the
training continues.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO

from rich.console import Console
from rich.segment import Segment

from engine.dashboard import text
from engine.dashboard.alerts import AlertLevel
from engine.dashboard.live import CLOSE_S, DRAW_SHARE, IDLE_FRAME_S, REPAINT_S, pause_after
from engine.dashboard.terminal import Ink, Screen, ScreenWriter, can_draw, quiet
from engine.dashboard.training.state import Record, TrainingInfo, TrainingState
from engine.dashboard.training.view import episode_line, evaluation_line, frame

SHORTEST_FRAME_S = 0.25
Clock = Callable[[], float]


class TrainingScreen:
    """Draws a training on the alternate screen of a terminal; takes three per cent of the time.

    Args:
        clock: Wall time, seconds since 1970.
        stdin: Is kept from echoing what is typed; None leaves it alone.

    Attributes:
        state: What is shown.
    """

    def __init__(
        self, info: TrainingInfo, console: Console, clock: Clock = time.time, stdin: IO[str] | None = None
    ) -> None:
        self.state = TrainingState(info, clock())
        self._console, self._clock = console, clock
        self._ink, self._outbox = Ink(console), ScreenWriter(console.file)
        self._screen = Screen(self._ink, self._outbox)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._failure: str | None = None
        self._terminal = ExitStack()
        self._terminal.enter_context(quiet(stdin))
        self._screen.open()
        self._thread = threading.Thread(target=self._draw, name="training-screen", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Take a record."""
        with self._lock:
            self.state.update(record, self._clock())

    def close(self) -> None:
        """Give the terminal back and leave the last state on it in words; closing again does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join(CLOSE_S)
        self._screen.close()
        self._terminal.close()
        self.state.end()
        if self._failure is not None:
            self._say(f"the screen failed, the training went on: {self._failure}")
        if len(self.state.team):
            self._say(episode_line(self.state))
            if self.state.best:
                self._say(evaluation_line(self.state.best))
        self._outbox.close(CLOSE_S)

    def _draw(self) -> None:
        version, drawn_at, painted_at, drawn_size = -1, float("-inf"), float("-inf"), (0, 0)
        pause = 0.0
        try:
            while not self._stop.wait(pause) and not self._outbox.failed:
                began, size = time.perf_counter(), (self._console.width, self._console.height)
                idle = self.state.version == version and size == drawn_size
                if not self._outbox.busy and (not idle or began - drawn_at >= IDLE_FRAME_S):
                    with self._lock:
                        version = self.state.version
                        lines = frame(self.state, *size, self._clock())
                    whole = began - painted_at >= REPAINT_S
                    self._screen.draw(lines, size, whole=whole)
                    drawn_at, drawn_size = began, size
                    painted_at = began if whole else painted_at
                pause = pause_after(time.perf_counter() - began, DRAW_SHARE, SHORTEST_FRAME_S)
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"

    def _say(self, line: str) -> None:
        self._outbox.send(self._ink.rendered([Segment(f"{text.clean(line)}\n")]))


class TrainingLog:
    """Prints a line every so many episodes, and one for each evaluation, checkpoint and new alert.

    Args:
        every: Episodes between lines.
        clock: Wall time, seconds since 1970.
    """

    def __init__(self, info: TrainingInfo, say: Callable[[str], None], every: int, clock: Clock = time.time) -> None:
        self.state = TrainingState(info, clock())
        self._say, self._every, self._clock = say, max(1, every), clock
        self._told: set[str] = set()

    def write(self, record: Record) -> None:
        """Take a record."""
        self.state.update(record, self._clock())
        kind = record.get("kind")
        if kind == "episode" and self.state.episode % self._every == 0:
            self._say(episode_line(self.state))
        elif kind == "evaluation":
            self._say(evaluation_line(record))
        elif kind in {"imitation", "verdict"}:
            self._say(text.clean(str(record["text"])))
        elif kind == "checkpoint":
            self._say(f"checkpoint {text.clean(str(record.get('path', '')))}")
        for alert in reversed(list(self.state.alerts)):
            if alert.text not in self._told and alert.severity > AlertLevel.INFO:
                self._told.add(alert.text)
                self._say(f"{alert.severity.name.lower()}: {text.clean(alert.text)}")

    def close(self) -> None:
        """Nothing more to say: the command tells how it ended."""
        self.state.end()


def open_view(
    info: TrainingInfo, console: Console, every: int, clock: Clock = time.time, stdin: IO[str] | None = None
) -> TrainingScreen | TrainingLog:
    """The screen where the console is a terminal that this process holds, else lines on it.

    Args:
        every: Episodes between lines.
        clock: Wall time, seconds since 1970.
        stdin: As in `TrainingScreen`; the process's own if not given.
    """
    if can_draw(console):
        return TrainingScreen(info, console, clock, stdin if stdin is not None else sys.stdin)
    return TrainingLog(
        info, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True), every, clock
    )
