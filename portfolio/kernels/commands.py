"""What an agent's commands do to the book: submission, targets, cancels."""

from __future__ import annotations

import math

from engine.base.compiled import inlined, kernel
from engine.types.records import CommandKind, OrderEventKind, Reason, Record, Role, Sizing
from portfolio.kernels.book import (
    CANCELLED,
    DECISIONS,
    DONE,
    ENTRY,
    LIMIT,
    MARKET,
    NONE,
    STOP,
    STOP_LIMIT,
    SUBMITTED,
    TRAILING_STOP,
    WRONG,
    Book,
    close_at_market,
    compact,
    emit,
    finish,
    floor_step,
    grid_price,
    new_order,
    working_price,
)

ORDER = int(CommandKind.ORDER)
TARGET = int(CommandKind.TARGET)
CANCEL = int(CommandKind.CANCEL)
CANCEL_ALL = int(CommandKind.CANCEL_ALL)
CLOSE = int(CommandKind.CLOSE)
UP_TO = int(CommandKind.UP_TO)
REJECTED = int(OrderEventKind.REJECTED)
BY_AGENT = int(Reason.BY_AGENT)
REPLACED = int(Reason.REPLACED)
NO_MARKET = int(Reason.NO_MARKET)
BELOW_MIN_SIZE = int(Reason.BELOW_MIN_SIZE)
BAD_PRICE = int(Reason.BAD_PRICE)
TOO_MANY_ORDERS = int(Reason.TOO_MANY_ORDERS)
NO_SUCH_ORDER = int(Reason.NO_SUCH_ORDER)
MARGIN_CALL = int(Reason.MARGIN_CALL)
HALTED = int(Reason.HALTED)
PAUSED = int(Reason.PAUSED)
FLATTEN = int(Role.FLATTEN)
EQUITY_FRACTION = int(Sizing.EQUITY_FRACTION)
VOLATILITY_TARGET = int(Sizing.VOLATILITY_TARGET)
NEAR = 1e-6
"""A price this close to a tick, in ticks, lies on it."""


@inlined
def valid_price(price: float) -> bool:
    """Whether a price can be worked at."""
    return math.isfinite(price) and price > 0.0


@inlined
def valid_bracket(command: Record) -> bool:
    """Whether every bracket price and distance is finite and not negative."""
    total = 0.0
    for value in (
        command.stop_loss,
        command.take_profit,
        command.stop_distance,
        command.target_distance,
        command.trail_distance,
    ):
        if value < 0.0:
            return False
        total += value
    return math.isfinite(total)


@inlined
def on_tick(price: float, tick: float, up: bool) -> float:
    """A price that was asked for, on the tick grid: rounded up or down where it lies between two ticks."""
    if tick <= 0.0 or not valid_price(price):
        return price
    ticks = price / tick
    return grid_price(math.ceil(ticks - NEAR) if up else math.floor(ticks + NEAR), tick)


@inlined
def limit_price(price: float, tick: float, side: int) -> float:
    """A limit away from the market: a buyer never pays more, a seller never gets less than was asked for."""
    return on_tick(price, tick, side < 0)


@inlined
def stop_price(price: float, tick: float, side: int) -> float:
    """A stop away from the market: it never triggers before the price that was asked for."""
    return on_tick(price, tick, side > 0)


@inlined
def valid_prices(command: Record, side: int, tick: float) -> bool:
    """Whether the command has the prices its order type needs, after they are rounded to the tick."""
    if not valid_bracket(command):
        return False
    if command.stop_loss > 0.0 and stop_price(command.stop_loss, tick, -side) <= 0.0:
        return False
    if command.take_profit > 0.0 and limit_price(command.take_profit, tick, -side) <= 0.0:
        return False
    kind = command.type
    if kind == MARKET:
        return True
    limit, stop = limit_price(command.limit, tick, side), stop_price(command.stop, tick, side)
    if kind == LIMIT:
        return valid_price(limit)
    if kind == STOP:
        return valid_price(stop)
    if kind == STOP_LIMIT:
        return valid_price(limit) and valid_price(stop)
    if kind == TRAILING_STOP:
        return valid_price(command.trail)
    return False


