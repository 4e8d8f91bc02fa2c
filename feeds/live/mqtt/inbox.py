"""What came over an MQTT connection and waits to be taken, within bounds.

The client library keeps whatever arrives, and each packet as a whole, which may have 256 MB. So its reading is driven
from here: a few packets in a turn of the event loop, of a packet that is too large only the beginning, and none at all
while too much waits. What the broker sends again (quality of service 1 and above) is held back that way and never
dropped; what it does not (0) is dropped beyond the bound, so as not to hold the other up, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple

import aiomqtt

from engine.types.dead_letter import MOST_PAYLOAD, DeadLetter
from feeds.live.checks import Refused
from feeds.live.source import MOST_DELIVERY, MOST_MESSAGE, Record

PARTITION: Final = "mqtt"
# of all that waits; reading goes on when half of it is taken
MOST_WAITING_BYTES: Final = 16 << 20
MOST_WAITING: Final = 50_000
# of a turn of the event loop
TURN_BYTES: Final = 1 << 18
TURN_PACKETS: Final = 64
# at most, before the payload of a packet: its topic, the length of it and the message's number
_HEADER_BYTES: Final = 65_535 + 4
_CHUNK_BYTES: Final = 1 << 16


class Arrived(NamedTuple):
    """One message: its bytes, its number and quality of service, and what about it is too large, if anything."""

    payload: bytes
    number: int
    qos: int
    oversize: str

    @property
    def record(self) -> Record:
        """The message as a delivery holds it."""
        return Record(PARTITION, -1, self.payload, self.oversize)


class Inbox:
    """Reads for a client that is not connected yet, and keeps what came.

    Args:
        client: Whose messages these are; nobody else may read them.
        most: Messages that may wait.
        most_bytes: Bytes of messages that may wait; the last one may pass it.
        counts: Topic of a number that is no message of the feed; see `take_count`.

    Attributes:
        owed: After the loss of the connection, the messages that waited and that the broker should send again.
    """

    def __init__(
        self,
        client: aiomqtt.Client,
        most: int = MOST_WAITING,
        most_bytes: int = MOST_WAITING_BYTES,
        counts: str = "",
    ) -> None:
        self._client, self._paho = client, client._client  # noqa: SLF001 - the library has no bounds of its own
        self._most, self._most_bytes = most, most_bytes
        self._waiting: deque[Arrived] = deque()
        self._size = 0
        self._dropped: _Dropped | None = None
        self._counts, self._count = counts.encode(), b""
        self.owed: list[Arrived] = []
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._turn_bytes = 0
        self._drained = False
        self._receive = self._paho._sock_recv  # noqa: SLF001
        self._paho._sock_recv = self._bounded  # type: ignore[method-assign,assignment] # noqa: SLF001
        self._paho.on_message = self._keep

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages that wait, and their bytes."""
        return len(self._waiting), self._size

    @property
    def lost(self) -> BaseException | str | None:
        """Why nothing more comes over this connection; None while it is good."""
        ended = self._client._disconnected  # noqa: SLF001 - the public way to learn of it takes the messages, too
        if not ended.done():
            return None
        return "closed" if ended.cancelled() else ended.exception() or "closed"

    def begin(self) -> None:
        """Read from here on, over a connection that is made."""
        self._client._disconnected.add_done_callback(lambda _: self._end())  # noqa: SLF001
        if not self._paused:
            self._resume()

    async def wait(self, seconds: float) -> None:
        """Until something came or was dropped, the connection is lost, or some time has passed."""
        if self._waiting or self._dropped or self._count or self.lost is not None:
            return
        self._came.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._came.wait()

    def take(self, most: int) -> list[Arrived]:
        """The oldest messages, at most so many, up to the one that passes MOST_DELIVERY bytes."""
        taken: list[Arrived] = []
        size = 0
        while self._waiting and len(taken) < most and size < MOST_DELIVERY:
            message = self._waiting.popleft()
            taken.append(message)
            size += len(message.payload)
        self._size -= size
        if self._paused and 2 * len(self._waiting) <= self._most and 2 * self._size <= self._most_bytes:
            self._paused = False
            self._resume()
        return taken

    def take_dropped(self) -> DeadLetter | None:
        """What stands for the messages dropped since this was last asked for."""
        dropped, self._dropped = self._dropped, None
        if dropped is None:
            return None
        expected = f"at most {self._most:,} messages of {self._most_bytes:,} bytes waiting at once, or QoS 1"
        found = f"{dropped.messages:,} more with QoS 0, of {dropped.size:,} bytes, dropped; here the first of them"
        letter = Refused("overflow", expected, found).dead_letter(dropped.first.record, dropped.first.payload)
        return replace(letter, count=dropped.messages)

    def take_count(self) -> int | None:
        """The number that came under the topic of counts since this was last asked for; None if none did."""
        count, self._count = self._count, b""
        return int(count) if count.isdigit() else None

    def _keep(self, _: object, __: object, message: Any) -> None:
        """Called by the client for every message."""
        if self._counts and message._topic == self._counts:  # noqa: SLF001 - decoded anew for each, in public
            self._count = bytes(message.payload[:20])
            self._came.set()
            return
        packet = self._paho._in_packet  # noqa: SLF001 - the message does not say that it was cut
        payload, cut = bytes(message.payload), packet["remaining_length"] - len(packet["packet"])
        size = len(payload) + cut
        oversize = f"{size:,} bytes" if size > MOST_MESSAGE else ""
        if oversize:
            payload = payload[:MOST_PAYLOAD]
        arrived = Arrived(payload, message.mid, message.qos, oversize)
        self._came.set()
        full = len(self._waiting) >= self._most or self._size >= self._most_bytes
        if full and not message.qos:
            self._drop(arrived, size)
            return
        self._waiting.append(arrived)
        self._size += len(payload)
        if full and not self._paused:
            # for so long that the broker is given up (KEEPALIVE_S), only if nothing can be committed
            self._paused = True
            self._stop_reading()

    def _drop(self, message: Arrived, size: int) -> None:
        before = self._dropped or _Dropped(message._replace(payload=message.payload[:MOST_PAYLOAD]), 0, 0)
        self._dropped = _Dropped(before.first, before.messages + 1, before.size + size)

    def _end(self) -> None:
        """The connection is lost: what the broker sends again is set aside, and what came behind that is dropped.

        Taken before it, that would make it late.
        """
        kept = deque(takewhile(lambda message: not message.qos, self._waiting))
        for message in islice(self._waiting, len(kept), None):
            if message.qos:
                self.owed.append(message)
            else:
                self._drop(message, len(message.payload))
        self._waiting, self._size = kept, sum(len(message.payload) for message in kept)
        self._came.set()

    def _bounded(self, most: int) -> bytes:
        """Receive for the client: little at once, and of a packet that is too large only the beginning is kept."""
        packet = self._paho._in_packet["packet"]  # noqa: SLF001
        if len(packet) > _HEADER_BYTES + MOST_MESSAGE:
            del packet[_HEADER_BYTES + MOST_PAYLOAD :]
        try:
            received = self._receive(min(most, _CHUNK_BYTES))
        except BlockingIOError:
            self._drained = True
            raise
        self._turn_bytes += len(received)
        return received

    def _read(self) -> None:
        """One turn of reading: not all that is there, so that the rest of the process has its turns, too."""
        self._turn_bytes, self._drained = 0, False
        try:
            for _ in range(TURN_PACKETS):
                if self._paused or self._drained or self._turn_bytes >= TURN_BYTES:
                    break
                if self._paho.loop_read():
                    return
        except Exception as error:  # the connection broke in the client's hands
            if not self._client._disconnected.done():  # noqa: SLF001
                self._client._disconnected.set_exception(error)  # noqa: SLF001
            return
        socket: Any = self._paho.socket()
        # what TLS has unpacked already does not make the socket readable
        if not self._paused and not self._drained and getattr(socket, "pending", int)():
            self._loop.call_soon(self._read)

    def _resume(self) -> None:
        socket = self._paho.socket()
        if socket is not None:
            self._loop.add_reader(socket.fileno(), self._read)
            self._loop.call_soon(self._read)

    def _stop_reading(self) -> None:
        socket = self._paho.socket()
        if socket is not None:
            self._loop.remove_reader(socket.fileno())


class _Dropped(NamedTuple):
    """The first of some messages, how many they are, and of how many bytes together."""

    first: Arrived
    messages: int
    size: int
