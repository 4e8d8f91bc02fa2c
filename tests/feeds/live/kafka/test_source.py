from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import DataError, GrandModelError, UsageError
from engine.types.dead_letter import DeadLetter
from feeds.live.address import FeedAddress, parse_address
from feeds.live.broker import EmbeddedBroker, free_port
from feeds.live.kafka.client import cause_of, client_settings, is_login_error
from feeds.live.kafka.dead_letters import KafkaDeadLetters
from feeds.live.kafka.offsets import GONE, ResumeOffset, place, place_again, read_offsets
from feeds.live.kafka.outlet import KafkaOutlet
from feeds.live.kafka.source import KafkaSource
from feeds.live.options import SourceOptions, backoff
from feeds.live.source import Delivery, LiveSource, Record
from tests.brokers import (
    OPENSSL,
    KafkaHelper,
    Proxy,
    certificates,
    kafka,
    kafka_behind_proxy,
    need_tansu,
    refusal,
    tansu,
)
from tests.waiting import LIMIT_S, eventually, patience

__all__ = ["kafka", "kafka_behind_proxy"]  # fixtures

FAST = SourceOptions(connect_timeout_s=LIMIT_S, longest_retry_s=0.2, quiet_after_s=0.5, refresh_s=0.5)


def source_of(helper: KafkaHelper, topic: str, query: str = "", options: SourceOptions = FAST) -> KafkaSource:
    return KafkaSource(parse_address(f"kafka://{helper.servers}/{topic}{query}"), options)


async def collect(
    source: LiveSource, positions: dict[str, str], enough: Callable[[list[Record], Delivery], bool]
) -> list[Record]:
    """Take deliveries until there is enough; `positions` moves along, as a journal's would."""
    records: list[Record] = []
    async with patience(), aclosing(source.deliveries(dict(positions))) as stream:  # type: ignore[type-var]
        async for delivery in stream:
            records += delivery.records
            positions |= delivery.positions
            await source.settle(delivery)
            if enough(records, delivery):
                break
    await source.close()
    return records


def count(wanted: int) -> Callable[[list[Record], Delivery], bool]:
    return lambda records, delivery: len(records) >= wanted


def payloads(records: Sequence[Record], partition: str | None = None) -> list[bytes]:
    return [record.payload for record in records if partition in {None, record.partition}]


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"message %d" % number for number in range(start, stop)]


async def test_every_partition_arrives_in_its_order(kafka: KafkaHelper) -> None:
    topic = await kafka.topic(partitions=3)
    for partition in range(3):
        await kafka.send(topic, numbers(partition * 100, partition * 100 + 50), partition)
    source = source_of(kafka, topic, options=FAST.model_copy(update={"max_records": 7}))
    seen: list[Delivery] = []

    def enough(records: list[Record], delivery: Delivery) -> bool:
        seen.append(delivery)
        return len(records) == 150

    records = await collect(source, {}, enough)
    for partition in range(3):
        name = f"{topic}/{partition}"
        assert payloads(records, name) == numbers(partition * 100, partition * 100 + 50)
        assert [record.offset for record in records if record.partition == name] == list(range(50))
    assert max(len(delivery.records) for delivery in seen) <= 7
    assert seen[-1].partitions == {f"{topic}/{partition}" for partition in range(3)}


async def test_goes_on_behind_what_was_committed(kafka: KafkaHelper) -> None:
    topic = await kafka.topic(partitions=2)
    await kafka.send(topic, numbers(0, 30))
    await kafka.send(topic, numbers(100, 130), partition=1)
    positions: dict[str, str] = {}
    source = source_of(kafka, topic, options=FAST.model_copy(update={"max_records": 4}))
    first = await collect(source, positions, count(10))
    assert 10 <= len(first) < 60
    await kafka.send(topic, numbers(30, 35))
    again = source_of(kafka, topic)
    rest = await collect(again, positions, count(65 - len(first)))
    assert payloads([*first, *rest], f"{topic}/0") == numbers(0, 35)
    assert payloads([*first, *rest], f"{topic}/1") == numbers(100, 130)
    assert not again.take_notices()


