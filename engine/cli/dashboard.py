"""`grandmodel dashboard`: the screen of a session that runs elsewhere, or has ended."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from engine.app.live.attaching import Attached, SessionStanding
    from engine.dashboard.following import Following
    from engine.dashboard.live import Dashboard
    from engine.dashboard.state import DashboardState, RunInfo

Once = Annotated[bool, typer.Option("--once", help="Print the current screen and exit.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until there is a session in the folder.")]
STANDING_S = 1.0


def dashboard(folder: options.SessionFolder, once: Once = False, wait: Wait = False) -> None:
    """Watch a live session from another terminal; this does not disturb it, and q quits.

    Example: grandmodel dashboard runs/live
    """
    from engine.app.live.attaching import Attached, appears
    from engine.cli.console import out

    try:
        if wait:
            asyncio.run(appears(folder))
        with Attached(folder) as attached:
            if once:
                _print(attached, folder, out())
            else:
                asyncio.run(_watch(attached, folder, out()))
    except KeyboardInterrupt:
        pass  # the way out where no key can be read


def _print(attached: Attached, folder: Path, console: Console) -> None:
    """The screen in text, as high as the terminal."""
    from engine.app.live.attaching import standing_of
    from engine.dashboard.following import Following
    from engine.dashboard.state import DashboardState
    from engine.dashboard.view import DashboardView

    state = DashboardState(_info(attached))
    _recall(attached, state)
    _look(Following(state), attached, standing_of(folder))
    # the prompt that follows takes a line
    height = max(2, console.height - 1)
    console.print(DashboardView(state, time.time(), foot=[]), height=height)


async def _watch(attached: Attached, folder: Path, console: Console) -> None:
    from engine.base.background import in_background
    from engine.dashboard.following import Following
    from engine.dashboard.live import Dashboard

    back = f"grandmodel dashboard {shlex.quote(str(folder))}"
    screen = Dashboard(
        _info(attached),
        console,
        time.time,
        stdin=sys.stdin,
        attached=True,
        back=back,
    )
    _recall(attached, screen.state)
    async with in_background(_follow(attached, folder, screen, Following(screen.state))):
        await screen.run(attached.steps())


async def _follow(attached: Attached, folder: Path, screen: Dashboard, following: Following) -> None:
    """Read what is not in the rows: the session's state, the operator's commands, refused messages."""
    from engine.app.live.attaching import standing_of

    while True:
        _look(following, attached, await asyncio.to_thread(standing_of, folder))
        _tell_orders(attached, screen.state)
        await asyncio.sleep(STANDING_S)


def _look(following: Following, attached: Attached, standing: SessionStanding) -> None:
    from engine.cli.live_screens import monitor_summary
    from engine.dashboard.learner_panel import LearnerSummary

    following.look(
        standing.word,
        standing.feed,
        attached.counters(),
        standing.challengers,
        monitor_summary(attached.performance()),
        LearnerSummary.of(standing.learning),
        attached.takeovers(),
    )


def _recall(attached: Attached, state: DashboardState) -> None:
    for step in attached.look():
        state.recall(step)
    _tell_orders(attached, state)


def _tell_orders(attached: Attached, state: DashboardState) -> None:
    from engine.app.live.session import DONE
    from engine.dashboard.alerts import AlertLevel
    from engine.types.records import Operation

    for order in attached.orders():
        severity = AlertLevel.CRITICAL if order.kind is Operation.HALT else AlertLevel.WARNING
        state.tell(severity, f"{DONE[order.kind]} by {order.by} before row {order.seq}", ts_event=order.ts_event)


def _info(attached: Attached) -> RunInfo:
    from engine.app.live.open_or_resume import stored_setup
    from engine.cli.live_screens import run_info

    with attached.reading() as reader:
        setup = stored_setup(reader)
        return run_info(setup.config, setup.instruments, reader.session["config"]["feed"]["address"])
