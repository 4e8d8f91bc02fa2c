"""Bars from standard input, one message a line: another program's output becomes a feed."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

from engine.base.errors import UsageError
from engine.types.dead_letter import MOST_PAYLOAD
from feeds.live.options import SourceOptions
from feeds.live.reconnecting import TICK_S
from feeds.live.source import MOST_DELIVERY, MOST_MESSAGE, Delivery, Record, read_count

PARTITION = "stdin"
CHUNK_BYTES = 65_536
TOO_LONG = f"a line of more than {MOST_MESSAGE:,} bytes"
_ALL = frozenset({PARTITION})


class _TooLong(bytes):
    """The beginning of a line that is too long."""


def _standard_input() -> int:
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError(
            "standard input is closed",
            expected="messages, one a line",
            hint="pipe them in: my_feed | grandmodel paper --feed stdin ...",
        )
    return sys.stdin.fileno()


class StdinSource:
    """Lines of standard input, or of another open file; blank ones are passed over.

    The place kept is the number of lines taken so far. What is piped in cannot be asked for again: a session that is
    started anew goes on with whatever comes then, and counts on.

    Args:
        options: Most records of a delivery, and when silence counts.
        descriptor: What to read; by default standard input.
        now: A clock in seconds that never runs backwards.

    Raises:
        UsageError: If standard input is closed.
    """

    def __init__(
        self,
        options: SourceOptions | None = None,
        *,
        descriptor: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options or SourceOptions()
        self._descriptor = _standard_input() if descriptor is None else descriptor
        self._now = now
        self._taken = 0
        self._lines: deque[bytes] = deque()
        # a line whose end has not come; of one that is too long only the beginning
        self._rest = bytearray()
        self._rest_bytes = 0
        self._ended = False
        self._closed = False

    @property
    def status(self) -> str:
        """A few words for screens."""
        return "reading standard input" if self.connected else "standard input has ended"

    @property
    def connected(self) -> bool:
        """Whether more can come."""
        return not self._ended or bool(self._lines)

    def take_notices(self) -> list[str]:
        """A pipe has nothing to say."""
        return []

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver lines as they come, until the end of the input; see `LiveSource`.

        Raises:
            DataError: If the position cannot be read.
        """
        self._taken = read_count(positions, PARTITION)
        reader = _PipeReader(self._descriptor, asyncio.get_running_loop())
        heard, reading = self._now(), reader.more()
        try:
            while not self._closed:
                if not self._lines and not self._ended:
                    await asyncio.wait({reading}, timeout=TICK_S)
                    if reading.done():
                        heard = self._now()
                        if self._split(reading.result()):
                            reading = reader.more()
                delivery = self._next(silent=self._now() - heard >= self._options.quiet_after_s)
                yield delivery
                if delivery.ended:
                    return
        finally:
            reader.stop()

    async def settle(self, delivery: Delivery) -> None:
        """Nobody waits for an acknowledgement."""

    async def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def _split(self, chunk: bytes) -> bool:
        """Take lines in; whether more can come."""
        first, *others = chunk.split(b"\n")
        self._add(first)
        if others:
            self._end_line()
            self._lines += others[:-1]
            self._add(others[-1])
        if not chunk:
            self._ended = True
            if self._rest_bytes:
                self._end_line()
        return not self._ended

    def _add(self, piece: bytes) -> None:
        """More of the line at hand; of one that grows too long the beginning stays."""
        if self._rest_bytes <= MOST_MESSAGE:
            self._rest += piece
        self._rest_bytes += len(piece)
        if self._rest_bytes > MOST_MESSAGE:
            del self._rest[MOST_PAYLOAD:]

    def _end_line(self) -> None:
        self._lines.append((_TooLong if self._rest_bytes > MOST_MESSAGE else bytes)(self._rest))
        self._rest.clear()
        self._rest_bytes = 0

    def _next(self, silent: bool) -> Delivery:
        records: list[Record] = []
        before, size = self._taken, 0
        while self._lines and len(records) < self._options.max_records and size < MOST_DELIVERY:
            line = self._lines.popleft()
            text = line.strip()
            if text or isinstance(line, _TooLong):
                records.append(Record(PARTITION, self._taken, text, TOO_LONG if isinstance(line, _TooLong) else ""))
            self._taken += 1
            size += len(text)
        return Delivery(
            records,
            positions={PARTITION: str(self._taken)} if self._taken > before else {},
            partitions=_ALL,
            quiet=_ALL if silent and not records and not self._rest_bytes else frozenset(),
            ended=self._ended and not self._lines,
        )


class _PipeReader:
    """Reads on request in a thread of its own, which may block for ever and holds nothing up at the end."""

    def __init__(self, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
        self._descriptor = descriptor
        self._loop = loop
        self._asked = threading.Semaphore(0)
        self._future: asyncio.Future[bytes] | None = None
        self._stopped = False
        threading.Thread(target=self._work, name="stdin", daemon=True).start()

    def more(self) -> asyncio.Future[bytes]:
        """What comes next; empty at the end."""
        self._future = self._loop.create_future()
        self._asked.release()
        return self._future

    def stop(self) -> None:
        """Ask for nothing more."""
        self._stopped = True
        self._asked.release()

    def _work(self) -> None:
        chunk = b"-"
        # one chunk a request: a fast writer fills the pipe and not our memory
        while chunk and self._asked.acquire() and not self._stopped:
            try:
                chunk = os.read(self._descriptor, CHUNK_BYTES)
            except OSError:  # closed under our hands, or a terminal that is gone
                chunk = b""
            if not self._stopped:
                self._loop.call_soon_threadsafe(self._hand_over, chunk)

    def _hand_over(self, chunk: bytes) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(chunk)
