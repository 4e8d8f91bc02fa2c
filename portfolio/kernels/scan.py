"""The scan over the rows of a block: the simulator and the agent's decisions, row by row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Floats
from engine.types.records import Bars, CommandKind, OrderType, Record, Records, Sizing
from portfolio.kernels.book import WRONG, Book, has_room
from portfolio.kernels.commands import apply_command
from portfolio.kernels.quiet import quiet_rows
from portfolio.kernels.row import advance_row

TARGET = int(CommandKind.TARGET)
MARKET = int(OrderType.MARKET)
VOLATILITY_TARGET = int(Sizing.VOLATILITY_TARGET)


@inlined
def clear(command: Record) -> None:
    """Reset a command to nothing."""
    command.quantity = 0.0
    command.limit = 0.0
    command.stop = 0.0
    command.trail = 0.0
    command.stop_loss = 0.0
    command.take_profit = 0.0
    command.stop_distance = 0.0
    command.target_distance = 0.0
    command.trail_distance = 0.0
    command.ts_event = 0
    command.kind = 0
    command.symbol = 0
    command.type = MARKET
    command.tif = 0
    command.expire_ts = 0
    command.reduce_only = 0
    command.order_id = 0
    command.tag = 0


@inlined
def follow_targets(book: Book, bars: Bars, i: int, targets: Floats, commands: Records) -> int:
    """Command the wanted positions wherever they changed; returns the number of commands."""
    n = 0
    for s in range(book.positions.shape[0]):
        wanted = targets[i, s]
        position = book.positions[s]
        if wanted == position.target or math.isnan(wanted) or not bars.present[i, s]:
            continue
        if book.rules[0].sizing == VOLATILITY_TARGET and position.variance == 0.0 and wanted != 0.0:
            continue  # no volatility is known yet: wait for it
        command = commands[n]
        clear(command)
        command.kind = TARGET
        command.symbol = s
        command.quantity = wanted
        n += 1
    return n


@inlined
def apply_commands(book: Book, commands: Records, n: int, ts: int) -> None:
    """Apply the first n commands."""
    for c in range(n):
        apply_command(book, commands[c], ts)


@kernel
def advance_rows(
    book: Book, bars: Bars, start: int, stop: int, ledger: Floats, positions: Floats, commands: Records
) -> int:
    """Rows start to stop without a command; the caller decides after the last one.

    Args:
        commands: As many as a row may bring, COMMAND; only their number counts.

    Returns:
        The row reached; below `stop` if the output buffers must be emptied first.
    """
    i = start
    while i < stop:
        if stop - i > 1:  # a single row is not worth the look
            i = quiet_rows(book, bars, i, stop, None, ledger, positions)
            if i == stop:
                break
        if not has_room(book, commands):
            return i
        advance_row(book, bars, i, ledger, positions)
        i += 1
    return stop


@kernel
def scan_targets(
    book: Book, bars: Bars, targets: Floats, start: int, stop: int, ledger: Floats, positions: Floats, commands: Records
) -> int:
    """Rows start to stop for an agent that depends only on the market.

    Args:
        targets: Wanted positions in units, shape (rows, S); NaN keeps the last one.
        commands: Scratch, COMMAND, shape (at least S,).

    Returns:
        The row reached; below `stop` if the output buffers must be emptied first.
    """
    i = start
    while i < stop:
        i = quiet_rows(book, bars, i, stop, targets, ledger, positions)
        if i == stop:
            break
        if not has_room(book, commands):
            return i
        advance_row(book, bars, i, ledger, positions)
        n = follow_targets(book, bars, i, targets, commands)
        if n > 0:
            apply_commands(book, commands, n, bars.ts_event[i])
        i += 1
    return stop


@kernel
def scan_decide(
    book: Book,
    bars: Bars,
    signals: Any,
    start: int,
    stop: int,
    ledger: Floats,
    positions: Floats,
    commands: Records,
    decide: Callable[..., int],
    params: Any,
    memory: Any,
) -> int:
    """Rows start to stop for a compiled strategy that sees the portfolio.

    Args:
        signals: What the agent computed from the market only, shape (rows, S, K).
        decide: Compiled function; see agents.compiled.
        params: Its constants, float64.
        memory: Its carried state, float64.

    Returns:
        The row reached; below `stop` if the output buffers must be emptied first.
    """
    used = commands.shape[0]
    for i in range(start, stop):
        if not has_room(book, commands):
            return i
        advance_row(book, bars, i, ledger, positions)
        for c in range(used):
            clear(commands[c])
        working = book.orders[: book.account[0].orders]
        n = decide(i, bars, signals, book.account, book.positions, working, params, memory, commands)
        if n > commands.shape[0]:
            book.counts[WRONG] += n - commands.shape[0]
            n = commands.shape[0]
        if n > 0:
            apply_commands(book, commands, n, bars.ts_event[i])
        used = min(n + 1, commands.shape[0])  # a strategy may have begun one command that it then did not count
    return stop
