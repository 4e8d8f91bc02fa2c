"""Publishing to MQTT: each message is confirmed, and what was not is sent again in order."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import aiomqtt

from engine.base.errors import UsageError
from engine.base.log import logger
from feeds.live.address import FeedAddress
from feeds.live.mqtt.connection import QOS, client_settings, connect, described, leave, refused_login, unreachable
from feeds.live.mqtt.numbering import numbered
from feeds.live.options import backoff
from feeds.live.outlet import Message

WINDOW: Final = 200
LONGEST_RETRY_S: Final = 5.0
# so many connections in a row that end before one message is confirmed: the broker does not want these messages
MOST_FRUITLESS: Final = 6
log = logger("publish")


class MqttOutlet:
    """All messages to one topic, in order and numbered, so that readers see where one is missing.

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
        self._publisher, self._number = secrets.randbits(52), 0
        self._fruitless = 0

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
        """Publish messages, up to WINDOW ahead of their confirmations.

        Raises:
            UsageError: If the broker ends connection after connection without confirming one, or refuses the login.
        """
        for _, payload in messages:
            while len(self._held) >= WINDOW:
                await self._confirm_first()
            if self._client is None:
                self._client = await self._connect()
            stamped = numbered(payload, self._publisher, self._number)
            self._number += stamped is not payload
            self._held.append((stamped, self._publish(self._client, stamped)))
        # the tasks that publish begin when the loop has a turn
        await asyncio.sleep(0)

    async def finish(self) -> None:
        """Wait until everything is confirmed; raises as `send` does."""
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
        failed = _failure(task) or (_failure(self._lost) if self._lost is not None else None)
        if task.done() and _failure(task) is None:
            self._held.popleft()
            self._fruitless = 0
            return
        await self._give_up_waiting()
        # those that the broker confirmed out of turn are sent again too: twice is harmless, out of order is not
        await self._leave()
        await self._be_patient("the connection closed" if failed is None else described(failed))
        client = self._client = await self._connect()
        self._held = deque((payload, self._publish(client, payload)) for payload, _ in self._held)

    async def _be_patient(self, because: str) -> None:
        """Wait before the next connection, the longer the more of them were of no use."""
        if self._fruitless == MOST_FRUITLESS:
            largest = max(len(payload) for payload, _ in self._held)
            raise UsageError(
                "the MQTT broker ends the connection as soon as messages come",
                where=self._address.shown,
                expected=f"a broker that takes messages of up to {largest:,} bytes",
                found=f"{MOST_FRUITLESS + 1} connections in a row without one that was confirmed: {because}",
                hint="its log says why; see its limits (Mosquitto: message_size_limit, max_packet_size) and the rights",
            )
        self._status = f"lost the connection, trying again: {because}"
        if not self._fruitless:
            log.warning("lost the connection to the broker, trying again", broker=self._address.shown, because=because)
        await asyncio.sleep(backoff(self._fruitless, LONGEST_RETRY_S))
        self._fruitless += 1

    async def _give_up_waiting(self) -> None:
        for _, task in self._held:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._held), return_exceptions=True)

    async def _leave(self) -> None:
        if self._lost is not None:
            self._lost.cancel()
            await asyncio.wait({self._lost})
            _failure(self._lost)
        if self._client is not None:
            await leave(self._client)
        self._client = self._lost = None

    async def _connect(self) -> aiomqtt.Client:
        attempt = 0
        while True:
            client = aiomqtt.Client(**self._settings)
            client.pending_calls_threshold = WINDOW
            try:
                await connect(client)
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


def _failure(future: asyncio.Future[Any]) -> BaseException | None:
    """Why something failed; None if it did not, or not yet. Asking keeps asyncio from complaining that nobody did."""
    if not future.done():
        return None
    return asyncio.CancelledError() if future.cancelled() else future.exception()
