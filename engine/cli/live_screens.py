"""What the operator sees of a live session: the dashboard with its keys, or one line that changes."""

from __future__ import annotations

import asyncio
import math
import shlex
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.cli.console import err, out

if TYPE_CHECKING:
    from rich.console import Console

    from engine.app.config import RunConfig
    from engine.app.live.config import PaperConfig
    from engine.app.live.paper import LiveScreen
    from engine.app.live.session import Session
    from engine.app.live.watching import Committed
    from engine.dashboard.following import Following
    from engine.dashboard.keys import KeyAction
    from engine.dashboard.monitor_line import MonitorSummary
    from engine.dashboard.state import DashboardState, RunInfo
    from engine.monitor.alerts import Severity
    from engine.types.instruments import Instrument
    from engine.types.step import StepBlock

LOOK_S = 0.5
LINE_S = 0.25
CLOSE_S = 2.0
KEYS = {
    "p": ("pause", ""),
    "r": ("resume", ""),
    "f": ("flatten", "close every position and pause?"),
    "h": ("halt", "trigger the kill switch: close every position and stop trading?"),
    "x": ("reset-halt", "resume trading after the halt?"),
    "s": ("stop", "end the session?"),
}
ROLE_KEYS = {
    "c": ("promote", "make the challenger with the most evidence the champion at the next cut?"),
    "b": ("rollback", "make the champion before the champion again at the next cut?"),
}
"""Keys of a session in which roles may change."""
PROMOTE_KEY = "c"
LEARN_KEY = "l"
"""Key of a session that learns: it pauses learning, or resumes it."""


def run_info(config: RunConfig, instruments: Mapping[str, Instrument], feed: str) -> RunInfo:
    """What the screen of a session knows before the first bar.

    Args:
        instruments: By symbol, in the order of the columns.
        feed: Address of the feed; may be empty.
    """
    from engine.dashboard.state import RunInfo
    from feeds.live.address import parse_address
    from feeds.pacing import parse_speed

    address = parse_address(feed) if feed else None
    pace = parse_speed(address.speed) if address is not None and address.kind == "replay" else math.inf
    return RunInfo(
        mode="paper",
        agent=config.agent,
        symbols=tuple(instruments),
        source="" if address is None else address.shown,
        currency=config.currency,
        pace=None if math.isinf(pace) else pace,
        live=None,
        multipliers=tuple(item.multiplier * item.fx_rate for item in instruments.values()),
        tick_sizes=tuple(item.tick_size for item in instruments.values()),
        challengers=_most_beside(config),
    )


def _most_beside(config: RunConfig) -> int:
    """How many may trade beside the agent, as far as that is known at the start."""
    learned = 0 if config.learning is None else config.learning.max_candidates
    return len(config.challengers.agents) + learned or int(config.has_arena)


def dashboard_screen(config: PaperConfig, console: Console | None = None) -> LiveScreen:
    """The terminal dashboard of a session, with keys for commands.

    Args:
        console: In place of standard output.
    """
    chosen = console or out()  # now: a running session lets a thread write to the standard streams
    return lambda session: _SessionScreen(config, session, chosen).run


def progress_screen(console: Console | None = None) -> LiveScreen:
    """One line on standard error that changes; nothing where that is no terminal.

    Args:
        console: In place of standard error.
    """
    chosen = console or err()  # now, as above
    return lambda session: _ProgressLine(session, chosen).run


