"""What waits between an MQTT broker and a session is bounded, and nothing of it is lost without being counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from engine.types.dead_letter import MOST_PAYLOAD
from feeds.live.broker import HOST
from feeds.live.mqtt.connection import leave
from feeds.live.mqtt.inbox import MOST_WAITING, MOST_WAITING_BYTES, Arrived, Inbox
from feeds.live.source import MOST_MESSAGE
from tests.brokers import Mosquitto, Proxy, need_mosquitto
from tests.feeds.live.mqtt.publishing import packet, send
from tests.waiting import eventually, patience

TOPIC = "bars"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """One that sends without waiting for acknowledgements: the window does not hold it back."""
    need_mosquitto()
    with Mosquitto(tmp_path, ["allow_anonymous true", "max_inflight_messages 0"]) as started:
        yield started


@asynccontextmanager
async def reading(
    port: int, most: int = MOST_WAITING, most_bytes: int = MOST_WAITING_BYTES
) -> AsyncIterator[tuple[aiomqtt.Client, Inbox]]:
    client = aiomqtt.Client(HOST, port, identifier="gmtest", clean_session=False)
    client._client.manual_ack_set(True)
    inbox = Inbox(client, most, most_bytes)
    async with patience():
        await client.__aenter__()
        inbox.begin()
        await client.subscribe(TOPIC, qos=1)
        yield client, inbox
        await leave(client)


async def sent(broker: Mosquitto, packets: list[bytes]) -> None:
    await asyncio.to_thread(send, broker.server, packets)


def numbered(count: int, qos: int, size: int = 5) -> list[bytes]:
    return [packet(TOPIC, b"%0*d" % (size, k), qos, k % 65_535 + 1) for k in range(count)]


async def all_of(inbox: Inbox, count: int, bound: int) -> list[Arrived]:
    """So many messages, taken a few at a time; never more than the bound wait."""
    found: list[Arrived] = []
    while len(found) < count:
        await inbox.wait(1.0)
        assert inbox.waiting[0] <= bound
        found += inbox.take(7)
    return found


async def test_qos_0_beyond_the_bound_is_dropped_and_counted(broker: Mosquitto) -> None:
    async with reading(broker.port, most=100) as (_, inbox):
        await sent(broker, [*numbered(1000, 0), packet(TOPIC, b"last", 1)])
        await eventually(lambda: inbox.waiting[0] > 100)  # QoS 1 passes the bound, and comes behind all others
        letter = inbox.take_dropped()
        assert letter is not None
        assert (letter.reason, letter.count, letter.payload) == ("overflow", 900, b"00100")
        assert "900 more with QoS 0, of 4,500 bytes" in letter.found
        assert [one.payload for one in inbox.take(1000)] == [b"%05d" % k for k in range(100)] + [b"last"]
        assert inbox.take_dropped() is None
        await sent(broker, numbered(50, 0))
        assert len(await all_of(inbox, 50, 50)) == 50


@pytest.mark.parametrize(
    ("most", "most_bytes", "bound"), [(100, 1 << 30, 101), (100_000, 20_000, 21)], ids=["number", "bytes"]
)
async def test_qos_1_beyond_the_bound_is_held_back(broker: Mosquitto, most: int, most_bytes: int, bound: int) -> None:
    async with reading(broker.port, most, most_bytes) as (_, inbox):
        await sent(broker, numbered(1000, 1, size=1000))
        found = await all_of(inbox, 1000, bound)
        assert [int(one.payload) for one in found] == list(range(1000))
        assert inbox.waiting == (0, 0)
        assert inbox.take_dropped() is None


@pytest.mark.parametrize("qos", [0, 1])
async def test_of_a_message_that_is_too_large_the_beginning_is_kept(
    broker: Mosquitto, qos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(broker.port) as (client, inbox):
        paho, most = client._client, 0
        receive = inbox._receive

        def watched(bufsize: int) -> bytes:
            nonlocal most
            most = max(most, len(paho._in_packet["packet"]))
            return receive(bufsize)

        monkeypatch.setattr(inbox, "_receive", watched)
        sizes = [MOST_MESSAGE, MOST_MESSAGE + 1, 20 << 20, 3]
        await sent(broker, [packet(TOPIC, b"a" * size, qos, k + 1) for k, size in enumerate(sizes)])
        exact, over, large, small = await all_of(inbox, 4, 4)
        assert (len(exact.payload), exact.oversize) == (MOST_MESSAGE, "")
        assert (over.payload, over.oversize) == (b"a" * MOST_PAYLOAD, "1,048,577 bytes")
        assert (large.payload, large.oversize) == (b"a" * MOST_PAYLOAD, "20,971,520 bytes")
        assert (small.payload, small.oversize) == (b"aaa", "")
        assert most < MOST_MESSAGE + (1 << 18)


async def test_what_waits_when_the_connection_is_lost(broker: Mosquitto) -> None:
    """QoS 1 comes again; QoS 0 that would make it late is counted as dropped."""
    mixed = [packet(TOPIC, b"%d" % k, qos, k + 1) for k, qos in enumerate([0, 0, 1, 0, 1, 0])]
    async with Proxy(broker.port) as proxy, reading(proxy.port) as (_, inbox):
        await sent(broker, mixed)
        await eventually(lambda: inbox.waiting[0] == 6)
        proxy.cut()
        await eventually(lambda: inbox.lost is not None)
        assert [one.payload for one in inbox.take(10)] == [b"0", b"1"]
        letter = inbox.take_dropped()
        assert letter is not None
        assert (letter.count, letter.payload) == (2, b"3")
    async with reading(broker.port) as (_, inbox):
        assert [one.payload for one in await all_of(inbox, 2, 2)] == [b"2", b"4"]
