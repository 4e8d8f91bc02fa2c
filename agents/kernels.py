"""Compiled helpers of agents: indicators with carried state, and functions that fill in commands."""

from __future__ import annotations

from typing import Any

from engine.compiled import inlined, kernel
from engine.records import CommandKind, OrderType

ORDER = int(CommandKind.ORDER)
TARGET = int(CommandKind.TARGET)
CANCEL = int(CommandKind.CANCEL)
CANCEL_ALL = int(CommandKind.CANCEL_ALL)
CLOSE = int(CommandKind.CLOSE)
MARKET = int(OrderType.MARKET)
LIMIT = int(OrderType.LIMIT)
STOP = int(OrderType.STOP)
STOP_LIMIT = int(OrderType.STOP_LIMIT)
TRAILING_STOP = int(OrderType.TRAILING_STOP)


@inlined
def target(command: Any, symbol: int, units: float) -> None:
    """Ask for a position in units of the base size."""
    command.kind = TARGET
    command.symbol = symbol
    command.quantity = units


@inlined
def order(command: Any, symbol: int, order_type: int, quantity: float) -> None:
    """Ask for an order of signed contracts; set further fields (limit, stop, stop_loss, ...) on the command."""
    command.kind = ORDER
    command.symbol = symbol
    command.type = order_type
    command.quantity = quantity


@inlined
def cancel(command: Any, order_id: int) -> None:
    """Ask for an order to be cancelled."""
    command.kind = CANCEL
    command.order_id = order_id


@inlined
def close(command: Any, symbol: int) -> None:
    """Ask for all orders of a symbol to be cancelled and its position to be closed."""
    command.kind = CLOSE
    command.symbol = symbol


@inlined
def running_mean(ring: Any, at: int, total: float, value: float) -> tuple[int, float]:
    """Put a value into a ring of the last n values.

    The sum is recomputed from the ring at each turn, so that rounding does not add up over a long stream.

    Args:
        ring: The last n values, float64, shape (n,); changed.
        at: Place of the oldest value.
        total: Sum of the ring.
        value: The new one.

    Returns:
        The next place and the new sum.
    """
    total += value - ring[at]
    ring[at] = value
    at += 1
    if at == ring.shape[0]:
        at = 0
        total = 0.0
        for j in range(ring.shape[0]):
            total += ring[j]
    return at, total


@kernel
def sma_cross(
    close: Any,
    present: Any,
    fast: Any,
    slow: Any,
    sums: Any,
    places: Any,
    size: float,
    short: float,
    out: Any,
) -> None:
    """Side of a fast over a slow simple moving average.

    Args:
        close: Closes, shape (rows, S).
        present: Mask, shape (rows, S).
        fast: Rings of the last closes, shape (S, fast); state.
        slow: Rings of the last closes, shape (S, slow); state.
        sums: Sums of both rings and the last target, shape (S, 3); state.
        places: Places in both rings and bars seen, int64, shape (S, 3); state.
        size: Target while the fast mean is above the slow one.
        short: Target while it is below.
        out: Wanted positions, shape (rows, S); 0 until the slow mean exists; equal means keep the last side.
    """
    for s in range(close.shape[1]):
        fast_ring, slow_ring = fast[s], slow[s]
        fast_at, slow_at, seen = places[s, 0], places[s, 1], places[s, 2]
        fast_sum, slow_sum, wanted = sums[s, 0], sums[s, 1], sums[s, 2]
        fast_n, slow_n = fast_ring.shape[0], slow_ring.shape[0]
        for i in range(close.shape[0]):
            if present[i, s]:
                fast_at, fast_sum = running_mean(fast_ring, fast_at, fast_sum, close[i, s])
                slow_at, slow_sum = running_mean(slow_ring, slow_at, slow_sum, close[i, s])
                seen += 1
                if seen >= slow_n:
                    difference = fast_sum / fast_n - slow_sum / slow_n
                    if difference > 0.0:
                        wanted = size
                    elif difference < 0.0:
                        wanted = short
            out[i, s] = wanted
        places[s, 0], places[s, 1], places[s, 2] = fast_at, slow_at, seen
        sums[s, 0], sums[s, 1], sums[s, 2] = fast_sum, slow_sum, wanted
