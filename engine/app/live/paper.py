"""A live session from configuration to run folder: the one place that wires feed, driver, journal and watchers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.app.journal.exporting import Exported, export_session
from engine.app.journal.monitoring import recover_monitor
from engine.app.live.client_id import keep_client_id
from engine.app.live.commands import obey, state_word
from engine.app.live.config import PaperConfig
from engine.app.live.control import ControlServer
from engine.app.live.dead_letters import FileSink, Relay
from engine.app.live.deliveries import begin_of, dead_letter_sink, open_source, timeframe_of, traded
from engine.app.live.feed_health import mostly_refused
from engine.app.live.folder import SessionLock
from engine.app.live.intake import Intake
from engine.app.live.monitoring import LiveMonitor
from engine.app.live.observers import Alerting, Measuring
from engine.app.live.open_or_resume import Opened, check_session_folder, open_session
from engine.app.live.session import Session
from engine.app.live.watching import Ended
from engine.app.wiring import drift_detector
from engine.base.background import in_background
from engine.base.log import logger, tell_dropped
from engine.base.outbox import unhurried
from engine.journal.reading import JournalReader, has_begun
from engine.loop.runner import Screen
from engine.monitor.alerts import Severity
from engine.monitor.dispatch import open_dispatcher
from engine.monitor.heartbeat import Heartbeat
from engine.monitor.http import MonitorServer, session_pages
from engine.monitor.metrics import SessionMetrics
from feeds.live.source import DeadLetterSink, LiveSource

log = logger("paper")
LiveScreen = Callable[[Session], Screen]


@dataclass
class PaperRun:
    """The result of a session.

    Attributes:
        folder: Of the session.
        ended: Why it ended, and what this run of it did.
        exported: Its tables and metrics; None if it has no bar yet.
        counters: Running counts of the whole session.
        resumed: Whether it was there before.
        recovery_seconds: From the opening of the journal to readiness for the next bar.
    """

    folder: Path
    ended: Ended
    exported: Exported | None
    counters: dict[str, int]
    resumed: bool
    recovery_seconds: float


def run_paper(
    config: PaperConfig,
    folder: Path,
    screens: Sequence[LiveScreen] = (),
    source: LiveSource | None = None,
    trace: Callable[[str], object] | None = None,
    *,
    trust_code: bool = False,
) -> PaperRun:
    """Trade on paper until the feed, the configuration or the operator ends it, and write the run folder.

    Args:
        folder: Of the session; if it holds a session, that session resumes.
        screens: Taps that see the latest state and may skip.
        source: In place of the configured address.
        trace: Told every SQL statement of the journal before it is executed.
        trust_code: As in `engine.app.live.open_or_resume.open_session`.

    Raises:
        GrandModelError: Anything that the user can correct.
    """
    if not has_begun(folder):
        check_session_folder(folder)  # before the lock makes a file in the folder of something else
    with SessionLock(folder):
        opened, run = trade(config, folder, screens, source, trace, trust_code=trust_code)
        if opened.driver.next_seq:
            with JournalReader(folder) as reader:
                run.exported = export_session(reader, opened.setup, opened.driver, folder)
        return run


def trade(
    config: PaperConfig,
    folder: Path,
    screens: Sequence[LiveScreen],
    source: LiveSource | None,
    trace: Callable[[str], object] | None,
    *,
    trust_code: bool = False,
) -> tuple[Opened, PaperRun]:
    """Trade until the end; what `run_paper` does between taking the folder and writing the run folder."""
    source = source or open_source(config, folder)
    instruments, timeframe_ns = traded(config, source), timeframe_of(config, source)
    before = time.perf_counter()
    opened = open_session(folder, config, instruments, timeframe_ns, trace, trust_code=trust_code)
    with opened.journal:
        if (client_id := getattr(source, "client_id", None)) is not None:
            keep_client_id(opened.journal, folder, client_id)
        # where the first start of the session began
        intake = Intake(instruments, timeframe_ns, config.feed, begin_ns=begin_of(opened.setup.config))
        intake.restore(opened.states, opened.driver.next_seq)
        intake.remember(opened.recent)
        recovery = time.perf_counter() - before
        if opened.resumed:
            log.info("recovered", rows=opened.driver.next_seq, seconds=round(recovery, 3))
        session = Session(config, opened, intake, source, monitor=_performance(config, opened))
        try:
            with unhurried(tell_dropped):
                asyncio.run(_run(session, screens))
        finally:
            if opened.jobs is not None:
                opened.jobs.close()
            if not session.owes:
                opened.reserve.end()
        session.ended.refused = session.ended.refused or mostly_refused(source, session.counters.get("bars", 0))
    return opened, PaperRun(folder, session.ended, None, session.counters, opened.resumed, recovery)


async def _run(session: Session, screens: Sequence[LiveScreen]) -> None:
    """The session with everything around it: what may fail here never touches what is traded."""
    config, folder = session.config, session.opened.folder
    asyncio.get_running_loop().set_exception_handler(_say_unasked)
    heartbeat = Heartbeat(Path(config.heartbeat_file) if config.heartbeat_file else None)
    async with AsyncExitStack() as stack:
        # first, so that whoever sees the control socket can rely on them, and the last to go
        stack.enter_context(_signals(session))
        dispatcher = open_dispatcher(config.alerts)
        relay = Relay(session.opened.journal, _sink(config, folder), session.notice)
        stack.push_async_callback(relay.finish)
        dispatcher.start()
        stack.push_async_callback(dispatcher.close)
        alerting = Alerting(dispatcher, session, relay)
        session.observe(alerting)
        if (jobs := session.opened.jobs) is not None:
            loop = asyncio.get_running_loop()
            jobs.tell = lambda *news: _told(loop, session, news)
        if config.metrics.enabled:
            await stack.enter_async_context(_monitor(session, relay, heartbeat))
        await stack.enter_async_context(ControlServer(folder, partial(obey, session)))
        for task in (heartbeat.run(), relay.run(), alerting.run(), _say(session, heartbeat)):
            await stack.enter_async_context(in_background(task))
        begun = "resumes" if session.opened.resumed else "starts"
        text = f"the session {begun} at row {session.driver.next_seq}, feed {session.source.status}"
        session.notice("info", "session_started", text)
        if session.opened.halted_because is not None:
            session.notice("critical", "halted", f"the session begins halted: {session.opened.halted_because}")
        alerting.report_stand_ins()  # what a restart has not mended is critical again
        for news in session.monitor.standing() if session.monitor is not None else ():
            session.notice(*news)
        try:
            await session.run([screen(session) for screen in screens])
        finally:
            heartbeat.stopping()
        session.notice("info", "session_stopped", f"the session ended: {session.ended.because}")


def _told(loop: asyncio.AbstractEventLoop, session: Session, news: tuple[Severity, str, str]) -> None:
    """Pass on what another thread has to say."""
    with suppress(RuntimeError):  # the loop is closed: nobody listens any more
        loop.call_soon_threadsafe(session.notice, *news)


def _performance(config: PaperConfig, opened: Opened) -> LiveMonitor | None:
    """The performance monitor, as it was when the last row was committed."""
    if not config.monitor.enabled:
        return None
    followed = None
    if not opened.resumed:
        drift_detector(opened.setup, config.monitor)  # a wrong reference is named before anything is traded
    if opened.driver.next_seq:
        try:
            with JournalReader(opened.folder) as reader:
                followed = recover_monitor(reader, opened.setup, config.monitor)
        except Exception:
            log.exception("the performance monitor cannot continue and is off, the session does")
            return None
    return LiveMonitor(opened.setup, config.monitor, followed)


def _say_unasked(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what failed in the background, such as a connection, and was nobody's to handle."""
    error = context.get("exception")
    reason = str(context.get("message", "")) if error is None else f"{type(error).__name__}: {error}"
    log.warning("something in the background failed, the session continues", reason=reason)


