"""The control socket of a session: the operator's commands, one JSON object per line, for its owner."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.app.live.folder import SOCKET, is_running
from engine.base.errors import GrandModelError, UsageError
from engine.base.log import logger
from engine.base.nearest import nearest_folder
from engine.journal.files import FILE
from engine.monitor.connections import Connections

Handler = Callable[[str, str, str | None], dict[str, Any]]
MOST_LINE = 4096
ANSWER_S = 10.0
IDLE_S = 30.0
TRIES, TRY_S = 100, 0.02
COMMANDS = (
    "status",
    "start",
    "pause",
    "resume",
    "flatten",
    "halt",
    "reset-halt",
    "promote",
    "rollback",
    "challenge",
    "pause-learning",
    "resume-learning",
    "learn",
    "stop",
)
NAMING = frozenset({"challenge"})
"""Commands that are about a version, whose name follows them."""
MAY_NAME = frozenset({"promote"})
"""Commands that a name may follow."""


class ControlServer:
    """Listens on the session's socket, which only its owner may open.

    Args:
        folder: Of the session; the caller holds its lock.
        handle: Given a command, who sent it and what it is about, does it and returns the answer.
    """

    def __init__(self, folder: Path, handle: Handler) -> None:
        self._folder, self._handle = folder, handle
        self._connections: Connections | None = None

    async def __aenter__(self) -> ControlServer:
        """Listen.

        Raises:
            UsageError: If there can be no socket in the folder.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            (self._folder / SOCKET).unlink(missing_ok=True)  # of a process that was killed
            with _short(self._folder) as path:
                listener.bind(path)
        except OSError as error:
            listener.close()
            raise UsageError(
                f"the session cannot listen for the operator's commands: {error.strerror}",
                where=str(self._folder / SOCKET),
                hint="the session folder must be on a file system that has Unix sockets, with room for one more file",
            ) from error
        finally:
            os.umask(before)
        self._connections = Connections(listener, self._serve, MOST_LINE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connections is not None:
            await self._connections.close()
        (self._folder / SOCKET).unlink(missing_ok=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[], None]
    ) -> None:
        """One command after the other; a client that is silent, or does not read its answers, is left."""
        with suppress(ValueError):  # a line beyond all measure
            while line := await _next_line(reader):
                heard()
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                async with asyncio.timeout(IDLE_S):
                    await writer.drain()
                await asyncio.sleep(0)  # commands that arrive together each take one turn of the event loop

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            command, by = str(asked["command"]), str(asked.get("by", "ctl"))
            name = None if asked.get("name") is None else str(asked["name"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"ok": False, "error": "expected one JSON object per line, with a command"}
        if command not in COMMANDS:
            return {"ok": False, "error": f"no command {command!r}; expected {', '.join(COMMANDS)}"}
        try:
            return {"ok": True, **self._handle(command, by, name)}
        except GrandModelError as error:
            parts = {"expected": error.expected, "found": error.found, "hint": error.hint}
            return {"ok": False, "error": error.what, **parts}
        except Exception:
            logger("control").exception("a command failed", command=command)
            return {"ok": False, "error": "the command failed; the session's log says why"}


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    """The next command; empty at the end."""
    async with asyncio.timeout(IDLE_S):  # `wait_for` forgets that it was cancelled where a line comes at that moment
        return await reader.readline()


def ask(folder: Path, command: str, by: str = "ctl", name: str | None = None) -> dict[str, Any]:
    """Send a command to the session that runs in a folder, and wait for its answer.

    Args:
        folder: Of the session.
        command: One of COMMANDS.
        by: Who sends it.
        name: What it is about, for one of NAMING or MAY_NAME.

    Raises:
        UsageError: If no session runs there, it does not answer, or refuses.
    """
    if not is_running(folder):
        raise UsageError(
            "no session is running in this folder",
            where=str(folder),
            hint=f"start it with `grandmodel paper --out {folder}`"
            if folder.is_dir()
            else nearest_folder(folder, FILE) or "check the folder's name",
        )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _short(folder) as path:
            connection.settimeout(ANSWER_S)
            _connect(connection, path)
            connection.sendall(json.dumps({"command": command, "by": by, "name": name}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
        answer = json.loads(line)
    except (OSError, ValueError) as error:
        raise _no_answer(error, folder / SOCKET) from error
    if not answer.pop("ok", False):
        parts = {name: answer.get(name) for name in ("expected", "found", "hint")}
        raise UsageError(
            f"the session refused the command: {answer.get('error', 'no reason given')}", where=str(folder), **parts
        )
    return dict(answer)


def _no_answer(error: Exception, socket_path: Path) -> UsageError:
    """Why a session that runs did not answer, in words."""
    if isinstance(error, TimeoutError):
        why = f"nothing came within {ANSWER_S:g} seconds: it hangs, or has more to do than it can"
    elif isinstance(error, PermissionError):
        why = "only the user that runs it may give it commands"
    elif isinstance(error, FileNotFoundError | ConnectionRefusedError):
        why = "nobody listens at its socket: it is about to start or to end"
    elif isinstance(error, ValueError | ConnectionError):
        why = "the connection closed before the answer: it has just ended"
    else:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return UsageError("the session does not answer", where=str(socket_path), found=why)


def _connect(connection: socket.socket, path: str) -> None:
    """Connect; a session that has just started may not listen yet, and there may be a queue."""
    for _ in range(TRIES):
        try:
            connection.connect(path)
        except (ConnectionRefusedError, FileNotFoundError, BlockingIOError):
            time.sleep(TRY_S)
        else:
            return
    connection.connect(path)


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path to the socket that is short whatever the folder's is: the system allows about a hundred characters."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET}"
    finally:
        os.close(fd)
