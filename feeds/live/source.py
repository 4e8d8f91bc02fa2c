"""What every live feed offers: deliveries of messages that are settled once their effects are committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from engine.base.errors import DataError
from engine.types.blocks import BarBlock
from engine.types.dead_letter import DeadLetter

# what is larger is refused unread: brokers allow about so much unless told otherwise
MOST_MESSAGE: Final = 1 << 20
# of a delivery, which ends with the message that passes it, so that no turn of the loop takes long
MOST_DELIVERY: Final = 1 << 20


class Loss(str):
    """A notice that messages were lost, or may have been: strict mode stops there."""

    __slots__ = ()


class Record(NamedTuple):
    """One message as it came.

    Attributes:
        partition: Within which messages are in order: `topic/3` of Kafka, `mqtt`, `stdin`.
        offset: Its place there, ascending; -1 where places are not numbered.
        oversize: What about it is too large to be read, `payload` being but the beginning of it; empty if it is whole.
    """

    partition: str
    offset: int
    payload: bytes
    oversize: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """What came at once; all of it takes effect in one transaction, or none.

    Attributes:
        records: Messages, those of one partition in its order.
        rows: Rows that are closed already, from a source that needs no merging (a file that is replayed).
        positions: Where to resume after this delivery, by partition; only those that moved. Texts of the source's own.
        partitions: All partitions there are, whether or not they delivered.
        quiet: Those of them that are known to hold nothing more at present, and have been silent for some seconds
            while the connection was good.
        ended: Nothing will ever follow (end of standard input or of a file).
        token: The source's own, for `settle`.
        synthetic: Names of the files whose made-up bars these are.
        dropped: Dead letters that stand for messages dropped because too many waited, where nobody sends them again.
    """

    records: Sequence[Record] = ()
    rows: BarBlock | None = None
    positions: Mapping[str, str] = field(default_factory=dict)
    partitions: frozenset[str] = frozenset()
    quiet: frozenset[str] = frozenset()
    ended: bool = False
    token: Any = None
    synthetic: tuple[str, ...] = ()
    dropped: Sequence[DeadLetter] = ()


def read_count(positions: Mapping[str, str], partition: str) -> int:
    """The position of a source that counts what it has delivered; 0 if none is kept.

    Raises:
        DataError: If it is not a number.
    """
    text = positions.get(partition, "0")
    if not text.isdecimal():
        raise DataError("a position that was kept cannot be read", where=partition, expected="a number", found=text)
    return int(text)


class LiveSource(Protocol):
    """A connection to where bars come from. It survives a lost connection by itself, and says so in `status`."""

    @property
    def status(self) -> str:
        """A few words for screens: `connected`, `connecting to HOST:PORT`, `lost the connection, trying again`."""
        ...

    @property
    def connected(self) -> bool:
        """Whether messages can come in at this moment."""
        ...

    def take_notices(self) -> list[str]:
        """Notices for the operator that were not fetched yet: a log that was replaced; messages lost, as a `Loss`.

        They come no later than the delivery that follows the loss.
        """
        ...

    def deliveries(self, positions: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Deliver from the given positions on (of the last committed delivery of each partition).

        Yields a delivery as soon as something came, an empty one when `quiet` changed, and an empty one at least every
        second, so that the consumer can look at its clock. The next one is fetched only when it is asked for.
        """
        ...

    async def settle(self, delivery: Delivery) -> None:
        """The delivery's effects are committed: acknowledge it, where the protocol asks for that."""
        ...

    async def close(self) -> None:
        """Let go of the connection; what was not settled is delivered again next time, where the protocol can."""
        ...


class DeadLetterSink(Protocol):
    """Where refused messages go besides the journal."""

    async def send(self, dead_letters: Sequence[tuple[int, DeadLetter]]) -> None:
        """Send dead letters, each with its number in the journal; raises GrandModelError if that fails."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...
