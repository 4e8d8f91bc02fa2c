"""The dashboard at work: takes steps as they come, draws on a timer, and never holds up the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import IO, Any

from rich.console import Console
from rich.segment import Segment

from engine.dashboard import text
from engine.dashboard.alerts import AlertLevel
from engine.dashboard.help import help_frame
from engine.dashboard.keys import KeyAction, KeyPad
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.terminal import Ink, Screen, ScreenWriter, can_draw, reading_keys
from engine.dashboard.view import frame, status_line
from engine.types.step import StepBlock

# together the five per cent that a dashboard may cost
DRAW_SHARE = 0.03
UPDATE_SHARE = 0.02
SHORTEST_FRAME_S = 0.125
IDLE_FRAME_S = 1.0
REPAINT_S = 5.0
CLOSE_S = 2.0
# one slow piece of work, when the machine was busy otherwise, does not blind the screen
LONGEST_PAUSE_S = 5.0
ALERTS_TOLD = 5


def pause_after(cost_s: float, share: float, shortest_s: float = 0.0) -> float:
    """How long to pause after a piece of work, so that the work takes at most a share of the time.

    Args:
        cost_s: What the work took, seconds.
        share: The share, between 0 and 1.
        shortest_s: Pause at least as long.
    """
    return max(shortest_s, min(LONGEST_PAUSE_S, cost_s * (1.0 / share - 1.0)))


class Dashboard:
    """Shows a run while it continues.

    On a terminal it draws the whole screen; elsewhere it prints a line every few seconds. It takes at most
    five per cent of the event loop's time and writes from a separate thread; whatever happens to it, the run
    continues.

    Args:
        clock: Wall time, seconds since 1970.
        stdin: Where keys come from; None for no keys.
        actions: What keys order, beside the one that closes the screen.
        back: The command that brings the screen back after it was closed; empty where none does.
        attached: Whether it watches a session of another process: closing the screen then ends the watching.
        status_every_s: Seconds between lines where there is no terminal.
        timer: A clock for measuring costs, seconds from anywhere.

    Attributes:
        state: What is shown; `quarantine`, `tell`, `set_feed` and `set_standing` may be called on it.
    """

    def __init__(
        self,
        info: RunInfo,
        console: Console,
        clock: Callable[[], float],
        *,
        stdin: IO[str] | None = None,
        actions: Mapping[str, KeyAction] | None = None,
        attached: bool = False,
        back: str = "",
        status_every_s: float = 5.0,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.state = DashboardState(info)
        self._console = console
        self._clock = clock
        self._stdin = stdin
        self._attached = attached
        self._back = back
        self._pad = KeyPad(
            actions or {}, lambda why: self.state.tell(AlertLevel.WARNING, why), timer, attached=attached
        )
        self._status_every_s = status_every_s
        self._timer = timer
        self._ink = Ink(console)
        self._told: dict[str, int] = {}
        self._told_version = -1

    async def run(self, steps: AsyncIterator[StepBlock]) -> None:
        """Show the steps until they end.

        Args:
            steps: A subscription that gives the latest step and may skip others.
        """
        outbox = ScreenWriter(self._console.file)
        consumer = asyncio.create_task(self._consume(steps))
        last = "stopped"
        try:
            drawn = can_draw(self._console)
            if drawn:
                await self._show(consumer, outbox)
            if drawn and not consumer.done() and not outbox.failed:
                self._say(outbox, self._farewell())
            if drawn and self._attached and not consumer.done():
                last = "closed"
            else:
                await self._tell(consumer, outbox)
                await consumer
                last = "ended"
        except Exception as error:
            # a screen may fail; the run that it shows may not fail with it
            self._say(outbox, f"the dashboard failed, the run continues: {type(error).__name__}: {error}")
        finally:
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)
            self._tell_alerts(outbox)
            self._say(outbox, f"{last}: {self._status(len(last) + 2)}")
            await asyncio.to_thread(outbox.close, CLOSE_S)

    def _farewell(self) -> str:
        """What continues after the screen was closed, and how to reopen it."""
        runs = "session" if self._attached or self._back else "run"
        back = f"; to reopen it: {self._back}" if self._back else ""
        stop = "" if self._attached else "; Ctrl-C stops it"
        return f"the dashboard is closed, the {runs} continues{back}{stop}"

    async def _consume(self, steps: AsyncIterator[StepBlock]) -> None:
        async for step in steps:
            began = self._timer()
            self.state.update(step, self._clock())
            await asyncio.sleep(pause_after(self._timer() - began, UPDATE_SHARE))
        self.state.end()

    async def _show(self, consumer: asyncio.Task[None], outbox: ScreenWriter) -> None:
        """Draw until the steps end, the user quits, or the terminal is gone."""
        screen = Screen(self._ink, outbox)
        left = asyncio.Event()

        def on_key(key: str) -> None:
            if self._pad.press(key):
                left.set()

        leaving = asyncio.create_task(left.wait())
        screen.open()
        try:
            with reading_keys(self._stdin, on_key) as keys:
                await self._draw(screen, outbox, {consumer, leaving}, keys=keys)
        finally:
            leaving.cancel()
            screen.close()

    async def _draw(self, screen: Screen, outbox: ScreenWriter, until: set[asyncio.Task[Any]], *, keys: bool) -> None:
        pause, started, spent = SHORTEST_FRAME_S, self._timer(), 0.0
        drawn_version, drawn_at, painted_at, drawn_size = (-1, -1), float("-inf"), float("-inf"), (0, 0)
        while not outbox.failed and not any(task.done() for task in until):
            began, size = self._timer(), (self._console.width, self._console.height)
            version = self.state.version, self._pad.version
            idle = version == drawn_version and size == drawn_size
            if not outbox.busy and (not idle or began - drawn_at >= IDLE_FRAME_S):
                whole = began - painted_at >= REPAINT_S
                note = f"drawing takes {text.percent(spent / max(began - started, 1.0), decimals=1)} of the time"
                foot = self._pad.line(size[0], note, keys=keys)
                if self._pad.helping:
                    lines = help_frame(self._pad.help_page(), size[0], size[1])
                else:
                    lines = frame(self.state, size[0], size[1], self._clock(), foot=foot)
                screen.draw(lines, size, whole=whole)
                drawn_version, drawn_at, drawn_size = version, began, size
                painted_at = began if whole else painted_at
                cost = self._timer() - began
                pause, spent = pause_after(cost, DRAW_SHARE, SHORTEST_FRAME_S), spent + cost
            await asyncio.wait(until, timeout=pause, return_when=asyncio.FIRST_COMPLETED)

    async def _tell(self, consumer: asyncio.Task[None], outbox: ScreenWriter) -> None:
        """Print a line now and then until the steps end, if there is anything new."""
        while not consumer.done():
            await asyncio.wait({consumer}, timeout=self._status_every_s)
            if consumer.done() or outbox.busy or self.state.version == self._told_version:
                continue
            self._told_version = self.state.version
            self._tell_alerts(outbox)
            self._say(outbox, self._status(0))

    def _tell_alerts(self, outbox: ScreenWriter) -> None:
        """Print the newest alerts that were not printed before, the oldest of them first."""
        fresh = [alert for alert in self.state.alerts if alert.count > self._told.get(alert.text, 0)]
        self._told = {alert.text: alert.count for alert in self.state.alerts}
        for alert in reversed([alert for alert in fresh if alert.severity > AlertLevel.INFO][:ALERTS_TOLD]):
            times = f" (x{text.count(alert.count)})" if alert.count > 1 else ""
            self._say(
                outbox,
                f"{alert.severity.name.lower()}: {text.clock(alert.ts_event)} UTC  {alert.text}{times}",
            )

    def _status(self, taken: int) -> str:
        # a file or a pipe has no width; a terminal should not break the line
        return status_line(self.state, self._console.width - taken if self._console.is_terminal else None)

    def _say(self, outbox: ScreenWriter, line: str) -> None:
        outbox.send(self._ink.rendered([Segment(f"{text.clean(line)}\n")]))
