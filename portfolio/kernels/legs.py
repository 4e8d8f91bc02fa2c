"""Bracket legs: created and grown by entry fills, shrunk by their siblings, ended with their position."""

from __future__ import annotations

import math

from engine.base.compiled import inlined, kernel
from engine.types.records import Reason
from portfolio.kernels.book import (
    CANCELLED,
    DONE,
    LIMIT,
    NONE,
    STOP,
    STOP_LOSS,
    SUBMITTED,
    TAKE_PROFIT,
    TRAILING_STOP,
    Book,
    emit,
    finish,
    grid_price,
    new_order,
)

POSITION_CLOSED = int(Reason.POSITION_CLOSED)
OCO = int(Reason.OCO)


@inlined
def nearest_tick(price: float, tick: float) -> float:
    """The price rounded to the tick grid; unchanged on a continuous market."""
    if tick > 0.0:
        return grid_price(math.floor(price / tick + 0.5 + 1e-9), tick)
    return price


@kernel
def attach_stop(book: Book, ts: int, k: int, opening: float, price: float, inside: int) -> None:
    """Create the stop-loss leg of entry order k, filled at a price."""
    order = book.orders[k]
    tick = book.instruments[order.symbol].tick_size
    stop = 0.0
    if order.stop_loss > 0.0:
        stop = order.stop_loss
    elif order.stop_distance > 0.0:
        stop = price * (1.0 - order.side * order.stop_distance)
    trail = order.trail_distance * price
    if trail > 0.0:
        start = price - order.side * trail
        if stop == 0.0 or abs(price - start) < abs(price - stop):
            stop = start
    if stop == 0.0:
        return
    leg = book.orders[new_order(book, ts, order.symbol, -order.side, STOP, opening, STOP_LOSS)]
    leg.stop = nearest_tick(stop, tick)
    if trail > 0.0:
        leg.type = TRAILING_STOP
        leg.trail = trail
    leg.reduce_only = 1
    leg.parent = order.id
    leg.tag = order.tag
    leg.intrabar = inside
    leg.limit = price if inside else 0.0
    emit(book, ts, book.account[0].orders - 1, SUBMITTED, NONE, leg.quantity, leg.stop)


@kernel
def attach_target(book: Book, ts: int, k: int, opening: float, price: float, inside: int) -> None:
    """Create the take-profit leg of entry order k, filled at a price."""
    order = book.orders[k]
    target = 0.0
    if order.take_profit > 0.0:
        target = order.take_profit
    elif order.target_distance > 0.0:
        target = price * (1.0 + order.side * order.target_distance)
    if target == 0.0:
        return
    leg = book.orders[new_order(book, ts, order.symbol, -order.side, LIMIT, opening, TAKE_PROFIT)]
    leg.limit = nearest_tick(target, book.instruments[order.symbol].tick_size)
    leg.reduce_only = 1
    leg.parent = order.id
    leg.tag = order.tag
    leg.intrabar = inside
    emit(book, ts, book.account[0].orders - 1, SUBMITTED, NONE, leg.quantity, leg.limit)


@kernel
def attach_legs(book: Book, ts: int, k: int, opening: float, price: float, inside: int) -> None:
    """Give entry order k its bracket for a newly opened part, or grow the bracket it has."""
    order = book.orders[k]
    if order.legs:
        for j in range(book.account[0].orders):
            if book.orders[j].state != DONE and book.orders[j].parent == order.id:
                book.orders[j].quantity += opening
        return
    order.legs = 1  # for good: a bracket that was cancelled does not come back with a later partial fill
    attach_stop(book, ts, k, opening, price, inside)
    attach_target(book, ts, k, opening, price, inside)


@inlined
def settle_legs(book: Book, ts: int, k: int, quantity: float, closed: bool) -> None:
    """After a fill of order k: shrink its sibling leg, and end legs whose position is gone."""
    order = book.orders[k]
    if order.parent != 0:
        for j in range(book.account[0].orders):
            leg = book.orders[j]
            if leg.state != DONE and j != k and leg.parent == order.parent:
                leg.quantity -= quantity
                if leg.quantity - leg.filled < 0.5 * book.instruments[leg.symbol].size_step:
                    finish(book, ts, j, CANCELLED, OCO)
    if closed:
        for j in range(book.account[0].orders):
            leg = book.orders[j]
            if leg.state != DONE and leg.parent != 0 and leg.symbol == order.symbol:
                finish(book, ts, j, CANCELLED, POSITION_CLOSED)
