"""One row of the simulator: session, expiry, fills, mark, limits. The order is that of docs/simulator.md."""

from __future__ import annotations

import math

import numpy as np

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Floats
from engine.types.records import Bars, OrderEventKind, Reason, Record, Role, Sizing, TimeInForce
from portfolio.kernels.book import (
    CANCELLED,
    DONE,
    NOISE,
    STOP_LOSS,
    TRAILING_STOP,
    Book,
    close_at_market,
    compact,
    finish,
    initial_margin,
)
from portfolio.kernels.market import meet_market, pass_market

EXPIRED = int(OrderEventKind.EXPIRED)
SESSION_END = int(Reason.SESSION_END)
TIME_IN_FORCE = int(Reason.TIME_IN_FORCE)
MAX_DAILY_LOSS = int(Reason.MAX_DAILY_LOSS)
MAX_DRAWDOWN = int(Reason.MAX_DRAWDOWN)
MARGIN_CALL = int(Reason.MARGIN_CALL)
BANKRUPT = int(Reason.BANKRUPT)
KILL_SWITCH = int(Role.KILL_SWITCH)
LIQUIDATION = int(Role.LIQUIDATION)
VOLATILITY_TARGET = int(Sizing.VOLATILITY_TARGET)
DAY = int(TimeInForce.DAY)
GTD = int(TimeInForce.GTD)
LAST = np.iinfo(np.int64).max


@kernel
def roll_session(book: Book, ts: int) -> None:
    """Begin the session that contains a time: DAY orders expire, the daily loss starts from zero."""
    account = book.account[0]
    at = np.searchsorted(book.session_ends, ts)
    account.session_end = book.session_ends[at] if at < book.session_ends.shape[0] else LAST
    account.session_equity = account.equity  # still that of the row before
    for k in range(account.orders):
        order = book.orders[k]
        if order.state != DONE and order.tif == DAY:
            finish(book, ts, k, EXPIRED, SESSION_END)


@inlined
def expire(book: Book, ts: int) -> None:
    """End the orders whose time has passed."""
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state != DONE and order.tif == GTD and order.expire_ts < ts:
            finish(book, ts, k, EXPIRED, TIME_IN_FORCE)


@kernel
def move_trailing_stops(book: Book, bars: Bars, i: int) -> None:
    """Ratchet trailing stops by the bar just seen, and free what was attached inside it."""
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state == DONE or not bars.present[i, order.symbol]:
            continue
        if order.type == TRAILING_STOP:
            s = order.symbol
            if order.side < 0:
                best = bars.close[i, s] if order.intrabar else bars.high[i, s]
                order.stop = max(order.stop, best - order.trail)
            else:
                best = bars.close[i, s] if order.intrabar else bars.low[i, s]
                order.stop = min(order.stop, best + order.trail)
        if order.intrabar:
            order.intrabar = 0
            if order.role == STOP_LOSS:
                order.limit = 0.0


@inlined
def update_variance(position: Record, close: float, decay: float) -> None:
    """Exponentially weighted variance of log returns (RiskMetrics, 1996)."""
    if position.seen > 0:
        change = math.log(close / position.mark)
        if position.seen == 1:
            position.variance = change * change
        else:
            position.variance = decay * position.variance + (1.0 - decay) * change * change


@inlined
def mark(book: Book, bars: Bars, i: int) -> float:
    """Mark every position at its last close; returns the maintenance margin."""
    account = book.account[0]
    rules = book.rules[0]
    unrealized, gross, net, margin, maintenance = 0.0, 0.0, 0.0, 0.0, 0.0
    for s in range(book.positions.shape[0]):
        position = book.positions[s]
        if bars.present[i, s]:
            close = bars.close[i, s]
            if rules.sizing == VOLATILITY_TARGET:
                update_variance(position, close, rules.variance_decay)
            position.mark = close
            position.seen += 1
        quantity = position.quantity
        if quantity != 0.0:
            instrument = book.instruments[s]
            value = quantity * position.mark * instrument.multiplier
            unrealized += quantity * (position.mark - position.avg_price) * instrument.multiplier
            gross += abs(value)
            net += value
            margin += initial_margin(instrument, abs(quantity), position.mark)
            maintenance += abs(quantity) * instrument.maintenance_per_contract
            maintenance += instrument.maintenance_rate * abs(value)
    account.unrealized = unrealized
    account.equity = account.cash + unrealized
    account.gross_exposure = gross
    account.net_exposure = net
    account.margin = margin
    return maintenance


