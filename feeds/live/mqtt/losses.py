"""What can be known of messages that an MQTT broker lost: it has no offsets, so several signs together stand for them.

- The broker says at each connection whether it has kept the session; one that it forgot lost what came meanwhile.
- Publishers that number their messages (`feeds.live.mqtt.numbering`) show every hole.
- Mosquitto counts the messages that it dropped, for all its readers together, because a queue was full.
- Another client of the same name, which takes the messages, ends a connection as soon as it is made, again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from engine.base.errors import DataError
from engine.types.moments import written
from feeds.live.mqtt.inbox import PARTITION
from feeds.live.mqtt.numbering import Numbered, read_number
from feeds.live.source import Loss

MOST_PUBLISHERS: Final = 64
# so many of one fetch are a window that the broker fills from its queue
FULL_WINDOW: Final = 20
# a connection that ends so soon, so many times in a row, was taken over
SHORT_S: Final = 2.0
# a connection that is dead is given up so long after its last word, at the latest
SILENCE_S: Final = 30.0
FEW: Final = 3
_PERSISTENCE: Final = "see that the broker has persistence and keeps sessions for long enough"


class Standing(msgspec.Struct):
    """What the journal keeps of a session at its broker, as its position.

    Attributes:
        client: Client id that the broker knows.
        known: Whether the broker has, or should have, a session of that name.
        heard_ns: Wall time of the last word from the broker that was committed, UTC.
        dropped: The broker's count of dropped messages then; -1 if it tells none.
        publishers: Last number and event time by publisher, the one last heard from at the end.
    """

    client: str
    known: bool = False
    heard_ns: int = 0
    dropped: int = -1
    publishers: dict[str, tuple[int, int]] = {}


def read_standing(text: str | None, client: str) -> Standing:
    """The standing that was kept; a new one if there is none.

    Raises:
        DataError: If it cannot be read.
    """
    if text is None:
        return Standing(client)
    try:
        return msgspec.json.decode(text, type=Standing)
    except ValueError as error:
        raise DataError(
            "a position that was kept cannot be read", where=PARTITION, expected="a session at a broker", found=text
        ) from error


class LossWatch:
    """Follows the signs of one session, and says what was lost.

    Args:
        standing: As it was kept.
        client: Client id of this start.
        shared: Whether other readers share the messages, so that holes say nothing.
        tell: Takes what the operator should know; losses as a `Loss`.
        wall: Wall time, seconds since 1970.
    """

    def __init__(
        self,
        standing: Standing,
        client: str,
        *,
        shared: bool = False,
        tell: Callable[[str], object],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._standing, self._client, self._shared, self._tell, self._wall = standing, client, shared, tell, wall
        self._joined = not standing.known
        self._behind = False
        self._short = 0
        self._taken_over = False
        self._counted_ns = 0

    @property
    def position(self) -> str:
        """The standing as the journal keeps it, now that the broker was heard."""
        self._standing.heard_ns = self._now()
        return msgspec.json.encode(self._standing).decode()

    def connected(self, *, present: bool) -> bool:
        """The broker let us in, with a session that it kept or with a new one.

        Returns:
            Whether it forgot one, and will not send again what was on its way.
        """
        standing = self._standing
        forgotten = standing.known and not present
        self._counted_ns = standing.heard_ns
        self._behind = True  # whatever came while nobody was there was queued
        if standing.known and standing.client != self._client:
            self._lose(
                f"the broker knew this session as client {standing.client}, and now as {self._client}: what it kept "
                f"for the former, or sent to it, {self._since()}, is not read; a copied session folder has an id of "
                f"its own, and ?client_id={standing.client} continues with the former one"
            )
        elif forgotten:
            self._lose(
                f"the broker has forgotten this session (client {self._client}): messages that were published "
                f"{self._since()} are lost, unless their publisher repeats them; {_PERSISTENCE}"
            )
        elif self._joined and present and not standing.heard_ns:
            self._tell(
                f"the broker already keeps a session of client {self._client}: what waits there is read, and if "
                "another folder's session uses this id, both lose messages"
            )
        standing.client, standing.known = self._client, True
        return forgotten

    def lost(self, seconds: float) -> str | None:
        """A connection ended by itself after so many seconds; returns what is probably the matter."""
        # it may have been silent for a while before that was noticed
        self._standing.heard_ns = max(self._standing.heard_ns, self._now() - int(min(seconds, SILENCE_S) * 1e9))
        self._short = self._short + 1 if seconds < SHORT_S else 0
        if self._short < FEW:
            return None
        text = (
            f"the broker ends the connection as soon as it is made: another client uses the client id {self._client}, "
            "probably, and each takes the messages of the other"
        )
        self._taken_over = True
        if self._short == FEW:
            self._lose(f"{text}; stop one of them, or give it another ?client_id=")
        return text

    def unreachable(self) -> None:
        """No connection came about, so that nobody took one over."""
        self._short = 0

    def granted(self, qos: int) -> None:
        """The broker grants a quality of service below the one that was asked for."""
        self._lose(
            f"the broker grants QoS {qos} only: what comes while this session is away, or is lost on the way, is not "
            "sent again; allow QoS 1 for the topic"
        )

    def took(self, payloads: Iterable[bytes], count: int) -> None:
        """Messages came, so many at once."""
        self._behind |= count >= FULL_WINDOW
        if self._shared:
            return
        for payload in payloads:
            if (one := read_number(payload)) is not None:
                self._follow(one)

    def dropped(self, count: int) -> None:
        """The broker's count of messages that it has dropped, whoever they were for."""
        before = self._standing.dropped
        if 0 <= count < before:
            before = 0  # it counts from its own start
        if before >= 0 and count > before and self._behind:
            self._lose(
                f"the broker dropped {count - before:,} messages because a queue was full, "
                f"{self._since(self._counted_ns)}; it does not say whose they were, but this session was away or "
                "behind: see its limits (Mosquitto: max_queued_messages 0)"
            )
        self._standing.dropped, self._behind, self._counted_ns = count, False, self._now()

    def _follow(self, one: Numbered) -> None:
        publishers = self._standing.publishers
        known = publishers.pop(one.publisher, None)
        if known is None:
            if one.number and len(publishers) < MOST_PUBLISHERS:
                self._late_to(one)
        elif one.number > known[0] + 1:
            missing = one.number - known[0] - 1
            self._lose(
                f"{missing:,} message{'s' if missing > 1 else ''} of publisher {one.publisher} "
                f"{'are' if missing > 1 else 'is'} missing: {known[0] + 1:,} to {one.number - 1:,}"
                f"{_between(known[1], one.ts_event)}; "
                f"{self._reason('the broker did not keep them (see its limits and persistence)')}"
            )
        elif one.number <= known[0]:
            publishers[one.publisher] = known  # sent again
            return
        publishers[one.publisher] = (one.number, one.ts_event or (known[1] if known else 0))
        if len(publishers) > MOST_PUBLISHERS:
            del publishers[next(iter(publishers))]

    def _late_to(self, one: Numbered) -> None:
        text = f"the first {one.number:,} messages of publisher {one.publisher}{_until(one.ts_event)} were not received"
        if self._joined and not self._taken_over:
            self._tell(
                f"{text}: they were probably sent before this session was connected; or their publisher does not count "
                "from 0, or another client with the same client id has taken them"
            )
        else:
            self._lose(
                f"{text}: {self._reason('the broker did not keep them, or they were sent before this session began')}"
            )

    def _reason(self, usual: str) -> str:
        """Why messages are missing, as far as it can be known."""
        if not self._taken_over:
            return usual
        return f"another client that uses the client id {self._client} has probably taken them"

    def _lose(self, text: str) -> None:
        self._tell(Loss(text))

    def _since(self, since_ns: int | None = None) -> str:
        return f"between {_utc(self._standing.heard_ns if since_ns is None else since_ns)} and {_utc(self._now())} UTC"

    def _now(self) -> int:
        return int(self._wall() * 1e9)


def _between(before: int, after: int) -> str:
    return f", between the bars of {_utc(before)} and {_utc(after)} UTC" if before and after else ""


def _until(before: int) -> str:
    return f", before the bar of {_utc(before)} UTC," if before else ""


def _utc(ns: int) -> str:
    return written(ns, "s")
