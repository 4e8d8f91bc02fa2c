"""The signs of lost messages, on a real broker: each is told once, with the span of time, and no sooner."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from engine.base.errors import DataError
from feeds.live.address import parse_address
from feeds.live.client_ids import new_client_id
from feeds.live.mqtt.inbox import PARTITION
from feeds.live.mqtt.losses import FEW, FULL_WINDOW, SHORT_S, LossWatch, Standing, read_standing
from feeds.live.mqtt.numbering import numbered
from feeds.live.mqtt.outlet import MqttOutlet
from feeds.live.mqtt.source import MqttSource
from feeds.live.source import Delivery, Loss
from tests.brokers import Mosquitto, Proxy, mqtt, need_mosquitto, unique
from tests.feeds.live.mqtt.test_source import FAST, numbers, publish, reading, take
from tests.waiting import LIMIT_S, eventually, patience

__all__ = ["mqtt"]  # a fixture

SPAN = r"between \d{4}-\d\d-\d\d \d\d:\d\d:\d\d and \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
MINUTE = 60_000_000_000
START = 1_704_067_260_000_000_000
FORGETFUL = ["allow_anonymous true", "persistence false"]


class Reader:
    """A source, and the position and notices of what it delivered."""

    def __init__(self, server: str, topic: str, client_id: str, position: str | None = None) -> None:
        self.source = MqttSource(parse_address(f"mqtt://{server}/{topic}"), client_id, FAST)
        self.positions = {} if position is None else {PARTITION: position}
        self.notices: list[str] = []

    async def take(self, wanted: int, *, told: int = 0) -> list[bytes]:
        """Read and settle until so many messages came and so many notices were given; then leave."""
        found: list[bytes] = []
        async with patience():
            stream = self.source.deliveries(self.positions)
            async for delivery in stream:
                found += await self.settled(delivery)
                if len(found) >= wanted and len(self.notices) >= told and self.source.connected:
                    break
            await stream.aclose()  # type: ignore[attr-defined]
            await self.source.close()
        return found

    async def settled(self, delivery: Delivery) -> list[bytes]:
        self.notices += self.source.take_notices()
        self.positions |= delivery.positions
        await self.source.settle(delivery)
        return [record.payload for record in delivery.records]


def stamped(start: int, stop: int, publisher: int = 7) -> list[bytes]:
    return [numbered(b'{"symbol":"X","timestamp":%d}' % (START + k * MINUTE), publisher, k) for k in range(start, stop)]


@pytest.fixture
def broker(tmp_path: Path) -> Mosquitto:
    need_mosquitto()
    return Mosquitto(tmp_path, FORGETFUL)


async def test_a_broker_that_forgot_the_session(broker: Mosquitto) -> None:
    client = new_client_id()
    with broker:
        first = Reader(broker.server, "bars", client)
        await first.take(0)
        await publish(broker.server, "bars", numbers(0, 5))
        again = Reader(broker.server, "bars", client, first.positions[PARTITION])
        assert await again.take(5) == numbers(0, 5)
        assert first.notices == again.notices == []
        broker.kill()
        broker.start()
        last = Reader(broker.server, "bars", client, again.positions[PARTITION])
        await last.take(0, told=1)
        [told] = last.notices
        assert isinstance(told, Loss)
        assert re.search(f"the broker has forgotten this session .client {client}.: .*{SPAN} are lost", told)
        quiet = Reader(broker.server, "bars", client, last.positions[PARTITION])
        await quiet.take(0)
        assert quiet.notices == []


async def test_what_was_on_its_way_when_the_broker_forgot_it_is_delivered(broker: Mosquitto) -> None:
    """The session has received it already, and nobody will send it again."""
    few = FAST.model_copy(update={"max_records": 2})
    with broker:
        source = MqttSource(parse_address(f"mqtt://{broker.server}/bars"), new_client_id(), few)
        async with reading(source) as stream:
            await publish(broker.server, "bars", numbers(0, 10))
            found = await take(source, stream, 2, settle=False)
            connection = source._connection
            assert connection is not None
            await eventually(lambda: connection._inbox.waiting[0] >= 8)
            broker.kill()
            await eventually(lambda: bool(connection.owed))
            broker.start()
            found += await take(source, stream, 8)
            assert found == numbers(0, 10)
            [told] = source.take_notices()
            assert "has forgotten this session" in told


async def test_a_hole_in_the_numbers_of_a_publisher(mqtt: str) -> None:
    topic, client = unique("bars"), new_client_id()
    first = Reader(mqtt, topic, client)
    await first.take(0)
    await publish(mqtt, topic, [*stamped(0, 100), *stamped(90, 101)])  # some come twice
    again = Reader(mqtt, topic, client, first.positions[PARTITION])
    await again.take(111)
    await publish(mqtt, topic, [*stamped(301, 310), *stamped(0, 3, publisher=8), *stamped(311, 312)])
    last = Reader(mqtt, topic, client, again.positions[PARTITION])
    await last.take(13, told=2)
    assert first.notices == again.notices == []
    many, one = last.notices
    assert isinstance(many, Loss)
    span = "between the bars of 2024-01-01 01:41:00 and 2024-01-01 05:02:00 UTC"
    assert f"200 messages of publisher 7 are missing: 101 to 300, {span}" in many
    assert "1 message of publisher 7 is missing: 310 to 310" in one


async def test_our_own_publisher_numbers_its_messages(mqtt: str) -> None:
    topic, client = unique("bars"), new_client_id()
    reader = Reader(mqtt, topic, client)
    await reader.take(0)
    outlet = MqttOutlet(parse_address(f"mqtt://{mqtt}/{topic}", publishing=True), LIMIT_S)
    await outlet.open()
    await outlet.send([("X", b'{"symbol":"X","timestamp":1704067260,"v":1}')] * 3)
    await outlet.finish()
    await outlet.close()
    found = await Reader(mqtt, topic, client, reader.positions[PARTITION]).take(3)
    assert [re.sub(rb'"publisher":\d+', b"-", payload)[:13] for payload in found] == [
        b'{-,"number":%d' % k for k in range(3)
    ]


async def test_a_publisher_that_began_before_the_session_is_no_loss(mqtt: str) -> None:
    topic, client = unique("bars"), new_client_id()
    first = Reader(mqtt, topic, client)

    async def publishing() -> None:
        await eventually(lambda: first.source.connected)
        await publish(mqtt, topic, stamped(5, 8))

    await asyncio.gather(first.take(3, told=1), publishing())
    assert not isinstance(first.notices[0], Loss)
    assert "the first 5 messages of publisher 7" in first.notices[0]
    assert "probably sent before this session was connected; or" in first.notices[0]
    await publish(mqtt, topic, stamped(2, 3, publisher=9))
    again = Reader(mqtt, topic, client, first.positions[PARTITION])
    await again.take(1, told=1)
    assert isinstance(again.notices[0], Loss)


async def test_readers_that_share_messages_see_no_holes(mqtt: str) -> None:
    name, client = unique("bars"), new_client_id()
    topic = f"$share/{unique('group')}/{name}"
    first = Reader(mqtt, topic, client)
    await first.take(0)
    await publish(mqtt, name, stamped(0, 9)[::2])
    again = Reader(mqtt, topic, client, first.positions[PARTITION])
    assert len(await again.take(5)) == 5
    assert again.notices == []


async def test_a_queue_that_overflowed_while_nobody_was_there(tmp_path: Path) -> None:
    need_mosquitto()
    client = new_client_id()
    with Mosquitto(tmp_path, ["allow_anonymous true", "max_queued_messages 50", "sys_interval 1"]) as broker:
        first = Reader(broker.server, "bars", client)
        await counted(first)
        await publish(broker.server, "bars", numbers(0, 300))
        await until_dropped(broker, 250)
        again = Reader(broker.server, "bars", client, first.positions[PARTITION])
        assert await again.take(50, told=1) == numbers(0, 50)
        [told] = again.notices
        assert isinstance(told, Loss)
        assert re.search(f"dropped 250 messages because a queue was full, {SPAN}", told)
        # what is dropped for others while this one keeps up is none of its business
        last = Reader(broker.server, "bars", client, again.positions[PARTITION])
        await last.take(0)
        assert last.notices == []


async def counted(reader: Reader) -> None:
    """Connected, and the broker's count is known and kept."""
    async with patience():
        stream = reader.source.deliveries({})
        async for delivery in stream:
            await reader.settled(delivery)
            if reader.source._watch._standing.dropped >= 0:
                reader.positions = {PARTITION: reader.source._watch.position}
                break
        await stream.aclose()  # type: ignore[attr-defined]
        await reader.source.close()