@inlined
def unit_size(book: Book, symbol: int) -> float:
    """Contracts that one unit of a target is worth, after the configured sizing."""
    rules = book.rules[0]
    position = book.positions[symbol]
    if rules.sizing == EQUITY_FRACTION:
        value = position.mark * book.instruments[symbol].multiplier
    elif rules.sizing == VOLATILITY_TARGET:
        deviation = math.sqrt(position.variance * rules.bars_per_year)
        value = position.mark * book.instruments[symbol].multiplier * deviation
    else:
        return rules.sizing_value
    if value <= 0.0:
        return 0.0
    return max(rules.sizing_value * book.account[0].equity / value, 0.0)


@inlined
def target_contracts(book: Book, symbol: int, units: float) -> float:
    """Signed contracts of a target in units, within the hard limits on position and leverage."""
    rules = book.rules[0]
    instrument = book.instruments[symbol]
    size = floor_step(abs(units) * unit_size(book, symbol), instrument.size_step)
    # cut here, an order shows what it will be; the limits are checked again when it fills
    if size > rules.max_position:
        size = floor_step(rules.max_position, instrument.size_step)
    if rules.max_leverage != math.inf:
        gross = 0.0
        for s in range(book.positions.shape[0]):
            if s != symbol:
                position = book.positions[s]
                gross += abs(position.quantity) * position.mark * book.instruments[s].multiplier
        value = book.positions[symbol].mark * instrument.multiplier
        room = (rules.max_leverage * book.account[0].equity - gross) / value
        if size > room + 1e-9:
            size = max(floor_step(room, instrument.size_step), 0.0)
    return size if units >= 0.0 else -size


@kernel
def place(book: Book, command: Record, ts: int, side: int, quantity: float, clip: int) -> int:
    """Put a command's order on the table, working or not yet judged; returns its place."""
    k = new_order(book, ts, command.symbol, side, command.type, quantity, ENTRY)
    order = book.orders[k]
    tick = book.instruments[command.symbol].tick_size
    order.limit = limit_price(command.limit, tick, side)
    order.stop = stop_price(command.stop, tick, side)
    order.trail = on_tick(command.trail, tick, True)
    order.stop_loss = stop_price(command.stop_loss, tick, -side)
    order.take_profit = limit_price(command.take_profit, tick, -side)
    order.stop_distance = command.stop_distance
    order.target_distance = command.target_distance
    order.trail_distance = command.trail_distance
    order.tif = command.tif
    order.expire_ts = command.expire_ts
    # what a paused account obeys must not open a position that something else has closed before it fills
    order.reduce_only = 1 if book.account[0].paused else command.reduce_only
    order.tag = command.tag
    order.clip = clip
    if order.type == TRAILING_STOP:
        order.stop = book.positions[command.symbol].mark + side * order.trail
    return k


@inlined
def judge(book: Book, command: Record, side: int, quantity: float, reduces: bool) -> int:
    """The Reason for which an order of this size is rejected, or NONE."""
    instrument = book.instruments[command.symbol]
    if not quantity > 0.0 or not math.isfinite(quantity) or (quantity < instrument.min_size and not reduces):
        return BELOW_MIN_SIZE
    if not valid_prices(command, side, instrument.tick_size):
        return BAD_PRICE
    working = 0
    # of this symbol: what the others do must not depend on which column comes first
    for k in range(book.account[0].orders):
        order = book.orders[k]
        working += order.state != DONE and order.symbol == command.symbol
    if working >= book.rules[0].max_open_orders:
        return TOO_MANY_ORDERS
    return NONE


@inlined
def submit(book: Book, command: Record, ts: int, side: int, quantity: float, clip: int, reduces: bool) -> int:
    """Judge an order and let it work, or reject it; returns its id."""
    reason = judge(book, command, side, quantity, reduces)
    k = place(book, command, ts, side, quantity, clip)
    order = book.orders[k]
    if reason != NONE:
        finish(book, ts, k, REJECTED, reason)
    else:
        emit(book, ts, k, SUBMITTED, NONE, order.quantity, working_price(order))
    return order.id


@kernel
def reject(book: Book, command: Record, ts: int, reason: int) -> None:
    """Reject a command that never became an order."""
    k = place(book, command, ts, 1 if command.quantity >= 0.0 else -1, abs(command.quantity), 0)
    book.account[0].next_order_id -= 1  # it was an order for the sake of its event alone
    order = book.orders[k]
    order.id = command.order_id
    finish(book, ts, k, REJECTED, reason)


