"""Signs of life: systemd's notify protocol, and a small file whose age a container's health check looks at.

Only the loop that does the work beats, so a loop that hangs falls silent. What cannot be reported (a full disk, a
socket that went away) is logged once and never ends the session.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.base.errors import CheckFailed
from engine.base.files import read_json
from engine.base.log import logger

EVERY_S = 5.0
MOST_AGE_S = 30.0


class Heartbeat:
    """Tells systemd and a file that the session lives, and what it is doing.

    Args:
        path: The heartbeat file: JSON with `pid`, `time` (seconds since 1970 UTC), `ready` and `status`. None writes
            none.
        environ: Where systemd's NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read.
        every_s: Seconds between two writes of the file, or two changes of systemd's status line.
        now: A clock in seconds that never runs backwards.
        wall: Seconds since 1970 UTC, written into the file.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        every_s: float = EVERY_S,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._now = now
        self._wall = wall
        self._address = _notify_address(environ)
        self._watchdog_s = _watchdog_seconds(environ) / 2 if self._address else 0.0
        self._every_s = every_s
        self._ready = False
        self._status = "starting"
        self._told = ""
        self._failing: set[str] = set()
        self._beaten = self._due = self._watchdog_due = now()

    @property
    def interval_s(self) -> float:
        """Seconds after which `beat` is wanted again at the latest: half of what is due, so that one may be late."""
        return min(self._every_s, self._watchdog_s or self._every_s) / 2

    def overdue(self, max_age_s: float = MOST_AGE_S) -> str | None:
        """Why the session is taken for dead: no beat for so many seconds; None while it lives."""
        age = self._now() - self._beaten
        return f"no heartbeat for {age:.0f} s" if age > max_age_s else None

    def beat(self) -> None:
        """Say that the loop goes round. Cheap between two writes, so it may be called as often as one likes."""
        self._beaten = now = self._now()
        if self._watchdog_s and now >= self._watchdog_due:
            self._watchdog_due = now + self._watchdog_s
            self._notify("WATCHDOG=1")
        if now >= self._due:
            self._tell()

    async def run(self) -> None:
        """Beat until cancelled, for a session whose own loop may sleep for longer than `interval_s`."""
        while True:
            self.beat()
            await asyncio.sleep(self.interval_s)

    def say(self, status: str) -> None:
        """Set the line that says what the session is doing; the next due beat tells it."""
        # a line break would begin another assignment of the protocol
        self._status = " ".join(status.split())

    def ready(self, status: str) -> None:
        """Say at once that the session trades from now on."""
        self._turn("READY=1", status, ready=True)

    def stopping(self, status: str = "stopping") -> None:
        """Say at once that the session is about to end."""
        self._turn("STOPPING=1", status, ready=False)

    def _turn(self, message: str, status: str, *, ready: bool) -> None:
        self._ready = ready
        self._notify(message)
        self.say(status)
        self._tell()

    def _tell(self) -> None:
        self._due = self._now() + self._every_s
        if self._status != self._told:
            self._told = self._status
            self._notify(f"STATUS={self._status}")
        self._write()

    def _notify(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode(errors="replace"), self._address)
        except OSError as error:
            self._failed("notify socket", error)
        else:
            self._failing.discard("notify socket")

    def _write(self) -> None:
        if self._path is None:
            return
        life = {"pid": os.getpid(), "time": self._wall(), "ready": self._ready, "status": self._status}
        # a reader sees the file before or after, never half of it
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(life) + "\n", encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            self._failed("heartbeat file", error)
        else:
            self._failing.discard("heartbeat file")

    def _failed(self, what: str, error: OSError) -> None:
        if what not in self._failing:
            self._failing.add(what)
            logger("heartbeat").warning(
                "cannot report that the session is alive", by=what, why=error.strerror or str(error)
            )


def check_heartbeat(path: Path, max_age_s: float = MOST_AGE_S, now: Callable[[], float] = time.time) -> None:
    """See that a session has written its heartbeat lately.

    Args:
        max_age_s: Seconds after which it is taken for dead.
        now: Seconds since 1970 UTC.

    Raises:
        CheckFailed: If the file is missing, invalid or too old; also if it is dated ahead by more than the age, since
            a clock that was set back would otherwise keep a dead session alive.
    """
    try:
        life = read_json(path, 1 << 20)
        age = now() - float(life["time"])
        status = str(life["status"])
    except OSError as error:
        why = error.strerror or str(error)
        raise CheckFailed(f"no heartbeat: {why}", where=str(path), hint="is the session running?") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailed("not a heartbeat file", where=str(path), found=f"{type(error).__name__}: {error}") from error
    if not abs(age) <= max_age_s:
        raise CheckFailed(
            "the heartbeat is too old" if age > 0 else "the heartbeat is dated ahead",
            where=str(path),
            expected=f"at most {max_age_s:g} s",
            found=f"{abs(age):.0f} s; last status: {status}",
            hint="it hangs or was killed: look at its log and start it again",
        )


def _notify_address(environ: Mapping[str, str]) -> str | None:
    """The address of systemd's socket; `@` stands for the zero byte of an abstract one."""
    name = environ.get("NOTIFY_SOCKET", "")
    if name.startswith("@"):
        return "\0" + name[1:]
    if name.startswith("/"):
        return name
    if name:
        logger("heartbeat").warning("cannot notify the service manager", socket=name, expected="a path or @name")
    return None


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """Seconds within which systemd wants to hear from this process; 0 where it does not."""
    micros = environ.get("WATCHDOG_USEC", "")
    meant_for = environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(micros) / 1e6 if micros.isdecimal() and meant_for == str(os.getpid()) else 0.0
