"""Signs of life, as a real datagram socket and a real file receive them."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import CheckFailed
from engine.monitor.heartbeat import Heartbeat, check_heartbeat
from tests.waiting import eventually


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@contextmanager
def _systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        yield listener


def _heard(listener: socket.socket) -> list[str]:
    messages = []
    with suppress(BlockingIOError):
        while True:
            messages.append(listener.recv(4096).decode())
    return messages


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_the_course_of_a_session(abstract: bool, tmp_path: Path) -> None:
    name = f"grandmodel-{uuid.uuid4()}" if abstract else str(tmp_path / "notify")
    clock = Clock()
    environ = {"NOTIFY_SOCKET": f"@{name}" if abstract else name, "WATCHDOG_USEC": "20000000"}
    with _systemd(f"\0{name}" if abstract else name) as listener:
        heart = Heartbeat(environ=environ, every_s=5, now=clock)
        heart.beat()
        assert _heard(listener) == ["WATCHDOG=1", "STATUS=starting"]
        heart.ready("trading 2 symbols")
        assert _heard(listener) == ["READY=1", "STATUS=trading 2 symbols"]
        heart.say("row 1\nSTOPPING=1")
        clock.time += 4
        heart.beat()
        assert _heard(listener) == []
        clock.time += 4
        heart.beat()
        assert _heard(listener) == ["STATUS=row 1 STOPPING=1"]
        clock.time += 2
        heart.beat()
        heart.beat()
        assert _heard(listener) == ["WATCHDOG=1"]
        clock.time += 6
        heart.beat()
        assert _heard(listener) == []
        heart.stopping()
        assert _heard(listener) == ["STOPPING=1", "STATUS=stopping"]


@given(st.lists(st.floats(0.1, 1.9), min_size=1, max_size=60), st.sampled_from([1, 8, 30]))
def test_the_watchdog_is_fed_in_time_though_beats_come_unevenly(unevenness: list[float], seconds: int) -> None:
    clock = Clock()
    address = f"grandmodel-{uuid.uuid4()}"
    environ = {"NOTIFY_SOCKET": f"@{address}", "WATCHDOG_USEC": str(seconds * 1_000_000)}
    with _systemd(f"\0{address}") as listener:
        heart = Heartbeat(environ=environ, now=clock)
        heart.beat()
        fed = clock.time
        for factor in unevenness:
            clock.time += heart.interval_s * factor
            assert clock.time - fed < seconds
            heart.beat()
            if "WATCHDOG=1" in _heard(listener):
                fed = clock.time


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}])
def test_a_watchdog_meant_for_nobody_or_another_is_not_fed(environ: dict[str, str]) -> None:
    address = f"grandmodel-{uuid.uuid4()}"
    with _systemd(f"\0{address}") as listener:
        heart = Heartbeat(environ={"NOTIFY_SOCKET": f"@{address}", **environ})
        heart.beat()
        assert _heard(listener) == ["STATUS=starting"]


def test_a_session_survives_a_manager_that_went_away(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with structlog.testing.capture_logs() as logs:
        heart = Heartbeat(environ={"NOTIFY_SOCKET": address})
        heart.ready("a")
        heart.ready("b")
        with _systemd(address) as listener:
            heart.ready("c")
            assert _heard(listener) == ["READY=1", "STATUS=c"]
        heart.ready("d")
        Heartbeat(environ={"NOTIFY_SOCKET": "vsock:2:1"}).ready("e")
    assert [line["event"] for line in logs] == [
        "cannot report that the session is alive",
        "cannot report that the session is alive",
        "cannot notify the service manager",
    ]


def test_the_file_is_written_every_few_seconds_and_holds_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "state" / "heartbeat.json"
    clock, wall = Clock(), Clock()
    heart = Heartbeat(path, environ={}, every_s=5, now=clock, wall=wall)
    written = []
    for _ in range(12):
        heart.beat()
        written.append(json.loads(path.read_text())["time"])
        clock.time += 1
        wall.time += 1
    assert sorted(set(written)) == [1000, 1005, 1010]
    heart.ready("trading")
    assert json.loads(path.read_text()) == {"pid": os.getpid(), "time": 1012, "ready": True, "status": "trading"}
    heart.stopping()
    assert json.loads(path.read_text()) == {"pid": os.getpid(), "time": 1012, "ready": False, "status": "stopping"}
    assert [file.name for file in path.parent.iterdir()] == ["heartbeat.json"]


def test_a_file_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("")
    with structlog.testing.capture_logs() as logs:
        heart = Heartbeat(tmp_path / "occupied" / "heartbeat.json", environ={}, every_s=0)
        heart.beat()
        heart.beat()
    assert [line["by"] for line in logs] == ["heartbeat file"]


def test_a_session_that_stops_beating_is_overdue() -> None:
    clock = Clock()
    heart = Heartbeat(environ={}, now=clock)
    clock.time += 20
    heart.beat()
    clock.time += 30
    assert heart.overdue(30) is None
    clock.time += 1
    assert heart.overdue(30) == "no heartbeat for 31 s"


async def test_it_beats_by_itself_where_it_is_asked_to(tmp_path: Path) -> None:
    import asyncio

    path = tmp_path / "heartbeat.json"
    task = asyncio.create_task(Heartbeat(path, environ={}, every_s=0.002).run())
    await eventually(path.exists)
    first = json.loads(path.read_text())["time"]
    await eventually(lambda: json.loads(path.read_text())["time"] > first)
    task.cancel()


def test_a_fresh_heartbeat_passes(tmp_path: Path) -> None:
    Heartbeat(tmp_path / "h", environ={}).beat()
    check_heartbeat(tmp_path / "h", 600)


@pytest.mark.parametrize(("ahead", "passes"), [(-31, False), (-30, True), (0, True), (30, True), (31, False)])
def test_age_decides(ahead: float, passes: bool, tmp_path: Path) -> None:
    Heartbeat(tmp_path / "h", environ={}, wall=lambda: 5000.0 + ahead).ready("trading")
    if passes:
        check_heartbeat(tmp_path / "h", 30, lambda: 5000.0)
        return
    with pytest.raises(CheckFailed, match="trading") as failed:
        check_heartbeat(tmp_path / "h", 30, lambda: 5000.0)
    assert ("too old" if ahead < 0 else "ahead") in str(failed.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"time": "now", "status": ""}', '{"time": null, "status": ""}'])
def test_what_is_no_heartbeat_fails(text: str, tmp_path: Path) -> None:
    (tmp_path / "h").write_text(text)
    with pytest.raises(CheckFailed, match="not a heartbeat file"):
        check_heartbeat(tmp_path / "h", 30, time.time)


def test_a_missing_heartbeat_fails(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="no heartbeat"):
        check_heartbeat(tmp_path / "h")
