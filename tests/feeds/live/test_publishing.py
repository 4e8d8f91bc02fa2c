from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, reblock
from feeds.live.address import parse_address
from feeds.live.broker import EmbeddedBroker, free_port
from feeds.live.kafka.outlet import KafkaOutlet, _PartitionSender
from feeds.live.messages import BarMessage, decode
from feeds.live.mqtt.outlet import MqttOutlet
from feeds.live.outlet import Outlet
from feeds.live.publishing import Plan, Published, StdoutOutlet, open_outlet, publish
from feeds.live.source import Record
from tests.bars import random_bars
from tests.brokers import (
    HOST,
    KafkaHelper,
    Mosquitto,
    Proxy,
    kafka,
    kafka_behind_proxy,
    need_mosquitto,
    refusal,
    unique,
)
from tests.feeds.live.kafka.test_source import collect, count, source_of
from tests.feeds.live.mqtt.test_source import mqtt, reading, source_at, take
from tests.waiting import LIMIT_S, eventually, patience

__all__ = ["kafka", "kafka_behind_proxy", "mqtt"]  # fixtures


def walk(rows: int, seed: int, symbols: tuple[str, ...] = ("A",), absent: float = 0.0) -> BarBlock:
    return random_bars(rows, seed, symbols, absent=absent, first_ns=1_704_067_260_000_000_000)


class InMemory:
    """Bars that are there already, in blocks of any size."""

    def __init__(self, bars: BarBlock) -> None:
        self.symbols = bars.symbols
        self._bars = bars

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        return reblock([self._bars], [rows])


def bars_of(payloads: Sequence[bytes]) -> list[BarMessage]:
    """What a reader makes of messages; a letter among them is a failure."""
    bars: list[BarMessage] = []
    for payload in payloads:
        elements, letters = decode(Record("x", 0, payload))
        assert not letters
        for element in elements:
            assert isinstance(element, BarMessage)
            bars.append(element)
    return bars


def expected(block: BarBlock) -> list[BarMessage]:
    return [
        BarMessage(symbol, int(block.ts_event[row]), *(float(getattr(block, name)[row, at]) for name in NAMES))
        for row in range(len(block))
        for at, symbol in enumerate(block.symbols)
        if block.present[row, at]
    ]


NAMES = ("open", "high", "low", "close", "volume")


async def published_to(outlet: Outlet, block: BarBlock, plan: Plan) -> Published:
    done = Published()
    async with patience():
        await outlet.open()
        await publish(InMemory(block), outlet, plan, done)
        assert outlet.unconfirmed == 0
        await outlet.close()
    return done


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 9), st.none() | st.integers(1, 50))
async def test_a_pipe_gets_the_bars_to_the_bit(rows: int, per_message: int, limit: int | None) -> None:
    block = walk(rows, rows, ("A", "B"), 0.3)
    stream = io.BytesIO()
    done = await published_to(StdoutOutlet(stream), block, Plan(per_message=per_message, limit=limit))
    lines = stream.getvalue().splitlines()
    wanted = expected(block.slice(0, min(rows, limit or rows)))
    assert bars_of(lines) == wanted
    assert (done.bars, done.messages) == (len(wanted), len(lines))
    assert len(lines) == math.ceil(len(wanted) / per_message)


@pytest.mark.parametrize(("format_", "per_message"), [("json", 1), ("msgpack", 7)])
async def test_kafka_gets_the_bars_and_each_symbol_stays_in_order(
    kafka: KafkaHelper, format_: str, per_message: int
) -> None:
    topic, block = unique("bars"), walk(500, 3, ("A", "B", "C"), 0.1)
    address = parse_address(f"kafka://{kafka.servers}/{topic}", publishing=True)
    outlet = KafkaOutlet(address, 3, LIMIT_S)
    done = await published_to(
        outlet, block, Plan(format="json" if format_ == "json" else "msgpack", per_message=per_message)
    )
    records = await collect(source_of(kafka, topic), {}, count(done.messages))
    found = {
        name: bars_of([one.payload for one in records if one.partition == name])
        for name in {r.partition for r in records}
    }
    assert sorted(
        (bar for bars in found.values() for bar in bars), key=lambda bar: (bar.ts_event, str(bar.symbol))
    ) == expected(block)
    if per_message == 1:
        for symbol in block.symbols:
            (home,) = [name for name, bars in found.items() if any(bar.symbol == symbol for bar in bars)]
            assert [b for b in found[home] if b.symbol == symbol] == [b for b in expected(block) if b.symbol == symbol]


async def test_a_kafka_that_is_away_for_a_while_gets_everything_once_and_in_order(
    kafka_behind_proxy: tuple[EmbeddedBroker, Proxy, KafkaHelper],
) -> None:
    _, proxy, helper = kafka_behind_proxy
    block = walk(60, seed=5)
    outlet = KafkaOutlet(parse_address(f"kafka://{helper.servers}/bars", publishing=True), 1, LIMIT_S)
    done = Published()
    await outlet.open()
    async with patience():
        due = asyncio.Event()

        async def sleep(_: float) -> None:
            """The bars of the first ten minutes are due at once, the others when the test says so."""
            if done.messages >= 10:
                await due.wait()

        sending = asyncio.ensure_future(
            publish(InMemory(block), outlet, Plan(speed=60 * 60.0), done, sleep=sleep, now=lambda: 0.0)
        )
        await eventually(lambda: done.messages >= 10 and outlet.unconfirmed == 0)
        await proxy.refuse()
        held = done.messages
        due.set()
        await eventually(lambda: outlet.status.startswith("waiting for the broker") and outlet.unconfirmed > 0)
        await proxy.start()
        await sending
        await outlet.close()
    records = await collect(source_of(helper, "bars"), {}, count(60))
    found = bars_of([record.payload for record in records])
    # what was on its way when the line was cut may have arrived without our knowing, and comes again
    assert list(dict.fromkeys(found)) == expected(block)
    assert len(found) - 60 <= held


