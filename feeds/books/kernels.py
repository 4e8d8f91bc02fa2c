"""A limit order book on integer prices, message by message: single orders in their queues, or totals of levels.

Each side is a sorted array of keys whose best is last, so that changes near the best price move few of them. Orders
are found by a hash table (linear probing; removal closes the gap, Knuth, TAOCP 3, 6.4, algorithm R) and stand in the
queue of their level as a linked list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.compiled import inlined, kernel
from engine.types.records import Records
from feeds.books.layout import NO_PRICE, Action, BookArrays, Flag, Side

ADD, CANCEL, MODIFY, CLEAR = int(Action.ADD), int(Action.CANCEL), int(Action.MODIFY), int(Action.CLEAR)
TRADE, SET = int(Action.TRADE), int(Action.LEVEL)
BID, ASK = int(Side.BID), int(Side.ASK)
LAST, TOP_OF_BOOK, SNAPSHOT = int(Flag.LAST), int(Flag.TOP_OF_BOOK), int(Flag.SNAPSHOT)
BAD_TIME, MAYBE_BAD = int(Flag.BAD_TIME), int(Flag.MAYBE_BAD)
MIXER = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)
NOWHERE = -1
as_int: Any = np.int64
"""Widens a field: without it, sums with unsigned fields would be floats."""


@inlined
def home_of(order_id: np.uint64, mask: int) -> int:
    """Where an identifier belongs in the hash table (multiplicative hashing by the golden ratio)."""
    return as_int((order_id * MIXER) >> HALF) & mask


@inlined
def find_order(book: BookArrays, order_id: np.uint64) -> int:
    """Place of an order in the hash table, or of the empty slot where its search ends."""
    mask = book.slots.shape[0] - 1
    at = home_of(order_id, mask)
    while book.slots[at] != NOWHERE and book.ids[at] != order_id:
        at = (at + 1) & mask
    return at


@kernel
def forget_order(book: BookArrays, at: int) -> None:
    """Remove a slot of the hash table."""
    mask = book.slots.shape[0] - 1
    hole, probe = at, (at + 1) & mask
    while book.slots[probe] != NOWHERE:
        home = home_of(book.ids[probe], mask)
        if ((probe - home) & mask) >= ((probe - hole) & mask):
            book.ids[hole] = book.ids[probe]
            book.slots[hole] = book.slots[probe]
            hole = probe
        probe = (probe + 1) & mask
    book.slots[hole] = NOWHERE
    book.state[0].hashed -= 1


@inlined
def levels_of(book: BookArrays, side: int) -> int:
    """Number of levels of a side."""
    return book.state[0].bids if side == 0 else book.state[0].asks


@kernel
def find_level(book: BookArrays, side: int, key: int) -> int:
    """First position of a side's keys that is not below this one; most are near the end, so it gallops from there."""
    high = levels_of(book, side)
    step, low = 1, high - 1
    while low >= 0 and book.keys[side, low] >= key:
        high = low
        low -= step
        step *= 2
    low = max(low, -1) + 1
    while low < high:
        middle = (low + high) >> 1
        if book.keys[side, middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def open_level(book: BookArrays, side: int, at: int, key: int) -> int:
    """Insert an empty level at a position; returns its place."""
    state = book.state[0]
    place = state.level_free
    if place == NOWHERE:
        place = state.level_top
        state.level_top += 1
    else:
        state.level_free = book.levels[place].size  # of a free place, the next free one
    level = book.levels[place]
    level.key = key
    level.size = 0
    level.orders = 0
    level.first = NOWHERE
    level.last = NOWHERE
    count = levels_of(book, side)
    for i in range(count, at, -1):
        book.keys[side, i] = book.keys[side, i - 1]
        book.places[side, i] = book.places[side, i - 1]
    book.keys[side, at] = key
    book.places[side, at] = place
    if side == 0:
        state.bids += 1
    else:
        state.asks += 1
    return place


@inlined
def close_level(book: BookArrays, side: int, place: int) -> None:
    """Remove a level without orders."""
    state = book.state[0]
    count = levels_of(book, side)
    at = find_level(book, side, book.levels[place].key)
    for i in range(at, count - 1):
        book.keys[side, i] = book.keys[side, i + 1]
        book.places[side, i] = book.places[side, i + 1]
    book.levels[place].size = state.level_free
    state.level_free = place
    if side == 0:
        state.bids -= 1
    else:
        state.asks -= 1


@kernel
def enqueue(book: BookArrays, order_id: np.uint64, side: int, key: int, size: int, hashed: int) -> int:
    """Put a new order at the end of the queue of its price; returns its place."""
    at = find_level(book, side, key)
    if at < levels_of(book, side) and book.keys[side, at] == key:
        where = as_int(book.places[side, at])
    else:
        where = open_level(book, side, at, key)
    state, level = book.state[0], book.levels[where]
    place = state.order_free
    if place == NOWHERE:
        place = state.order_top
        state.order_top += 1
    else:
        state.order_free = as_int(book.orders[place].next)
    order = book.orders[place]
    order.id = order_id if hashed != 0 else np.uint64(0)
    order.size = size
    order.level = where
    order.side = side
    order.hashed = hashed
    order.previous = level.last
    order.next = NOWHERE
    if level.last == NOWHERE:
        level.first = place
    else:
        book.orders[level.last].next = place
    level.last = place
    level.size += size
    level.orders += 1
    return place


@kernel
def dequeue(book: BookArrays, place: int) -> None:
    """Take an order out of its queue, and its level out of the book if that was the last one."""
    order = book.orders[place]
    where = as_int(order.level)
    level = book.levels[where]
    if order.previous == NOWHERE:
        level.first = order.next
    else:
        book.orders[order.previous].next = order.next
    if order.next == NOWHERE:
        level.last = order.previous
    else:
        book.orders[order.next].previous = order.previous
    level.size -= order.size
    level.orders -= 1
    side = as_int(order.side)
    order.next = book.state[0].order_free
    book.state[0].order_free = place
    if level.orders == 0:
        close_level(book, side, where)


@kernel
def clear_book(book: BookArrays) -> None:
    """Empty the book."""
    state = book.state[0]
    if state.hashed > 0:
        for i in range(book.slots.shape[0]):
            book.slots[i] = NOWHERE
    state.hashed = 0
    state.bids = 0
    state.asks = 0
    state.order_top = 0
    state.order_free = NOWHERE
    state.level_top = 0
    state.level_free = NOWHERE


@inlined
def clear_side(book: BookArrays, side: int) -> None:
    """Remove every order of one side."""
    while levels_of(book, side) > 0:
        where = as_int(book.places[side, levels_of(book, side) - 1])
        place = as_int(book.levels[where].first)
        if book.orders[place].hashed != 0:
            forget_order(book, find_order(book, book.orders[place].id))
        dequeue(book, place)


@inlined
def add_order(book: BookArrays, message: Any, side: int, key: int) -> None:
    """A new order rests; with an identifier that is there already, it takes that order's place."""
    size = as_int(message.size)
    if message.flags & TOP_OF_BOOK:
        clear_side(book, side)
        if message.price != NO_PRICE and size > 0:
            enqueue(book, message.order_id, side, key, size, 0)
        return
    if message.price == NO_PRICE or size == 0:
        book.state[0].invalid += 1
        return
    at = find_order(book, message.order_id)
    if book.slots[at] != NOWHERE:
        book.state[0].twice += 1
        dequeue(book, as_int(book.slots[at]))
    else:
        book.ids[at] = message.order_id
        book.state[0].hashed += 1
    book.slots[at] = enqueue(book, message.order_id, side, key, size, 1)


@inlined
def reduce_order(book: BookArrays, place: int, size: int) -> bool:
    """Take size from an order; returns whether it is gone."""
    order = book.orders[place]
    if size >= order.size:
        dequeue(book, place)
        return True
    order.size -= size
    book.levels[order.level].size -= size
    return False


@inlined
def nameless(book: BookArrays, side: int, key: int) -> int:
    """Place of the nameless total of a price, or NOWHERE."""
    at = find_level(book, side, key)
    if at >= levels_of(book, side) or book.keys[side, at] != key:
        return NOWHERE
    place = as_int(book.levels[book.places[side, at]].first)
    return NOWHERE if book.orders[place].hashed != 0 else place


@inlined
def cancel_order(book: BookArrays, message: Any, side: int, key: int) -> None:
    """An order loses size; one that was there before the messages begin loses it from the total of its price."""
    at = find_order(book, message.order_id)
    size = as_int(message.size)
    if book.slots[at] != NOWHERE:
        if reduce_order(book, as_int(book.slots[at]), size):
            forget_order(book, at)
        return
    place = nameless(book, side, key) if side != NOWHERE else NOWHERE
    if place == NOWHERE:
        book.state[0].unknown_orders += 1
    else:
        reduce_order(book, place, size)


@inlined
def modify_order(book: BookArrays, message: Any, side: int, key: int) -> None:
    """An order has another size or price. It keeps its place in the queue if neither grows or moves."""
    at = find_order(book, message.order_id)
    if book.slots[at] == NOWHERE:
        book.state[0].unknown_orders += 1
        add_order(book, message, side, key)
        return
    size = as_int(message.size)
    if message.price == NO_PRICE or size == 0:
        book.state[0].invalid += 1
        return
    place = as_int(book.slots[at])
    order = book.orders[place]
    level = book.levels[order.level]
    if order.side == side and level.key == key and size <= order.size:
        level.size -= order.size - size
        order.size = size
        return
    dequeue(book, place)
    book.slots[at] = enqueue(book, message.order_id, side, key, size, 1)


@inlined
def set_level(book: BookArrays, message: Any, side: int, key: int) -> None:
    """A price has the total size that stands in place of an identifier; 0 removes it."""
    size = as_int(message.order_id)
    if message.price == NO_PRICE:
        book.state[0].invalid += 1
        return
    at = find_level(book, side, key)
    if at < levels_of(book, side) and book.keys[side, at] == key:
        level = book.levels[book.places[side, at]]
        place = as_int(level.first)
        if size == 0:
            dequeue(book, place)
        else:
            level.size += size - book.orders[place].size
            book.orders[place].size = size
    elif size > 0:
        enqueue(book, message.order_id, side, key, size, 0)


@inlined
def has_places(book: BookArrays) -> bool:
    """Whether the tables can take whatever one more message may bring."""
    state = book.state[0]
    orders, levels = book.orders.shape[0], book.levels.shape[0]
    return (
        (state.order_free != NOWHERE or state.order_top < orders)
        and (state.level_free != NOWHERE or state.level_top < levels)
        and 2 * state.hashed < book.slots.shape[0]
    )


@inlined
def apply_message(book: BookArrays, message: Any) -> bool:
    """Apply one message; returns whether it ends an event, after which the book may be looked at."""
    state = book.state[0]
    flags, action = message.flags, message.action
    state.messages += 1
    if message.ts_event < state.last_ts:
        state.disordered += 1
    else:
        state.last_ts = message.ts_event
    if flags & BAD_TIME:
        state.bad_times += 1
    if flags & MAYBE_BAD:
        state.bad_flags += 1
        state.suspect = 1
    if flags & SNAPSHOT:
        if state.in_snapshot == 0:
            # its first message is a clear as a rule, but not where a file was cut
            clear_book(book)
            state.snapshots += 1
            state.suspect = 0
        state.in_snapshot = 1 if flags & LAST == 0 else 0
    if action == CLEAR:
        clear_book(book)
        state.clears += 1
        if flags & MAYBE_BAD == 0:
            state.suspect = 0
    elif action in (ADD, CANCEL, MODIFY, SET):
        side = 0 if message.side == BID else 1 if message.side == ASK else NOWHERE
        key = message.price if side == 0 else -message.price
        if action == CANCEL:
            cancel_order(book, message, side, key)
        elif side == NOWHERE:
            state.invalid += 1
        elif action == ADD:
            add_order(book, message, side, key)
        elif action == MODIFY:
            modify_order(book, message, side, key)
        else:
            set_level(book, message, side, key)
    state.in_event = 1 if flags & LAST == 0 else 0
    if flags & LAST == 0:
        return False
    state.events += 1
    state.ready = 1
    if state.bids > 0 and state.asks > 0:
        # equal prices are a locked book, which is as impossible in continuous trading
        over = book.keys[0, state.bids - 1] + book.keys[1, state.asks - 1]
        if over >= 0:
            state.crossed += 1
            state.worst_cross = max(state.worst_cross, over)
    return True


@kernel
def apply_messages(book: BookArrays, messages: Records, start: int, stop: int) -> int:
    """Apply messages start to stop.

    Returns:
        The message reached; below `stop` if the tables must grow first.
    """
    for i in range(start, stop):
        if not has_places(book):
            return i
        apply_message(book, messages[i])
    return stop


@kernel
def apply_event(book: BookArrays, messages: Records, start: int, stop: int) -> int:
    """Apply messages from start to the end of the first event, or to stop; returns as `apply_messages`."""
    for i in range(start, stop):
        if not has_places(book):
            return i
        if apply_message(book, messages[i]):
            return i + 1
    return stop


@inlined
def write_levels(book: BookArrays, side: int, prices: NDArray[np.int64], sizes: NDArray[np.int64], none: int) -> None:
    """Write the best levels of a side, best first; beyond the last, the price `none` and size 0."""
    count = levels_of(book, side)
    for m in range(prices.shape[0]):
        at = count - 1 - m
        if at >= 0:
            key = book.keys[side, at]
            prices[m] = key if side == 0 else -key
            sizes[m] = book.levels[book.places[side, at]].size
        else:
            prices[m] = none
            sizes[m] = 0


@kernel
def top_levels(
    book: BookArrays,
    bids: NDArray[np.int64],
    bid_sizes: NDArray[np.int64],
    asks: NDArray[np.int64],
    ask_sizes: NDArray[np.int64],
    none: int,
) -> None:
    """Write the best levels of both sides, best first, each of shape (depth,)."""
    write_levels(book, 0, bids, bid_sizes, -none)
    write_levels(book, 1, asks, ask_sizes, none)
