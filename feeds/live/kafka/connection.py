"""One connection to a Kafka cluster: partitions placed by our own offsets, used until anything about it changes.

A connection that breaks is replaced as a whole, never healed in silence: behind it the log may be another one, so
every new connection begins with the last message that we had, which must be the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import ConsumerStoppedError, KafkaError, OffsetOutOfRangeError, UnsupportedCodecError

from engine.base.errors import UsageError
from feeds.live.kafka.client import REQUEST_TIMEOUT_MS, described, let_go, started
from feeds.live.kafka.decompression import MOST_AT_ONCE, Budget, Oversize, install
from feeds.live.kafka.offsets import Placed, ResumeOffset, place, place_again
from feeds.live.reconnecting import ConnectionLostError
from feeds.live.source import MOST_DELIVERY, Record

Begin = Literal["earliest", "latest"] | int
FRESH_S = 3.0
# Short, for the sake of small brokers that look for new messages only now and then while a fetch waits: with 500 ms a
# lone message came after 145 ms from one of them, with 100 ms after 3.
FETCH_WAIT_MS = 100
# messages that are taken from the client at once; each may be as large as a message can be
STRIDE = 64


class TopicMissingError(Exception):
    """The servers answer, but have no such topic yet."""


class KafkaConnection:
    """A connected consumer of all partitions of a topic.

    Attributes:
        offsets: Where to resume, by partition; moves with what `fetch` returns.
        notices: What the operator should know, in order.
    """

    def __init__(self, consumer: Any, topic: str, doubt_s: float, now: Callable[[], float]) -> None:
        self.offsets: dict[str, ResumeOffset] = {}
        self.notices: list[str] = []
        self._consumer = consumer
        self._topic = topic
        self._doubt_s = doubt_s
        self._now = now
        self._parts: dict[str, Any] = {}
        self._unchecked: set[str] = set()
        self._connections: tuple[object, ...] = ()
        self._doubts: dict[str, float] = {}
        self._polls: dict[str, tuple[int | None, float]] = {}

    @classmethod
    async def open(
        cls,
        settings: Mapping[str, Any],
        topic: str,
        offsets: Mapping[str, ResumeOffset],
        begin: Begin,
        doubt_s: float,
        now: Callable[[], float],
    ) -> Self:
        """Connect and place every partition.

        Args:
            settings: From `client_settings`.
            offsets: Where to resume; partitions that are not among them are new and begin at their earliest message.
            begin: Where all begin if there are no offsets at all.
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
        )
        connection = cls(consumer, topic, doubt_s, now)
        try:
            await started(consumer)
            await connection._place(await connection.partitions(), offsets, begin)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def partitions(self) -> frozenset[int]:
        """Numbers of the partitions there are now; the topic is never created by asking.

        Raises:
            KafkaError: If the servers cannot be reached.
            TopicMissingError: If they have no such topic.
        """
        cluster = await self._consumer._client.fetch_all_metadata()  # noqa: SLF001 - the public call may create it
        found = cluster.partitions_for_topic(self._topic)
        if not found:
            raise TopicMissingError(self._topic)
        return frozenset(found)

    async def grown(self) -> bool:
        """Whether there are partitions that this connection does not read."""
        try:
            return not {f"{self._topic}/{number}" for number in await self.partitions()} <= self._parts.keys()
        except (KafkaError, TopicMissingError) as error:
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
                where=self._topic,
                found=described(error),
                hint="pip install 'aiokafka[lz4,snappy,zstd]'",
            ) from error
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
        """Partitions of which the servers said in the last seconds that nothing more is there."""
        return frozenset(
            name
            for name, part in self._parts.items()
            if name not in self._unchecked
            and self._consumer.highwater(part) == self._position(part)
            and self._polls[name][0] is not None
            and self._now() - self._polls[name][1] < FRESH_S
        )

    async def close(self) -> None:
        """Let go of the connection."""
        await let_go(self._consumer, self._consumer._client)  # noqa: SLF001 - it closes what the consumer forgets

    async def _place(self, numbers: frozenset[int], offsets: Mapping[str, ResumeOffset], begin: Begin) -> None:
        self._parts = {f"{self._topic}/{number}": TopicPartition(self._topic, number) for number in sorted(numbers)}
        starts = await self._consumer.beginning_offsets(list(self._parts.values()))
        found = starts if offsets or begin == "earliest" else await self._first_offsets(begin, starts)
        placed = {
            name: place(name, offsets[name], starts[part])
            if name in offsets
            else Placed(found[part], ResumeOffset(found[part]))
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
            while any(self._consumer.highwater(part) is None for part in starts):
                await self._consumer.getmany(timeout_ms=50)
        return {part: self._consumer.highwater(part) for part in starts}

    async def _accepted(self, name: str, messages: Sequence[Any]) -> list[Record]:
        resume, kept = self.offsets[name], list(messages)
        if name in self._unchecked and kept:
            first = kept[0]
            if first.offset < resume.next:  # else it was compacted away, and there is nothing to compare
                if not resume.follows(first.offset, first.value or b""):
                    await self._begin_again(name, f"its message {first.offset} is not the one that was read")
                    return []
                kept = kept[1:]
            self._unchecked.discard(name)
        if kept:
            self.offsets[name] = ResumeOffset.after(kept[-1].offset, kept[-1].value or b"")
        return [_record(name, message) for message in kept]

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

    def _position(self, part: Any) -> int:
        state = self._consumer._subscription.subscription.assignment.state_value(part)  # noqa: SLF001 - `position` waits
        return int(state.position)

    async def _look_at_polls(self) -> None:
        """Note when the servers last answered for each partition, by our clock, and whether its log is long enough."""
        now = self._now()
        for name, part in self._parts.items():
            poll, highwater = self._consumer.last_poll_timestamp(part), self._consumer.highwater(part)
            if poll != self._polls[name][0]:
                self._polls[name] = (poll, now)
            if highwater is None or highwater >= self.offsets[name].next or self._polls[name][0] is None:
                self._doubts.pop(name, None)
            elif now - self._doubts.setdefault(name, now) >= self._doubt_s:
                # not at once: a server that has just taken over may know the end only a moment later
                await self._begin_again(name, f"it ends at {highwater}, and {self.offsets[name].next} was expected")


def _record(name: str, message: Any) -> Record:
    value = message.value or b""
    return Record(name, message.offset, bytes(value), value.what if isinstance(value, Oversize) else "")
