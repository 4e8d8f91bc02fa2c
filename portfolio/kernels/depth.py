"""How the working orders of one symbol meet an order book: the fill rules of docs/books.md.

Market orders walk the levels that stood when they arrived; what they took stays taken until the book shows new size.
"""

from __future__ import annotations

import math

from numpy.typing import NDArray

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Floats
from engine.types.records import BookRows, Record
from portfolio.kernels.book import (
    CANCELLED,
    DONE,
    LIMIT,
    MARKET,
    NOISE,
    NONE,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
    TRIGGERED_STATE,
    WORKING,
    Book,
    emit,
    finish,
)
from portfolio.kernels.fills import (
    FLATTEN,
    FOK,
    IOC,
    KILL_SWITCH,
    LIQUIDATION,
    TIME_IN_FORCE,
    TRIGGERED,
    fill_at,
    marketable,
    stop_reached,
)

ARRIVAL, CLOSE = 0, 1
BIDS, ASKS = 0, 2
PRICE, SIZE = 0, 1
NO_LIMIT = 0.0
GTC = 0


@inlined
def taken_at(taken: Floats, price: float) -> float:
    """What own fills took at a price and the book still shows; `taken` is that of one side, shape (places, 2)."""
    for n in range(taken.shape[0]):
        if taken[n, SIZE] == 0.0:
            break
        if taken[n, PRICE] == price:
            return taken[n, SIZE]
    return 0.0


@inlined
def take(taken: Floats, price: float, size: float) -> None:
    """Note that own fills took size at a price."""
    for n in range(taken.shape[0]):
        if taken[n, SIZE] == 0.0 or taken[n, PRICE] == price:
            taken[n, PRICE] = price
            taken[n, SIZE] += size
            return


@inlined
def look_again(taken: Floats, prices: Floats, sizes: Floats) -> None:
    """Forget what is not shown any more: less than what is shown cannot be missing from it."""
    kept = 0
    for n in range(taken.shape[0]):
        price, size = taken[n, PRICE], taken[n, SIZE]
        if size == 0.0:
            break
        shown = 0.0
        for m in range(prices.shape[0]):
            if prices[m] == price:
                shown = sizes[m]
        size = min(size, shown)
        if size > 0.0:
            taken[kept, PRICE] = price
            taken[kept, SIZE] = size
            kept += 1
    for n in range(kept, taken.shape[0]):
        if taken[n, SIZE] == 0.0:
            break
        taken[n, SIZE] = 0.0


@inlined
def observe(bars: BookRows, i: int, symbol: int, when: int) -> None:
    """Compare what was taken with the book of row i, at the arrival of orders or at the close."""
    levels = bars.levels[i, symbol, when]
    if math.isnan(levels[BIDS, 0]) and math.isnan(levels[ASKS, 0]):
        return  # not known
    look_again(bars.taken[symbol, 0], levels[BIDS], levels[BIDS + 1])
    look_again(bars.taken[symbol, 1], levels[ASKS], levels[ASKS + 1])


@kernel
def any_taken(taken: NDArray) -> bool:  # type: ignore[type-arg]
    """Whether anything is missing from a book."""
    for s in range(taken.shape[0]):
        if taken[s, 0, 0, SIZE] > 0.0 or taken[s, 1, 0, SIZE] > 0.0:
            return True
    return False


@kernel
def pass_book(bars: BookRows, i: int) -> None:
    """A row in which no order works."""
    for s in range(bars.taken.shape[0]):
        if bars.present[i, s]:
            observe(bars, i, s, ARRIVAL)
            observe(bars, i, s, CLOSE)


@inlined
def beyond(order: Record, price: float, limit: float) -> bool:
    """Whether a price is worse than the limit."""
    if limit == NO_LIMIT:
        return False
    noise = NOISE * limit
    return price > limit + noise if order.side > 0 else price < limit - noise


@inlined
def all_there(book: Book, levels: Floats, taken: Floats, k: int, row: int, limit: float) -> bool:
    """Whether the levels within the limit hold all that is left of order k."""
    order = book.orders[k]
    found = 0.0
    for m in range(levels.shape[1]):
        price = levels[row, m]
        if math.isnan(price) or beyond(order, price, limit):
            break
        found += max(levels[row + 1, m] - taken_at(taken, price), 0.0)
    left = order.quantity - order.filled
    return found >= left - 0.5 * book.instruments[order.symbol].size_step


