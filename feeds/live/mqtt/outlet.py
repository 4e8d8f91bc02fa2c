"""Publishing to MQTT: each message is confirmed, and what was not is sent again in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import aiomqtt

from feeds.live.address import FeedAddress
from feeds.live.mqtt.connection import QOS, client_settings, described, leave, refused_login, unreachable
from feeds.live.options import backoff
from feeds.live.outlet import Message

WINDOW: Final = 200
LONGEST_RETRY_S: Final = 5.0


class MqttOutlet:
    """All messages to one topic, in order.

    Args:
        address: Of kind `mqtt`, without wildcards.

    Raises:
        UsageError: If the password or a certificate cannot be read.
    """

    def __init__(self, address: FeedAddress, connect_timeout_s: float) -> None:
        self._address = address
        self._timeout = connect_timeout_s
        self._settings = client_settings(address)
        self._client: aiomqtt.Client | None = None
        self._lost: asyncio.Future[aiomqtt.Message] | None = None
        self._held: deque[tuple[bytes, asyncio.Task[None]]] = deque()
        self._status = f"connecting to {address.servers}"

    @property
    def status(self) -> str:
        """A few words for screens."""
        return self._status

    @property
    def unconfirmed(self) -> int:
        """Messages that the broker has not confirmed."""
        return len(self._held)

    async def open(self) -> None:
        """Connect.

        Raises:
            UsageError: If the broker does not answer in time, or refuses the login.
        """
        try:
            async with asyncio.timeout(self._timeout):
                self._client = await self._connect()
        except TimeoutError as error:
            raise unreachable(self._address, self._timeout, self._status) from error

    async def send(self, messages: Sequence[Message]) -> None:
        """Publish messages, up to WINDOW ahead of their confirmations."""
        for _, payload in messages:
            while len(self._held) >= WINDOW:
                await self._confirm_first()
            if self._client is None:
                self._client = await self._connect()
            self._held.append((payload, self._publish(self._client, payload)))
        # the tasks that publish begin when the loop has a turn
        await asyncio.sleep(0)

    async def finish(self) -> None:
        """Wait until everything is confirmed."""
        while self._held:
            await self._confirm_first()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._give_up_waiting()
        await self._leave()

    def _publish(self, client: aiomqtt.Client, payload: bytes) -> asyncio.Task[None]:
        return asyncio.ensure_future(client.publish(self._address.topic, payload, qos=QOS))

    async def _confirm_first(self) -> None:
        """Wait for the oldest message; a lost connection is renewed, and what was not confirmed is published again."""
        task = self._held[0][1]
        watched: list[asyncio.Future[Any]] = [task] if self._lost is None else [task, self._lost]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)  # cancelled, the message stays where it is
        if task.done() and task.exception() is None:
            self._held.popleft()
            return
        await self._give_up_waiting()
        # those that the broker confirmed out of turn are sent again too: twice is harmless, out of order is not
        await self._leave()
        client = self._client = await self._connect()
        self._held = deque((payload, self._publish(client, payload)) for payload, _ in self._held)

    async def _give_up_waiting(self) -> None:
        for _, task in self._held:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._held), return_exceptions=True)

    async def _leave(self) -> None:
        if self._lost is not None:
            self._lost.cancel()
            await asyncio.wait({self._lost})
        if self._client is not None:
            await leave(self._client)
        self._client = self._lost = None

    async def _connect(self) -> aiomqtt.Client:
        attempt = 0
        while True:
            client = aiomqtt.Client(**self._settings)
            client.pending_calls_threshold = WINDOW
            try:
                await client.__aenter__()
            except (aiomqtt.MqttError, OSError) as error:
                refused = refused_login(self._address, error)
                if refused is not None:
                    raise refused from error
                self._status = f"waiting for the broker: {described(error)}"
                await asyncio.sleep(backoff(attempt, LONGEST_RETRY_S))
                attempt += 1
            else:
                self._status = "connected"
                # nothing is subscribed, so this ends with the connection, and only then
                self._lost = asyncio.ensure_future(anext(client.messages))
                return client
