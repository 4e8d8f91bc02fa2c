"""Bars from MQTT: a persistent session at the broker, and acknowledgements only for what is committed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import aiomqtt

from engine.types.dead_letter import DeadLetter
from feeds.live.address import FeedAddress
from feeds.live.mqtt.connection import MqttConnection, client_settings, described, refused_login, unreachable
from feeds.live.mqtt.inbox import PARTITION, Arrived
from feeds.live.options import SourceOptions
from feeds.live.reconnecting import POLL_S, TICK_S, NotYetError, ReconnectingSource
from feeds.live.source import Delivery

_ALL = frozenset({PARTITION})


class MqttSource(ReconnectingSource[MqttConnection]):
    """One stream of messages that match a filter.

    The broker keeps what was not acknowledged, and what comes while nobody is connected, for the client id; nothing
    is kept by position. After a lost connection messages may come twice, and whoever merges them drops what it knows.
    How much it keeps is its own affair: mosquitto drops what comes after 1000 messages (max_queued_messages).
    How much waits here has bounds: see `feeds.live.mqtt.inbox`.
    A broker sends only so many messages ahead of their acknowledgements (20 is usual): that is the most a delivery
    holds, and one cannot know what waits behind them, so the stream is quiet only when all are acknowledged.

    Args:
        address: Of kind `mqtt`.
        session: By which the broker tells this reader from others of the same topic; the address's `client_id`
            decides if there is one.
        now: A clock in seconds that never runs backwards.

    Raises:
        UsageError: If the password or a certificate cannot be read.
    """

    def __init__(
        self,
        address: FeedAddress,
        session: str,
        options: SourceOptions | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(address, options or SourceOptions(), now)
        self.client_id = address.client_id or client_id_of(session, address.identity)
        self._settings: dict[str, Any] = client_settings(address)
        self._unsettled = 0

    async def settle(self, delivery: Delivery) -> None:
        """Acknowledge the delivery's messages, if they came over the connection that is there."""
        if delivery.token is None:
            return
        connection: MqttConnection
        connection, messages = delivery.token
        if connection is self._connection:  # over another one they come again under other numbers
            self._unsettled -= len(messages)
            connection.acknowledge(messages)

    def _begin(self, positions: Mapping[str, str]) -> None:
        """The broker knows where to resume."""

    def _partitions(self) -> frozenset[str]:
        return _ALL

    async def _connect(self) -> MqttConnection:
        try:
            return await MqttConnection.open(self._settings, self._address.topic, self.client_id)
        except (aiomqtt.MqttError, OSError) as error:
            if refused := refused_login(self._address, error):
                raise NotYetError("the login is refused", refused, hopeless=True) from error
            status = f"cannot reach {self._address.servers}, trying again: {described(error)}"
            failed = unreachable(self._address, self._options.connect_timeout_s, described(error))
            raise NotYetError(status, failed) from error

    async def _received(self, connection: MqttConnection) -> AsyncGenerator[Delivery, None]:
        self._unsettled = 0
        heard = yielded = self._now()
        shown: frozenset[str] | None = None
        while True:
            messages, dropped = await connection.fetch(POLL_S, self._options.max_records)
            self._attempt = 0  # it works: after a loss the next attempt follows at once
            now = self._now()
            if messages or self._unsettled:
                heard = now
            quiet = _ALL if now - heard >= self._options.quiet_after_s else frozenset[str]()
            if messages or dropped or quiet != shown or now - yielded >= TICK_S:
                shown = quiet
                self._unsettled += len(messages)
                yield self._delivery(connection, messages, () if dropped is None else (dropped,), quiet)
                yielded = self._now()

    def _delivery(
        self,
        connection: MqttConnection,
        messages: list[Arrived],
        dropped: tuple[DeadLetter, ...],
        quiet: frozenset[str],
    ) -> Delivery:
        records = [message.record for message in messages]
        token = (connection, [(message.number, message.qos) for message in messages]) if messages else None
        return Delivery(records, dropped=dropped, partitions=_ALL, quiet=quiet, token=token)


def client_id_of(session: str, identity: str) -> str:
    """A client id that every broker takes (at most 23 letters and digits), the same at every start."""
    return "gm" + hashlib.sha256(f"{session}\n{identity}".encode()).hexdigest()[:20]
