"""The scan for a compiled strategy that decides on other bars than those its account trades on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.base.compiled import kernel
from engine.types.blocks import Floats
from engine.types.records import Bars, Records
from portfolio.kernels.book import WRONG, Book, has_room
from portfolio.kernels.row import advance_row
from portfolio.kernels.scan import apply_commands, clear


@kernel
def scan_decide_seen(
    book: Book,
    bars: Bars,
    signals: Any,
    start: int,
    stop: int,
    ledger: Floats,
    positions: Floats,
    commands: Records,
    seen: Bars,
    decide: Callable[..., int],
    params: Any,
    memory: Any,
) -> int:
    """`portfolio.kernels.scan.scan_decide`, but `decide` is given the bars that the strategy sees.

    Args:
        seen: Bars of the same rows, which may show older prices or none.

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
        n = decide(i, seen, signals, book.account, book.positions, working, params, memory, commands)
        if n > commands.shape[0]:
            book.counts[WRONG] += n - commands.shape[0]
            n = commands.shape[0]
        if n > 0:
            apply_commands(book, commands, n, bars.ts_event[i])
        used = min(n + 1, commands.shape[0])
    return stop
