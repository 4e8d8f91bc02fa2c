from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from engine.base.errors import UsageError
from feeds.live.address import FeedAddress, parse_address
from feeds.live.broker import free_port
from feeds.live.client_ids import client_id_of
from feeds.live.mqtt.connection import unreachable
from feeds.live.mqtt.outlet import MqttOutlet
from feeds.live.mqtt.source import MqttSource
from feeds.live.options import SourceOptions
from feeds.live.source import Delivery, Loss
from tests.brokers import OPENSSL, PASSWORDS, Mosquitto, Proxy, certificates, mqtt, need_mosquitto, refusal, unique
from tests.waiting import LIMIT_S, eventually, patience

__all__ = ["mqtt"]  # a fixture

PUBACK = 4  # bytes
FAST = SourceOptions(connect_timeout_s=LIMIT_S, longest_retry_s=0.2, quiet_after_s=0.4)


def source_at(server: str, topic: str, session: str = "test") -> MqttSource:
    return MqttSource(parse_address(f"mqtt://{server}/{topic}"), client_id_of(session, topic), FAST)


async def publish(server: str, topic: str, payloads: Sequence[bytes]) -> None:
    host, port = server.split(":")
    async with aiomqtt.Client(host, int(port)) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=1)


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"message %d" % number for number in range(start, stop)]


@asynccontextmanager
async def reading(source: MqttSource) -> AsyncGenerator[AsyncGenerator[Delivery, None], None]:
    """Deliveries of a source that is connected and subscribed; none is taken that holds anything."""
    async with patience():
        async with aclosing(source.deliveries({})) as stream:  # type: ignore[type-var]
            first = asyncio.ensure_future(anext(stream))
            await eventually(lambda: source.connected or first.done())
            yield _after(first, stream)
        await source.close()


async def _after(
    first: asyncio.Future[Delivery], rest: AsyncGenerator[Delivery, None]
) -> AsyncGenerator[Delivery, None]:
    yield await first
    async for delivery in rest:
        yield delivery


async def take(
    source: MqttSource, stream: AsyncGenerator[Delivery, None], wanted: int, settle: bool = True
) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < wanted:
        delivery = await anext(stream)
        found += [record.payload for record in delivery.records]
        if settle:
            await source.settle(delivery)
    return found


async def until(stream: AsyncGenerator[Delivery, None], condition: Callable[[], bool]) -> None:
    while not condition():
        await anext(stream)


async def test_arrives_in_order_and_does_not_stall_at_the_brokers_limit(mqtt: str) -> None:
    topic = unique("bars")
    source = source_at(mqtt, f"{topic}/#")
    async with reading(source) as stream:
        sending = asyncio.ensure_future(publish(mqtt, f"{topic}/1min", numbers(0, 200)))
        assert await take(source, stream, 200) == numbers(0, 200)
        await sending
        silent = await anext(stream)
        while not silent.quiet:
            assert silent.records == []
            silent = await anext(stream)
        assert silent.quiet == silent.partitions == {"mqtt"}
        await publish(mqtt, f"{topic}/5min", numbers(0, 1))
        woken = await anext(stream)
        while not woken.records:
            woken = await anext(stream)
        assert woken.quiet == frozenset()
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < 3 * FAST.quiet_after_s:
            assert (await anext(stream)).quiet == frozenset()  # what is not acknowledged may hold more back
        await source.settle(woken)
        while not (await anext(stream)).quiet:
            pass


async def test_what_comes_while_nobody_is_there_is_kept(mqtt: str) -> None:
    topic = unique("bars")
    first = source_at(mqtt, topic)
    async with reading(first) as stream:
        await publish(mqtt, topic, numbers(0, 5))
        assert await take(first, stream, 5) == numbers(0, 5)
    await publish(mqtt, topic, numbers(5, 12))
    second = source_at(mqtt, topic)
    async with reading(second) as stream:
        await publish(mqtt, topic, numbers(12, 13))
        assert await take(second, stream, 8) == numbers(5, 13)


