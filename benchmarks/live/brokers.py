"""A broker that somebody else's command runs, and that keeps its log when it is killed."""

from __future__ import annotations

import contextlib
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

from engine.base.errors import GrandModelError
from feeds.live.broker import HOST, free_port

START_TIMEOUT_S = 120.0


class CommandBroker:
    """A Kafka broker as a child process.

    Args:
        command: Runs it in the foreground; `{folder}` stands for where it keeps its log, `{port}` for its port.
        folder: Where it keeps its log, across restarts.
    """

    def __init__(self, command: str, folder: Path) -> None:
        self.port = free_port()
        self._command = [word.format(folder=folder, port=self.port) for word in shlex.split(command)]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it accepts connections.

        Raises:
            GrandModelError: If it ends, or does not answer in time.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1.0):
                return
            time.sleep(0.05)
        self.stop()
        raise GrandModelError("the broker does not start", where=str(self._folder / "broker.log"))

    def stop(self) -> None:
        """Kill it; what it has acknowledged is in its log."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
