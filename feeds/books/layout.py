"""The records of order books: messages, resting orders, price levels and counts.

Leaf module: what kernels and Python share.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.types.records import Records

PRICE_SCALE: Final = 1_000_000_000
"""Prices are whole numbers of 1e-9 of the quote currency."""
NO_PRICE: Final = 2**63 - 1
"""A message without a price."""


class Action(IntEnum):
    """What a message does, as the letter that Databento's encoding has for it."""

    ADD = ord("A")  # an order rests
    CANCEL = ord("C")  # an order loses size, or is gone
    MODIFY = ord("M")  # an order has another size or price
    CLEAR = ord("R")  # the book is empty
    TRADE = ord("T")  # an aggressor traded; its effect on the book comes in other messages
    FILL = ord("F")  # a resting order traded; likewise
    NONE = ord("N")  # nothing
    LEVEL = ord("L")  # a price has this total size, given as `order_id`; of sources without single orders


class Side(IntEnum):
    """Side of an order, or of the aggressor of a trade."""

    BID = ord("B")
    ASK = ord("A")
    NONE = ord("N")


class Flag(IntEnum):
    """Bits of a message's flags, as Databento numbers them."""

    LAST = 128  # the event is complete: the book may be looked at
    TOP_OF_BOOK = 64  # the source gives the best price only: the message replaces its side
    SNAPSHOT = 32  # of a snapshot, which replaces the book
    AGGREGATED = 16  # of a source without single orders
    BAD_TIME = 8  # the time of reception is not reliable
    MAYBE_BAD = 4  # messages were lost: the book may be wrong until the next snapshot


MESSAGE = np.dtype(
    [
        ("length", np.uint8),
        ("rtype", np.uint8),
        ("publisher_id", np.uint16),
        ("instrument_id", np.uint32),
        ("ts_event", np.int64),
        ("order_id", np.uint64),
        ("price", np.int64),
        ("size", np.uint32),
        ("flags", np.uint8),
        ("channel_id", np.uint8),
        ("action", np.uint8),
        ("side", np.uint8),
        ("ts_recv", np.int64),
        ("ts_in_delta", np.int32),
        ("sequence", np.uint32),
    ]
)
"""One message, laid out as in Databento's market-by-order records, so that those are read without a copy."""

RESTING = np.dtype(
    [("id", np.uint64), ("size", np.int64)]
    + [(name, np.int32) for name in ("level", "previous", "next", "side", "hashed", "unused")]
)
"""One resting order in its queue; `level` and neighbours are places in their tables, -1 for none; `hashed` is 0 for the
nameless total of a level."""

LEVEL = np.dtype([("key", np.int64), ("size", np.int64), ("orders", np.int64), ("first", np.int32), ("last", np.int32)])
"""One price of one side; `key` is the price, negated for asks, so that the best of either side is the largest."""

COUNTS = (
    "messages",
    "events",
    "crossed",
    "worst_cross",
    "bad_flags",
    "bad_times",
    "disordered",
    "unknown_orders",
    "twice",
    "invalid",
    "snapshots",
    "clears",
)
_PLACES = (
    "bids",
    "asks",
    "order_top",
    "order_free",
    "level_top",
    "level_free",
    "hashed",
    "in_snapshot",
    "in_event",
    "suspect",
    "ready",
    "last_ts",
)
STATE = np.dtype([(name, np.int64) for name in (*COUNTS, *_PLACES)])
"""Counts since the start, and where the tables stand. `bids` and `asks` are numbers of levels; `in_snapshot` and
`in_event` whether the last message was of a snapshot, or did not end its event; `suspect` whether messages were lost;
`ready` whether an event has ended since the book was last emptied by gap or start."""


class BookArrays(NamedTuple):
    """The tables of one book.

    Attributes:
        state: STATE, shape (1,).
        orders: RESTING, shape (orders,).
        levels: LEVEL, shape (levels,).
        keys: Keys of the levels of each side, ascending, shape (2, levels); row 0 holds bids.
        places: Where those levels are, shape (2, levels).
        ids: Identifiers of orders by hash, shape (a power of 2,).
        slots: Where those orders are, -1 where the hash table is empty, likewise.
    """

    state: Records
    orders: Records
    levels: Records
    keys: NDArray[np.int64]
    places: NDArray[np.int32]
    ids: NDArray[np.uint64]
    slots: NDArray[np.int32]
