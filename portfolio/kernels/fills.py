"""How the working orders of one symbol meet one bar: the fill rules of docs/simulator.md."""

from __future__ import annotations

import math

from engine.base.compiled import inlined, kernel
from engine.types.records import OrderEventKind, Reason, Record, Role, TimeInForce
from portfolio.kernels.book import (
    CANCELLED,
    DONE,
    ENTRY,
    FILLS,
    LIMIT,
    MARKET,
    NOISE,
    NONE,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    TRAILING_STOP,
    TRIGGERED_STATE,
    WORKING,
    Book,
    emit,
    finish,
    floor_step,
    grid_price,
    initial_margin,
    snap,
)
from portfolio.kernels.legs import attach_legs, settle_legs

FILLED = int(OrderEventKind.FILLED)
TRIGGERED = int(OrderEventKind.TRIGGERED)
REJECTED = int(OrderEventKind.REJECTED)
KILL_SWITCH = int(Role.KILL_SWITCH)
LIQUIDATION = int(Role.LIQUIDATION)
FLATTEN = int(Role.FLATTEN)
IOC = int(TimeInForce.IOC)
FOK = int(TimeInForce.FOK)
REDUCE_ONLY = int(Reason.REDUCE_ONLY)
TIME_IN_FORCE = int(Reason.TIME_IN_FORCE)
POSITION_CLOSED = int(Reason.POSITION_CLOSED)
OCO = int(Reason.OCO)
MAX_POSITION = int(Reason.MAX_POSITION)
MAX_LEVERAGE = int(Reason.MAX_LEVERAGE)
INSUFFICIENT_MARGIN = int(Reason.INSUFFICIENT_MARGIN)
EXCESS = 1e-9
"""Contracts by which a limit may be exceeded: what fits exactly must not fail by a rounding error."""


@inlined
def slipped(rules: Record, tick: float, side: int, price: float, bar_range: float) -> float:
    """Price of a market or stop fill after slippage, rounded against the trader to the tick."""
    if rules.slippage_ticks == 0.0 and rules.slippage_bps == 0.0 and rules.slippage_range == 0.0:
        return price
    offset = rules.slippage_ticks * tick + rules.slippage_bps * 1e-4 * price + rules.slippage_range * bar_range
    moved = max(price + side * offset, 0.0)
    if tick > 0.0:
        if side > 0:
            return grid_price(math.ceil(moved / tick - 1e-6), tick)
        return grid_price(math.floor(moved / tick + 1e-6), tick)
    return moved


@inlined
def limited_opening(
    book: Book, symbol: int, clip: int, closing: float, kept: float, opening: float, price: float
) -> tuple[float, int]:
    """Apply the hard limits and margin to the opening part of a fill.

    Args:
        clip: Whether margin shortens (else: removes) the opening part.
        closing: Closing part of the same fill, contracts.
        kept: Size of the position after the closing part, contracts.
        opening: Wanted opening part, contracts.
        price: Fill price.

    Returns:
        The opening part allowed, and the Reason that limited it last (NONE if nothing did).
    """
    rules = book.rules[0]
    instrument = book.instruments[symbol]
    step, multiplier = instrument.size_step, instrument.multiplier
    reason = NONE
    room = floor_step(rules.max_position - kept, step)
    if opening > room + EXCESS:
        opening, reason = max(room, 0.0), MAX_POSITION
    # at the fill price, which is the newest: the marks of the row before may hide a loss since then
    equity, gross, margin = book.account[0].cash, 0.0, 0.0
    for s in range(book.positions.shape[0]):
        position = book.positions[s]
        if position.quantity == 0.0:
            continue
        mark = price if s == symbol else position.mark
        other = book.instruments[s]
        equity += position.quantity * (mark - position.avg_price) * other.multiplier
        if s != symbol:
            size = abs(position.quantity)
            gross += size * mark * other.multiplier
            margin += initial_margin(other, size, mark)
    if rules.max_leverage != math.inf:
        room = (rules.max_leverage * equity - gross) / (price * multiplier) - kept
        if opening > room + EXCESS:
            opening, reason = max(floor_step(room, step), 0.0), MAX_LEVERAGE
    fee = instrument.fee_per_contract + instrument.fee_rate * price * multiplier
    budget = equity - margin - initial_margin(instrument, kept, price) - closing * fee
    unit = initial_margin(instrument, 1.0, price) + fee
    # where a contract takes neither margin nor fee, any number fits an account that is not short already
    room = math.inf if budget >= 0.0 else 0.0
    if unit > 0.0:
        room = budget / unit
    if opening > room + EXCESS:
        opening, reason = (max(floor_step(room, step), 0.0) if clip else 0.0), INSUFFICIENT_MARGIN
    return opening, reason


