"""An operator's commands between two rows: pause, resume, flatten, halt, reset. Rules: docs/simulator.md."""

from __future__ import annotations

import numpy as np

from engine.base.compiled import kernel
from engine.types.records import Operation, Reason, Role
from portfolio.kernels.book import CANCELLED, DONE, ENTRY, Book, compact, finish
from portfolio.kernels.row import close_book, halt

PAUSE = int(Operation.PAUSE)
RESUME = int(Operation.RESUME)
FLATTEN = int(Operation.FLATTEN)
HALT = int(Operation.HALT)
RESET_HALT = int(Operation.RESET_HALT)
HAND_OVER = int(Operation.HAND_OVER)
PAUSED = int(Reason.PAUSED)
BY_OPERATOR = int(Reason.BY_OPERATOR)
REPLACED = int(Reason.REPLACED)
CLOSING = int(Role.FLATTEN)


@kernel
def pause(book: Book, ts: int) -> None:
    """Let nothing raise risk: an agent's working orders only close from here on, or are cancelled."""
    book.account[0].paused = 1
    for k in range(book.account[0].orders):
        order = book.orders[k]
        if order.state == DONE or order.role != ENTRY or order.reduce_only:
            continue
        if order.side * book.positions[order.symbol].quantity < 0.0:
            # an exit that has begun continues, a flip as far as flat: its agent may have given up the stop already
            order.reduce_only = 1
        else:
            finish(book, ts, k, CANCELLED, PAUSED)


@kernel
def forget_targets(book: Book) -> None:
    """Have every wanted position commanded again: what was commanded meanwhile may have been refused."""
    for s in range(book.positions.shape[0]):
        book.positions[s].target = np.nan


@kernel
def reset_halt(book: Book) -> None:
    """Resume trading; gains and losses count from here, so that the limit does not trip again at once."""
    account = book.account[0]
    account.halted = 0
    account.bankrupt = 0
    account.liquidating = 0
    account.peak_equity = account.equity
    account.session_equity = account.equity
    forget_targets(book)


@kernel
def hand_over(book: Book, ts: int) -> None:
    """Cancel an agent's working orders, and have the wanted positions of the next one commanded whatever they are."""
    for k in range(book.account[0].orders):
        if book.orders[k].state != DONE and book.orders[k].role == ENTRY:
            finish(book, ts, k, CANCELLED, REPLACED)
    forget_targets(book)


@kernel
def apply_operation(book: Book, kind: int, ts: int) -> None:
    """Apply an operator's command after the last advanced row, which closed at `ts`; RESET_HALT must be allowed."""
    account = book.account[0]
    if kind == PAUSE:
        pause(book, ts)
    elif kind == RESUME:
        if account.paused:
            account.paused = 0
            forget_targets(book)
    elif kind == FLATTEN:
        account.paused = 1
        close_book(book, ts, BY_OPERATOR, CLOSING)
    elif kind == HALT:
        if not account.halted:
            halt(book, ts, BY_OPERATOR)
    elif kind == RESET_HALT:
        reset_halt(book)
    elif kind == HAND_OVER:
        hand_over(book, ts)
    compact(book)