async def test_another_topic_is_not_waited_for(kafka: KafkaHelper) -> None:
    before, after = await kafka.topic(), await kafka.topic()
    await kafka.send(before, numbers(0, 5))
    await kafka.send(after, numbers(0, 5))
    positions: dict[str, str] = {}
    await collect(source_of(kafka, before), positions, count(5))
    seen: set[str] = set()

    def enough(records: list[Record], delivery: Delivery) -> bool:
        seen.update(delivery.partitions)
        return len(records) == 5

    assert payloads(await collect(source_of(kafka, after), positions, enough)) == numbers(0, 5)
    assert seen == {f"{after}/0"}


async def test_from_latest_holds_its_place_before_the_first_message(kafka: KafkaHelper) -> None:
    topic = await kafka.topic()
    await kafka.send(topic, numbers(0, 5))
    positions: dict[str, str] = {}
    assert await collect(source_of(kafka, topic, "?from=latest"), positions, lambda _, last: bool(last.positions)) == []
    await kafka.send(topic, numbers(5, 8))  # while nobody reads
    records = await collect(source_of(kafka, topic, "?from=latest"), positions, count(3))
    assert payloads(records) == numbers(5, 8)


@pytest.mark.parametrize(("moment", "expected"), [("2001-01-01", 5), ("2999-01-01", 0)])
async def test_from_a_time(kafka: KafkaHelper, moment: str, expected: int) -> None:
    topic = await kafka.topic()
    await kafka.send(topic, numbers(0, 5))
    source = source_of(kafka, topic, f"?from={moment}")
    assert len(await collect(source, {}, lambda _, delivery: bool(delivery.quiet))) == expected


async def test_quiet_only_after_silence_at_the_end_of_the_log(kafka: KafkaHelper) -> None:
    topic = await kafka.topic(partitions=2)
    await kafka.send(topic, numbers(0, 5))
    everything, quiet_with_message = {f"{topic}/0", f"{topic}/1"}, None
    async with patience(), aclosing(source_of(kafka, topic).deliveries({})) as stream:
        async for delivery in stream:
            assert not delivery.quiet & {record.partition for record in delivery.records}
            if payloads(delivery.records) == numbers(5, 6):
                quiet_with_message = delivery.quiet
            elif delivery.quiet == everything:
                if quiet_with_message is not None:
                    break
                await kafka.send(topic, numbers(5, 6), partition=1)
    assert quiet_with_message == {f"{topic}/0"}


async def test_new_partitions_are_found_and_read_from_their_start() -> None:
    need_tansu()
    with tansu() as broker:
        helper = KafkaHelper(broker.address)
        source = source_of(helper, "bars", "?from=latest")
        positions: dict[str, str] = {}
        reading = asyncio.ensure_future(collect(source, positions, count(4)))
        await eventually(lambda: source.status == "waiting for the topic bars")
        await helper.topic(1, "bars")
        await eventually(lambda: "bars/0" in positions)
        # a broker that cannot add partitions gets the topic anew with more of them; we had read nothing of it
        await helper.delete("bars")
        await helper.topic(3, "bars")
        for partition in range(2):
            await helper.send("bars", numbers(partition * 2, partition * 2 + 2), partition)
        assert sorted(payloads(await reading)) == numbers(0, 4)
        assert positions.keys() == {"bars/0", "bars/1", "bars/2"}
        [told] = source.take_notices()
        assert "made again" in told