async def test_unsettled_messages_come_again(mqtt: str) -> None:
    topic = unique("bars")
    host, port = mqtt.split(":")
    async with Proxy(int(port)) as proxy:
        few = FAST.model_copy(update={"max_records": 2})
        address = parse_address(f"mqtt://{host}:{proxy.port}/{topic}")
        source = MqttSource(address, client_id_of("test", topic), few)
        async with reading(source) as stream:
            await publish(mqtt, topic, numbers(0, 10))
            taken: list[Delivery] = []
            while sum(len(delivery.records) for delivery in taken) < 10:
                taken.append(await anext(stream))
            early = taken[:2]
            settled = sum(len(delivery.records) for delivery in early)
            before = proxy.passed_on
            for delivery in early:
                await source.settle(delivery)
            await eventually(lambda: proxy.passed_on >= before + PUBACK * settled)
            proxy.cut()
            assert await take(source, stream, 10 - settled, settle=False) == numbers(settled, 10)
            for delivery in taken[2:]:
                await source.settle(delivery)  # of the old connection: says nothing to the new one
        last = source_at(mqtt, topic)
        async with reading(last) as stream:
            await publish(mqtt, topic, numbers(10, 11))
            assert await take(last, stream, 11 - settled) == numbers(settled, 11)


async def test_a_broker_that_is_away_is_waited_for(tmp_path: Path) -> None:
    need_mosquitto()
    with Mosquitto(tmp_path) as broker:
        source = source_at(broker.server, "bars")
        async with reading(source) as stream:
            await publish(broker.server, "bars", numbers(0, 3))
            assert await take(source, stream, 3) == numbers(0, 3)
            await eventually(lambda: broker.acknowledged >= 3)
            await asyncio.to_thread(broker.stop)
            await until(stream, lambda: "trying again" in source.status and not source.connected)
            broker.start()
            await publish(broker.server, "bars", numbers(3, 6))  # kept for the session that the broker saved
            assert await take(source, stream, 3) == numbers(3, 6)
            assert source.status == f"connected to {broker.server}"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mosquitto, Path]]:
    """A broker that wants a login and encrypts, and the certificate to trust."""
    need_mosquitto()
    if PASSWORDS is None or OPENSSL is None:
        pytest.skip("mosquitto_passwd and openssl are needed")
    folder = tmp_path_factory.mktemp("locked")
    made, passwords = certificates(folder), folder / "passwords"
    subprocess.run([PASSWORDS, "-b", "-c", str(passwords), "me", "right"], check=True, capture_output=True)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    lines += [f"cafile {made['cert']}", f"certfile {made['cert']}", f"keyfile {made['key']}"]
    with Mosquitto(folder, lines) as broker:
        yield broker, made["cert"]


