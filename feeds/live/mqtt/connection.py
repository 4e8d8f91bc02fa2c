"""One connection to an MQTT broker: what readers and publishers share, and a session that outlives the connection."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final, Self

import aiomqtt

from engine.base.errors import UsageError
from engine.types.dead_letter import DeadLetter
from feeds.live.address import MOST_TEXT, FeedAddress
from feeds.live.mqtt.inbox import Arrived, Inbox
from feeds.live.reconnecting import ConnectionLostError
from feeds.live.tls import ssl_context

QOS: Final = 1
KEEPALIVE_S: Final = 15
ANSWER_S: Final = 10.0
_LOGIN_CODES: Final = (134, 135)  # bad user name or password, not authorised
_REFUSED: Final = 128
# where Mosquitto counts what it dropped because a queue was full
DROPPED_TOPIC: Final = "$SYS/broker/publish/messages/dropped"

_quiet = logging.getLogger("grandmodel.mqtt")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


def client_settings(address: FeedAddress) -> dict[str, Any]:
    """Arguments of the client, without those of the session; reads the password and the certificates.

    Raises:
        UsageError: If one of them cannot be read.
    """
    security = address.security
    host, port = address.hosts[0]
    password = None if security.password is None else security.password.reveal()
    if password is not None and len(password.encode()) > MOST_TEXT:
        raise UsageError(
            "the password is too long for MQTT",
            where=address.shown,
            expected=f"at most {MOST_TEXT:,} bytes",
            found=f"{len(password.encode()):,} bytes",
        )
    return {
        "hostname": host,
        "port": port,
        "username": security.username,
        "password": password,
        "tls_context": ssl_context(security),
        "keepalive": KEEPALIVE_S,
        "timeout": ANSWER_S,
        "logger": _quiet,
    }


def refused_login(address: FeedAddress, error: BaseException) -> UsageError | None:
    """The error for a broker that answered and does not let us in; None if it was something else."""
    if not isinstance(error, aiomqtt.MqttCodeError) or getattr(error.rc, "value", None) not in _LOGIN_CODES:
        return None
    return UsageError(
        "the MQTT broker refuses the login",
        where=address.shown,
        found=str(error.rc),
        hint="check username and the password's reference: ?username=NAME&password=env:VARIABLE",
    )


def unreachable(address: FeedAddress, seconds: float, found: str) -> UsageError:
    """The error when no broker answered in time."""
    tls = "may not speak TLS (mqtt://)" if address.security.tls else "may want TLS (mqtts://), or speak no MQTT"
    return UsageError(
        "cannot connect to the MQTT broker",
        where=address.shown,
        expected=f"an answer within {seconds:g} seconds",
        found=found,
        hint=f"see that the broker runs and can be reached from here; one that ends the connection at once {tls}",
    )


class NoCountsError(Exception):
    """The connection ended when it asked for the broker's counts: another one does without them."""


