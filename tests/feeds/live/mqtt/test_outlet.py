"""A broker that does not want our messages: the publisher slows down, says why and gives up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.base.errors import UsageError
from feeds.live.address import parse_address
from feeds.live.mqtt.outlet import MOST_FRUITLESS, MqttOutlet
from tests.brokers import Mosquitto, Proxy, mqtt, need_mosquitto, unique
from tests.waiting import LIMIT_S, eventually, patience

__all__ = ["mqtt"]  # a fixture
LARGE = b'{"symbol":"X","note":"' + b"a" * 5000 + b'"}'


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that closes the connection on a message of more than some hundred bytes."""
    need_mosquitto()
    with Mosquitto(tmp_path, ["allow_anonymous true", "max_packet_size 1000"]) as started:
        yield started


async def test_a_broker_that_closes_on_the_messages_is_given_up_with_the_cause(strict: Mosquitto) -> None:
    async with Proxy(strict.port) as proxy, patience():
        outlet = MqttOutlet(parse_address(f"mqtt://127.0.0.1:{proxy.port}/bars", publishing=True), LIMIT_S)
        await outlet.open()
        with pytest.raises(UsageError, match="ends the connection as soon as messages come") as caught:
            await outlet.send([("X", LARGE)] * 50)
            await outlet.finish()
        assert proxy.accepted == MOST_FRUITLESS + 1
        assert outlet.unconfirmed == 50
        await outlet.close()
    assert str(caught.value.expected).startswith("a broker that takes messages of up to 5,0")


async def test_it_can_be_left_at_any_moment(strict: Mosquitto) -> None:
    """As Ctrl-C does, after which what was taken is still waited for."""
    outlet = MqttOutlet(parse_address(f"mqtt://{strict.server}/bars", publishing=True), LIMIT_S)
    async with patience():
        await outlet.open()
        await outlet.send([("X", LARGE)] * 3)
        for seconds in (0.0, 0.02, 0.3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(outlet.finish(), seconds)
        assert outlet.unconfirmed == 3
        await outlet.close()


async def test_lost_connections_leave_nothing_that_asyncio_complains_about(mqtt: str) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with Proxy(int(mqtt.split(":")[1])) as proxy, patience():
        await _publish_over_lost_connections(proxy)
        gc.collect()
        await asyncio.sleep(0)
    assert complaints == []


async def _publish_over_lost_connections(proxy: Proxy) -> None:
    outlet = MqttOutlet(parse_address(f"mqtt://127.0.0.1:{proxy.port}/{unique('bars')}", publishing=True), LIMIT_S)
    await outlet.open()
    for _ in range(3):
        proxy.cut()
        await outlet.send([("X", b'{"symbol":"X"}')] * 20)
        await outlet.finish()
    proxy.cut()
    await eventually(lambda: outlet._lost is not None and outlet._lost.done())
    await outlet.close()