async def test_login_and_encryption(locked: tuple[Mosquitto, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    broker, certificate = locked
    monkeypatch.setenv("MQTT_PASSWORD", "right")
    address = f"mqtts://{broker.server}/bars?username=me&password=env:MQTT_PASSWORD&ca_file={certificate}"
    source = MqttSource(parse_address(address), "test", FAST)
    async with reading(source) as stream:
        outlet = MqttOutlet(parse_address(address, publishing=True), LIMIT_S)
        await outlet.open()
        await outlet.send([("ES", payload) for payload in numbers(0, 5)])
        await outlet.finish()
        await outlet.close()
        assert await take(source, stream, 5) == numbers(0, 5)


async def test_a_wrong_password_is_said_at_once(
    locked: tuple[Mosquitto, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, certificate = locked
    monkeypatch.setenv("MQTT_PASSWORD", "not-the-right-one")
    text = f"mqtts://{broker.server}/bars?username=me&password=env:MQTT_PASSWORD&ca_file={certificate}"
    source = MqttSource(parse_address(text), "test", FAST)
    with pytest.raises(UsageError, match="refuses the login") as caught:
        async for _ in source.deliveries({}):  # while it tries it shows that it is alive
            pass
    assert "not-the-right-one" not in str(caught.value)
    with pytest.raises(UsageError, match="refuses the login"):
        await MqttOutlet(parse_address(text, publishing=True), LIMIT_S).open()


def trying(address: FeedAddress) -> Callable[[float], Awaitable[object]]:
    """Reads from an address, whose first connection may take so many seconds."""

    async def read(seconds: float) -> None:
        stream = MqttSource(address, "test", FAST.model_copy(update={"connect_timeout_s": seconds})).deliveries({})
        async for _ in stream:  # while it tries it shows that it is alive
            pass

    return read


async def test_an_unknown_certificate_is_not_trusted(locked: tuple[Mosquitto, Path]) -> None:
    broker, _ = locked
    said = await refusal(trying(parse_address(f"mqtts://{broker.server}/bars")), "certificate")
    assert "cannot connect" in said
    assert "certificate" in said


async def test_says_when_nobody_answers() -> None:
    said = await refusal(trying(parse_address(f"mqtt://127.0.0.1:{free_port()}/bars")), "refused")
    assert "cannot connect to the MQTT broker" in said
    assert "refused" in said


def refusing(folder: Path, topic: str) -> list[str]:
    """Lines of a configuration with which the broker refuses every subscription but that to one topic."""
    found = next(iter(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")), None)
    if found is None:
        pytest.skip("mosquitto's plugin dynamic_security is needed")
    access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    allowed = {"acltype": "subscribePattern", "topic": topic, "priority": 0, "allow": True}
    rights = {
        "defaultACLAccess": access,
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "reader"}], "clients": []}],
        "roles": [{"rolename": "reader", "acls": [allowed]}],
        "anonymousGroup": "all",
    }
    file = folder / "rights.json"
    file.write_text(json.dumps(rights))
    return ["allow_anonymous true", f"plugin {found}", f"plugin_opt_config_file {file}"]


async def test_a_refused_subscription_is_said_at_once(tmp_path: Path) -> None:
    need_mosquitto()
    with (
        Mosquitto(tmp_path, refusing(tmp_path, "other")) as broker,
        pytest.raises(UsageError, match="refuses the subscription") as caught,
    ):
        async for _ in source_at(broker.server, "bars").deliveries({}):
            pass
    assert caught.value.found == "code 128"


async def test_a_subscription_refused_later_is_tried_until_it_is_granted(tmp_path: Path) -> None:
    need_mosquitto()
    broker = Mosquitto(tmp_path, refusing(tmp_path, "bars"))
    with broker:
        source = source_at(broker.server, "bars")
        async with reading(source) as stream:
            await publish(broker.server, "bars", numbers(0, 3))
            assert await take(source, stream, 3) == numbers(0, 3)
            await eventually(lambda: broker.acknowledged >= 3)
            await asyncio.to_thread(broker.stop)
            refusing(tmp_path, "other")
            broker.start()
            await until(stream, lambda: "refuses the subscription" in source.status)
            assert not source.connected
            await asyncio.to_thread(broker.stop)
            refusing(tmp_path, "bars")
            broker.start()
            await publish(broker.server, "bars", numbers(3, 6))
            assert await take(source, stream, 3) == numbers(3, 6)
            [told] = source.take_notices()
            assert "the MQTT broker refuses the subscription: code 128" in told


async def test_a_quality_of_service_below_the_one_asked_for_is_told(tmp_path: Path) -> None:
    need_mosquitto()
    with Mosquitto(tmp_path, ["allow_anonymous true", "max_qos 0"]) as broker:
        source = source_at(broker.server, "bars")
        async with reading(source) as stream:
            async with aiomqtt.Client(*address_of(broker)) as client:
                for payload in numbers(0, 3):
                    await client.publish("bars", payload, qos=0)
            assert await take(source, stream, 3) == numbers(0, 3)
            [told] = source.take_notices()
            assert isinstance(told, Loss)
            assert "grants QoS 0 only" in told


def address_of(broker: Mosquitto) -> tuple[str, int]:
    host, port = broker.server.split(":")
    return host, int(port)


@asynccontextmanager
async def answering(suback: bytes) -> AsyncGenerator[int, None]:
    """The port of something that lets everyone in and answers every subscription with the same bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                kind, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x02\x00\x00")
                elif kind >> 4 == 8:
                    writer.write(bytes([0x90, 2 + len(suback)]) + body[:2] + suback)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(("suback", "found"), [(b"", "an answer without one"), (b"\x80", "code 128")])
async def test_an_answer_that_grants_nothing_is_a_refusal(suback: bytes, found: str) -> None:
    async with answering(suback) as port:
        with pytest.raises(UsageError, match="refuses the subscription") as caught:
            async with patience():
                async for _ in source_at(f"127.0.0.1:{port}", "bars").deliveries({}):
                    pass
    assert caught.value.found == found


@pytest.mark.parametrize(("scheme", "said"), [("mqtt", "may want TLS (mqtts://)"), ("mqtts", "may not speak TLS")])
def test_who_cannot_connect_learns_that_tls_may_be_why(scheme: str, said: str) -> None:
    error = unreachable(parse_address(f"{scheme}://127.0.0.1:1/bars"), 1.0, "closed")
    assert said in (error.hint or "")