@inlined
def book_fill(book: Book, ts: int, k: int, closing: float, opening: float, price: float, reason: int) -> None:
    """Enter a fill into cash, position and order, and report it."""
    account = book.account[0]
    order = book.orders[k]
    position = book.positions[order.symbol]
    instrument = book.instruments[order.symbol]
    quantity = closing + opening
    fee = instrument.fee_per_contract * quantity + instrument.fee_rate * price * instrument.multiplier * quantity
    realized = 0.0
    if closing > 0.0:
        sign = 1.0 if position.quantity > 0.0 else -1.0
        gain = price - position.avg_price
        if abs(gain) <= NOISE * price:
            gain = 0.0  # the average misses the price it stands for by a rounding error: no profit of nothing
        realized = closing * gain * sign * instrument.multiplier
    kept = abs(position.quantity) - closing
    position.quantity = snap(position.quantity + order.side * quantity, instrument.size_step)
    if opening > 0.0:
        if closing == 0.0 and kept > 0.0:
            position.avg_price = (kept * position.avg_price + opening * price) / (kept + opening)
        else:
            position.avg_price = price
    elif position.quantity == 0.0:
        position.avg_price = 0.0
    position.realized += realized
    account.cash += realized - fee
    account.realized += realized
    account.fees += fee
    order.filled += quantity
    fill = book.fills[book.counts[FILLS]]
    book.counts[FILLS] += 1
    fill.quantity = quantity
    fill.price = price
    fill.fee = fee
    fill.realized = realized
    fill.position = position.quantity
    fill.avg_price = position.avg_price
    fill.ts_event = ts
    fill.seq = account.seq
    fill.order_id = order.id
    fill.symbol = order.symbol
    fill.side = order.side
    fill.role = order.role
    fill.reason = reason
    fill.tag = order.tag
    emit(book, ts, k, FILLED, reason, quantity, price)


@kernel
def try_fill(
    book: Book, ts: int, k: int, price: float, slips: bool, bar_range: float, available: float, inside: int
) -> float:
    """Fill order k at a price as far as size, limits and margin allow.

    Args:
        slips: Whether slippage applies (market and stop fills).
        bar_range: High minus low of the bar.
        available: Contracts that the participation cap leaves in this bar.
        inside: 1 if the fill happens inside the bar, 0 at its open.

    Returns:
        What is left of `available`.
    """
    # what closes the book for safety must not wait for volume
    cap = math.inf if book.orders[k].role in (KILL_SWITCH, LIQUIDATION, FLATTEN) else available
    return available - fill_at(book, ts, k, price, slips, bar_range, cap, inside)


@kernel
def fill_at(book: Book, ts: int, k: int, price: float, slips: bool, bar_range: float, cap: float, inside: int) -> float:
    """Fill order k at a price, at most `cap` contracts; arguments as `try_fill` has them. Returns the size filled."""
    order = book.orders[k]
    position = book.positions[order.symbol]
    instrument = book.instruments[order.symbol]
    remaining = snap(order.quantity - order.filled, instrument.size_step)
    size = remaining
    opposite = max(-position.quantity * order.side, 0.0)
    if order.reduce_only:
        if opposite <= 0.0:
            finish(book, ts, k, CANCELLED, REDUCE_ONLY)
            return 0.0
        size = min(size, opposite)
    size = min(size, floor_step(cap, instrument.size_step))
    if order.tif == FOK and size < remaining - 0.5 * instrument.size_step:
        finish(book, ts, k, CANCELLED, TIME_IN_FORCE)
        return 0.0
    if size <= 0.0:
        return 0.0
    if slips:
        price = slipped(book.rules[0], instrument.tick_size, order.side, price, bar_range)
    closing = min(size, opposite)
    wanted = size - closing
    if wanted < 0.5 * instrument.size_step:
        wanted = 0.0
    opening, reason = wanted, NONE
    if wanted > 0.0:
        opening, reason = limited_opening(
            book, order.symbol, order.clip, closing, abs(position.quantity) - closing, wanted, price
        )
        if opening < wanted and opening < instrument.min_size:
            opening = 0.0
    size = closing + opening
    if size <= 0.0:
        finish(book, ts, k, REJECTED, reason)
        return 0.0
    before = position.quantity
    book_fill(book, ts, k, closing, opening, price, reason)
    if opening < wanted:
        # what a limit cut now would be cut again in every bar
        finish(book, ts, k, CANCELLED, reason)
    elif order.quantity - order.filled < 0.5 * instrument.size_step:
        order.state = DONE
    if closing > 0.0:
        settle_legs(book, ts, k, size, position.quantity * before <= 0.0)
    if opening > 0.0 and order.role == ENTRY:
        attach_legs(book, ts, k, opening, price, inside)
    return size


@inlined
def stop_reached(order: Record, price: float) -> bool:
    """Whether a price is at or beyond the order's stop."""
    noise = NOISE * order.stop
    return price >= order.stop - noise if order.side > 0 else price <= order.stop + noise


