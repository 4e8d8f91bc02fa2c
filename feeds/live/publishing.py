"""History played into a live feed: what a broker would have brought, at any speed."""

from __future__ import annotations

import asyncio
import os
import select
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.contracts import BarSource
from feeds.live.address import FeedAddress
from feeds.live.announcements import Announcement, encode_announcement
from feeds.live.messages import encode_bars
from feeds.live.outlet import Message, Outlet
from feeds.live.source import MOST_MESSAGE
from feeds.pacing import paced

Format = Literal["json", "msgpack"]
BLOCK_ROWS = 2048


@dataclass
class Published:
    """How far publishing has come.

    Attributes:
        bars: Bars taken by the outlet.
        messages: Messages that hold them.
        seconds: Since the first one.
    """

    bars: int = 0
    messages: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is published, and how.

    Attributes:
        speed: Seconds of market time a second; infinity does not wait.
        limit: Most rows (times at which bars closed); None is all.
        announcement: What is sent before the bars.
    """

    format: Format = "json"
    per_message: int = 1
    speed: float = float("inf")
    limit: int | None = None
    announcement: Announcement | None = None


async def publish(
    bars: BarSource,
    outlet: Outlet,
    plan: Plan,
    published: Published,
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Play bars into an outlet that is open, and wait until all of them are confirmed.

    Args:
        published: Moves along; whoever cancels this reads from it how far it came.
        now: A clock in seconds that never runs backwards.

    Raises:
        GrandModelError: If the bars cannot be read or the broker refuses them.
    """

    async def rest(seconds: float) -> None:
        """The time until the next bar is time to see the last ones confirmed, and a lost connection renewed."""
        until = now() + seconds
        if seconds > 0:
            await outlet.finish()
        await sleep(max(0.0, until - now()))

    begun = now()
    if plan.announcement is not None:
        await outlet.send([(bars.symbols[0], encode_announcement(plan.announcement, format=plan.format))])
    async for block in paced(_limited(bars.blocks(BLOCK_ROWS), plan.limit), plan.speed, sleep=rest, now=now):
        messages = list(encode_bars(block, format=plan.format, per_message=plan.per_message))
        _check_sizes(messages, plan.per_message)
        await outlet.send(messages)
        published.bars += int(block.present.sum())
        published.messages += len(messages)
        published.seconds = now() - begun
    await outlet.finish()
    published.seconds = now() - begun


def count_bars(bars: BarSource, limit: int | None) -> int:
    """How many bars `publish` would send; `limit` as in `Plan`."""
    return sum(int(block.present.sum()) for block in _limited(bars.blocks(BLOCK_ROWS), limit))


def _check_sizes(messages: Sequence[Message], per_message: int) -> None:
    largest = max((len(payload) for _, payload in messages), default=0)
    if largest > MOST_MESSAGE:
        raise UsageError(
            "the messages are too large to be read",
            where="--per-message",
            expected=f"at most {MOST_MESSAGE:,} bytes a message",
            found=f"{largest:,} bytes with {per_message:,} bars",
        )


def _limited(blocks: Iterator[BarBlock], rows: int | None) -> Iterator[BarBlock]:
    for block in blocks:
        if rows is not None and block.seq + len(block) >= rows:
            if block.seq < rows:
                yield block.slice(0, rows - block.seq)
            return
        yield block


class StdoutOutlet:
    """Messages as lines of text, for a pipe; a reader that is slow holds nothing up but what is sent.

    Args:
        stream: Where to; by default standard output.
    """

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self._pipe = _pipe_of(self._stream)
        self._rest = memoryview(b"")

    @property
    def status(self) -> str:
        """A pipe is there or the process ends."""
        return "connected"

    @property
    def unconfirmed(self) -> int:
        """Messages that the pipe has not taken, or not whole."""
        return bytes(self._rest).count(b"\n")

    async def open(self) -> None:
        """Nothing to connect to."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Write lines, so that a reader has them at once."""
        self._rest = memoryview(bytes(self._rest) + b"".join(payload + b"\n" for _, payload in messages))
        await self.finish()

    async def finish(self) -> None:
        """Write what is left; cancelled, it goes on where it was when it is called again."""
        if self._pipe is None:
            self._stream.write(self._rest)
            self._stream.flush()
            self._rest = memoryview(b"")
            return
        poll = select.poll()
        poll.register(self._pipe, select.POLLOUT)
        while self._rest:
            if not poll.poll(0):
                await _writable(self._pipe)
            # a pipe that is writable takes so much at least without blocking
            self._rest = self._rest[os.write(self._pipe, self._rest[: select.PIPE_BUF]) :]

    async def close(self) -> None:
        """The stream is not ours to close."""


def _pipe_of(stream: BinaryIO) -> int | None:
    """The descriptor of a stream that may block; None for files, which do not."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    mode = os.fstat(descriptor).st_mode
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor) else None


async def _writable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)


def open_outlet(address: FeedAddress, format: Format, partitions: int, connect_timeout_s: float) -> Outlet:  # noqa: A002
    """The outlet for an address.

    Args:
        address: From `parse_address` with `publishing`.
        partitions: Of a Kafka topic that is missing and will be created.

    Raises:
        UsageError: If the two do not go together, or a password or certificate cannot be read.
    """
    if address.kind == "kafka":
        from feeds.live.kafka.outlet import KafkaOutlet  # noqa: PLC0415 - clients load where they are used

        return KafkaOutlet(address, partitions, connect_timeout_s)
    if address.kind == "mqtt":
        from feeds.live.mqtt.outlet import MqttOutlet  # noqa: PLC0415 - likewise

        return MqttOutlet(address, connect_timeout_s)
    if format != "json":
        raise UsageError("a pipe carries lines of text", expected="--format json", found=format)
    return StdoutOutlet()