@asynccontextmanager
async def _monitor(session: Session, relay: Relay, heartbeat: Heartbeat) -> AsyncIterator[None]:
    measuring = Measuring(SessionMetrics(), session, relay)
    session.observe(measuring)
    pages = session_pages(measuring.refresh, heartbeat.overdue, lambda: _not_ready(session))
    server = MonitorServer(session.config.metrics, pages)
    await server.start()
    try:
        yield
    finally:
        await server.close()


def _not_ready(session: Session) -> str | None:
    if session.trouble is not None:
        return session.trouble
    return None if session.source.connected else session.source.status


async def _say(session: Session, heartbeat: Heartbeat) -> None:
    """Keep the heartbeat's words true."""
    ready = False
    while True:
        text = f"{state_word(session)}, row {session.driver.next_seq}, {session.source.status}"
        if not ready and _not_ready(session) is None:
            ready = True
            heartbeat.ready(text)
        heartbeat.say(text)
        await asyncio.sleep(1.0)


@contextmanager
def _signals(session: Session) -> Iterator[None]:
    """The first SIGTERM or Ctrl-C ends the session after the current transaction, the second one immediately."""
    loop, caught = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    count = 0

    def on_signal(number: signal.Signals) -> None:
        nonlocal count
        count += 1
        if count > 1:
            # what is not committed will be delivered again
            os._exit(128 + number)
        session.stop(f"stopped by {number.name}")

    for number in caught:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _sink(config: PaperConfig, folder: Path) -> DeadLetterSink:
    topic = config.feed.dead_letter_topic
    return FileSink(folder) if topic is None else dead_letter_sink(config.feed, topic)