@inlined
def marketable(order: Record, price: float, through: int) -> bool:
    """Whether a limit order would trade at a price."""
    if abs(price - order.limit) <= NOISE * order.limit:
        return not through
    return price < order.limit if order.side > 0 else price > order.limit


@inlined
def fill_stop(
    book: Book, ts: int, k: int, open_: float, high: float, low: float, available: float, inside: int
) -> float:
    """Try stop order k against the bar's range; inside is 0 only at the open."""
    order = book.orders[k]
    # a leg attached inside the bar never saw its open: its bar begins at its parent's fill, kept in `limit`
    base = open_
    if order.intrabar and order.role == STOP_LOSS:
        base = order.limit
    if stop_reached(order, base):
        price = base
    elif inside and stop_reached(order, high if order.side > 0 else low):
        price = order.stop
    else:
        return available
    available = try_fill(book, ts, k, price, True, high - low, available, inside)
    if order.state != DONE:
        order.type = MARKET  # a stop that was reached stays reached, wherever the price goes while the rest waits
    return available


@inlined
def trigger_inside(book: Book, ts: int, k: int, high: float, low: float, available: float) -> float:
    """Turn stop-limit order k into a limit order if the bar reaches its stop, and fill it if it is marketable there."""
    order = book.orders[k]
    if not stop_reached(order, high if order.side > 0 else low):
        return available
    emit(book, ts, k, TRIGGERED, NONE, order.quantity, order.stop)
    order.state = TRIGGERED_STATE
    order.intrabar = 1  # whether the price came back to the limit after the stop, the bar does not tell
    if not stop_reached(order, order.limit):
        return available
    return try_fill(book, ts, k, order.stop, False, high - low, available, 1)


@kernel
def phase_open(book: Book, ts: int, symbol: int, open_: float, high: float, low: float, available: float) -> float:
    """Phase 1: orders that trade at the open."""
    through = book.rules[0].limit_through
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state == DONE or order.symbol != symbol:
            continue
        if order.type == MARKET:
            available = try_fill(book, ts, k, open_, True, high - low, available, 0)
            continue
        if order.type in (STOP, TRAILING_STOP):
            available = fill_stop(book, ts, k, open_, high, low, available, 0)
            continue
        if order.type == STOP_LIMIT and order.state == WORKING:
            if not stop_reached(order, open_):
                continue
            emit(book, ts, k, TRIGGERED, NONE, order.quantity, order.stop)
            order.state = TRIGGERED_STATE
        if marketable(order, open_, through):
            available = try_fill(book, ts, k, open_, False, high - low, available, 0)
    return available


@kernel
def phase_stops(
    book: Book, ts: int, symbol: int, first: int, open_: float, high: float, low: float, available: float
) -> float:
    """Phases 2 and 4: stops inside the bar, from a place in the table on, legs attached on the way included."""
    k = first
    while k < book.account[0].orders:
        order = book.orders[k]
        if order.state != DONE and order.symbol == symbol:
            if order.type in (STOP, TRAILING_STOP):
                available = fill_stop(book, ts, k, open_, high, low, available, 1)
            elif order.type == STOP_LIMIT and order.state == WORKING:
                available = trigger_inside(book, ts, k, high, low, available)
        k += 1
    return available


@kernel
def phase_limits(book: Book, ts: int, symbol: int, open_: float, high: float, low: float, available: float) -> float:
    """Phase 3: limit orders that the bar touches."""
    through = book.rules[0].limit_through
    k = 0
    while k < book.account[0].orders:
        order = book.orders[k]
        is_limit = order.type == LIMIT or (order.type == STOP_LIMIT and order.state == TRIGGERED_STATE)
        if order.state != DONE and order.symbol == symbol and is_limit and not order.intrabar:
            if marketable(order, open_, through):
                available = try_fill(book, ts, k, open_, False, high - low, available, 1)
            elif marketable(order, low if order.side > 0 else high, through):
                available = try_fill(book, ts, k, order.limit, False, high - low, available, 1)
        k += 1
    return available


@kernel
def meet_bar(book: Book, ts: int, symbol: int, open_: float, high: float, low: float, volume: float) -> None:
    """Let every working order of a symbol meet its bar."""
    participation = book.rules[0].participation
    available = math.inf
    if participation != math.inf:
        available = 0.0 if math.isnan(volume) else participation * volume
    available = phase_open(book, ts, symbol, open_, high, low, available)
    available = phase_stops(book, ts, symbol, 0, open_, high, low, available)
    # only the stops attached in phase 3 are new; the others have met this bar
    before_limits = book.account[0].orders
    available = phase_limits(book, ts, symbol, open_, high, low, available)
    phase_stops(book, ts, symbol, before_limits, open_, high, low, available)
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state != DONE and order.symbol == symbol:
            order.rows += 1
            if order.tif in (IOC, FOK):
                finish(book, ts, k, CANCELLED, TIME_IN_FORCE)