async def test_a_connection_that_is_cut_loses_and_doubles_nothing(
    kafka_behind_proxy: tuple[EmbeddedBroker, Proxy, KafkaHelper],
) -> None:
    _, proxy, helper = kafka_behind_proxy
    topic = await helper.topic()
    await helper.send(topic, numbers(0, 10))
    source, records = source_of(helper, topic), list[Record]()
    reading = asyncio.ensure_future(collect(source, {}, lambda found, _: bool(records.extend(found[len(records) :]))))
    async with patience():
        await eventually(lambda: len(records) == 10)
        await proxy.refuse()
        await eventually(lambda: not source.connected and "cannot reach" in source.status)
        await proxy.start()
        await helper.send(topic, numbers(10, 20))
        await eventually(lambda: len(records) == 20 and source.connected)
        proxy.cut()
        await helper.send(topic, numbers(20, 30))
        await eventually(lambda: len(records) >= 30)
        await source.close()
        await reading
    assert payloads(records) == numbers(0, 30)
    assert not source.take_notices()


async def test_a_broker_that_comes_back_empty_is_read_from_its_start_and_announced() -> None:
    need_tansu()
    broker = tansu()
    helper = KafkaHelper(broker.address)
    broker.start()
    try:
        await helper.topic(1, "bars")
        await helper.send("bars", numbers(0, 10))
        source, records, generation = source_of(helper, "bars"), list[Record](), 0
        async with patience(), aclosing(source.deliveries({})) as stream:
            async for delivery in stream:
                records += delivery.records
                if len(records) == (10, 13, 33)[generation]:
                    if generation == 2:
                        break
                    generation += 1
                    broker.stop()
                    broker.start()
                    await helper.topic(1, "bars")
                    # first a log that is shorter than our place in it, then one that is longer
                    await helper.send("bars", numbers(100, 103) if generation == 1 else numbers(200, 220))
        assert payloads(records) == [*numbers(0, 10), *numbers(100, 103), *numbers(200, 220)]
        notices = source.take_notices()
        assert len(notices) == 2
        assert source.take_notices() == []
        assert all("the topic was made again" in notice for notice in notices)
    finally:
        broker.stop()


async def test_a_replaced_log_is_noticed_after_a_restart_too(kafka: KafkaHelper) -> None:
    topic = await kafka.topic()
    await kafka.send(topic, numbers(0, 5))
    source = source_of(kafka, topic)
    positions = {f"{topic}/0": ResumeOffset(0).after(2, b"another message").text}
    assert payloads(await collect(source, positions, count(5))) == numbers(0, 5)
    [told] = source.take_notices()
    assert "its message 2 is not the one" in told
    [offset] = read_offsets(positions).values()
    assert (offset.crc, offset.end) == (ResumeOffset(0).after(4, b"message 4").crc, 5)


async def test_a_log_that_ends_before_its_place_is_another_one(kafka: KafkaHelper) -> None:
    topic = await kafka.topic()
    await kafka.send(topic, numbers(0, 5))
    source = source_of(kafka, topic)
    positions = {f"{topic}/0": ResumeOffset(0).after(9, b"message 9").text}
    assert payloads(await collect(source, positions, count(5))) == numbers(0, 5)
    [told] = source.take_notices()
    assert "10 was expected" in told or "is outside of it" in told


async def test_a_log_that_was_cut_behind_its_place_is_told(kafka: KafkaHelper) -> None:
    topic = await kafka.topic()
    await kafka.send(topic, numbers(0, 5))
    source = source_of(kafka, topic)
    positions = {f"{topic}/0": ResumeOffset(0, end=9).after(2, b"message 2").text}
    told: list[str] = []
    read = await collect(source, positions, lambda *_: bool(told.extend(source.take_notices()) or told))
    assert payloads(read) == numbers(3, 5)
    assert "ends at 5 now, but reached 9 before" in told[0]


def trying(address: FeedAddress) -> Callable[[float], Awaitable[object]]:
    """Reads from an address, whose first connection may take so many seconds."""
    return lambda seconds: collect(
        KafkaSource(address, FAST.model_copy(update={"connect_timeout_s": seconds})), {}, count(1)
    )