@kernel
def walk(book: Book, bars: BookRows, i: int, k: int, when: int, limit: float, inside: int) -> None:
    """Fill order k level by level, at most to its limit; what the levels do not hold stays to be filled.

    An order that closes the book for safety takes the rest at the last level that is shown.

    Args:
        when: Which book of row i: at the arrival of orders or at the close.
        limit: Worst price; NO_LIMIT for none.
        inside: As `try_fill` has it.
    """
    order, ts = book.orders[k], bars.ts_event[i]
    symbol = order.symbol
    levels = bars.levels[i, symbol, when]
    row = ASKS if order.side > 0 else BIDS
    taken = bars.taken[symbol, 1 if order.side > 0 else 0]
    tif = order.tif
    if tif == FOK:
        if not all_there(book, levels, taken, k, row, limit):
            finish(book, ts, k, CANCELLED, TIME_IN_FORCE)
            return
        order.tif = GTC  # all of it is there, but no level has to hold it alone
    last = 0.0
    for m in range(levels.shape[1]):
        price = levels[row, m]
        if math.isnan(price) or beyond(order, price, limit):
            break
        last = price
        free = levels[row + 1, m] - taken_at(taken, price)
        if free <= 0.0:
            continue
        size = fill_at(book, ts, k, price, False, 0.0, free, inside)
        if size > 0.0:
            take(taken, price, size)
        if order.state == DONE:
            break
    if order.state != DONE and last > 0.0 and order.role in (KILL_SWITCH, LIQUIDATION, FLATTEN):
        fill_at(book, ts, k, last, False, 0.0, math.inf, inside)
    order.tif = tif


@kernel
def meet_arrival(book: Book, bars: BookRows, i: int, symbol: int) -> None:
    """Phase 1: orders that trade with the book that stood when they arrived."""
    levels = bars.levels[i, symbol, ARRIVAL]
    if math.isnan(levels[BIDS, 0]) or math.isnan(levels[ASKS, 0]):
        return
    mid = 0.5 * levels[BIDS, 0] + 0.5 * levels[ASKS, 0]
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state == DONE or order.symbol != symbol:
            continue
        if order.type in (STOP, TRAILING_STOP):
            if not stop_reached(order, mid):
                continue
            order.type = MARKET  # a stop that was reached stays reached
        if order.type == STOP_LIMIT and order.state == WORKING:
            if not stop_reached(order, mid):
                continue
            emit(book, bars.ts_event[i], k, TRIGGERED, NONE, order.quantity, order.stop)
            order.state = TRIGGERED_STATE
        walk(book, bars, i, k, ARRIVAL, NO_LIMIT if order.type == MARKET else order.limit, 0)


@kernel
def meet_stops(book: Book, bars: BookRows, i: int, symbol: int, first: int) -> None:
    """Phase 2: stops that the mid prices reached, from a place in the table on, meet the book at the close."""
    k = first
    while k < book.account[0].orders:
        order = book.orders[k]
        if order.state != DONE and order.symbol == symbol:
            reached = stop_reached(order, bars.high[i, symbol] if order.side > 0 else bars.low[i, symbol])
            if order.type in (STOP, TRAILING_STOP) and reached:
                order.type = MARKET
                walk(book, bars, i, k, CLOSE, NO_LIMIT, 1)
            elif order.type == STOP_LIMIT and order.state == WORKING and reached:
                emit(book, bars.ts_event[i], k, TRIGGERED, NONE, order.quantity, order.stop)
                order.state = TRIGGERED_STATE
                order.intrabar = 1  # whether the price came back to the limit after the stop, the row does not tell
                walk(book, bars, i, k, CLOSE, order.limit, 1)
        k += 1


@kernel
def meet_limits(book: Book, bars: BookRows, i: int, symbol: int, asks_free: float, bids_free: float) -> None:
    """Phase 3: resting limit orders that the other side reached.

    Last in its queue, an order fills for certain only when everything before it is gone: when the other side comes to
    its price. It fills up to the size that the other side showed there.
    """
    through = book.rules[0].limit_through
    k = 0
    while k < book.account[0].orders:
        order = book.orders[k]
        rests = order.type == LIMIT or (order.type == STOP_LIMIT and order.state == TRIGGERED_STATE)
        if order.state != DONE and order.symbol == symbol and rests and not order.intrabar:
            buys = order.side > 0
            price = bars.reach[i, symbol, 0 if buys else 2]
            free = asks_free if buys else bids_free
            if free > 0.0 and marketable(order, price, through):
                if order.tif == FOK and order.quantity - order.filled > free:
                    k += 1
                    continue
                size = fill_at(book, bars.ts_event[i], k, order.limit, False, 0.0, free, 1)
                if size > 0.0:
                    take(bars.taken[symbol, 1 if buys else 0], price, size)
                if buys:
                    asks_free -= size
                else:
                    bids_free -= size
        k += 1


@kernel
def meet_book(book: Book, bars: BookRows, i: int, symbol: int) -> None:
    """Let every working order of a symbol meet the books of row i."""
    observe(bars, i, symbol, ARRIVAL)
    meet_arrival(book, bars, i, symbol)
    # what was taken at the arrival must not trade again with an order that rests
    reach = bars.reach[i, symbol]
    asks_free = reach[1] - taken_at(bars.taken[symbol, 1], reach[0])
    bids_free = reach[3] - taken_at(bars.taken[symbol, 0], reach[2])
    observe(bars, i, symbol, CLOSE)
    meet_stops(book, bars, i, symbol, 0)
    before_limits = book.account[0].orders
    meet_limits(book, bars, i, symbol, asks_free, bids_free)
    observe(bars, i, symbol, CLOSE)
    meet_stops(book, bars, i, symbol, before_limits)
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state != DONE and order.symbol == symbol:
            order.rows += 1
            if order.tif in (IOC, FOK):
                finish(book, bars.ts_event[i], k, CANCELLED, TIME_IN_FORCE)