class MqttConnection:
    """A connected, subscribed client that acknowledges only what it is told to.

    What is not acknowledged is sent again over the next connection of the same client id, if the broker keeps it.

    Attributes:
        present: Whether the broker had kept a session of the client id.
        granted: Quality of service of the subscription.
    """

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._inbox = Inbox(client, counts=DROPPED_TOPIC)
        self.present = False
        self.granted = QOS
        told = client._client.on_connect  # noqa: SLF001 - the library does not pass it on

        def on_connect(paho: Any, data: Any, flags: Any, *rest: Any) -> None:
            self.present = bool(flags.session_present)
            told(paho, data, flags, *rest)  # type: ignore[misc]

        client._client.on_connect = on_connect  # noqa: SLF001

    @classmethod
    async def open(cls, settings: dict[str, Any], topic: str, client_id: str, *, counts: bool) -> Self:
        """Connect, take up the session of the client id, and see that it is subscribed.

        Args:
            counts: Whether the broker is asked for its count of dropped messages.

        Raises:
            MqttError: If the broker cannot be reached or does not let us in.
            UsageError: If it refuses the subscription, or does not say what it grants.
            NoCountsError: If the connection ended over the counts.
        """
        client = aiomqtt.Client(**settings, identifier=client_id, clean_session=False)
        client._client.manual_ack_set(True)  # noqa: SLF001 - acknowledged once effects are committed, not before
        connection = cls(client)
        # by hand, since the connection outlives this call
        await connect(client)
        connection._inbox.begin()
        try:
            connection.granted = await _subscribed(client, topic)
            if counts:
                await connection._ask_for_counts()
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _ask_for_counts(self) -> None:
        try:
            await self._client.subscribe(DROPPED_TOPIC, qos=0)  # refused, none come
        except aiomqtt.MqttError as error:
            raise NoCountsError from error

    @property
    def counted(self) -> int | None:
        """The broker's count of dropped messages, if a new one came since this was last asked for."""
        return self._inbox.take_count()

    @property
    def owed(self) -> list[Arrived]:
        """Messages that came over a connection that is lost, and that the broker should send again."""
        return self._inbox.owed

    async def fetch(self, wait_s: float, most: int) -> tuple[list[Arrived], DeadLetter | None]:
        """Messages that are there or come within some time, and what stands for those that were dropped.

        Raises:
            ConnectionLostError: If the connection broke; what was not acknowledged comes again.
        """
        await self._inbox.wait(wait_s)
        messages, dropped = self._inbox.take(most), self._inbox.take_dropped()
        lost = self._inbox.lost
        if lost is not None and not messages and dropped is None:
            raise ConnectionLostError(described(lost) if isinstance(lost, BaseException) else lost)
        return messages, dropped

    def acknowledge(self, messages: Sequence[tuple[int, int]]) -> None:
        """Tell the broker that messages, by id and quality of service, need not be sent again."""
        for number, qos in messages:
            self._client._client.ack(number, qos)  # noqa: SLF001 - the library acknowledges all or at once only

    async def close(self) -> None:
        """Take leave, if the broker is there; the session stays."""
        await leave(self._client)


async def take_away(settings: dict[str, Any], client_id: str) -> None:
    """Let the broker forget the session of a client id, if it can be reached."""
    client = aiomqtt.Client(**settings, identifier=client_id, clean_session=True)
    with contextlib.suppress(aiomqtt.MqttError, OSError):
        await connect(client)
        await leave(client)


async def _subscribed(client: aiomqtt.Client, topic: str) -> int:
    """Subscribe; returns the quality of service that is granted."""
    codes: Sequence[Any] = await client.subscribe(topic, qos=QOS)
    granted: list[int] = [getattr(code, "value", code) for code in codes]
    if not granted or max(granted) >= _REFUSED:
        raise UsageError(
            "the MQTT broker refuses the subscription",
            where=topic,
            expected="a quality of service that is granted",
            found=", ".join(f"code {code}" for code in granted) or "an answer without one",
            hint="ask for the right to read the topic",
        )
    return min(granted)


async def connect(client: aiomqtt.Client) -> None:
    """Connect by hand, for a connection that outlives the caller.

    Raises:
        MqttError: If the broker cannot be reached or does not let us in.
    """
    try:
        await client.__aenter__()
    except BaseException:
        _ask_why(client)
        raise


async def leave(client: aiomqtt.Client) -> None:
    """Disconnect, whatever state the connection is in."""
    with contextlib.suppress(aiomqtt.MqttError, OSError):
        await client.__aexit__(None, None, None)
    _ask_why(client)


def _ask_why(client: aiomqtt.Client) -> None:
    """Ask why the connection ended, or did not come about: asyncio complains about answers that nobody asked for."""
    for ended in (client._connected, client._disconnected):  # noqa: SLF001 - not to be had otherwise
        if ended.done() and not ended.cancelled():
            ended.exception()


def described(error: BaseException) -> str:
    """An error of the client in a few words, for a status line."""
    cause = error.__cause__ if isinstance(error, aiomqtt.MqttError) and error.__cause__ else error
    if isinstance(cause, aiomqtt.MqttCodeError):
        text = str(cause).partition("] ")[2] or str(cause)
        return "the connection closed" if text == "Unspecified error" else text
    return str(cause) or type(cause).__name__


async def forget_session(address: FeedAddress, client_id: str) -> None:
    """Let the broker forget a client id and what it keeps for it; a broker that is away is left alone."""
    client = aiomqtt.Client(**client_settings(address), identifier=client_id, clean_session=True)
    with contextlib.suppress(aiomqtt.MqttError, OSError):
        await client.__aenter__()
    await leave(client)
