"""The arrays that the simulator's kernels work on, and the order table."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Ints
from engine.types.records import OrderEventKind, OrderType, Reason, Record, Records, Role

MARKET = int(OrderType.MARKET)
LIMIT = int(OrderType.LIMIT)
STOP = int(OrderType.STOP)
STOP_LIMIT = int(OrderType.STOP_LIMIT)
TRAILING_STOP = int(OrderType.TRAILING_STOP)
SUBMITTED = int(OrderEventKind.SUBMITTED)
CANCELLED = int(OrderEventKind.CANCELLED)
ENTRY = int(Role.ENTRY)
STOP_LOSS = int(Role.STOP_LOSS)
TAKE_PROFIT = int(Role.TAKE_PROFIT)
NONE = int(Reason.NONE)

# A level that was computed (a trailing stop, a distance) may miss the price it stands for by a rounding error.
NOISE = 1e-12

DONE, WORKING, TRIGGERED_STATE = 0, 1, 2
FILLS, EVENTS, DECISIONS, WRONG = 0, 1, 2, 3


class Book(NamedTuple):
    """State and outputs of one simulator.

    Attributes:
        account: ACCOUNT, shape (1,); state.
        positions: POSITION, shape (S,); state.
        orders: ORDER, shape (capacity,), the first `account.orders` in use, sorted by id; state.
        instruments: INSTRUMENT, shape (S,).
        rules: RULES, shape (1,).
        session_ends: Inclusive ends of sessions, nanoseconds UTC, ascending.
        fills, events, decisions: FILL, ORDER_EVENT and COMMAND buffers; outputs.
        counts: Records written to each buffer, and commands that no simulator could obey (no such symbol or kind),
            int64, shape (4,); state.
    """

    account: Records
    positions: Records
    orders: Records
    instruments: Records
    rules: Records
    session_ends: Ints
    fills: Records
    events: Records
    decisions: Records
    counts: Ints


@inlined
def row_reserve(orders: int, commands: int, levels: int) -> int:
    """The most records that one row can add to an output buffer, with room to spare.

    Args:
        orders: Places of the order table.
        commands: Places of the command buffer.
        levels: Levels of a book that an order can walk at once, each of which is a fill.
    """
    # an order can be submitted, triggered, filled, cut and cancelled in one row, and a command can reject or replace
    return (6 + 3 * levels) * orders + 4 * commands


@inlined
def places_needed(orders: int, symbols: int, commands: int) -> int:
    """The most places of the order table that one row can take: orders with two legs each, closing and new ones."""
    return 3 * orders + symbols + commands + 8


@inlined
def has_room(book: Book, commands: Records) -> bool:
    """Whether the output buffers, and the order table, can take whatever one more row may bring."""
    symbols, places = book.positions.shape[0], book.orders.shape[0]
    # the table of a single symbol is large enough from the start
    if symbols > 1 and places_needed(book.account[0]["orders"], symbols, commands.shape[0]) > places:
        return False
    reserve = row_reserve(places, commands.shape[0], book.rules[0]["book_levels"])
    return (
        book.counts[FILLS] + reserve <= book.fills.shape[0]
        and book.counts[EVENTS] + reserve <= book.events.shape[0]
        and book.counts[DECISIONS] + reserve <= book.decisions.shape[0]
    )


@inlined
def floor_step(quantity: float, step: float) -> float:
    """Largest whole multiple of the step not above the quantity (with a tolerance for decimal steps)."""
    steps = quantity / step
    return np.floor(steps + 1e-9 + abs(steps) * 1e-15) * step


@inlined
def snap(quantity: float, step: float) -> float:
    """Nearest whole multiple of the step, so that sums of decimal sizes return to exactly zero."""
    return np.floor(quantity / step + 0.5) * step


@inlined
def grid_price(ticks: float, tick: float) -> float:
    """A whole number of ticks as a price: the double nearest to the decimal where the tick is 1/n, as most are."""
    per_unit = math.floor(1.0 / tick + 0.5)
    if per_unit >= 1.0 and abs(per_unit * tick - 1.0) < NOISE:
        return ticks / per_unit
    return ticks * tick


@inlined
def initial_margin(instrument: Record, quantity: float, price: float) -> float:
    """Initial margin of an unsigned quantity at a price, account currency."""
    per_contract = instrument.initial_per_contract + instrument.initial_rate * price * instrument.multiplier
    return quantity * per_contract


@inlined
def emit(book: Book, ts: int, k: int, kind: int, reason: int, quantity: float, price: float) -> None:
    """Report an event of order k."""
    order = book.orders[k]
    event = book.events[book.counts[EVENTS]]
    book.counts[EVENTS] += 1
    event.quantity = quantity
    event.price = price
    event.remaining = order.quantity - order.filled
    event.ts_event = ts
    event.order_id = order.id
    event.symbol = order.symbol
    event.kind = kind
    event.reason = reason
    event.side = order.side
    event.type = order.type
    event.role = order.role
    event.parent = order.parent
    event.tag = order.tag


@inlined
def working_price(order: Record) -> float:
    """The price an order waits at; 0 for a market order."""
    if order.type in (LIMIT, STOP_LIMIT):
        return order.limit
    if order.type in (STOP, TRAILING_STOP):
        return order.stop
    return 0.0


@inlined
def finish(book: Book, ts: int, k: int, kind: int, reason: int) -> None:
    """End order k with an event."""
    order = book.orders[k]
    emit(book, ts, k, kind, reason, order.quantity, working_price(order))
    order.state = DONE


@inlined
def new_order(book: Book, ts: int, symbol: int, side: int, order_type: int, quantity: float, role: int) -> int:
    """Append a blank working order with the next id; returns its place in the table."""
    account = book.account[0]
    k = account.orders
    account.orders += 1
    account.next_order_id += 1
    order = book.orders[k]
    order.quantity = quantity
    order.filled = 0.0
    order.limit = 0.0
    order.stop = 0.0
    order.trail = 0.0
    order.stop_loss = 0.0
    order.take_profit = 0.0
    order.stop_distance = 0.0
    order.target_distance = 0.0
    order.trail_distance = 0.0
    order.id = account.next_order_id
    order.symbol = symbol
    order.side = side
    order.type = order_type
    order.tif = 0
    order.expire_ts = 0
    order.reduce_only = 0
    order.role = role
    order.parent = 0
    order.state = WORKING
    order.rows = 0
    order.submitted_ts = ts
    order.tag = 0
    order.intrabar = 0
    order.clip = 0
    order.legs = 0
    return k


@kernel
def close_at_market(book: Book, ts: int, symbol: int, role: int, tag: int) -> int:
    """Submit a reduce-only market order for the whole position, if there is one; returns its id or 0."""
    quantity = book.positions[symbol].quantity
    if quantity == 0.0:
        return 0
    k = new_order(book, ts, symbol, -1 if quantity > 0 else 1, MARKET, abs(quantity), role)
    order = book.orders[k]
    order.reduce_only = 1
    order.tag = tag
    emit(book, ts, k, SUBMITTED, NONE, order.quantity, 0.0)
    return order.id


@kernel
def compact(book: Book) -> None:
    """Remove finished orders, keeping the order of ids."""
    account = book.account[0]
    kept = 0
    for k in range(account.orders):
        if book.orders[k].state != DONE:
            if kept != k:
                book.orders[kept] = book.orders[k]
            kept += 1
    account.orders = kept