async def until_dropped(broker: Mosquitto, count: int) -> None:
    """The broker says that it has dropped so many; it does so now and then only."""
    watching = Reader(broker.server, "other", new_client_id())
    async with patience():
        stream = watching.source.deliveries({})
        async for delivery in stream:
            await watching.settled(delivery)
            if watching.source._watch._standing.dropped >= count:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        await watching.source.close()


async def test_two_clients_of_one_name_throw_each_other_out_and_it_is_told(mqtt: str) -> None:
    topic, client = unique("bars"), new_client_id()
    one, two = (Reader(mqtt, topic, client) for _ in range(2))

    async def read(reader: Reader, stream: AsyncGenerator[Delivery, None], told: Callable[[], bool]) -> None:
        async for delivery in stream:
            await reader.settled(delivery)
            if told():
                return

    def told() -> bool:
        return any("another client uses the client id" in text for reader in (one, two) for text in reader.notices)

    async with patience():
        streams = [reader.source.deliveries({}) for reader in (one, two)]
        await asyncio.gather(*(read(r, s, told) for r, s in zip((one, two), streams, strict=True)))  # type: ignore[arg-type]
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
    texts = [text for reader in (one, two) for text in reader.notices if "another client" in text]
    assert 1 <= len(texts) <= 2
    assert all(isinstance(text, Loss) and client in text for text in texts)
    await one.source.close()
    await two.source.close()


