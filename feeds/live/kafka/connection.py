"""One connection to a Kafka cluster: partitions placed by our own offsets, used until anything about it changes.

A connection that breaks is replaced as a whole, never healed in silence: behind it the log may be another one, so
every new connection begins with the last message that we had, which must be the same.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import (
    ConsumerStoppedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
)

from engine.base.errors import UsageError
from feeds.live.address import Isolation
from feeds.live.kafka.client import REQUEST_TIMEOUT_MS, described, let_go, not_allowed, started
from feeds.live.kafka.decompression import MOST_AT_ONCE, Budget, PassedOver, as_records, install
from feeds.live.kafka.offsets import Placed, ResumeOffset, begin, missing, place, place_again, shortened
from feeds.live.kafka.topics import Topic, TopicMissingError, look_up
from feeds.live.reconnecting import ConnectionLostError
from feeds.live.source import MOST_DELIVERY, Record

Begin = Literal["earliest", "latest"] | int
FRESH_S = 3.0
# Short, for the sake of small brokers that look for new messages only now and then while a fetch waits: with 500 ms a
# lone message came after 145 ms from one of them, with 100 ms after 3.
FETCH_WAIT_MS = 100
# messages that are taken from the client at once; each may be as large as a message can be
STRIDE = 64


class KafkaConnection:
    """A connected consumer of all partitions of a topic.

    Attributes:
        topic: As it was when the connection was made.
        offsets: Where to resume, by partition; moves with what `fetch` returns.
        notices: What the operator should know, in order.
    """

    def __init__(self, consumer: Any, topic: str, doubt_s: float, now: Callable[[], float]) -> None:
        self.topic = Topic(None, frozenset())
        self.offsets: dict[str, ResumeOffset] = {}
        self.notices: list[str] = []
        self._consumer = consumer
        self._name = topic
        self._doubt_s = doubt_s
        self._now = now
        self._parts: dict[str, Any] = {}
        self._unchecked: set[str] = set()
        self._connections: tuple[object, ...] = ()
        self._doubts: dict[str, float] = {}
        self._polls: dict[str, tuple[int | None, float]] = {}
        self._passed: dict[str, int] = {}
        self._missing: dict[str, int] = {}

    @classmethod
    async def open(
        cls,
        settings: Mapping[str, Any],
        topic: str,
        offsets: Mapping[str, ResumeOffset],
        begin: Begin,
        isolation: Isolation,
        doubt_s: float,
        now: Callable[[], float],
    ) -> Self:
        """Connect and place every partition.

        Args:
            settings: From `client_settings`.
            offsets: Where to resume; partitions that are not among them are new and begin at their earliest message.
            begin: Where all begin if there are no offsets at all.
            isolation: Whether messages of transactions are read once they are committed, or at once.
            doubt_s: How long a log may seem shorter than our place in it before it is believed to be another.
            now: A clock in seconds that never runs backwards.

        Raises:
            KafkaError: If the servers cannot be reached.
            TopicMissingError: If they have no such topic.
        """
        # offsets are ours: no group, no commits, and an offset out of range is an error to look into
        install()
        consumer = AIOKafkaConsumer(
            **settings,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            isolation_level=isolation,
            value_deserializer=as_records,
        )
        connection = cls(consumer, topic, doubt_s, now)
        try:
            await started(consumer)
            connection.topic = await look_up(consumer._client, topic)  # noqa: SLF001 - it tells no ids
            await connection._place(offsets, begin)
        except BaseException:
            await connection.close()
            raise
        return connection

    @property
    def answered(self) -> bool:
        """Whether the servers have answered for some partition."""
        return any(poll is not None for poll, _ in self._polls.values())

    async def changed(self) -> bool:
        """Whether the topic has other partitions by now, or is another one of the same name.

        Raises:
            ConnectionLostError: If the servers cannot be reached, or have no such topic any more.
        """
        try:
            return await look_up(self._consumer._client, self._name) != self.topic  # noqa: SLF001 - it tells no ids
        except TopicMissingError as error:
            raise ConnectionLostError(f"the topic {self._name} is gone") from error
        except (KafkaError, OSError) as error:
            raise ConnectionLostError(described(error)) from error

    async def fetch(self, wait_s: float, most: int) -> list[Record]:
        """Messages that are there or come within some time; `offsets` have moved behind them.

        Raises:
            ConnectionLostError: If the connection broke or the log is another one; what came is thrown away then.
            UsageError: If a package that unpacks the messages is missing.
        """
        records: list[Record] = []
        size, Budget.spent = 0, 0
        while len(records) < most and size < MOST_DELIVERY and Budget.spent < MOST_AT_ONCE:
            more = await self._some(0.0 if records else wait_s, min(most - len(records), STRIDE))
            if not more:
                break
            records += more
            size += sum(len(record.payload) for record in more)
        await self._look_at_polls()
        self.notices += [missing(name, count, self.offsets[name].next) for name, count in self._missing.items()]
        self._missing.clear()
        return records

    async def _some(self, wait_s: float, most: int) -> list[Record]:
        try:
            batches = await self._consumer.getmany(timeout_ms=round(wait_s * 1000), max_records=most)
        except OffsetOutOfRangeError as error:
            for part, offset in error.args[0].items():
                await self._begin_again(f"{part.topic}/{part.partition}", f"{offset} is outside of it")
            return []
        except UnsupportedCodecError as error:
            raise UsageError(
                "messages are packed in a way that cannot be read here",
                where=self._name,
                found=described(error),
                hint="pip install 'grandmodel[live]' installs what gzip, snappy, lz4 and zstd need",
            ) from error
        except TopicAuthorizationFailedError as error:
            raise ConnectionLostError(f"no permission to read {self._name}", not_allowed(self._name)) from error
        except (KafkaError, ConsumerStoppedError) as error:
            raise ConnectionLostError(described(error)) from error
        current = self._current_connections()
        if None in current or current != self._connections:
            raise ConnectionLostError("the connection closed")
        records: list[Record] = []
        for part, messages in batches.items():
            records += await self._accepted(f"{part.topic}/{part.partition}", messages)
        return records

    def drained(self) -> frozenset[str]:
        """Partitions of which the servers said in the last seconds that nothing more is there to be read.

        Where only committed messages are read, those of a transaction that is open are not.
        """
        return frozenset(
            name
            for name, part in self._parts.items()
            if name not in self._unchecked
            and self._end(part) == self._position(part)
            and self._polls[name][0] is not None
            and self._now() - self._polls[name][1] < FRESH_S
        )

    async def close(self) -> None:
        """Let go of the connection."""
        await let_go(self._consumer, self._consumer._client)  # noqa: SLF001 - it closes what the consumer forgets

    async def _place(self, offsets: Mapping[str, ResumeOffset], wanted: Begin) -> None:
        identity, numbers = self.topic.id, sorted(self.topic.partitions)
        self._parts = {f"{self._name}/{number}": TopicPartition(self._name, number) for number in numbers}
        starts = await self._consumer.beginning_offsets(list(self._parts.values()))
        found = starts if offsets or wanted == "earliest" else await self._first_offsets(wanted, starts)
        placed = {
            name: place(name, offsets[name], starts[part], identity)
            if name in offsets
            else begin(found[part], starts[part], identity)
            for name, part in self._parts.items()
        }
        self._consumer.assign(list(self._parts.values()))
        for name, one in placed.items():  # without a pause after assign, or the client looks for a group's offsets
            self._take(name, one)
        self._connections = self._current_connections()

    def _take(self, name: str, placed: Placed) -> None:
        self._consumer.seek(self._parts[name], placed.seek)
        self.offsets[name] = placed.resume
        self._polls[name] = (None, self._now())
        self._doubts.pop(name, None)
        self._unchecked.discard(name)
        self._passed.pop(name, None)
        PassedOver.take(name)
        if placed.check:
            self._unchecked.add(name)
        if placed.notice is not None:
            self.notices.append(placed.notice)

    async def _first_offsets(self, begin: Begin, starts: Mapping[Any, int]) -> Mapping[Any, int]:
        ends = await self._ends(starts)
        if isinstance(begin, str):
            return ends
        wanted = -(-begin // 1_000_000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(starts, wanted))
        # where no message is that late, some servers answer with none and others with one without a time
        return {
            part: one.offset if (one := found.get(part)) is not None and one.timestamp >= wanted else end
            for part, end in ends.items()
        }

    async def _ends(self, starts: Mapping[Any, int]) -> dict[Any, int]:
        """Ends of the partitions as fetching tells them; asked for alone, some servers name one that is too early."""
        claimed = await self._consumer.end_offsets(list(starts))
        self._consumer.assign(list(starts))
        for part, end in claimed.items():
            self._consumer.seek(part, end)
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
            while any(self._end(part) is None for part in starts):
                await self._consumer.getmany(timeout_ms=50)
        return {part: end for part in starts if (end := self._end(part)) is not None}

    async def _accepted(self, name: str, messages: Sequence[Record]) -> list[Record]:
        resume, kept = self.offsets[name], list(messages)
        if name in self._unchecked and kept:
            first = kept[0]
            if first.offset < resume.next:  # else it was compacted away, and there is nothing to compare
                if resume.crc is None:
                    self.offsets[name] = replace(resume, crc=zlib.crc32(first.payload))
                elif not resume.follows(first.offset, first.payload):
                    await self._begin_again(name, f"its message {first.offset} is not the one that was read")
                    return []
                kept = kept[1:]
            self._unchecked.discard(name)
        if kept:
            self._count_holes(name, self.offsets[name].next, kept)
            end = self._consumer.highwater(self._parts[name])
            self.offsets[name] = self.offsets[name].after(kept[-1].offset, kept[-1].payload, end)
        return kept

    def _count_holes(self, name: str, start: int, messages: Sequence[Record]) -> None:
        """Count the offsets from `start` on at which there is neither a message nor what never was one."""
        gap = messages[-1].offset + 1 - start - len(messages)
        # what was passed over lies before these messages, or before the next ones
        passed = self._passed.get(name, 0) + PassedOver.take(name)
        self._passed[name] = max(0, passed - gap)
        if gap > passed:
            self._missing[name] = self._missing.get(name, 0) + gap - passed

    async def _begin_again(self, name: str, why: str) -> None:
        part = self._parts[name]
        try:
            start = (await self._consumer.beginning_offsets([part]))[part]
        except KafkaError as error:
            raise ConnectionLostError(described(error)) from error
        self._take(name, place_again(name, self.offsets[name], start, why))

    def _current_connections(self) -> tuple[object, ...]:
        """The connections that messages come through; a broken one is missing, a renewed one is another object."""
        client = self._consumer._client  # noqa: SLF001 - the library heals connections without telling
        leaders = {client.cluster.leader_for_partition(part) for part in self._parts.values()}
        found = [client._conns.get((leader, ConnectionGroup.DEFAULT)) for leader in sorted(leaders, key=str)]  # noqa: SLF001
        return tuple(one if one is not None and one.connected() else None for one in found)

    def _end(self, part: Any) -> int | None:
        """Where what can be read ends: before a transaction that is open, if only what is committed is read."""
        stable = self._consumer.last_stable_offset(part)  # -1 where everything is read, None of old servers
        highwater: int | None = self._consumer.highwater(part)
        return highwater if highwater is None or stable is None or stable < 0 else min(int(stable), highwater)

    def _position(self, part: Any) -> int:
        state = self._consumer._subscription.subscription.assignment.state_value(part)  # noqa: SLF001 - `position` waits
        return int(state.position)

    async def _look_at_polls(self) -> None:
        """Note when the servers last answered for each partition, by our clock, and whether its log is long enough."""
        now = self._now()
        for name, part in self._parts.items():
            if name in self._unchecked and self._position(part) >= self.offsets[name].next:
                self._unchecked.discard(name)  # compacted away, or it marked the end of a transaction
            poll, highwater = self._consumer.last_poll_timestamp(part), self._consumer.highwater(part)
            if poll != self._polls[name][0]:
                self._polls[name] = (poll, now)
            resume = self.offsets[name]
            expected = max(resume.next, resume.end or 0)
            if highwater is None or highwater >= expected or self._polls[name][0] is None:
                self._doubts.pop(name, None)
            elif now - self._doubts.setdefault(name, now) >= self._doubt_s:
                # not at once: a server that has just taken over may know the end only a moment later
                if highwater < resume.next:
                    await self._begin_again(name, f"it ends at {highwater}, and {resume.next} was expected")
                else:
                    self.offsets[name], notice = shortened(name, resume, highwater)
                    self.notices.append(notice)
