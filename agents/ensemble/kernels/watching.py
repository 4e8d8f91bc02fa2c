"""What became of a symbol's position and orders within a row, before anything is decided at its close.

The kernels see positions and working orders, not fills: a stop-out and a lapsed entry are inferred from what changed
since the row before.
"""

from __future__ import annotations

import math

from agents.ensemble.kernels.layout import FLIP, NOTHING, REDUCTION
from engine.base.compiled import inlined
from engine.types.records import OrderType, Record, Records, Role, TimeInForce

MARKET = int(OrderType.MARKET)
GTD = int(TimeInForce.GTD)
ENTRY = int(Role.ENTRY)
STOP_LOSS = int(Role.STOP_LOSS)
NOISE = 1e-12
"""As in the simulator: a computed level may miss the price that it stands for."""

GONE, OVER, WORKS = 0, 1, 2
"""Entry orders of a symbol: none, one whose time is over, one that can still fill."""


@inlined
def entry_state(orders: Records, s: int, ts: int) -> int:
    """Whether an entry order of symbol s can still fill after `ts`: WORKS, OVER or GONE."""
    found = GONE
    for k in range(orders.shape[0]):
        order = orders[k]
        if order.symbol == s and order.role == ENTRY:
            # the simulator removes an order only in the row after its time is over
            if order.tif != GTD or order.expire_ts > ts:
                return WORKS
            found = OVER
    return found


@inlined
def nearest_stop(orders: Records, s: int, held: float) -> float:
    """The protective stop of a position that prices meet first; 0 if it has none."""
    nearest = 0.0
    for k in range(orders.shape[0]):
        order = orders[k]
        if order.symbol != s or order.role != STOP_LOSS:
            continue
        if order.type == MARKET:
            # met already and filling in parts: any price meets it
            return math.inf if held > 0.0 else NOISE
        if nearest == 0.0 or (order.stop - nearest) * held > 0.0:
            nearest = order.stop
    return nearest


@inlined
def stop_met(held: float, stop: float, low: float, high: float) -> bool:
    """Whether a bar met the stop of what was held."""
    if held > 0.0:
        return low <= stop * (1.0 + NOISE)
    return stop > 0.0 and high >= stop * (1.0 - NOISE)


@inlined
def stopped_out(symbol: Record, position: Record, entry: int) -> bool:
    """Whether something other than the agents' own decision has emptied the position in this row (rule 6)."""
    if position.quantity != 0.0 or symbol.wanted == 0.0:
        return False
    # a position that came and went within the row shows in the profit realized alone
    if symbol.held == 0.0 and position.realized == symbol.realized:
        return False
    # a reduction can round to nothing, and a flip passes through nothing while it fills in parts
    return symbol.closing == NOTHING or (symbol.closing == FLIP and entry != WORKS)


@inlined
def watch_orders(symbol: Record, position: Record, entry: int, low: float, high: float, ts: int) -> bool:
    """Take what the row did to position and orders into the state; returns whether a resting entry is to be cancelled.

    Args:
        symbol: SYMBOL_STATE, changed.
        position: POSITION after the row.
        entry: State of the symbol's entry orders.
        low, high: Of the row's bar.
        ts: Its time.
    """
    if symbol.closing == REDUCTION and stop_met(symbol.held, symbol.nearest_stop, low, high):
        symbol.closing = NOTHING  # from here on, whatever empties the position is the stop
    # before the state moves on: both rows are compared
    stopped = stopped_out(symbol, position, entry)
    if symbol.expires > 0 and entry != WORKS:
        # an entry that is gone before its time was filled, or cancelled for another
        symbol.lapsed = 1 if entry == OVER or ts > symbol.expires else 0
        symbol.expires = 0
    if entry != WORKS:
        symbol.closing = NOTHING  # the order is done: what empties the position from the next row on is not it
    if stopped:
        symbol.stopped = 1
        symbol.wanted = 0.0
        symbol.lapsed = 0
    symbol.held = position.quantity
    symbol.realized = position.realized
    return stopped and entry == WORKS


@inlined
def trading_resumed(symbol: Record, position: Record) -> bool:
    """Whether the operator resumed trading since the last row; everything wanted is then to be ordered again."""
    # the simulator forgets the position commanded when trading resumes
    if not math.isnan(position.target):
        return False
    # orders may have been refused or cancelled meanwhile, so nothing counts as reached
    symbol.reached = 0.0
    symbol.expires = 0
    symbol.lapsed = 1
    return True
