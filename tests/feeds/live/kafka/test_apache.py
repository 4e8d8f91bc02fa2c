"""What a small broker of the protocol cannot show: topics that change, transactions, rights, on Apache Kafka itself."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from engine.base.errors import GrandModelError, UsageError
from engine.types.dead_letter import DeadLetter
from feeds.live.address import parse_address
from feeds.live.kafka.dead_letters import KafkaDeadLetters
from feeds.live.kafka.offsets import GONE, read_offsets
from feeds.live.kafka.outlet import KafkaOutlet
from feeds.live.kafka.source import KafkaSource
from feeds.live.kafka.topics import TopicMissingError, look_up
from feeds.live.source import Delivery, Record
from tests.brokers import ApacheHelper, apache, unique
from tests.feeds.live.kafka.test_source import FAST, collect, count, numbers, payloads, source_of
from tests.waiting import LIMIT_S, eventually, patience

__all__ = ["apache"]  # fixture


async def quiet(source: KafkaSource, positions: dict[str, str]) -> list[Record]:
    """Everything there is to be read."""
    return await collect(source, positions, lambda _, delivery: bool(delivery.partitions == delivery.quiet != set()))


async def test_fewer_partitions_than_before_are_told_and_let_go(apache: ApacheHelper) -> None:
    topic = await apache.topic(partitions=4)
    for partition in range(4):
        await apache.send(topic, numbers(0, 10), partition)
    positions: dict[str, str] = {}
    await collect(source_of(apache, topic), positions, count(40))
    await apache.again(topic, 2)
    for partition in range(2):
        await apache.send(topic, numbers(100, 130), partition)
    source = source_of(apache, topic)
    assert sorted(payloads(await quiet(source, positions))) == sorted(numbers(100, 130) * 2)
    told = source.take_notices()
    assert [one for one in told if "no such partition any more" in one and "the topic has 2 now" in one] == told[:2]
    assert len(told) == 4 and all("made again" in one for one in told[2:])
    assert [positions[f"{topic}/{gone}"] for gone in (2, 3)] == [GONE] * 2
    # what has gone is not told again, and what comes back is read from its beginning
    again = source_of(apache, topic)
    assert await quiet(again, positions) == [] and not again.take_notices()
    await apache.grow(topic, 3)
    await apache.send(topic, numbers(0, 5), 2)
    assert payloads(await quiet(again_after := source_of(apache, topic), positions)) == numbers(0, 5)
    assert not again_after.take_notices()


async def test_a_topic_made_again_under_a_running_session(apache: ApacheHelper) -> None:
    topic = await apache.topic(partitions=3)
    for partition in range(3):
        await apache.send(topic, numbers(0, 10), partition)
    records: list[Record] = []
    last: list[Delivery] = []
    source = source_of(apache, topic)

    def enough(found: list[Record], delivery: Delivery) -> bool:
        records[:], last[:] = found, [delivery]
        return len(found) == 70 and delivery.partitions == delivery.quiet

    reading = asyncio.ensure_future(collect(source, {}, enough))
    await eventually(lambda: len(records) == 30)
    await apache.again(topic, 2)
    for partition in range(2):
        await apache.send(topic, numbers(50, 70), partition)
    assert sorted(payloads((await reading)[30:])) == sorted(numbers(50, 70) * 2)
    assert last[0].partitions == {f"{topic}/0", f"{topic}/1"}
    assert sum("no such partition" in one for one in source.take_notices()) == 1


async def test_a_topic_made_again_before_anything_was_read(apache: ApacheHelper) -> None:
    topic = await apache.topic()
    await apache.send(topic, numbers(0, 100))
    positions: dict[str, str] = {}
    assert await quiet(source_of(apache, topic, "?from=latest"), positions) == []
    [offset] = read_offsets(positions).values()
    assert offset.next == 100 and offset.topic is not None and offset.crc is not None
    await apache.again(topic)
    await apache.send(topic, numbers(0, 300))  # the same messages, and more: only the id tells
    source = source_of(apache, topic, "?from=latest")
    assert payloads(await quiet(source, positions)) == numbers(0, 300)
    [told] = source.take_notices()
    assert "made again" in told


async def test_what_was_aborted_or_is_open_is_not_read(apache: ApacheHelper) -> None:
    topic = await apache.topic()
    await apache.send(topic, numbers(0, 5))
    await apache.transact(topic, numbers(5, 10), commit=False)
    await apache.transact(topic, numbers(10, 15), commit=True)
    positions: dict[str, str] = {}
    read = payloads(await quiet(source_of(apache, topic), positions))
    assert read == [*numbers(0, 5), *numbers(10, 15)]
    again = source_of(apache, topic)  # behind the mark that ends a transaction
    assert await quiet(again, positions) == [] and not again.take_notices()
    everything = source_of(apache, topic, "?isolation=read_uncommitted")
    assert payloads(await quiet(everything, {})) == numbers(0, 15)


async def test_an_open_transaction_is_read_when_it_is_committed(apache: ApacheHelper) -> None:
    topic = await apache.topic()
    await apache.send(topic, numbers(0, 5))
    producer = AIOKafkaProducer(**apache.settings, transactional_id=unique("open"))
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"message 5")
    await apache.send(topic, numbers(6, 8))  # behind the open one: nobody may read it yet
    positions: dict[str, str] = {}
    assert payloads(await quiet(source_of(apache, topic), positions)) == numbers(0, 5)
    latest: dict[str, str] = {}
    assert await quiet(source_of(apache, topic, "?from=latest"), latest) == []
    await producer.commit_transaction()
    await producer.stop()
    assert payloads(await quiet(source_of(apache, topic), positions)) == numbers(5, 8)
    assert payloads(await quiet(source_of(apache, topic), latest)) == numbers(5, 8)


async def test_a_partition_that_appears_is_there_before_what_was_sent_after_it(apache: ApacheHelper) -> None:
    topic = await apache.topic()
    await apache.send(topic, numbers(0, 5))
    seen: list[tuple[bytes, int]] = []
    source = KafkaSource(
        parse_address(f"kafka://{apache.servers}/{topic}"), FAST.model_copy(update={"refresh_s": 1000.0})
    )
    async with patience(), aclosing(source.deliveries({})) as stream:
        async for delivery in stream:
            seen += [(record.payload, len(delivery.partitions)) for record in delivery.records]
            if len(seen) == 5:
                await apache.grow(topic, 2)
                await apache.send(topic, numbers(100, 105), 1)
                await apache.send(topic, numbers(5, 10), 0)
            if len(seen) == 15:
                break
    assert [partitions for _, partitions in seen] == [1] * 5 + [2] * 10
    assert not source.take_notices()


async def test_a_deleted_topic_is_not_made_by_reading_it(apache: ApacheHelper) -> None:
    topic = await apache.topic()
    await apache.send(topic, numbers(0, 5))
    source, records = source_of(apache, topic), list[Record]()
    reading = asyncio.ensure_future(collect(source, {}, lambda found, _: bool(records.extend(found[len(records) :]))))
    await eventually(lambda: len(records) == 5)
    await apache.delete(topic)
    await eventually(lambda: source.status == f"waiting for the topic {topic}")
    await asyncio.sleep(1.0)  # the time in which the client would ask for it again
    admin = AIOKafkaAdminClient(**apache.settings)
    await admin.start()
    with pytest.raises(TopicMissingError):
        await look_up(admin._client, topic)
    await admin.close()
    reading.cancel()
    await asyncio.wait({reading})


async def test_a_user_who_may_write_needs_no_right_to_create(
    apache: ApacheHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await apache.topic()
    await apache.allow("writer", topic, "write")
    address = apache.address(topic, "writer", monkeypatch)
    outlet = KafkaOutlet(address, 1, LIMIT_S)
    await outlet.open()
    await outlet.send([("X", b"message 0")])
    await outlet.finish()
    await outlet.close()
    letters = KafkaDeadLetters(address, topic)
    await letters.send([(1, DeadLetter("x", 1, "late", "a", "b", b"message 1"))])
    await letters.close()
    assert payloads(await collect(source_of(apache, topic), {}, count(2))) == numbers(0, 2)
    missing = KafkaOutlet(apache.address(unique("missing"), "writer", monkeypatch), 1, LIMIT_S)
    with pytest.raises(GrandModelError, match="cannot be created"):
        await missing.open()


@pytest.mark.parametrize("right", ["describe", None])
async def test_a_user_who_may_not_read_is_told_at_once(
    apache: ApacheHelper, monkeypatch: pytest.MonkeyPatch, right: str | None
) -> None:
    topic = await apache.topic()
    if right:
        await apache.allow("viewer", topic, right)
    source = KafkaSource(apache.address(topic, "viewer", monkeypatch), FAST)
    with pytest.raises(UsageError, match="may not read the topic"):
        await collect(source, {}, count(1))


async def test_batches_are_no_larger_than_the_topic_takes(apache: ApacheHelper) -> None:
    topic = await apache.topic(settings={"max.message.bytes": "600"})
    outlet = KafkaOutlet(parse_address(f"kafka://{apache.servers}/{topic}"), 1, LIMIT_S)
    await outlet.open()
    await outlet.send([("X", payload) for payload in numbers(0, 200)])
    await outlet.finish()
    await outlet.send([("X", payload) for payload in numbers(200, 300)])
    await outlet.finish()
    assert payloads(await collect(source_of(apache, topic), {}, count(300))) == numbers(0, 300)
    letters = KafkaDeadLetters(parse_address(f"kafka://{apache.servers}/{topic}"), topic)
    await letters.send([(n, DeadLetter("x", n, "late", "a", "b", b"x" * 100)) for n in range(10)])
    with pytest.raises(GrandModelError, match="larger than the topic takes") as caught:
        await letters.send([(1, DeadLetter("x", 1, "late", "a", "b", b"x" * 1000))])
    assert "max.message.bytes" in str(caught.value)
    await letters.close()
    assert len(await collect(source_of(apache, topic), {}, count(310))) == 310
    with pytest.raises(GrandModelError, match="larger than the topic takes") as caught:
        await outlet.send([("X", b"x" * 1000)])
        await outlet.finish()
    assert "--per-message" in str(caught.value) and "1,000 bytes" in str(caught.value)
    await outlet.close()


async def test_a_paced_publisher_comes_through(apache: ApacheHelper) -> None:
    """Waiting for every message of twelve partitions, again and again, never spins."""
    topic = await apache.topic(partitions=12)
    outlet = KafkaOutlet(parse_address(f"kafka://{apache.servers}/{topic}"), 12, LIMIT_S)
    await outlet.open()
    async with patience():
        for turn in range(200):
            await outlet.send([(f"S{key}", b"message %d" % turn) for key in range(24)])
            await outlet.finish()
    assert outlet.unconfirmed == 0
    await outlet.close()
    assert len(await collect(source_of(apache, topic), {}, count(4800))) == 4800


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_read(apache: ApacheHelper, codec: str) -> None:
    topic = await apache.topic()
    producer = AIOKafkaProducer(**apache.settings, compression_type=codec, linger_ms=50)
    await producer.start()
    await asyncio.gather(*[await producer.send(topic, payload) for payload in numbers(0, 50)])
    await producer.stop()
    assert payloads(await collect(source_of(apache, topic), {}, count(50))) == numbers(0, 50)


async def test_what_compaction_has_taken_is_counted_as_lost(apache: ApacheHelper) -> None:
    compacted = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "segment.bytes": "1048576",
        "min.compaction.lag.ms": "0",
        "max.compaction.lag.ms": "1",
        "segment.ms": "100",
    }
    topic = await apache.topic(settings=compacted)
    producer = AIOKafkaProducer(**apache.settings)
    await producer.start()
    for number in range(40):  # four keys, each in a batch of its own
        await producer.send_and_wait(topic, b"message %d" % number, key=b"%d" % (number % 4))
    read: list[bytes] = []
    async with patience():
        while len(read) != 5:  # the last of each key, and the one that is sent to begin a new segment
            await asyncio.sleep(0.5)
            await producer.send_and_wait(topic, b"last", key=b"last")
            source = source_of(apache, topic)
            read = payloads(await quiet(source, {}))
            read = [payload for place, payload in enumerate(read) if payload != b"last" or place == len(read) - 1]
    await producer.stop()
    assert read == [*numbers(36, 40), b"last"]
    told = source.take_notices()
    assert sum(int(one.split(": ")[1].split()[0]) for one in told) >= 36
    assert all("compacted" in one for one in told)


async def test_marks_of_transactions_are_no_losses(apache: ApacheHelper) -> None:
    topic = await apache.topic()
    for turn in range(4):
        await apache.transact(topic, numbers(turn, turn + 1), commit=turn != 2)
        await apache.send(topic, numbers(10 + turn, 11 + turn))
    for query, expected in (("", 7), ("?isolation=read_uncommitted", 9)):
        source, positions = source_of(apache, topic, query), dict[str, str]()
        assert len(await quiet(source, positions)) == expected
        await apache.send(topic, numbers(20, 21))
        again = source_of(apache, topic, query)
        await quiet(again, positions)
        assert not source.take_notices() and not again.take_notices()
