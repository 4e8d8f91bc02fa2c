"""Bars from Kafka: positions are ours and never the broker's, and a log that was replaced is noticed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

from aiokafka.errors import KafkaError

from engine.errors import UsageError
from engine.log import logger
from feeds.live.address import FeedAddress
from feeds.live.kafka_client import cause_of, client_settings, described, forget_cause, is_login_error
from feeds.live.kafka_link import KafkaLink, LinkLostError, TopicMissingError
from feeds.live.kafka_marks import Mark, read_marks
from feeds.live.options import SourceOptions, backoff
from feeds.live.source import Delivery, Record

log = logger("kafka")
TICK_S = 1.0
POLL_S = 0.25
WATCHED_S = 2.0
MOST_NOTICES = 1000


class KafkaSource:
    """All partitions of one topic.

    Args:
        address: Of kind `kafka`.
        options: How patient it is.
        now: A clock in seconds that never runs backwards.

    Raises:
        UsageError: If the password or a certificate cannot be read.
    """

    def __init__(
        self,
        address: FeedAddress,
        options: SourceOptions | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notices: deque[str] = deque(maxlen=MOST_NOTICES)
        self._address = address
        self._options = options or SourceOptions()
        self._now = now
        self._settings = client_settings(address)
        self._status = f"connecting to {address.servers}"
        self._marks: dict[str, Mark] = {}
        self._told: dict[str, str] = {}
        self._link: KafkaLink | None = None
        self._connected_once = False
        self._closed = False
        self._attempt = 0

    @property
    def status(self) -> str:
        """A few words for screens."""
        return self._status

    @property
    def connected(self) -> bool:
        """Whether messages can come in at this moment."""
        return self._link is not None

    def take_notices(self) -> list[str]:
        """What a person should know and was not asked for yet: messages lost, a log replaced."""
        taken = list(self._notices)
        self._notices.clear()
        return taken

    async def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver from the given positions on, for ever; see `LiveSource`.

        Raises:
            UsageError: If the first connection does not come about.
            DataError: If a position cannot be read.
        """
        self._marks = read_marks(positions)
        self._told = dict(positions)
        try:
            while not self._closed:
                opening = asyncio.ensure_future(self._open())
                try:
                    while not (await asyncio.wait({opening}, timeout=TICK_S))[0]:
                        yield Delivery(partitions=frozenset(self._marks))
                    link = opening.result()
                finally:
                    await _ended(opening)
                async with aclosing(self._until_lost(link)) as stream:
                    async for delivery in stream:
                        yield delivery
                await self._drop_link()
        finally:
            await self._drop_link()

    async def settle(self, delivery: Delivery) -> None:
        """Nothing to do: the positions are kept with the effects."""

    async def close(self) -> None:
        """Let go of the connection."""
        self._closed = True
        await self._drop_link()

    async def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _open(self) -> KafkaLink:
        """A new connection; the first is tried for a while, later ones for ever."""
        if self._connected_once:
            return await self._retried()
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                link = await self._retried()
        except TimeoutError as error:
            raise self._never_connected() from error
        self._connected_once = True
        return link

    async def _retried(self) -> KafkaLink:
        while True:
            if self._attempt:
                await asyncio.sleep(backoff(self._attempt - 1, self._options.longest_retry_s))
            self._attempt += 1
            forget_cause()
            try:
                link = await KafkaLink.open(
                    self._settings,
                    self._address.topic,
                    self._marks,
                    self._address.begin,
                    self._options.quiet_after_s,
                    self._now,
                )
            except TopicMissingError:
                self._status = f"waiting for the topic {self._address.topic}"
            except (KafkaError, OSError) as error:
                self._look_into(cause_of(error))
            else:
                self._link = link
                self._status = f"connected to {self._address.servers}"
                return link

    def _look_into(self, error: BaseException) -> None:
        if is_login_error(error) and not self._connected_once:
            raise UsageError(
                "Kafka refuses the login",
                where=self._address.shown,
                found=described(error),
                hint="check username, the password's reference and sasl_mechanism",
            ) from error
        self._status = f"cannot reach {self._address.servers}, trying again: {described(error)}"
        log.info("unreachable", servers=self._address.servers, because=described(error))

    def _never_connected(self) -> UsageError:
        if self._status.startswith("waiting"):
            return UsageError(
                f"there is no topic {self._address.topic}",
                where=self._address.shown,
                hint="create it, or publish to it first: grandmodel publish --data FILE --feed ADDRESS",
            )
        return UsageError(
            "cannot connect to Kafka",
            where=self._address.shown,
            expected=f"an answer within {self._options.connect_timeout_s:g} seconds",
            found=self._status,
            hint="see that the broker runs, and that the address it advertises can be reached from here",
        )

    async def _until_lost(self, link: KafkaLink) -> AsyncGenerator[Delivery, None]:
        """Deliver what comes through one connection, until it is lost or too old to know all partitions."""
        silence = _Silence(link, self._options.quiet_after_s, self._now)
        yielded = refreshed = self._now()
        shown: frozenset[str] | None = None
        while not self._closed:
            try:
                records = await link.fetch(POLL_S, self._options.max_records)
                self._attempt = 0
                if self._now() - refreshed >= self._options.refresh_s:
                    refreshed = self._now()
                    if await link.grown():
                        log.info("new partitions", topic=self._address.topic)
                        self._take(link)
                        yield self._delivery(records, frozenset())
                        return
            except LinkLostError as error:
                if not self._closed:
                    self._status = f"lost the connection, trying again: {error}"
                    log.warning("connection lost", servers=self._address.servers, because=str(error))
                return
            self._take(link)
            quiet = silence.after({record.partition for record in records})
            if records or quiet != shown or self._now() - yielded >= TICK_S:
                shown = quiet
                yield self._delivery(records, quiet)
                yielded = self._now()

    def _take(self, link: KafkaLink) -> None:
        """Move on with a connection: what it has read, and what it has to say."""
        self._marks.update(link.marks)
        for notice in link.notices:
            log.warning("log changed", notice=notice)
            self._notices.append(notice)
        link.notices.clear()

    def _delivery(self, records: list[Record], quiet: frozenset[str]) -> Delivery:
        positions = {name: mark.text for name, mark in self._marks.items()}
        moved = {name: text for name, text in positions.items() if self._told.get(name) != text}
        self._told |= moved
        return Delivery(records, positions=moved, partitions=frozenset(self._marks), quiet=quiet)


async def _ended(task: asyncio.Future[KafkaLink]) -> None:
    """See a task end, whatever comes of it."""
    task.cancel()
    await asyncio.wait({task})


class _Silence:
    """Which partitions have been drained and silent for some time, looked at all the while."""

    def __init__(self, link: KafkaLink, after_s: float, now: Callable[[], float]) -> None:
        self._link = link
        self._after = after_s
        self._now = now
        self._looked = now()
        self._since: dict[str, float] = {}

    def after(self, heard: set[str]) -> frozenset[str]:
        """The quiet partitions, now that messages of some were heard."""
        now, drained = self._now(), self._link.drained()
        if now - self._looked > WATCHED_S:
            self._since.clear()  # nobody looked: what happened meanwhile is not known
        self._looked = now
        self._since = {name: self._since.get(name, now) for name in drained - heard}
        return frozenset(name for name, since in self._since.items() if now - since >= self._after)
