"""What sources behind a connection share: the first attempt has an end, later ones have none."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from engine.base.errors import UsageError
from engine.base.log import logger
from feeds.live.address import FeedAddress
from feeds.live.options import SourceOptions, backoff
from feeds.live.source import Delivery

log = logger("feed")
TICK_S = 1.0
POLL_S = 0.25
MOST_NOTICES = 1000


class ConnectionLostError(Exception):
    """The connection, or what is behind it, is not what it was; a new one must be made.

    Args:
        refused: What to raise if nothing has worked before: the other side answered, and refused.
    """

    def __init__(self, why: str, refused: UsageError | None = None) -> None:
        super().__init__(why)
        self.refused = refused


class NotYetError(Exception):
    """An attempt to connect that failed.

    Args:
        status: What screens show meanwhile.
        error: What to raise if there was no connection before, and patience has an end.
        hopeless: Whether the first start need not be patient at all: the other side answered, and refused.
    """

    def __init__(self, status: str, error: UsageError, hopeless: bool = False) -> None:
        super().__init__(status)
        self.status = status
        self.error = error
        self.hopeless = hopeless


class Connection(Protocol):
    """One connection."""

    async def close(self) -> None:
        """Let go of it."""
        ...


L = TypeVar("L", bound=Connection)


class ReconnectingSource(ABC, Generic[L]):
    """A `LiveSource` behind a connection, which it renews as often as it takes.

    Args:
        now: A clock in seconds that never runs backwards.
    """

    def __init__(self, address: FeedAddress, options: SourceOptions, now: Callable[[], float]) -> None:
        self._address = address
        self._options = options
        self._now = now
        self._status = f"connecting to {address.servers}"
        self._notices: deque[str] = deque(maxlen=MOST_NOTICES)
        self._connection: L | None = None
        self._connected_once = False
        self._worked_once = False
        self._closed = False
        self._attempt = 0

    @property
    def status(self) -> str:
        """A few words for screens."""
        return self._status

    @property
    def connected(self) -> bool:
        """Whether messages can come in at this moment."""
        return self._connection is not None

    def take_notices(self) -> list[str]:
        """Notices for the operator that were not fetched yet: messages lost, a log replaced."""
        taken = list(self._notices)
        self._notices.clear()
        return taken

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver from the given positions on, until `close`; see `LiveSource`.

        Raises:
            UsageError: If the first connection does not come about.
            DataError: If a position cannot be read.
        """
        self._begin(positions)
        try:
            while not self._closed:
                connecting = asyncio.ensure_future(self._open())
                try:
                    # meanwhile the consumer gets its turns, for commands and heartbeats
                    while not (await asyncio.wait({connecting}, timeout=TICK_S))[0]:
                        yield Delivery(partitions=self._partitions())
                    connection = connecting.result()
                finally:
                    connecting.cancel()
                    # cancelling only asks: its sockets are closed when it has ended
                    await asyncio.wait({connecting})
                    if not connecting.cancelled():
                        connecting.exception()  # or asyncio complains that nobody asked for it
                async with aclosing(self._until_lost(connection)) as stream:
                    async for delivery in stream:
                        yield delivery
                await self._drop_connection()
        finally:
            await self._drop_connection()

    async def settle(self, delivery: Delivery) -> None:
        """The delivery's effects are committed."""

    async def close(self) -> None:
        """Let go of the connection."""
        self._closed = True
        await self._drop_connection()

    @abstractmethod
    def _begin(self, positions: Mapping[str, str]) -> None:
        """Take the positions to start from."""

    @abstractmethod
    def _partitions(self) -> frozenset[str]:
        """All partitions known."""

    @abstractmethod
    async def _connect(self) -> L:
        """Try once; raises NotYetError, or a GrandModelError that waiting does not mend."""

    @abstractmethod
    async def _received(self, connection: L) -> AsyncGenerator[Delivery, None]:
        """Deliver what comes through a connection; raises ConnectionLostError when it ends."""
        yield Delivery()

    def _works(self) -> None:
        """The other side gives what it should: after a loss the next attempt follows at once."""
        self._attempt, self._worked_once = 0, True

    async def _until_lost(self, connection: L) -> AsyncGenerator[Delivery, None]:
        try:
            async with aclosing(self._received(connection)) as stream:
                async for delivery in stream:
                    yield delivery
        except ConnectionLostError as error:
            if error.refused is not None and not self._worked_once:
                raise error.refused from error
            if not self._closed:
                self._status = f"lost the connection, trying again: {error}"
                log.warning("connection lost", servers=self._address.servers, because=str(error))

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _open(self) -> L:
        """A new connection; the first is tried for a while, later ones for ever."""
        if self._connected_once:
            return await self._retried([])
        failures: list[NotYetError] = []
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                return await self._retried(failures)
        except TimeoutError as error:
            if failures:
                raise failures[-1].error from error
            raise UsageError(
                "no answer from the feed",
                where=self._address.shown,
                expected=f"one within {self._options.connect_timeout_s:g} seconds",
                hint="check that the broker runs and can be reached from here",
            ) from error

    async def _retried(self, failures: list[NotYetError]) -> L:
        while True:
            if self._attempt:
                await asyncio.sleep(backoff(self._attempt - 1, self._options.longest_retry_s))
            self._attempt += 1
            try:
                connection = await self._connect()
            except NotYetError as error:
                if error.hopeless and not self._connected_once:
                    raise error.error from error
                failures[:] = [error]
                if error.hopeless and error.status != self._status:
                    self._notices.append(f"the other side refuses this session, trying again: {error.status}")
                if error.status != self._status:
                    log.info("not connected", servers=self._address.servers, because=error.status)
                self._status = error.status
            else:
                self._connection, self._connected_once = connection, True
                self._status = f"connected to {self._address.servers}"
                return connection
