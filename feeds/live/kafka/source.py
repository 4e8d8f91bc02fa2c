"""Bars from Kafka: positions are ours and never the broker's, and a log that was replaced is noticed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Set

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from engine.base.errors import UsageError
from engine.base.log import logger
from feeds.live.address import FeedAddress
from feeds.live.kafka.client import (
    cause_of,
    client_settings,
    described,
    forget_cause,
    is_login_error,
    not_allowed,
    refused_login,
    unreachable,
)
from feeds.live.kafka.connection import KafkaConnection
from feeds.live.kafka.offsets import GONE, ResumeOffset, read_offsets
from feeds.live.kafka.topics import TopicMissingError
from feeds.live.options import SourceOptions
from feeds.live.reconnecting import POLL_S, TICK_S, NotYetError, ReconnectingSource
from feeds.live.source import Delivery, Loss, Record

log = logger("kafka")
WATCHED_S = 2.0


class KafkaSource(ReconnectingSource[KafkaConnection]):
    """All partitions of one topic; nothing to settle, since positions are kept with the effects.

    Args:
        address: Of kind `kafka`.
        now: A clock in seconds that never runs backwards.

    Raises:
        UsageError: If the password or a certificate cannot be read.
    """

    def __init__(
        self, address: FeedAddress, options: SourceOptions | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(address, options or SourceOptions(), now)
        self._settings = client_settings(address)
        self._offsets: dict[str, ResumeOffset] = {}
        self._gone: set[str] = set()
        self._reported: dict[str, str] = {}

    def _begin(self, positions: Mapping[str, str]) -> None:
        # what the session read of another topic before must not be waited for
        own = {name: text for name, text in positions.items() if name.rpartition("/")[0] == self._address.topic}
        self._offsets = read_offsets(own)
        self._reported = dict(positions)

    def _partitions(self) -> frozenset[str]:
        return frozenset(self._offsets)

    async def _connect(self) -> KafkaConnection:
        address, options = self._address, self._options
        forget_cause()
        try:
            connection = await KafkaConnection.open(
                self._settings,
                address.topic,
                self._offsets,
                address.begin,
                address.isolation,
                options.quiet_after_s,
                self._now,
            )
        except TopicMissingError as error:
            missing = UsageError(
                f"there is no topic {address.topic}",
                where=address.shown,
                hint="create it, or publish to it first: grandmodel publish --data FILE --feed ADDRESS",
            )
            raise NotYetError(f"waiting for the topic {address.topic}", missing) from error
        except TopicAuthorizationFailedError as error:
            refused = not_allowed(address.topic)
            raise NotYetError(f"no permission to read {address.topic}", refused, hopeless=True) from error
        except (KafkaError, OSError) as error:
            cause = cause_of(error)
            if is_login_error(cause):
                raise NotYetError("the login is refused", refused_login(address, cause), hopeless=True) from error
            status = f"cannot reach {address.servers}, trying again: {described(cause)}"
            failed = unreachable(address, options.connect_timeout_s, described(cause))
            raise NotYetError(status, failed) from error
        self._let_go(self._offsets.keys() - connection.offsets.keys(), len(connection.offsets))
        return connection

    def _let_go(self, names: Set[str], count: int) -> None:
        """Forget partitions that there are no more, which would be waited for."""
        for name in sorted(names):
            del self._offsets[name]
            self._gone.add(name)
            notice = f"{name}: there is no such partition any more, the topic has {count} now; it is not waited for"
            log.warning("log changed", notice=notice)
            self._notices.append(Loss(notice))

    async def _received(self, connection: KafkaConnection) -> AsyncGenerator[Delivery, None]:
        silence = _Silence(connection, self._options.quiet_after_s, self._now)
        yielded = looked = self._now()
        shown: frozenset[str] | None = None
        while True:
            records = await connection.fetch(POLL_S, self._options.max_records)
            # before time moves on: what was sent to a new partition came before what follows it elsewhere
            if records or self._now() - looked >= self._options.refresh_s:
                looked = self._now()
                if await connection.changed():
                    log.info("the topic has changed", topic=self._address.topic)
                    return  # the next connection begins where this one did, with all partitions there are
            if records or connection.answered:
                self._works()
            self._take(connection)
            quiet = silence.after({record.partition for record in records})
            if records or quiet != shown or self._now() - yielded >= TICK_S:
                shown = quiet
                yield self._delivery(records, quiet)
                yielded = self._now()

    def _take(self, connection: KafkaConnection) -> None:
        """Move on with a connection: what it has read, and what it has to say."""
        self._offsets.update(connection.offsets)
        for notice in connection.notices:
            log.warning("log changed", notice=notice)
            self._notices.append(Loss(notice))
        connection.notices.clear()

    def _delivery(self, records: list[Record], quiet: frozenset[str]) -> Delivery:
        positions = {name: resume.text for name, resume in self._offsets.items()}
        positions |= dict.fromkeys(self._gone - positions.keys(), GONE)
        moved = {name: text for name, text in positions.items() if self._reported.get(name) != text}
        self._reported |= moved
        return Delivery(records, positions=moved, partitions=frozenset(self._offsets), quiet=quiet)


class _Silence:
    """Which partitions have been drained and silent for some time, looked at all the while."""

    def __init__(self, connection: KafkaConnection, after_s: float, now: Callable[[], float]) -> None:
        self._connection = connection
        self._after = after_s
        self._now = now
        self._looked = now()
        self._since: dict[str, float] = {}

    def after(self, heard: set[str]) -> frozenset[str]:
        """The quiet partitions, now that messages of some were heard."""
        now, drained = self._now(), self._connection.drained()
        if now - self._looked > WATCHED_S:
            self._since.clear()  # nobody looked: what happened meanwhile is not known
        self._looked = now
        self._since = {name: self._since.get(name, now) for name in drained - heard}
        return frozenset(name for name, since in self._since.items() if now - since >= self._after)