async def test_says_what_to_do_when_it_cannot_connect(kafka: KafkaHelper) -> None:
    nobody = parse_address(f"kafka://127.0.0.1:{free_port()}/bars")
    said = await refusal(trying(nobody), "cannot connect to Kafka")
    assert "cannot connect to Kafka" in said
    assert "refused" in said or "Connect call failed" in said
    said = await refusal(trying(parse_address(f"kafka://{kafka.servers}/nothing")), "there is no topic nothing")
    assert "there is no topic nothing" in said
    assert "grandmodel publish" in said


async def test_the_client_library_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    nobody = KafkaSource(
        parse_address(f"kafka://127.0.0.1:{free_port()}/bars"), FAST.model_copy(update={"connect_timeout_s": 0.3})
    )
    with pytest.raises(UsageError):
        await collect(nobody, {}, count(1))
    assert "Traceback" not in capfd.readouterr().err
    assert isinstance(cause_of(ValueError()), OSError)
    assert not is_login_error(cause_of(ValueError()))


async def test_positions_of_another_making_are_refused(kafka: KafkaHelper) -> None:
    topic = await kafka.topic()
    with pytest.raises(DataError, match="cannot be read"):
        await collect(source_of(kafka, topic), {f"{topic}/0": "12"}, count(1))


