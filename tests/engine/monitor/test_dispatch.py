"""Alerts reach the operator once, in order, however the senders behave; and the session never waits for them."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.base.secrets import SecretRef
from engine.monitor.alerts import RANKS, Alert, AlertsConfig, SendFailed, Severity, TelegramConfig, WebhookConfig
from engine.monitor.dispatch import BACKOFF_S, MOST_QUEUED, AlertDispatcher, Outbox, Throttle, open_dispatcher
from tests.engine.monitor.receiver import Receiver
from tests.waiting import LIMIT_S

SEVERITIES = st.sampled_from(list(RANKS))


class Scripted:
    """A sender that fails as told, then works."""

    name = "scripted"

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.attempts = 0
        self.texts: list[str] = []

    async def send(self, alert: Alert) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.texts.append(alert.text)


class Clock:
    """A clock that only sleeping and tests move."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def _alert(text: str, kind: str = "k", severity: Severity = "warning") -> Alert:
    return Alert(0, severity, kind, text)


def _failed(again: bool = True) -> SendFailed:
    return SendFailed("no", where="scripted", again=again)


async def _sent(sender: Scripted, alerts: list[Alert], clock: Clock, every_s: float = 0.0) -> Outbox:
    outbox = Outbox(sender, "info", Throttle(every_s, clock), sleep=clock.sleep)
    for alert in alerts:
        outbox.put(alert)
    outbox.finish()
    await outbox.run()
    return outbox


@given(st.lists(st.tuples(st.sampled_from("ab"), SEVERITIES, st.integers(0, 40))), st.sampled_from([0, 10, 25]))
def test_every_alert_is_told_or_counted(script: list[tuple[str, Severity, int]], every_s: int) -> None:
    clock = Clock()
    throttle = Throttle(every_s, clock)
    told: dict[str, list[tuple[float, Alert]]] = {"a": [], "b": []}
    for kind, severity, pause in script:
        clock.time += pause
        admitted = throttle.admit(_alert("x", kind, severity))
        if admitted:
            told[kind].append((clock.time, admitted))
    for alerts in told.values():
        for (before, earlier), (after, later) in itertools.pairwise(alerts):
            assert after - before >= every_s or RANKS[later.severity] > RANKS[earlier.severity]
    shown = [alert for alerts in told.values() for _, alert in alerts] + throttle.rest()
    counted = sum(int(number) for alert in shown for number in re.findall(r"\((\d+) more", alert.text))
    assert len(shown) + counted == len(script)
    assert throttle.rest() == []


async def test_repeats_are_told_with_the_next_and_with_the_last() -> None:
    clock = Clock()
    sender = Scripted()
    outbox = Outbox(sender, "info", Throttle(60, clock), sleep=clock.sleep)
    for at, text in [(0, "one"), (10, "two"), (20, "three"), (61, "four"), (70, "five"), (80, "six")]:
        clock.time = at
        outbox.put(_alert(text))
    outbox.put(_alert("worse", severity="critical"))
    outbox.put(_alert("another", kind="other"))
    outbox.put(_alert("once more", kind="other"))
    outbox.finish()
    await outbox.run()
    assert sender.texts == [
        "one",
        "four (2 more of this kind before it)",
        "worse (2 more of this kind before it)",
        "another",
        "once more",
    ]


async def test_what_matters_too_little_is_not_for_the_channel() -> None:
    sender = Scripted()
    outbox = Outbox(sender, "warning", Throttle(60, Clock()))
    for severity in RANKS:
        outbox.put(_alert(severity, kind=severity, severity=severity))
    outbox.finish()
    await outbox.run()
    assert sender.texts == ["warning", "critical"]


async def test_a_sender_that_recovers_in_time_loses_nothing() -> None:
    clock = Clock()
    sender = Scripted(_failed(), _failed(), _failed())
    with structlog.testing.capture_logs() as logs:
        outbox = await _sent(sender, [_alert("first"), _alert("second")], clock)
    assert sender.texts == ["first", "second"]
    assert clock.waits == list(BACKOFF_S)
    assert (outbox.queued, outbox.delivered, outbox.lost) == (2, 2, 0)
    assert [line["event"] for line in logs] == ["alerts cannot be delivered", "alerts are delivered again"]


async def test_a_failing_sender_is_said_once_and_what_was_lost_is_told() -> None:
    sender = Scripted(*[_failed() for _ in range(2 * (1 + len(BACKOFF_S)))])
    with structlog.testing.capture_logs() as logs:
        outbox = await _sent(sender, [_alert("first"), _alert("second"), _alert("third"), _alert("fourth")], Clock())
    assert sender.texts == ["third (2 before it could not be sent)", "fourth"]
    assert (outbox.queued, outbox.delivered, outbox.lost) == (4, 2, 2)
    assert [line["event"] for line in logs] == ["alerts cannot be delivered", "alerts are delivered again"]