async def test_a_broker_that_dies_again_and_again_is_not_taken_for_that(mqtt: str) -> None:
    async with Proxy(int(mqtt.split(":")[1])) as proxy:
        reader = Reader(f"127.0.0.1:{proxy.port}", unique("bars"), new_client_id())
        stream = reader.source.deliveries({})
        async with patience():
            for _ in range(4):
                while not reader.source.connected:
                    await reader.settled(await anext(stream))
                await proxy.refuse()
                while reader.source.connected or "cannot reach" not in reader.source.status:
                    await reader.settled(await anext(stream))
                await proxy.start()
        await stream.aclose()  # type: ignore[attr-defined]
        await reader.source.close()
    assert reader.notices == []


def test_another_client_id_is_told_with_what_it_means() -> None:
    told: list[str] = []
    kept = Standing("gmold", known=True, heard_ns=START)
    LossWatch(kept, "gmnew", tell=told.append, wall=lambda: (START + MINUTE) / 1e9).connected(present=False)
    assert isinstance(told[0], Loss)
    assert "between 2024-01-01 00:01:00 and 2024-01-01 00:02:00 UTC" in told[0]
    assert "?client_id=gmold" in told[0]


def test_a_count_that_rises_while_the_session_keeps_up_is_not_its_own() -> None:
    told: list[str] = []
    watch = LossWatch(Standing("gm", known=True, heard_ns=START), "gm", tell=told.append)
    watch.connected(present=True)
    watch.dropped(10)
    watch.took([b"{}"], 1)
    watch.dropped(20)
    assert told == []
    watch.took([b"{}"] * FULL_WINDOW, FULL_WINDOW)
    watch.dropped(25)
    assert len(told) == 1 and "dropped 5 messages" in told[0]
    watch.connected(present=True)
    watch.dropped(3)  # the broker started again
    assert "dropped 3 messages" in told[1]


def test_a_standing_that_is_damaged_is_an_error() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_standing('{"client": 3}', "gm")
    assert read_standing(None, "gm") == Standing("gm")


@pytest.mark.parametrize("known", [False, True])
def test_a_take_over_that_was_seen_is_named_as_the_cause_of_what_is_missing(known: bool) -> None:
    told: list[str] = []
    watch = LossWatch(Standing("gm", known=known, heard_ns=START), "gm", tell=told.append)
    for _ in range(FEW):
        watch.connected(present=True)
        watch.lost(SHORT_S / 2)
    watch.connected(present=True)
    watch.took([*stamped(5, 6), *stamped(9, 10)], 2)
    first, hole = told[-2:]
    assert isinstance(first, Loss) and isinstance(hole, Loss)
    assert "the first 5 messages of publisher 7" in first and "6 to 8" in hole
    for text in (first, hole):
        assert text.endswith("another client that uses the client id gm has probably taken them")