@kernel
def close_book(book: Book, ts: int, reason: int, role: int) -> None:
    """Cancel everything and submit market orders that close every position."""
    for k in range(book.account[0].orders):
        if book.orders[k].state != DONE:
            finish(book, ts, k, CANCELLED, reason)
    compact(book)
    for s in range(book.positions.shape[0]):
        close_at_market(book, ts, s, role, 0)


@kernel
def halt(book: Book, ts: int, reason: int) -> None:
    """Trip the kill switch; only an operator resets it."""
    book.account[0].halted = reason
    close_book(book, ts, reason, KILL_SWITCH)


@inlined
def check_limits(book: Book, ts: int, maintenance: float) -> None:
    """Trip the kill switch or call margin where equity demands it."""
    account = book.account[0]
    rules = book.rules[0]
    equity = account.equity
    account.peak_equity = max(account.peak_equity, equity)
    # unlike a halt, a margin call is over once the positions are: what is left may trade on
    if account.liquidating and account.gross_exposure == 0.0:
        account.liquidating = 0
    if account.halted:
        return
    # sums of money carry rounding errors: a limit that is met exactly must trip
    noise = NOISE * account.peak_equity
    left = equity - noise
    if left <= 0.0:
        account.bankrupt = 1
        halt(book, ts, BANKRUPT)
    elif left <= account.peak_equity * (1.0 - rules.max_drawdown):
        halt(book, ts, MAX_DRAWDOWN)
    elif left <= account.session_equity * (1.0 - rules.max_daily_loss):
        halt(book, ts, MAX_DAILY_LOSS)
    elif equity + noise < maintenance and not account.liquidating:
        account.liquidating = 1
        close_book(book, ts, MARGIN_CALL, LIQUIDATION)


@inlined
def write_ledger(
    ledger: Floats,
    i: int,
    cash: float,
    equity: float,
    realized: float,
    unrealized: float,
    fees: float,
    margin: float,
    gross: float,
    net: float,
) -> None:
    """Write row i, columns LEDGER_COLUMNS."""
    ledger[i, 0] = cash
    ledger[i, 1] = equity
    ledger[i, 2] = realized
    ledger[i, 3] = unrealized
    ledger[i, 4] = fees
    ledger[i, 5] = margin
    ledger[i, 6] = gross
    ledger[i, 7] = net


@inlined
def advance_row(book: Book, bars: Bars, i: int, ledger: Floats, positions: Floats) -> None:
    """Steps 1 to 6 of a row: everything before the agent decides.

    Args:
        book: The Book.
        bars: The Bars of the block.
        i: Row within the block.
        ledger: Output, shape (rows, 8), columns LEDGER_COLUMNS.
        positions: Output, signed contracts, shape (rows, S).
    """
    account = book.account[0]
    ts = bars.ts_event[i]
    if ts > account.session_end:
        roll_session(book, ts)
    if account.orders > 0:
        compact(book)
        expire(book, ts)
    if account.orders > 0:
        for s in range(book.positions.shape[0]):
            if bars.present[i, s]:
                meet_market(book, bars, i, s)
        move_trailing_stops(book, bars, i)  # after the fills: a bar must not trigger the stop that it moved
        compact(book)
    else:
        pass_market(bars, i)
    maintenance = mark(book, bars, i)
    check_limits(book, ts, maintenance)
    account.ts_event = ts
    account.seq += 1
    write_ledger(
        ledger,
        i,
        account.cash,
        account.equity,
        account.realized,
        account.unrealized,
        account.fees,
        account.margin,
        account.gross_exposure,
        account.net_exposure,
    )
    for s in range(book.positions.shape[0]):
        positions[i, s] = book.positions[s].quantity