@pytest.mark.parametrize("failure", [_failed(again=False), ZeroDivisionError("a mistake")])
async def test_what_trying_again_cannot_help_is_not_tried_again(failure: Exception) -> None:
    clock = Clock()
    sender = Scripted(failure)
    await _sent(sender, [_alert("first"), _alert("second")], clock)
    assert sender.attempts == 2
    assert clock.waits == []
    assert sender.texts == ["second (1 before it could not be sent)"]


async def test_a_full_queue_gives_up_the_oldest() -> None:
    sender = Scripted()
    outbox = await _sent(sender, [_alert(str(at)) for at in range(MOST_QUEUED + 5)], Clock())
    assert sender.texts[0] == "5 (5 before it could not be sent)"
    assert sender.texts[1:] == [str(at) for at in range(6, MOST_QUEUED + 5)]
    assert outbox.lost == 5


async def test_every_alert_is_logged_and_some_are_only_logged() -> None:
    sender = Scripted()
    dispatcher = AlertDispatcher([Outbox(sender, "info", Throttle(0, Clock()))], leave_out=("gap",))
    with structlog.testing.capture_logs() as logs:
        dispatcher.raise_(_alert("about gap", "gap", "critical"))
        dispatcher.raise_(_alert("about feed", "feed", "warning"))
        dispatcher.raise_(_alert("about started", "started", "info"))
        dispatcher.start()
        await dispatcher.close()
        dispatcher.raise_(_alert("too late"))
    assert sender.texts == ["about feed", "about started"]
    assert [(line["event"], line["kind"], line["log_level"]) for line in logs] == [
        ("about gap", "gap", "critical"),
        ("about feed", "feed", "warning"),
        ("about started", "started", "info"),
        ("too late", "k", "warning"),
    ]


async def test_raising_survives_a_log_that_cannot_be_written() -> None:
    def broken(*_: object) -> object:
        raise BrokenPipeError

    sender = Scripted()
    dispatcher = AlertDispatcher([Outbox(sender, "info", Throttle(0, Clock()))])
    structlog.configure(processors=[broken])  # type: ignore[list-item]
    try:
        dispatcher.raise_(_alert("heard"))
    finally:
        structlog.reset_defaults()
    dispatcher.start()
    await dispatcher.close()
    assert sender.texts == ["heard"]


async def test_real_channels_get_what_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as hook, Receiver((500,)) as bot:
        monkeypatch.setenv("HOOK", f"{hook.url}/h")
        monkeypatch.setenv("TOKEN", "1:a")
        config = AlertsConfig(
            webhook=WebhookConfig(url=SecretRef("env:HOOK"), least="info"),
            telegram=TelegramConfig(token=SecretRef("env:TOKEN"), chat_id=1, api=bot.url, least="critical"),
        )
        dispatcher = open_dispatcher(config)
        dispatcher.start()
        dispatcher.raise_(_alert("started", "started", "info"))
        dispatcher.raise_(_alert("halted", "halted", "critical"))
        await dispatcher.close(within_s=LIMIT_S)
    assert [body["text"] for _, _, body in hook.requests] == ["started", "halted"]
    assert [body["text"].splitlines()[1] for _, _, body in bot.requests] == ["halted", "halted"]


def test_a_missing_secret_is_said_when_the_channels_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    with pytest.raises(UsageError, match="env:HOOK"):
        open_dispatcher(AlertsConfig(webhook=WebhookConfig(url=SecretRef("env:HOOK"))))


async def test_a_host_that_never_answers_holds_up_neither_the_session_nor_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Receiver((-1, -1)) as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        dispatcher = open_dispatcher(AlertsConfig(webhook=WebhookConfig(url=SecretRef("env:HOOK"), timeout_s=60)))
        dispatcher.start()
        for at in range(10):
            dispatcher.raise_(_alert(str(at), kind=str(at)))
            await asyncio.sleep(0)
        with structlog.testing.capture_logs() as logs:
            await dispatcher.close(within_s=0.1)
        # the channel was left in the middle of its first attempt, which had not come to the end of its minute
        assert len(receiver.requests) <= 1
    assert logs[-1]["event"] == "alerts were not delivered"
    assert logs[-1]["count"] == 10


def test_the_program_ends_though_a_host_never_answers() -> None:
    program = """
import asyncio, os, socket
from engine.monitor.alerts import Alert, AlertsConfig
from engine.monitor.dispatch import open_dispatcher

async def session():
    dispatcher = open_dispatcher(AlertsConfig(webhook={"url": "env:HOOK", "timeout_s": 60}))
    dispatcher.start()
    dispatcher.raise_(Alert(0, "warning", "k", "t"))
    await dispatcher.close(within_s=0.2)

with socket.create_server(("127.0.0.1", 0)) as silent:
    os.environ["HOOK"] = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    asyncio.run(session())
    heard = silent.accept()[0]  # so that the connection outlives the listener
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert "alerts were not delivered" in done.stderr
