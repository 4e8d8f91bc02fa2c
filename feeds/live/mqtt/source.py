"""Bars from MQTT: a persistent session at the broker, and acknowledgements only for what is committed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import aiomqtt

from engine.base.errors import UsageError
from engine.types.dead_letter import DeadLetter
from feeds.live.address import FeedAddress
from feeds.live.mqtt.connection import (
    QOS,
    MqttConnection,
    NoCountsError,
    client_settings,
    described,
    refused_login,
    take_away,
    unreachable,
)
from feeds.live.mqtt.inbox import PARTITION, Arrived
from feeds.live.mqtt.losses import SHORT_S, LossWatch, Standing, read_standing
from feeds.live.options import SourceOptions
from feeds.live.reconnecting import POLL_S, TICK_S, ConnectionLostError, NotYetError, ReconnectingSource
from feeds.live.source import Delivery

# how often the journal is told that the broker is still there, so that the span of a loss is short
STANDING_S: Final = 60.0
SHARED: Final = "$share/"
_ALL = frozenset({PARTITION})


class MqttSource(ReconnectingSource[MqttConnection]):
    """One stream of messages that match a filter.

    The broker keeps what was not acknowledged, and what comes while nobody is connected, for the client id; nothing
    is kept by position. After a lost connection messages may come twice, and whoever merges them drops what it knows.
    How much it keeps is its own affair (mosquitto drops what comes after 1000 messages, max_queued_messages); what
    can be known of its losses is told: see `feeds.live.mqtt.losses`, whose state is the position.
    How much waits here has bounds: see `feeds.live.mqtt.inbox`.
    A broker sends only so many messages ahead of their acknowledgements (20 is usual): that is the most a delivery
    holds, and one cannot know what waits behind them, so the stream is quiet only when all are acknowledged.

    Args:
        address: Of kind `mqtt`.
        client_id: By which the broker tells this reader from all others; see `feeds.live.client_ids`.
        now: A clock in seconds that never runs backwards.
        wall: Wall time, seconds since 1970.

    Raises:
        UsageError: If the password or a certificate cannot be read.
    """

    def __init__(
        self,
        address: FeedAddress,
        client_id: str,
        options: SourceOptions | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(address, options or SourceOptions(), now)
        self.client_id = client_id
        self._wall = wall
        self._settings: dict[str, Any] = client_settings(address)
        self._unsettled = 0
        self._counts = True
        self._owed: list[Arrived] = []
        # over which a session was made in place of a forgotten one, of which the journal does not know yet
        self._untold: MqttConnection | None = None
        self._watch = self._watching(Standing(client_id))

    async def settle(self, delivery: Delivery) -> None:
        """Acknowledge the delivery's messages, if they came over the connection that is there."""
        if delivery.token is None:
            return
        connection: MqttConnection
        connection, messages = delivery.token
        if connection is self._untold:
            self._untold = None
        if connection is self._connection:  # over another one they come again under other numbers
            self._unsettled -= len(messages)
            connection.acknowledge(messages)

    async def close(self) -> None:
        """Let go of the connection.

        A session that was made in place of a forgotten one, of which the journal does not know, is taken away again:
        otherwise the next start would find it, and nobody would be told.
        """
        await super().close()
        if self._untold is not None:
            self._untold = None
            await take_away(self._settings, self.client_id)

    def _begin(self, positions: Mapping[str, str]) -> None:
        """The broker knows where to resume, and the position what it should know."""
        self._watch = self._watching(read_standing(positions.get(PARTITION), self.client_id))

    def _watching(self, standing: Standing) -> LossWatch:
        shared = self._address.topic.startswith(SHARED)
        return LossWatch(standing, self.client_id, shared=shared, tell=self._notices.append, wall=self._wall)

    def _partitions(self) -> frozenset[str]:
        return _ALL

    async def _connect(self) -> MqttConnection:
        try:
            connection = await MqttConnection.open(
                self._settings, self._address.topic, self.client_id, counts=self._counts
            )
        except NoCountsError as error:
            self._counts = False  # some brokers close the connection on whoever asks for what is not theirs
            failed = unreachable(self._address, self._options.connect_timeout_s, "the connection closed")
            raise NotYetError(f"connecting to {self._address.servers}", failed) from error
        except UsageError as error:
            raise NotYetError(f"{error.what}: {error.found}", error, hopeless=True) from error
        except (aiomqtt.MqttError, OSError) as error:
            self._watch.unreachable()
            if refused := refused_login(self._address, error):
                raise NotYetError("the login is refused", refused, hopeless=True) from error
            status = f"cannot reach {self._address.servers}, trying again: {described(error)}"
            failed = unreachable(self._address, self._options.connect_timeout_s, described(error))
            raise NotYetError(status, failed) from error
        forgotten = self._watch.connected(present=connection.present)
        if connection.granted < QOS:
            self._watch.granted(connection.granted)
        if forgotten:
            self._untold = connection
        else:
            self._owed.clear()
        return connection

    async def _received(self, connection: MqttConnection) -> AsyncGenerator[Delivery, None]:
        began = self._now()
        self._unsettled = 0
        owed, self._owed = self._owed, []
        # the journal learns of the session; what the broker owed to one that it forgot cannot be acknowledged
        yield replace(self._delivery(connection, owed, (), frozenset(), moved=True), token=(connection, []))
        try:
            async for delivery in self._fetched(connection):
                yield delivery
        except ConnectionLostError as error:
            self._owed = connection.owed
            text = self._watch.lost(self._now() - began)
            raise ConnectionLostError(text or str(error)) from error

    async def _fetched(self, connection: MqttConnection) -> AsyncGenerator[Delivery, None]:
        began = heard = yielded = told = self._now()
        shown: frozenset[str] | None = None
        while True:
            messages, dropped = await connection.fetch(POLL_S, self._options.max_records)
            now = self._now()
            if now - began >= SHORT_S:
                self._attempt = 0  # it works: after a loss the next attempt follows at once
            if (count := connection.counted) is not None:
                self._watch.dropped(count)
            if messages or self._unsettled:
                heard = now
            quiet = _ALL if now - heard >= self._options.quiet_after_s else frozenset[str]()
            moved = bool(messages) or now - told >= STANDING_S
            if moved or dropped or quiet != shown or now - yielded >= TICK_S:
                shown = quiet
                self._unsettled += len(messages)
                yield self._delivery(connection, messages, () if dropped is None else (dropped,), quiet, moved=moved)
                yielded = self._now()
                told = yielded if moved else told

    def _delivery(
        self,
        connection: MqttConnection,
        messages: list[Arrived],
        dropped: tuple[DeadLetter, ...],
        quiet: frozenset[str],
        *,
        moved: bool,
    ) -> Delivery:
        """What came, and where it moved, the standing behind it."""
        records = [message.record for message in messages]
        self._watch.took((message.payload for message in messages), len(messages))
        token = (connection, [(message.number, message.qos) for message in messages]) if messages else None
        positions = {PARTITION: self._watch.position} if moved else {}
        return Delivery(records, positions=positions, dropped=dropped, partitions=_ALL, quiet=quiet, token=token)
