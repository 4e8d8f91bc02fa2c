"""Dead letters go to a separate topic, where their producer can inspect them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from engine.base.errors import GrandModelError
from engine.types.dead_letter import DeadLetter
from feeds.live.address import FeedAddress
from feeds.live.kafka.client import cause_of, client_settings, described, ensure_topic, forget_cause, started, too_large


class KafkaDeadLetters:
    """Sends dead letters to a topic, which is created if it is missing.

    The message is the refused payload; its key is the letter's number in the journal, and the headers say why:
    `reason`, `expected`, `found`, `partition`, `offset`, and `id`, by which a letter that was sent twice is known.

    Args:
        address: Of the feed that the messages came from.
        topic: Where dead letters go; by default the feed's topic with `.dead` behind it.

    Raises:
        UsageError: If the password or a certificate cannot be read.
    """

    def __init__(self, address: FeedAddress, topic: str | None = None) -> None:
        self.topic = topic or f"{address.topic}.dead"
        self._address = address
        self._settings = client_settings(address)
        self._producer: Any = None

    async def send(self, dead_letters: Sequence[tuple[int, DeadLetter]]) -> None:
        """Send dead letters and wait until the broker has them.

        Raises:
            GrandModelError: If it cannot be reached or refuses one; some may have been sent.
        """
        if not dead_letters:
            return
        forget_cause()
        try:
            await self._deliver(dead_letters)
        except (KafkaError, OSError) as error:
            await self.close()
            raise GrandModelError(
                "refused messages cannot be sent to their topic",
                where=f"{self._address.servers}, {self.topic}",
                found=described(cause_of(error)),
                hint="they are kept in the journal meanwhile",
            ) from error

    async def _deliver(self, dead_letters: Sequence[tuple[int, DeadLetter]]) -> None:
        producer, sent = await self._started(), list[Any]()
        try:
            for number, letter in dead_letters:
                headers = _headers(number, letter)
                sent.append(await producer.send(self.topic, letter.payload, key=str(number).encode(), headers=headers))
            await asyncio.gather(*sent)
        except MessageSizeTooLargeError as error:
            if len(dead_letters) == 1:
                raise too_large(self.topic, len(dead_letters[0][1].payload)) from error
            await asyncio.gather(*sent, return_exceptions=True)
            # one after the other, none shares a batch: each is a message that the topic may take
            for one in dead_letters:
                await self._deliver([one])

    async def close(self) -> None:
        """Let go of the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _started(self) -> Any:
        if self._producer is None:
            await ensure_topic(self._settings, self.topic, 1)
            producer = AIOKafkaProducer(**self._settings, acks="all", enable_idempotence=False)
            try:
                await started(producer)
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer


def _headers(number: int, letter: DeadLetter) -> list[tuple[str, bytes]]:
    texts = {
        "reason": letter.reason,
        "expected": letter.expected,
        "found": letter.found,
        "partition": letter.partition,
        "offset": str(letter.offset),
        "id": f"{letter.partition}:{letter.offset}:{number}",
    }
    return [(key, text.encode()) for key, text in texts.items()]
