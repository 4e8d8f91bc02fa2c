"""Accepts alerts without ever blocking the session, and delivers them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from engine.base.log import logger
from engine.monitor.alerts import RANKS, Alert, AlertsConfig, Sender, SendFailed, Severity
from engine.monitor.senders import telegram_sender, webhook_sender

MOST_QUEUED = 100
BACKOFF_S = (1.0, 4.0, 15.0)
_LEVELS: dict[Severity, int] = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}


@dataclass(slots=True)
class _Told:
    """When a kind was last sent and how severe it was; how many were held since, and the last of them."""

    at: float
    severity: Severity
    held: int = 0
    last: Alert | None = None


class Throttle:
    """Lets one alert of a kind pass in so many seconds, and counts the others.

    Args:
        every_s: Seconds between two alerts of one kind.
        now: A clock in seconds that never runs backwards.
    """

    def __init__(self, every_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._now = now
        self._kinds: dict[str, _Told] = {}

    def admit(self, alert: Alert) -> Alert | None:
        """The alert to send, with the number of those held back before it; None to hold it back.

        An alert that is more severe than the last of its kind always passes.
        """
        now = self._now()
        sent = self._kinds.get(alert.kind)
        if sent and now - sent.at < self._every_s and RANKS[alert.severity] <= RANKS[sent.severity]:
            sent.held += 1
            sent.last = alert
            return None
        self._kinds[alert.kind] = _Told(now, alert.severity)
        return _noted(alert, f"{sent.held} more of this kind before it") if sent and sent.held else alert

    def rest(self) -> list[Alert]:
        """The last of each kind that was held back, with the number of those before it; none is held any more."""
        alerts = []
        for sent in self._kinds.values():
            if sent.last:
                earlier = sent.held - 1
                alerts.append(_noted(sent.last, f"{earlier} more of this kind before it") if earlier else sent.last)
                sent.held, sent.last = 0, None
        return alerts


class Outbox:
    """The queue before one sender, and the task that empties it.

    Args:
        least: Alerts that matter less are not for this sender.

    Attributes:
        queued: Alerts taken in, those counted below included.
        delivered: Alerts that arrived.
        lost: Alerts given up, because the sender failed or the queue was full.
    """

    def __init__(
        self,
        sender: Sender,
        least: Severity,
        throttle: Throttle,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.sender = sender
        self.queued = 0
        self.delivered = 0
        self.lost = 0
        self._least = least
        self._throttle = throttle
        self._sleep = sleep
        self._queue: deque[Alert] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._failing = False
        self._lost_sent = 0

    def put(self, alert: Alert) -> None:
        """Queue an alert unless it is held back; where the queue is full the oldest is given up."""
        if RANKS[alert.severity] >= RANKS[self._least]:
            admitted = self._throttle.admit(alert)
            if admitted:
                self._append(admitted)

    def finish(self) -> None:
        """Queue what was held back; `run` ends when all is sent."""
        for alert in self._throttle.rest():
            self._append(alert)
        self._closed = True
        self._wake.set()

    def _append(self, alert: Alert) -> None:
        if len(self._queue) >= MOST_QUEUED:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(alert)
        self.queued += 1
        self._wake.set()

    async def run(self) -> None:
        """Send what is queued, in order, until finished."""
        while True:
            while self._queue:
                await self._deliver(self._queue.popleft())
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _deliver(self, alert: Alert) -> None:
        for wait in (*BACKOFF_S, None):
            lost = self.lost
            unknown = lost - self._lost_sent
            failure = await self._attempt(_noted(alert, f"{unknown} before it could not be sent") if unknown else alert)
            if failure is None:
                self._lost_sent = lost
                self.delivered += 1
                self._say_working()
                return
            self._say_failing(failure)
            if wait is None or not failure.again:
                break
            await self._sleep(wait)
        self.lost += 1

    async def _attempt(self, alert: Alert) -> SendFailed | None:
        try:
            await self.sender.send(alert)
        except SendFailed as failure:
            return failure
        except Exception as error:  # a sender's own mistake must not silence the alerts after this one
            return SendFailed(f"the sender failed: {type(error).__name__}", where=self.sender.name, again=False)
        return None

    def _say_failing(self, error: SendFailed) -> None:
        if not self._failing:
            self._failing = True
            logger("alerts").warning("alerts cannot be delivered", channel=self.sender.name, why=error.what)

    def _say_working(self) -> None:
        if self._failing:
            self._failing = False
            logger("alerts").warning("alerts are delivered again", channel=self.sender.name, lost=self.lost)


class AlertDispatcher:
    """Logs alerts at once and hands them to every channel; a tap that can neither wait nor fail.

    Used on one event loop: `start`, any number of `raise_`, `close`. What is raised before the start is sent after it.

    Args:
        outboxes: One a channel.
        leave_out: Kinds that are only logged.
    """

    def __init__(self, outboxes: Sequence[Outbox] = (), leave_out: Collection[str] = ()) -> None:
        self._outboxes = outboxes
        self._leave_out = frozenset(leave_out)
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    def raise_(self, alert: Alert) -> None:
        """Log an alert and queue it for the channels; after `close` it is only logged."""
        # a standard error that was closed must not stop the session
        with contextlib.suppress(Exception):
            logger("alerts").log(_LEVELS[alert.severity], alert.text, kind=alert.kind, at=alert.time)
        if not self._closed and alert.kind not in self._leave_out:
            for outbox in self._outboxes:
                outbox.put(alert)

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.create_task(outbox.run()) for outbox in self._outboxes]

    async def close(self, within_s: float = 5.0) -> None:
        """Send what is queued or held back, for so many seconds at most, then end."""
        self._closed = True
        for outbox in self._outboxes:
            outbox.finish()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=within_s)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for outbox in self._outboxes:
            unsent = outbox.queued - outbox.delivered
            if unsent:
                logger("alerts").warning("alerts were not delivered", channel=outbox.sender.name, count=unsent)


def open_dispatcher(config: AlertsConfig, now: Callable[[], float] = time.monotonic) -> AlertDispatcher:
    """A dispatcher with the channels of a configuration, whose secrets are read now.

    Raises:
        UsageError: If a secret cannot be read or is not what it should be.
    """
    outboxes = []
    if config.webhook:
        outboxes.append(Outbox(webhook_sender(config.webhook), config.webhook.least, Throttle(config.every_s, now)))
    if config.telegram:
        outboxes.append(Outbox(telegram_sender(config.telegram), config.telegram.least, Throttle(config.every_s, now)))
    return AlertDispatcher(outboxes, config.leave_out)


def _noted(alert: Alert, note: str) -> Alert:
    return replace(alert, text=f"{alert.text} ({note})")
