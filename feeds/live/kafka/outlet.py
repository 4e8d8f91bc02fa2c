"""Publishing to Kafka: one batch in flight a partition, filled while the one before is on its way.

That keeps the order through every failure, needs no idempotent producer (which small brokers lack), and makes
batches as large as the broker is slow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from engine.base.errors import GrandModelError
from feeds.live.address import FeedAddress
from feeds.live.kafka.client import (
    cause_of,
    client_settings,
    described,
    ensure_topic,
    forget_cause,
    is_login_error,
    let_go,
    refused_login,
    started,
    too_large,
    unreachable,
)
from feeds.live.options import backoff
from feeds.live.outlet import Message

BATCH_BYTES = 256 * 1024
LONGEST_RETRY_S = 5.0


class KafkaOutlet:
    """Messages by key to the partitions of a topic, which is created if it is missing.

    Args:
        address: Of kind `kafka`.
        partitions: Of a topic that is created.

    Raises:
        UsageError: If the password or a certificate cannot be read.
    """

    def __init__(self, address: FeedAddress, partitions: int, connect_timeout_s: float) -> None:
        self._address = address
        self._partitions = partitions
        self._timeout = connect_timeout_s
        self._settings = client_settings(address)
        self._producer: Any = None
        self._choose = DefaultPartitioner()
        self._lanes: dict[int, _PartitionSender] = {}
        self._lane_of: dict[str, _PartitionSender] = {}

    @property
    def status(self) -> str:
        """A few words for screens."""
        return next((lane.trouble for lane in self._lanes.values() if lane.trouble), "connected")

    @property
    def unconfirmed(self) -> int:
        """Messages that no server has confirmed yet."""
        return sum(lane.held for lane in self._lanes.values())

    async def open(self) -> None:
        """Connect and see that the topic is there.

        Raises:
            UsageError: If no server answers in time, or refuses the login.
            GrandModelError: If the topic cannot be created.
        """
        forget_cause()
        error: BaseException = TimeoutError("no answer")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                attempt = 0
                while self._producer is None:
                    try:
                        await self._connect()
                    except (KafkaError, OSError) as failure:
                        error = cause_of(failure)
                        if is_login_error(error):
                            raise refused_login(self._address, error) from failure
                        await asyncio.sleep(backoff(attempt, LONGEST_RETRY_S))
                        attempt += 1
        if self._producer is None:
            raise unreachable(self._address, self._timeout, described(error)) from error

    async def send(self, messages: Sequence[Message]) -> None:
        """Take messages; those of one key stay in order.

        Raises:
            GrandModelError: If a server refuses one for good.
        """
        for key, payload in messages:
            await (self._lane_of.get(key) or self._lane(key)).put(key.encode(), payload)
        for lane in self._lanes.values():
            lane.go()

    async def finish(self) -> None:
        """Wait until everything is confirmed.

        Raises:
            GrandModelError: If a server refuses something for good.
        """
        for lane in self._lanes.values():
            await lane.finish()

    async def close(self) -> None:
        """Let go of the connection."""
        for lane in self._lanes.values():
            await lane.abandon()
        producer, self._producer = self._producer, None
        if producer is not None:
            await let_go(producer, producer.client)

    async def _connect(self) -> None:
        await ensure_topic(self._settings, self._address.topic, self._partitions)
        producer = AIOKafkaProducer(**self._settings, acks="all", enable_idempotence=False, max_batch_size=BATCH_BYTES)
        try:
            await started(producer)
            found = sorted(await producer.partitions_for(self._address.topic))
        except BaseException:
            await producer.stop()
            raise
        self._lanes = {
            number: _PartitionSender(producer, self._address.topic, number, self._recreate) for number in found
        }
        self._producer = producer

    async def _recreate(self) -> None:
        with contextlib.suppress(KafkaError, OSError):
            await ensure_topic(self._settings, self._address.topic, len(self._lanes))

    def _lane(self, key: str) -> _PartitionSender:
        numbers = list(self._lanes)
        self._lane_of[key] = self._lanes[self._choose(key.encode(), numbers, numbers)]
        return self._lane_of[key]


class _Batch(NamedTuple):
    """Messages, and the same as they are sent."""

    built: Any
    messages: list[tuple[bytes, bytes]]


class _PartitionSender:
    """One partition: a batch on its way, and one that is being filled."""

    def __init__(self, producer: Any, topic: str, partition: int, recreate: Any) -> None:
        self.trouble = ""
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._recreate = recreate
        self._most_bytes = BATCH_BYTES
        self._filling = self._batch()
        self._sending: _Batch | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> int:
        """Messages not confirmed."""
        return sum(len(batch.messages) for batch in (self._filling, self._sending) if batch is not None)

    async def put(self, key: bytes, payload: bytes) -> None:
        """Add a message; waits for the batch on its way if the next one is full."""
        while not self._add(self._filling, key, payload):
            if self._task is not None:
                await asyncio.shield(self._task)
            self.go()

    def go(self) -> None:
        """Send what is there, unless something is on its way or has failed for good."""
        if self._task is None and self._filling.messages:
            self._sending, self._filling = self._filling, self._batch()
            self._task = asyncio.ensure_future(self._deliver_and_go_on(self._sending))

    async def finish(self) -> None:
        """Send everything there is."""
        self.go()
        while self._task is not None:
            await asyncio.shield(self._task)

    async def abandon(self) -> None:
        """Stop trying."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _batch(self) -> _Batch:
        return _Batch(self._producer.create_batch(), [])

    def _add(self, batch: _Batch, key: bytes, payload: bytes) -> bool:
        """Add a message to a batch; the first one always fits."""
        if batch.messages and batch.built.size() + len(key) + len(payload) > self._most_bytes:
            return False
        if batch.built.append(timestamp=None, key=key, value=payload) is None:
            return False
        batch.messages.append((key, payload))
        return True

    async def _deliver_and_go_on(self, batch: _Batch) -> None:
        """Deliver a batch, then begin the next one before this task is done.

        Not in a callback of the task: awaiting a task that is done does not let the loop run its callbacks, so that
        whoever waits for `_task` to change would spin.
        """
        await self._deliver(batch)
        self._sending = self._task = None
        self.go()

    async def _deliver(self, batch: _Batch) -> None:
        attempt = 0
        while True:
            forget_cause()
            try:
                await (await self._producer.send_batch(batch.built, self._topic, partition=self._partition))
            except MessageSizeTooLargeError as error:
                await self._deliver_in_parts(batch, error)
                return
            except (KafkaError, OSError) as error:
                cause = cause_of(error)
                if isinstance(error, KafkaError) and not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise GrandModelError(
                        "Kafka refuses messages", where=f"{self._topic}/{self._partition}", found=described(error)
                    ) from error
                self.trouble = f"waiting for the broker: {described(cause)}"
                await asyncio.sleep(backoff(attempt, LONGEST_RETRY_S))
                attempt += 1
                await self._recreate()
            else:
                self.trouble = ""
                return

    async def _deliver_in_parts(self, batch: _Batch, error: MessageSizeTooLargeError) -> None:
        """Deliver what is larger than the topic takes in two halves; later batches are no larger than a half."""
        messages = batch.messages
        if len(messages) == 1:
            raise too_large(f"{self._topic}/{self._partition}", len(messages[0][1])) from error
        middle = len(messages) // 2
        self._most_bytes = min(self._most_bytes, sum(len(key) + len(payload) for key, payload in messages) // 2)
        for half in (messages[:middle], messages[middle:]):
            part = _Batch(self._producer.create_batch(), half)
            for key, payload in half:
                part.built.append(timestamp=None, key=key, value=payload)
            await self._deliver(part)
