"""Real brokers for tests, on free loopback ports, and a proxy that cuts their connections.

GRANDMODEL_TEST_KAFKA and GRANDMODEL_TEST_MQTT (host:port) point the same tests at brokers that run already; tests
that kill their broker are skipped then.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest

from engine.base.errors import UsageError
from feeds.live.address import FeedAddress, parse_address
from feeds.live.broker import HOST, EmbeddedBroker, find_broker, free_port
from feeds.live.kafka.client import ensure_topic
from tests.waiting import LIMIT_S, LOOK_S, patience, until

APACHE = Path(__file__).resolve().parents[2] / "shared" / "kafka"
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
PASSWORDS = shutil.which("mosquitto_passwd")
OPENSSL = shutil.which("openssl")


@dataclass(frozen=True)
class KafkaHelper:
    """Topics and messages at a broker, host:port, for arranging and checking."""

    servers: str

    @property
    def settings(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.servers.split(","), "request_timeout_ms": round(LIMIT_S * 1000)}

    async def topic(
        self, partitions: int = 1, name: str | None = None, settings: Mapping[str, str] | None = None
    ) -> str:
        """A new topic, of a name that no other test uses."""
        name = name or unique("test")
        if settings is None:
            await ensure_topic(self.settings, name, partitions)
            return name
        admin = AIOKafkaAdminClient(**self.settings)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(settings))])
        finally:
            await admin.close()
        return name

    async def delete(self, topic: str) -> None:
        admin = AIOKafkaAdminClient(**self.settings)
        await admin.start()
        try:
            await admin.delete_topics([topic])
        finally:
            await admin.close()

    async def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        admin = AIOKafkaAdminClient(**self.settings)
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(partitions)})
        finally:
            await admin.close()

    async def again(self, topic: str, partitions: int = 1) -> None:
        """Delete a topic and make it anew."""
        await self.delete(topic)
        async with patience():
            while not await ensure_topic(self.settings, topic, partitions):
                await asyncio.sleep(LOOK_S)  # the name is in use until the old one is gone

    async def transact(self, topic: str, payloads: Sequence[bytes], *, commit: bool, partition: int = 0) -> None:
        """Send messages in one transaction, which is committed or aborted."""
        producer = AIOKafkaProducer(**self.settings, transactional_id=unique("transaction"))
        await producer.start()
        try:
            await producer.begin_transaction()
            sent = [await producer.send(topic, payload, partition=partition) for payload in payloads]
            await asyncio.gather(*sent)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        finally:
            await producer.stop()

    async def send(self, topic: str, payloads: Sequence[bytes], partition: int = 0) -> None:
        producer = AIOKafkaProducer(**self.settings, acks="all", enable_idempotence=False)
        await producer.start()
        try:
            sent = [await producer.send(topic, payload, partition=partition) for payload in payloads]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()


class Proxy:
    """Passes connections on to a port, until it is told to cut or to refuse them; takes TLS off if it has a context.

    Attributes:
        accepted: Connections so far.
        passed_on: Bytes that the other side was sent.
    """

    def __init__(self, target: int, port: int | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.port = port or free_port()
        self._target = target
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.passed_on = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port, ssl=self._tls)

    async def refuse(self) -> None:
        """Cut everything and take nothing new, until `start`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        if self._serving:
            await asyncio.wait(self._serving)

    def cut(self) -> None:
        """End the connections there are, without ceremony."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, inner_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pump(reader, inner_writer, counted=True), self._pump(inner_reader, writer))
        finally:
            self._writers -= pair
            for one in pair:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                self.passed_on += len(data) if counted else 0
        writer.transport.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.refuse()


class ApacheKafka:
    """Apache Kafka, one node; it creates topics on asking. A second port wants a login, and gives rights by name.

    Nobody has rights there but `admin`, unless `allow` gave them; every password is the name.
    """

    USERS = ("admin", "writer", "viewer")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self.login_port = _two_free_ports(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        users = " ".join(f'user_{name}="{name}"' for name in self.USERS)
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        listeners = f"PLAINTEXT://{HOST}:{self.port},LOGIN://{HOST}:{self.login_port}"
        settings = (
            f"listeners={listeners},CONTROLLER://{HOST}:{self.port + 1}",
            f"advertised.listeners={listeners}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
            "listener.name.login.sasl.enabled.mechanisms=PLAIN",
            f"listener.name.login.plain.sasl.jaas.config={login} {users};",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS;User:admin",
            "transaction.state.log.num.partitions=1",
            "log.cleaner.backoff.ms=200",
        )
        with (self._folder / "kafka.log").open("ab") as log:
            command = [str(APACHE / "start"), str(self._folder), str(self.port), *settings]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for_port(self.port)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _two_free_ports() -> int:
    """The first of two neighbouring ports that nothing listens on."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.create_server((HOST, port + 1)):
            return port