@inlined
def refused_by_pause(book: Book, command: Record, side: int, quantity: float) -> bool:
    """Whether the account is paused and an order does more than lead its position towards zero."""
    if not book.account[0].paused or command.reduce_only:
        return False
    held = book.positions[command.symbol].quantity
    reduces = side * held < 0.0 and quantity < abs(held) + 0.5 * book.instruments[command.symbol].size_step
    return not reduces  # a size that is not a number does not reduce


@inlined
def apply_order(book: Book, command: Record, ts: int) -> int:
    """ORDER and UP_TO: an explicit order of signed contracts."""
    quantity = floor_step(abs(command.quantity), book.instruments[command.symbol].size_step)
    side = 1 if command.quantity >= 0.0 else -1
    clip = 1 if command.kind == UP_TO else 0
    if refused_by_pause(book, command, side, quantity):
        reject(book, command, ts, PAUSED)
        return 0
    if book.positions[command.symbol].seen == 0:
        k = place(book, command, ts, side, quantity, clip)
        finish(book, ts, k, REJECTED, NO_MARKET)
        return book.orders[k].id
    reduces = command.reduce_only != 0 or book.account[0].paused != 0
    return submit(book, command, ts, side, quantity, clip, reduces)


@inlined
def apply_target(book: Book, command: Record, ts: int) -> int:
    """TARGET: replace the symbol's entry orders by one that leads to the wanted position."""
    position = book.positions[command.symbol]
    if not math.isfinite(command.quantity):
        reject(book, command, ts, BAD_PRICE)
        return 0
    # refused or not: an agent that follows its market only commands what differs from this
    position.target = command.quantity
    if position.seen == 0:
        reject(book, command, ts, NO_MARKET)
        return 0
    target = target_contracts(book, command.symbol, command.quantity)
    step = book.instruments[command.symbol].size_step
    difference = target - position.quantity
    side = 1 if difference > 0.0 else -1
    quantity = math.floor(abs(difference) / step + 0.5) * step
    changes = abs(difference) >= 0.5 * step
    if changes and refused_by_pause(book, command, side, quantity):
        reject(book, command, ts, PAUSED)
        return 0
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state != DONE and order.symbol == command.symbol and order.role == ENTRY:
            finish(book, ts, k, CANCELLED, REPLACED)
    if not changes:
        return 0
    reduces = target * position.quantity >= 0.0 and abs(target) < abs(position.quantity)
    return submit(book, command, ts, side, quantity, 1, reduces)


@inlined
def apply_cancel(book: Book, command: Record, ts: int) -> None:
    """CANCEL: end one order."""
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state != DONE and order.id == command.order_id and order.role != FLATTEN:
            finish(book, ts, k, CANCELLED, BY_AGENT)
            return
    reject(book, command, ts, NO_SUCH_ORDER)


@inlined
def apply_cancel_all(book: Book, command: Record, ts: int) -> None:
    """CANCEL_ALL: end every order of the symbol except the operator's."""
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state != DONE and order.symbol == command.symbol and order.role != FLATTEN:
            finish(book, ts, k, CANCELLED, BY_AGENT)


@kernel
def apply_command(book: Book, command: Record, ts: int) -> None:
    """Apply one command after the mark of the current row, and record it as a decision."""
    account = book.account[0]
    if not (0 <= command.symbol < book.positions.shape[0] and ORDER <= command.kind <= UP_TO):
        book.counts[WRONG] += 1
        return
    # finished orders stay in the table until the row ends; many commands in one row could fill it
    if account.orders > book.orders.shape[0] - book.positions.shape[0] - 4:
        compact(book)
    kind = command.kind
    acts = kind in (ORDER, TARGET, CLOSE, UP_TO)
    if acts:
        command.order_id = 0
    if account.halted or account.liquidating:
        if acts:
            reject(book, command, ts, HALTED if account.halted else MARGIN_CALL)
            if kind == TARGET and math.isfinite(command.quantity):
                book.positions[command.symbol].target = command.quantity
    elif kind in (ORDER, UP_TO):
        command.order_id = apply_order(book, command, ts)
    elif kind == TARGET:
        command.order_id = apply_target(book, command, ts)
    elif kind == CANCEL:
        apply_cancel(book, command, ts)
    elif kind in (CANCEL_ALL, CLOSE):
        apply_cancel_all(book, command, ts)
        if kind == CLOSE:
            command.order_id = close_at_market(book, ts, command.symbol, ENTRY, command.tag)
    command.ts_event = ts
    book.decisions[book.counts[DECISIONS]] = command
    book.counts[DECISIONS] += 1
