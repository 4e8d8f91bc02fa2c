"""A limit order book: the compiled one, with tables that grow as they must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import Ints
from engine.types.records import Records
from feeds.books.kernels import NOWHERE, apply_event, apply_messages, top_levels
from feeds.books.layout import COUNTS, LEVEL, MESSAGE, NO_PRICE, PRICE_SCALE, RESTING, STATE, BookArrays, Side

_FIRST_ORDERS: Final = 1024


@dataclass(frozen=True, slots=True)
class Levels:
    """The best prices of a book, best first.

    Attributes:
        bids, asks: Prices in units of 1e-9 (`PRICE_SCALE`), shape (depth,); minus and plus `NO_PRICE` where there is
            none.
        bid_sizes, ask_sizes: Sizes, shape (depth,); 0 where there is none.
    """

    bids: Ints
    bid_sizes: Ints
    asks: Ints
    ask_sizes: Ints


class OrderBook:
    """One book, advanced by messages (`feeds.books.layout.MESSAGE`); how they are cut means nothing."""

    def __init__(self) -> None:
        state = np.zeros(1, STATE)
        state["order_free"] = state["level_free"] = NOWHERE
        state["last_ts"] = np.iinfo(np.int64).min
        self.arrays = _arrays(state, _FIRST_ORDERS, _FIRST_ORDERS)

    def apply(self, messages: Records) -> None:
        """Apply messages, in order."""
        given, reached = readable(messages), 0
        while reached < len(given):
            reached = apply_messages(self.arrays, given, reached, len(given))
            if reached < len(given):
                self.grow()

    def apply_event(self, messages: Records, start: int = 0) -> int:
        """Apply messages from `start` to the end of the first event; returns the message after it."""
        given, stop = readable(messages), start
        while True:
            reached = apply_event(self.arrays, given, stop, len(given))
            # nothing but tables that are full stops it before the end of an event
            if reached == len(given) or (reached > stop and not self.in_event):
                return reached
            stop = reached
            self.grow()

    @property
    def counts(self) -> dict[str, int]:
        """What was counted since the start; `worst_cross` is in units of 1e-9."""
        return {name: int(self.arrays.state[name][0]) for name in COUNTS}

    @property
    def in_event(self) -> bool:
        """Whether the last message did not end its event, so that the book may not be looked at."""
        return bool(self.arrays.state["in_event"][0])

    @property
    def trusted(self) -> bool:
        """Whether the book is known: an event has ended, and no messages were lost since the last snapshot."""
        state = self.arrays.state[0]
        return bool(state["ready"]) and not state["suspect"]

    def levels(self, depth: int) -> Levels:
        """The best prices of both sides."""
        found = Levels(*(np.empty(depth, np.int64) for _ in range(4)))
        top_levels(self.arrays, found.bids, found.bid_sizes, found.asks, found.ask_sizes, NO_PRICE)
        return found

    def queue(self, side: Side, price: int) -> list[tuple[int, int]]:
        """Identifiers and sizes of the orders at a price, in order of priority; for tests and people."""
        key = price if side == Side.BID else -price
        row, count = (0, "bids") if side == Side.BID else (1, "asks")
        keys = self.arrays.keys[row, : int(self.arrays.state[count][0])]
        at = int(np.searchsorted(keys, key))
        if at == len(keys) or keys[at] != key:
            return []
        found, place = [], int(self.arrays.levels["first"][self.arrays.places[row, at]])
        while place != NOWHERE:
            order = self.arrays.orders[place]
            found.append((int(order["id"]), int(order["size"])))
            place = int(order["next"])
        return found

    def grow(self) -> None:
        """Twice as many places in the tables."""
        old = self.arrays
        new = _arrays(old.state, 2 * len(old.orders), 2 * len(old.levels))
        new.orders[: len(old.orders)], new.levels[: len(old.levels)] = old.orders, old.levels
        new.keys[:, : old.keys.shape[1]], new.places[:, : old.keys.shape[1]] = old.keys, old.places
        self.arrays = new
        self._hash()

    def snapshot(self) -> State:
        """The whole book."""
        return snapshot_of({}, self._carried())

    def restore(self, state: State) -> None:
        """Return to a state that `snapshot` gave.

        Raises:
            DataError: If it is not one.
        """
        found = arrays_of(state, {}, self._carried(), grows={"orders", "levels"})
        orders, levels = found["orders"], found["levels"]
        new = _arrays(found["state"], len(orders), len(levels))
        new.orders[:], new.levels[:] = orders, levels
        self.arrays = new
        live = [
            int(place)
            for place in _used(int(found["state"]["level_top"][0]), _free(levels, "size", found["state"]["level_free"]))
        ]
        sides = {place: int(orders["side"][levels["first"][place]]) for place in live}
        for side in (0, 1):
            mine = sorted((int(levels["key"][place]), place) for place in live if sides[place] == side)
            new.keys[side, : len(mine)] = [key for key, _ in mine]
            new.places[side, : len(mine)] = [place for _, place in mine]
        self._hash()

    def _carried(self) -> dict[str, NDArray[Any]]:
        return {"state": self.arrays.state, "orders": self.arrays.orders, "levels": self.arrays.levels}

    def _hash(self) -> None:
        """Fill the hash table anew."""
        arrays = self.arrays
        mask = len(arrays.slots) - 1
        free = _free(arrays.orders, "next", arrays.state["order_free"])
        for place in _used(int(arrays.state["order_top"][0]), free):
            if not arrays.orders["hashed"][place]:
                continue
            order_id = int(arrays.orders["id"][place])
            at = ((order_id * 0x9E3779B97F4A7C15 & 2**64 - 1) >> 32) & mask
            while arrays.slots[at] != NOWHERE:
                at = (at + 1) & mask
            arrays.ids[at], arrays.slots[at] = order_id, place


def readable(messages: Records) -> Records:
    """One type for messages that own their memory and those in the memory of a file."""
    view = np.ascontiguousarray(messages).view(MESSAGE).view()
    view.flags.writeable = False
    return view


def as_price(price: float) -> int:
    """A price in quote currency as a whole number of 1e-9."""
    return round(price * PRICE_SCALE)


def _free(records: Records, link: str, head: Any) -> set[int]:
    """Places of a list of free ones."""
    found: set[int] = set()
    place = int(np.asarray(head).reshape(-1)[0])
    while place != NOWHERE:
        found.add(place)
        place = int(records[link][place])
    return found


def _used(top: int, free: set[int]) -> list[int]:
    return [place for place in range(top) if place not in free]


def _arrays(state: Records, orders: int, levels: int) -> BookArrays:
    slots = 1 << (4 * orders - 1).bit_length()  # never more than half full
    return BookArrays(
        state,
        np.zeros(orders, RESTING),
        np.zeros(levels, LEVEL),
        np.zeros((2, levels), np.int64),
        np.zeros((2, levels), np.int32),
        np.zeros(slots, np.uint64),
        np.full(slots, NOWHERE, np.int32),
    )