class Mosquitto:
    """An MQTT broker whose sessions outlive it, as they do where it is used in earnest."""

    def __init__(self, folder: Path, lines: Sequence[str] = (), port: int | None = None) -> None:
        self.port = port or free_port()
        self._folder = folder
        self._lines = lines
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        lines = [
            f"listener {self.port} {HOST}",
            "max_queued_messages 0",
            "persistence true",
            f"persistence_location {self._folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            "log_type all",
            *(["user root"] if os.geteuid() == 0 else []),
            *(self._lines or ["allow_anonymous true"]),
        ]
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(config)], stdout=log, stderr=log)
        wait_for_port(self.port)

    @property
    def acknowledged(self) -> int:
        """Messages whose receipt a reader has confirmed since the first start."""
        return (self._folder / "mosquitto.log").read_text().count("Received PUBACK")

    def stop(self) -> None:
        """End it so that it saves its sessions."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT_S)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()


def wait_for_port(port: int) -> None:
    """Wait until something accepts connections on a loopback port."""

    def accepts() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=LIMIT_S):
            return True
        return False

    until(accepts)


def certificates(folder: Path) -> Mapping[str, Path]:
    """A certificate for localhost and its key, signed by itself, and so its own authority."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"]
    command = [str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return {"key": key, "cert": certificate}


def tansu(advertised_port: int | None = None, arguments: Sequence[str] = ()) -> EmbeddedBroker:
    """Kafka's stand-in, which may take its time to start."""
    return EmbeddedBroker(advertised_port=advertised_port, arguments=arguments, start_timeout_s=LIMIT_S)


async def refusal(connecting: Callable[[float], Awaitable[object]], cause: str) -> str:
    """What is said after a connection was tried in vain; tried for longer until the cause was met.

    Args:
        connecting: Tries for so many seconds.
        cause: Words of the message that are waited for.
    """
    for seconds in (0.5, 2.0, 8.0, 32.0):
        with pytest.raises(UsageError) as caught:
            await connecting(seconds)
        if cause in str(caught.value):
            break
    return str(caught.value)


def need_tansu() -> None:
    """Skip a test that must start, kill or restart Kafka's stand-in."""
    if "GRANDMODEL_TEST_KAFKA" in os.environ:
        pytest.skip("the broker of GRANDMODEL_TEST_KAFKA is not ours to kill")
    if find_broker() is None:
        pytest.skip("tansu is not installed: pip install 'grandmodel[broker]'")


def need_apache() -> None:
    """Skip a test that needs Apache Kafka."""
    if not (APACHE / "start").is_file() or shutil.which("java") is None:
        pytest.skip("Apache Kafka is not here (../shared/kafka, and java)")


def need_mosquitto(mine: bool = True) -> None:
    """Skip a test that must start, kill or restart mosquitto."""
    if mine and "GRANDMODEL_TEST_MQTT" in os.environ:
        pytest.skip("the broker of GRANDMODEL_TEST_MQTT is not ours to kill")
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaHelper]:
    """A Kafka broker that all tests share; each makes topics of its own."""
    if given := os.environ.get("GRANDMODEL_TEST_KAFKA"):
        yield KafkaHelper(given)
        return
    need_tansu()
    with tansu() as broker:
        yield KafkaHelper(broker.address)


_TOPIC, _LITERAL, _ALLOW = 2, 3, 3
_RIGHTS = {"read": 3, "write": 4, "describe": 8}


@dataclass(frozen=True)
class ApacheHelper(KafkaHelper):
    """Topics and messages at Apache Kafka, and what users may do there.

    Attributes:
        login: Host and port for those who log in.
    """

    login: str

    def address(self, topic: str, user: str, monkeypatch: pytest.MonkeyPatch) -> FeedAddress:
        """A topic as a user reaches it."""
        monkeypatch.setenv("KAFKA_PASSWORD", user)
        return parse_address(f"kafka://{self.login}/{topic}?username={user}&password=env:KAFKA_PASSWORD")

    async def allow(self, user: str, topic: str, right: str) -> None:
        """Give a user a right for a topic."""
        admin = AIOKafkaAdminClient(**self.settings)
        await admin.start()
        try:
            client = admin._client
            request = CreateAclsRequest(_TOPIC, topic, _LITERAL, f"User:{user}", "*", _RIGHTS[right], _ALLOW)
            response = await client.send(client.get_random_node(), request)
            assert response.creation_responses[0][0] == 0, response
        finally:
            await admin.close()


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheHelper]:
    """One Apache Kafka for all tests, and for all processes that run them; each makes topics of its own."""
    need_apache()
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    note = shared / "apache-kafka.json"
    with _locked(note):
        known = json.loads(note.read_text()) if note.exists() else None
        if known is None:
            folder = shared / "apache-kafka"
            folder.mkdir()
            broker = ApacheKafka(folder)
            broker.start()
            known = {"pid": broker.pid, "port": broker.port, "login": broker.login_port, "users": 0}
        note.write_text(json.dumps({**known, "users": known["users"] + 1}))
    yield ApacheHelper(f"{HOST}:{known['port']}", f"{HOST}:{known['login']}")
    with _locked(note):
        known = json.loads(note.read_text())
        known["users"] -= 1
        note.write_text(json.dumps(known))
        if not known["users"]:  # whoever comes now starts another one
            note.unlink()
            os.kill(known["pid"], signal.SIGKILL)
            (shared / "apache-kafka").rename(shared / unique("apache-kafka"))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def mqtt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of an MQTT broker that all tests share; each uses topics of its own."""
    if given := os.environ.get("GRANDMODEL_TEST_MQTT"):
        yield given
        return
    need_mosquitto()
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker.server


@pytest.fixture
async def kafka_behind_proxy() -> AsyncIterator[tuple[EmbeddedBroker, Proxy, KafkaHelper]]:
    """A broker that clients reach through a proxy only; the helper goes the direct way in."""
    need_tansu()
    proxied = free_port()
    with tansu(advertised_port=proxied) as broker:
        async with Proxy(broker.port, proxied) as proxy:
            yield broker, proxy, KafkaHelper(f"{HOST}:{proxied}")


def unique(prefix: str) -> str:
    """A name that no other test of this run or of an earlier one uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"