class _SessionScreen:
    """The dashboard in the session's own process."""

    def __init__(self, config: PaperConfig, session: Session, console: Console) -> None:
        from engine.dashboard.following import Following
        from engine.dashboard.live import Dashboard

        self._session, self._asked = session, ""
        info = run_info(config, session.opened.setup.instruments, config.feed.address)
        self._dashboard = Dashboard(
            info,
            console,
            time.time,
            stdin=sys.stdin,
            actions=self._actions(),
            back=f"grandmodel dashboard {shlex.quote(str(session.opened.folder))}",
        )
        self._following = Following(self._dashboard.state)
        session.observe(_Notices(self._dashboard.state))

    async def run(self, steps: AsyncIterator[StepBlock]) -> None:
        if self._session.driver.next_seq:
            await self._recall()
        from engine.base.background import in_background

        async with in_background(self._follow()):
            await self._dashboard.run(steps)

    async def _recall(self) -> None:
        """A resumed session shows the rows before this start."""
        from engine.app.live.attaching import last_steps, past_takeovers
        from engine.dashboard.alerts import AlertLevel

        state = self._dashboard.state
        try:
            folder = self._session.opened.folder
            for step in await asyncio.to_thread(last_steps, folder):
                state.recall(step)
            state.set_takeovers(await asyncio.to_thread(past_takeovers, folder))
        except Exception as error:
            # a screen may fail; the session that it shows may not fail with it
            state.tell(AlertLevel.WARNING, f"the rows before this start are not shown: {error}")

    async def _follow(self) -> None:
        while True:
            look(self._following, self._session)
            await asyncio.sleep(LOOK_S)

    def _actions(self) -> dict[str, KeyAction]:
        from engine.dashboard.keys import KeyAction

        keys = KEYS | (ROLE_KEYS if self._session.config.has_arena else {})
        actions = {key: KeyAction(command, self._order, question) for key, (command, question) in keys.items()}
        if PROMOTE_KEY in actions:
            actions[PROMOTE_KEY] = KeyAction("promote", self._promote, self._ask_whom)
        if self._session.config.learning is not None:
            actions[LEARN_KEY] = KeyAction("learning", self._switch_learning, self._ask_about_learning)
        return actions

    def _ask_whom(self) -> str:
        """The question names who would be promoted, and the order then names the same one."""
        from engine.app.challengers import arena_of
        from engine.monitor.numbers import e_value_text

        arena = arena_of(self._session.driver)
        leads = None if arena is None else arena.leading()
        self._asked = "" if leads is None else leads.name
        if leads is None or leads.e_value is None or leads.threshold is None:
            return ROLE_KEYS[PROMOTE_KEY][1]
        evidence = f"E {e_value_text(leads.e_value)} of {e_value_text(leads.threshold)}"
        return f"make {leads.name} ({evidence}) the champion at the next cut?"

    def _promote(self, command: str) -> str:
        return self._order(command, self._asked or None)

    @property
    def _learning_paused(self) -> bool:
        from engine.app.challengers import learner_of

        learner = learner_of(self._session.driver)
        return learner is not None and learner.paused

    def _ask_about_learning(self) -> str:
        if self._learning_paused:
            return "let training jobs begin again?"
        return "let no further training job begin?"

    def _switch_learning(self, command: str) -> str:
        """Pause or resume learning, whichever it is not."""
        return self._order("resume-learning" if self._learning_paused else "pause-learning")

    def _order(self, command: str, name: str | None = None) -> str:
        from engine.app.live.commands import obey

        done = str(obey(self._session, command, "dashboard", name)["done"])
        look(self._following, self._session)
        return done


def look(following: Following, session: Session) -> None:
    """Show the session as it is now."""
    from engine.app.challengers import standings_of
    from engine.app.live.commands import learning_of, performance, state_word
    from engine.dashboard.learner_panel import LearnerSummary

    feed = "" if session.source.connected else session.source.status
    standings, summary = standings_of(session.driver), monitor_summary(performance(session))
    learner = LearnerSummary.of(learning_of(session))
    following.look(state_word(session), feed, session.counters, standings, summary, learner, session.takeovers)


def monitor_summary(found: Mapping[str, Any] | None) -> MonitorSummary | None:
    """What a screen shows of a session's performance monitor."""
    from engine.dashboard.monitor_line import MonitorSummary

    if found is None:
        return None
    return MonitorSummary(found["values"], found["alerts_by_value"], found["alerts"], found["advice"], found["drifted"])


class _Notices:
    """Notices of the session become alerts on the screen."""

    def __init__(self, state: DashboardState) -> None:
        self._state = state

    def committed(self, committed: Committed) -> None:
        """Rows reach the screen as steps."""

    def notice(self, severity: Severity, kind: str, text: str) -> None:
        from engine.dashboard.alerts import AlertLevel as Shown

        self._state.tell(Shown[severity.upper()], text)


class _ProgressLine:
    """Rows, last bar, equity, the state of the session and its feed, in one line."""

    def __init__(self, session: Session, console: Console) -> None:
        self._session, self._console = session, console

    async def run(self, steps: AsyncIterator[StepBlock]) -> None:
        from engine.base.background import in_background
        from engine.dashboard.terminal import ScreenWriter, can_draw

        if not can_draw(self._console):
            return
        outbox = ScreenWriter(self._console.file)
        try:
            async with in_background(self._write(outbox)):
                async for _ in steps:
                    pass
        finally:
            outbox.send("\r\x1b[K")
            await asyncio.to_thread(outbox.close, CLOSE_S)

    async def _write(self, outbox: Any) -> None:
        written = ""
        while not outbox.failed:
            line = self._line()[: self._console.width - 1]
            if line != written and not outbox.busy:
                # the cursor waits at the start, so that a message of the log covers the line
                outbox.send(f"\r\x1b[K{line}\r")
                written = line
            await asyncio.sleep(LINE_S)

    def _line(self) -> str:
        from engine.app.live.commands import state_word
        from engine.dashboard import text

        session = self._session
        step, feed = session.last_step, text.clean(session.source.status)
        facts = [f"{text.count(session.driver.next_seq)} rows"]
        if step is not None:
            currency = session.config.currency
            facts.append(f"{text.clock(int(step.bars.ts_event[-1]))} UTC")
            facts.append(f"equity {text.money(float(step.account['equity'][0]))} {currency}")
        return "  ".join([*facts, state_word(session), feed])
