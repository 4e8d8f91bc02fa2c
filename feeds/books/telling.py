"""What is told of an order book: what was wrong with it, and what the fields of its messages are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.types.records import Records
from feeds.books.layout import PRICE_SCALE
from feeds.quarantine import BadRow, Quarantine
from feeds.reading.explain import ColumnUse

_FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "crossed": ("crossed_book", "a best bid below the best ask after every event"),
    "bad_flags": ("lost_messages", "no message with the flag of a gap; the book is not used until the next snapshot"),
    "unknown_orders": ("unknown_order", "cancels and changes of orders that are in the book; is the start missing?"),
    "twice": ("order_twice", "a new identifier for a new order; it takes the place of the one before"),
    "invalid": ("bad_message", "a side, a price and a size above 0"),
    "disordered": ("time_backwards", "times that never decrease; the latest so far counts"),
}
"""Counts of a book that are faults: the reason, and what was expected."""
_TOLD: Final = {
    "messages": "messages",
    "events": "events",
    "snapshots": "snapshots",
    "crossed": "crossed after an event",
}
_FIELDS: Final = {
    "ts_event": ("time", "nanoseconds since 1970; when it happened at the exchange"),
    "action": ("action", "A, C, M and R change the book; T is a trade; F and N change nothing"),
    "side": ("side", "of the order, or of who took"),
    "price": ("price", "divided by 1,000,000,000"),
    "size": ("size", "contracts"),
    "order_id": ("order_id", "of the order"),
    "flags": ("flags", "128 ends an event, 32 is of a snapshot, 4 a gap, 8 a bad time of reception"),
    "instrument_id": ("symbol", "by the symbols of the file's head"),
}


@dataclass
class CountTeller:
    """Enters what a book counts into a quarantine, batch by batch.

    Attributes:
        reading: Which book of which file is read.
        source: The file.
        quarantine: Where it goes.
        known: The counts that were entered.
    """

    reading: str
    source: str
    quarantine: Quarantine
    known: dict[str, int] = field(default_factory=dict)

    def tell(self, counts: Mapping[str, int]) -> None:
        """Enter what came since the last time.

        Raises:
            DataError: In strict mode, for a fault.
        """
        through = counts["messages"]
        for name, (reason, expected) in _FAULTS.items():
            new = counts[name] - self.known.get(name, 0)
            cross = f", at most by {counts['worst_cross'] / PRICE_SCALE:g}" if name == "crossed" else ""
            found = f"{new:,} of the messages {self.known.get('messages', 0) + 1:,} to {through:,}{cross}"
            row = BadRow(self.source, through, reason, expected, found, "")
            self.quarantine.admit_counted(self.reading, through, row, new)
        self.known = dict(counts)


def described_counts(name: str, counts: Mapping[str, int]) -> str:
    """One line of what a pass over a book counted; empty before the first."""
    if not counts["messages"]:
        return ""
    parts = [f"{title} {counts[key]:,}" for key, title in _TOLD.items()]
    crossed = f", at most by {counts['worst_cross'] / PRICE_SCALE:g}" if counts["crossed"] else ""
    bad = f", {counts['bad_times']:,} with a bad time of reception, which is not used" if counts["bad_times"] else ""
    return f"{name}: {parts[0]}{bad}; {'; '.join(parts[1:])}{crossed}"


def column_uses(messages: Records | None) -> list[ColumnUse]:
    """What the fields of a message are, with the first one as an example."""
    return [
        ColumnUse(name, _shown(name, messages), role, how, "as market-by-order messages have it")
        for name, (role, how) in _FIELDS.items()
    ]


def _shown(name: str, messages: Records | None) -> str:
    if messages is None:
        return ""
    value = int(messages[name][0])
    return chr(value) if name in {"action", "side"} else str(value)