class Batch:
    """A batch of the Kafka client, as far as a lane uses it."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0

    def append(self, **_: object) -> int | None:
        if self._count == self._most:
            return None
        self._count += 1
        return self._count

    def record_count(self) -> int:
        return self._count


class Producer:
    """Confirms when the test says so."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.confirmed: asyncio.Future[None]

    def create_batch(self) -> Batch:
        return Batch(self._most)

    async def send_batch(self, *_: object, **__: object) -> asyncio.Future[None]:
        self.confirmed = asyncio.get_running_loop().create_future()
        return self.confirmed


@pytest.mark.parametrize("wait", ["put", "finish"])
async def test_whoever_waits_in_the_turn_of_the_confirmation_does_not_spin(wait: str) -> None:
    producer = Producer(most=1)

    async def nothing() -> None:
        """No topic to create."""

    lane = _PartitionSender(producer, "t", 0, nothing)
    await lane.put(b"k", b"v")
    lane.go()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if wait == "put":
        await lane.put(b"k", b"v")
    woken = asyncio.get_running_loop().create_future()

    def confirm() -> None:
        producer.confirmed.set_result(None)
        woken.set_result(None)

    asyncio.get_running_loop().call_soon(confirm)
    await woken
    if wait == "put":
        await lane.put(b"k", b"v")  # spun for ever, so that no timeout came either
        await lane.abandon()
    else:
        await lane.finish()
        assert lane.held == 0


async def test_mqtt_gets_the_bars_across_a_lost_connection(mqtt: str) -> None:
    topic, block = unique("bars"), walk(600, seed=6)
    host, port = mqtt.split(":")
    source = source_at(mqtt, topic)
    async with reading(source) as stream, Proxy(int(port)) as proxy:
        outlet = MqttOutlet(parse_address(f"mqtt://{host}:{proxy.port}/{topic}", publishing=True), LIMIT_S)
        await outlet.open()
        done = Published()
        sending = asyncio.ensure_future(publish(InMemory(block), outlet, Plan(), done))
        payloads = await take(source, stream, 50)
        proxy.cut()
        while bars_of(payloads[-1:]) != expected(block)[-1:]:
            payloads += await take(source, stream, 1)
        await sending
        assert outlet.unconfirmed == 0
        await outlet.close()
    found = bars_of(payloads)
    assert list(dict.fromkeys(found)) == expected(block)


async def test_mqtt_waits_for_a_broker_that_is_away(tmp_path: Path) -> None:
    need_mosquitto()
    block = walk(40, seed=7)
    with Mosquitto(tmp_path) as broker:
        source = source_at(broker.server, "bars")
        async with reading(source) as stream:
            outlet = MqttOutlet(parse_address(f"mqtt://{broker.server}/bars", publishing=True), LIMIT_S)
            await outlet.open()
            done = Published()
            sending = asyncio.ensure_future(publish(InMemory(block), outlet, Plan(speed=60 * 40.0), done))
            payloads = await take(source, stream, 5)
            await asyncio.to_thread(broker.stop)
            await eventually(lambda: outlet.status.startswith("waiting for the broker"))
            await asyncio.to_thread(broker.start)
            while bars_of(payloads[-1:]) != expected(block)[-1:]:
                payloads += await take(source, stream, 1)
            await sending
            await outlet.close()
    assert set(bars_of(payloads)) == set(expected(block))


@pytest.mark.parametrize("scheme", ["kafka", "mqtt"])
async def test_says_when_nobody_answers(scheme: str) -> None:
    address = parse_address(f"{scheme}://{HOST}:{free_port()}/bars", publishing=True)
    cause = "refused" if scheme == "mqtt" else "Connect"
    said = await refusal(lambda seconds: open_outlet(address, "json", 1, seconds).open(), cause)
    assert "cannot connect" in said
    assert "refused" in said or "Connect call failed" in said


async def test_messages_that_no_reader_takes_are_refused() -> None:
    outlet = StdoutOutlet(io.BytesIO())
    with pytest.raises(UsageError, match="--per-message"):
        await publish(InMemory(walk(2000, 1, tuple("ABCDE"))), outlet, Plan(per_message=100_000), Published())


def test_lines_are_text() -> None:
    with pytest.raises(UsageError, match="lines of text"):
        open_outlet(parse_address("stdout", publishing=True), "msgpack", 1, 1.0)


async def test_a_late_bar_is_not_lost_with_the_connection_before_it(mqtt: str) -> None:
    topic, block = unique("bars"), walk(2, 8)
    host, port = mqtt.split(":")
    source = source_at(mqtt, topic)
    async with reading(source) as stream, Proxy(int(port)) as proxy:
        outlet = MqttOutlet(parse_address(f"mqtt://{host}:{proxy.port}/{topic}", publishing=True), LIMIT_S)
        await outlet.open()
        await proxy.refuse()
        sending = asyncio.ensure_future(
            publish(InMemory(block), outlet, Plan(speed=1.0), Published())
        )  # a minute apart
        await eventually(lambda: outlet.status.startswith("waiting for the broker"))
        await proxy.start()
        assert bars_of(await take(source, stream, 1)) == expected(block)[:1]
        sending.cancel()
        await asyncio.wait({sending})
        await outlet.close()
