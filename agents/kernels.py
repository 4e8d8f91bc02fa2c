"""Compiled helpers of agents: indicators with carried state, and functions that fill in commands."""

from __future__ import annotations

import math
from typing import Any

from agents.exact.kernels import CONTINUOUS, ROUNDING, WHOLE, grown_scale, in_steps, rescale
from engine.base.compiled import inlined, kernel
from engine.types.records import CommandKind, OrderType

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
def push(ring: Any, at: int, total: float, value: float) -> tuple[int, float]:
    """Put a value into a ring of the last n values.

    The sum is recomputed from the ring at each turn, so that rounding does not add up over a long stream.

    Args:
        ring: The last n values, float64, shape (n,); changed.
        at: Place of the oldest value.

    Returns:
        The next place and the new sum.
    """
    total += value - ring[at]
    ring[at] = value
    at += 1
    if at == ring.shape[0]:
        at = 0
        total = whole_sum(ring)
    return at, total


@inlined
def whole_sum(ring: Any) -> float:
    """Sum of a ring."""
    total = 0.0
    for j in range(ring.shape[0]):
        total += ring[j]
    return total


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

    Closes are summed as whole numbers of their last decimal, so that equal means are found equal. Where they are no
    decimals, means that differ by no more than the rounding of their sums are equal.

    Args:
        close: Closes, shape (rows, S).
        present: Mask, shape (rows, S).
        fast: Rings of the last closes in steps, shape (S, fast); state.
        slow: Rings of the last closes in steps, shape (S, slow); state.
        sums: Sums of both rings, the last target and the scale, shape (S, 4); state.
        places: Places in both rings and bars seen, int64, shape (S, 3); state.
        size: Target while the fast mean is above the slow one.
        short: Target while it is below.
        out: Wanted positions, shape (rows, S); 0 until the slow mean exists; equal means keep the last side.
    """
    for s in range(close.shape[1]):
        fast_ring, slow_ring = fast[s], slow[s]
        fast_at, slow_at, seen = places[s, 0], places[s, 1], places[s, 2]
        fast_sum, slow_sum, wanted, scale = sums[s, 0], sums[s, 1], sums[s, 2], sums[s, 3]
        fast_n, slow_n = fast_ring.shape[0], slow_ring.shape[0]
        terms = float(fast_n * slow_n)
        most = WHOLE / terms
        for i in range(close.shape[0]):
            if present[i, s]:
                price = close[i, s]
                if scale != CONTINUOUS:
                    scaled = price * scale
                    steps = math.floor(scaled + 0.5)
                    # nearly every price passes: a whole number but for the rounding of the product; no division
                    whole = abs(scaled - steps) <= ROUNDING * abs(steps) and 0.0 < abs(steps) < most
                    if not whole:
                        grown = grown_scale(scale, price, terms)
                        if grown != scale:
                            rescale(fast_ring, scale, grown)
                            rescale(slow_ring, scale, grown)
                            fast_sum, slow_sum, scale = whole_sum(fast_ring), whole_sum(slow_ring), grown
                        steps = in_steps(price, scale)
                    price = steps
                fast_at, fast_sum = push(fast_ring, fast_at, fast_sum, price)
                slow_at, slow_sum = push(slow_ring, slow_at, slow_sum, price)
                seen += 1
                if seen >= slow_n:
                    difference = fast_sum * slow_n - slow_sum * fast_n
                    # sums of whole numbers are exact; others are off by a rounding for each term at most
                    noise = ROUNDING * slow_n * abs(fast_sum) * slow_n if scale == CONTINUOUS else 0.0
                    if difference > noise:
                        wanted = size
                    elif difference < -noise:
                        wanted = short
            out[i, s] = wanted
        places[s, 0], places[s, 1], places[s, 2] = fast_at, slow_at, seen
        sums[s, 0], sums[s, 1], sums[s, 2], sums[s, 3] = fast_sum, slow_sum, wanted, scale
