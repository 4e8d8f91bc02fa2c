"""History played into a live feed: what a broker would have brought, at any speed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from engine.blocks import BarBlock
from engine.errors import UsageError
from engine.source import BarSource
from feeds.live.address import FeedAddress
from feeds.live.messages import encode_bars
from feeds.live.outlet import Message, Outlet
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
        format: How bars are written.
        per_message: Bars a message.
        speed: Seconds of market time a second; infinity does not wait.
        limit: Most rows (times at which bars closed); None is all.
    """

    format: Format = "json"
    per_message: int = 1
    speed: float = float("inf")
    limit: int | None = None


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
        bars: What to play.
        outlet: Where to.
        plan: How.
        published: Moves along; whoever cancels this reads from it how far it came.
        sleep: Waits for so many seconds.
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
    async for block in paced(_limited(bars.blocks(BLOCK_ROWS), plan.limit), plan.speed, sleep=rest, now=now):
        messages = list(encode_bars(block, format=plan.format, per_message=plan.per_message))
        await outlet.send(messages)
        published.bars += int(block.present.sum())
        published.messages += len(messages)
        published.seconds = now() - begun
    await outlet.finish()
    published.seconds = now() - begun


def _limited(blocks: Iterator[BarBlock], rows: int | None) -> Iterator[BarBlock]:
    for block in blocks:
        if rows is not None and block.seq + len(block) >= rows:
            if block.seq < rows:
                yield block.slice(0, rows - block.seq)
            return
        yield block


class LinesOutlet:
    """Messages as lines of text, for a pipe.

    Args:
        stream: Where to; by default standard output.
    """

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer

    @property
    def status(self) -> str:
        """A pipe is there or the process ends."""
        return "connected"

    @property
    def unconfirmed(self) -> int:
        """A pipe confirms by taking."""
        return 0

    async def open(self) -> None:
        """Nothing to connect to."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Write lines, so that a reader has them at once."""
        self._stream.write(b"".join(payload + b"\n" for _, payload in messages))
        self._stream.flush()

    async def finish(self) -> None:
        """All is written."""

    async def close(self) -> None:
        """The stream is not ours to close."""


def open_outlet(address: FeedAddress, format: Format, partitions: int, connect_timeout_s: float) -> Outlet:  # noqa: A002
    """The outlet for an address.

    Args:
        address: From `parse_address` with `publishing`.
        format: How bars will be written.
        partitions: Of a Kafka topic that is missing and will be created.
        connect_timeout_s: How long the first connection is tried.

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
    return LinesOutlet()
