"""What compressed messages may unpack to: the client's own codecs as the measure, and a broker full of packed zeros."""

from __future__ import annotations

import resource

import aiokafka.codec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from feeds.live.kafka.decompression import _UNPACK, MOST_UNPACKED, Budget, install
from feeds.live.messages import decode
from feeds.live.source import Record
from tests.brokers import KafkaHelper, kafka
from tests.feeds.live.kafka.test_source import collect, source_of

__all__ = ["kafka"]  # a fixture

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def answer(codec: str, payloads: list[bytes], first: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, 0, 1 << 30)
    for number, payload in enumerate(payloads):
        builder.append(number, number, None, payload, [])
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8, "big")
    return bytes(built)


def unpacked(packed: bytes, begin: int = 0) -> tuple[list[tuple[int, int, str]], int]:
    """Offsets, lengths and what is too large about the records of an answer; and where the next one begins."""
    install()
    Budget.spent = 0
    records = fetcher.PartitionRecords(TopicPartition("t", 0), MemoryRecords(packed), [], begin, None, None, True, 0)
    return [(one.offset, len(one.value), getattr(one.value, "what", "")) for one in records], records.next_fetch_offset


@pytest.mark.parametrize("codec", CODECS)
@given(st.binary(min_size=1, max_size=100) | st.integers(1, 100_000).map(bytes))
def test_unpacks_as_the_client_does(codec: str, data: bytes) -> None:
    packed = getattr(aiokafka.codec, f"{codec}_encode")(data)
    assert _UNPACK[codec](packed) == data


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_what_is_damaged_raises_and_nothing_hangs(codec: str, data: st.DataObject) -> None:
    packed = bytearray(getattr(aiokafka.codec, f"{codec}_encode")(bytes(range(256)) * 8))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = _UNPACK[codec](bytes(packed[: data.draw(st.integers(0, len(packed)))]))
    except Exception:
        return
    assert len(found) <= MOST_UNPACKED


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_is_too_large_is_one_record_and_the_next_one_is_read(codec: str) -> None:
    bomb = answer(codec, [bytes(MOST_UNPACKED // 4)] * 5)
    good = answer(codec, [b"good"], first=5)
    [(offset, size, what), after], end = unpacked(bomb + good)
    assert (offset, size) == (4, 0) and "messages" in what
    assert (after, end) == ((5, 4, ""), 6)
    elements, [letter] = decode(Record("t/0", offset, b"", what))
    assert (elements, letter.reason, letter.found) == ([], "too_large", what)


def test_a_large_message_keeps_its_place_and_its_beginning() -> None:
    assert unpacked(answer("gzip", [bytes(2 << 20), b"x"]))[0] == [(0, 4096, "2,097,152 bytes"), (1, 1, "")]


def test_no_more_is_unpacked_at_once_than_the_budget_and_nothing_is_lost() -> None:
    batches = [answer("zstd", [bytes(1 << 20)] * 3, first=3 * number) for number in range(8)]
    seen: list[int] = []
    begin, turns = 0, 0
    while begin < 24:
        found, begin = unpacked(b"".join(batches[begin // 3 :]), begin)
        seen += [offset for offset, *_ in found]
        turns += 1
        assert Budget.spent <= 8 << 20
    assert seen == list(range(24)) and turns > 2


async def test_packed_zeros_from_a_broker_take_little_memory(kafka: KafkaHelper) -> None:
    topic = await kafka.topic()
    producer = AIOKafkaProducer(
        **kafka.settings, compression_type="gzip", max_request_size=1 << 28, enable_idempotence=False
    )
    await producer.start()
    try:
        for _ in range(3):
            await producer.send_and_wait(topic, bytes(64 << 20))
        await producer.send_and_wait(topic, b"after them")
    finally:
        await producer.stop()
    source, positions = source_of(kafka, topic), dict[str, str]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    records = await collect(source, positions, lambda records, _: len(records) >= 4)
    assert [(one.offset, one.payload) for one in records] == [(0, b""), (1, b""), (2, b""), (3, b"after them")]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB
