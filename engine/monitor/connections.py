"""A listening socket whose connections are few, so that a client that opens many of them cannot lock others out."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

MOST_CONNECTIONS: Final = 128
BACKLOG: Final = 128
# a turn of the loop: a new connection has at least MOST_CONNECTIONS / MOST_ACCEPTS turns before others replace it
MOST_ACCEPTS: Final = 16
_PAUSE_S: Final = 0.1
_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Callable[[], None]], Awaitable[None]]
"""Serves a connection; calls the third argument whenever a whole request has come, which makes it the newest."""


class Connections:
    """Accepts connections on the running loop and serves each in a separate task.

    At most MOST_CONNECTIONS are open: one more takes the place of the one whose last request is longest ago. A file
    descriptor is kept back, so that a connection is accepted even where the process has no other left.

    Args:
        listener: Bound; it is closed with this.
        serve: What is done with a connection; it is closed afterwards.
        limit: Most bytes that a reader looks for a separator in.

    Raises:
        OSError: If the socket cannot be listened at.
    """

    def __init__(self, listener: socket.socket, serve: Serve, limit: int) -> None:
        self._listener, self._serve, self._limit = listener, serve, limit
        self._loop = asyncio.get_running_loop()
        self._open: dict[asyncio.Task[None], None] = {}
        self._spare: int | None = None
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._keep_spare()
        self._loop.add_reader(listener, self._accept)

    def __len__(self) -> int:
        return len(self._open)

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._spare is not None:
            os.close(self._spare)

    def _accept(self) -> None:
        """Take some of those who wait; the loop comes back for the others."""
        for _ in range(MOST_ACCEPTS):
            try:
                connection = self._listener.accept()[0]
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS or self._spare is None:
                    self._pause()
                    return
                os.close(self._spare)  # the next attempt has this one
                self._spare = None
                continue
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            longest_idle = next(iter(self._open))
            del self._open[longest_idle]
            longest_idle.cancel()
        connection.setblocking(False)
        task = self._loop.create_task(self._run(connection))
        self._open[task] = None

    async def _run(self, connection: socket.socket) -> None:
        task = asyncio.current_task()

        def heard() -> None:
            if task in self._open:
                del self._open[task]
                self._open[task] = None

        reader = asyncio.StreamReader(self._limit, self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except BaseException:
            connection.close()
            raise
        try:
            with suppress(OSError, EOFError, TimeoutError):  # the client is gone, or too slow
                await self._serve(reader, asyncio.StreamWriter(transport, protocol, reader, self._loop), heard)
        finally:
            transport.abort()
            self._open.pop(task, None)  # type: ignore[arg-type]
            self._loop.call_soon(self._keep_spare)  # once the descriptor is free

    def _keep_spare(self) -> None:
        if self._spare is None and self._listener.fileno() >= 0:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _pause(self) -> None:
        """Without a descriptor nothing can be accepted; the system would report it again at once."""
        self._loop.remove_reader(self._listener)
        self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)