def test_login_and_encryption_reach_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    login = "username=me&password=env:KAFKA_PASSWORD"
    plain = client_settings(parse_address(f"kafka://h/t?{login}"))
    assert (plain["security_protocol"], plain["sasl_mechanism"]) == ("SASL_PLAINTEXT", "PLAIN")
    assert (plain["sasl_plain_username"], plain["sasl_plain_password"]) == ("me", "hunter2")
    both = client_settings(parse_address(f"kafkas://h/t?{login}&sasl_mechanism=SCRAM-SHA-512&verify=false"))
    assert (both["security_protocol"], both["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert both["ssl_context"].verify_mode == ssl.CERT_NONE
    strict = client_settings(parse_address("kafkas://h/t"))
    assert strict["security_protocol"] == "SSL"
    assert strict["ssl_context"].verify_mode == ssl.CERT_REQUIRED and strict["ssl_context"].check_hostname
    for key in ("ca_file", "cert_file"):
        with pytest.raises(UsageError, match="certificate") as caught:
            client_settings(parse_address(f"kafkas://h/t?{key}={tmp_path}/none.pem"))
        assert "none.pem" in str(caught.value)


async def test_encrypted_and_only_to_whom_it_trusts(tmp_path: Path) -> None:
    need_tansu()
    if OPENSSL is None:
        pytest.skip("openssl is needed")
    made = certificates(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made["cert"], made["key"])
    proxied = free_port()
    with tansu(advertised_port=proxied) as broker:
        async with Proxy(broker.port, proxied, server):
            address = parse_address(f"kafkas://{broker.address}/bars?ca_file={made['cert']}")
            outlet = KafkaOutlet(address, 1, LIMIT_S)
            await outlet.open()
            await outlet.send([("ES", payload) for payload in numbers(0, 5)])
            await outlet.finish()
            await outlet.close()
            assert payloads(await collect(KafkaSource(address, FAST), {}, count(5))) == numbers(0, 5)
            stranger = parse_address(f"kafkas://{broker.address}/bars")
            said = await refusal(trying(stranger), "certificate")
            assert "cannot connect" in said
            assert "certificate" in said


async def test_a_wrong_password_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    need_tansu()
    monkeypatch.setenv("KAFKA_PASSWORD", "not-the-right-one")
    with tansu(arguments=["--authentication"]) as broker:
        login = "username=me&password=env:KAFKA_PASSWORD&sasl_mechanism=SCRAM-SHA-256"
        address = parse_address(f"kafka://{broker.address}/bars?{login}")
        with pytest.raises(UsageError, match="refuses the login") as caught:
            await collect(KafkaSource(address, FAST), {}, count(1))
        assert "not-the-right-one" not in str(caught.value)
        with pytest.raises(UsageError, match="refuses the login"):
            await KafkaOutlet(address, 1, LIMIT_S).open()
        nobody = parse_address(f"kafka://{broker.address}/bars")
        assert "may want a login" in await refusal(trying(nobody), "may want a login")


IDS = st.sampled_from((None, "one", "other"))


@given(st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(0, 2**32 - 1), IDS, IDS)
def test_a_place_is_inside_the_log_and_silence_means_nothing_is_lost(
    following: int, start: int, crc: int | None, before: str | None, now: str | None
) -> None:
    resume = ResumeOffset(following, crc if following else None, before)
    placed = place("bars/0", resume, start, now)
    assert placed.seek >= start
    assert placed.resume.topic == (now or before)
    again = None not in {before, now} and before != now
    # the last message, or the id of the topic, shows that nothing was lost
    known = resume.crc is not None or placed.resume.topic is not None or start == following
    assert (placed.notice is None) == (start <= following and known and not again)
    assert placed.resume.next == (start if again else max(start, following))
    assert placed.seek == placed.resume.next - placed.check
    assert placed.check == (known and start < following and not again)
    if again:
        return
    anew = place_again("bars/0", resume, start, "why")
    assert anew.seek == anew.resume.next == start and anew.resume.crc is None
    assert anew.notice == placed.notice or ("why" in str(anew.notice) and start <= following)


@given(st.integers(0, 2**62), st.binary(max_size=20))
def test_offsets_read_back_and_know_their_message(offset: int, payload: bytes) -> None:
    resume = ResumeOffset(offset, topic="abc", end=offset + 2).after(offset, payload, offset + 5)
    assert resume.end == offset + 5
    assert read_offsets({"t/0": resume.text, "t/1": ResumeOffset(offset).text, "t/2": GONE}) == {
        "t/0": resume,
        "t/1": ResumeOffset(offset),
    }
    assert resume.follows(offset, payload)
    assert not resume.follows(offset, payload + b"x")
    assert not resume.follows(offset + 1, payload)


def test_attempts_grow_apart_up_to_a_limit() -> None:
    waits = [backoff(attempt, 10.0) for attempt in range(100)]
    assert waits[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert waits == sorted(waits) and waits[-1] == 10.0


async def test_refused_messages_go_to_their_own_topic(kafka: KafkaHelper) -> None:
    topic = await kafka.topic()
    letters = [
        (7, DeadLetter(f"{topic}/0", 3, "malformed", "JSON", "a Kü", b"\x00{")),
        (8, DeadLetter("x", 4, *"abc", b"")),
    ]
    sink = KafkaDeadLetters(parse_address(f"kafka://{kafka.servers}/{topic}"))
    await sink.send([])
    await sink.send(letters)
    await sink.send([letters[0]])
    await sink.close()
    consumer = AIOKafkaConsumer(sink.topic, **kafka.settings, auto_offset_reset="earliest")
    await consumer.start()
    async with patience():
        found = [await consumer.getone() for _ in range(3)]
    await consumer.stop()
    assert sink.topic == f"{topic}.dead"
    assert [(message.key, message.value) for message in found] == [(b"7", b"\x00{"), (b"8", b""), (b"7", b"\x00{")]
    headers = {key: value.decode() for key, value in found[0].headers}
    assert headers == {
        "reason": "malformed",
        "expected": "JSON",
        "found": "a Kü",
        "partition": f"{topic}/0",
        "offset": "3",
        "id": f"{topic}/0:3:7",
    }
    assert found[0].headers == found[2].headers


async def test_letters_that_cannot_be_sent_are_an_error_and_can_be_sent_later() -> None:
    need_tansu()
    broker = tansu()
    sink = KafkaDeadLetters(parse_address(f"kafka://{broker.address}/bars"), "refused")
    letter = DeadLetter("bars/0", 1, "late", "a", "b", b"c")
    with pytest.raises(GrandModelError, match="cannot be sent") as caught:
        await sink.send([(1, letter)])
    assert "refused" in str(caught.value)
    with broker:
        await sink.send([(1, letter)])
        assert payloads(await collect(source_of(KafkaHelper(broker.address), "refused"), {}, count(1))) == [b"c"]
        await sink.close()
