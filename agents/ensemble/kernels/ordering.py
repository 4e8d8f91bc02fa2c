"""Rules 2 to 6 of docs/ensemble.md for one symbol: the position wanted, and the order that leads to it."""

from __future__ import annotations

import math
from typing import Any

from agents.ensemble.kernels.layout import FLIP, LEVELS, NOTHING, REDUCTION, Memory, Params
from agents.ensemble.kernels.watching import GTD, WORKS, nearest_stop
from engine.base.compiled import inlined
from engine.types.records import Bars, CommandKind, OrderType, Records

TARGET = int(CommandKind.TARGET)
CANCEL_ALL = int(CommandKind.CANCEL_ALL)
LIMIT = int(OrderType.LIMIT)
MARKET_NOW = 1.0 - 1e-9
"""Timing from which on an entry crosses at the next open."""


@inlined
def worth_trading(desired: float, wanted: float, rebalance: float) -> bool:
    """Whether a change of the wanted position is traded for (rule 2)."""
    if desired == wanted:
        return False
    if desired == 0.0 or wanted == 0.0 or desired * wanted < 0.0:
        return True
    return abs(desired - wanted) > rebalance * max(abs(wanted), abs(desired))


@inlined
def wanted_position(symbol: Any, level: int, position: float, entry: int, rebalance: float, cancel: bool) -> Any:
    """The position that the decisions lead to, in units, and whether it is to be ordered (rules 2, 4 and 6).

    Args:
        symbol: SYMBOL_STATE, changed.
        level: In force.
        position: Held, in contracts.
        entry: State of the symbol's entry orders.
        rebalance: Relative change that is worth a trade.
        cancel: Whether a resting entry is to be cancelled.
    """
    desired = symbol.side * symbol.scale * (level / (LEVELS - 1))
    if symbol.stopped:
        desired = 0.0
    unfilled = symbol.lapsed or (symbol.wanted != 0.0 and position == 0.0 and entry != WORKS)
    if not worth_trading(desired, symbol.wanted, rebalance) and not unfilled and not cancel:
        return desired, False
    if position * desired < 0.0 and symbol.timing < MARKET_NOW:
        # close at the market first; the patient entry on the other side follows once flat
        symbol.pending = 1
        return 0.0, symbol.wanted != 0.0 or cancel
    return desired, True


@inlined
def patient_price(close: float, side: float, offset: float, tick: float) -> float:
    """A limit price `offset` away from the close, rounded to the tick away from the market (rule 3)."""
    price = close - side * offset
    if tick > 0.0:
        price = (math.floor(price / tick + 1e-9) if side > 0.0 else math.ceil(price / tick - 1e-9)) * tick
    return max(price, 0.0)


@inlined
def write_entry(command: Any, symbol: Any, units: float, close: float, ts: int, tick: float, rest_ns: int) -> None:
    """Make the order that grows a position patient, where the timing says so (rule 3)."""
    if symbol.timing >= MARKET_NOW or not symbol.atr > 0.0:
        return
    side = 1.0 if units > 0.0 else -1.0
    price = patient_price(close, side, (1.0 - symbol.timing) * symbol.atr, tick)
    if price > 0.0:
        command.type = LIMIT
        command.limit = price
        command.tif = GTD
        command.expire_ts = ts + rest_ns
        symbol.expires = command.expire_ts


@inlined
def write_target(
    command: Any, symbol: Any, s: int, units: float, close: float, ts: int, orders: Records, entry: int, params: Params
) -> None:
    """Order a wanted position: an entry, or an exit at the market (rules 3 to 5)."""
    held = symbol.held
    if held == 0.0:
        symbol.reached = 0.0
    elif not symbol.lapsed and entry != WORKS:
        symbol.reached = symbol.wanted
    command.kind = TARGET
    command.symbol = s
    command.quantity = units
    command.stop_distance = symbol.stop_distance
    grows = units != 0.0 and (held == 0.0 or abs(units) > abs(symbol.reached))
    flips = held * units < 0.0
    # a stop that is met first must not turn what is left of an exit into a new position
    command.reduce_only = 0 if grows or flips else 1
    symbol.closing = FLIP if flips else (NOTHING if grows else REDUCTION)
    symbol.nearest_stop = nearest_stop(orders, s, held)
    symbol.wanted = units
    symbol.expires = symbol.lapsed = 0
    if grows:
        write_entry(command, symbol, units, close, ts, params.ticks[s], params.settings[0].tactical_ns)


@inlined
def order_symbol(
    commands: Records,
    n: int,
    s: int,
    bars: Bars,
    i: int,
    position: Any,
    orders: Records,
    params: Params,
    memory: Memory,
    fresh: bool,
    entry: int,
    cancel: bool,
    paused: int,
) -> int:
    """Write the orders of a symbol that has a bar, after its decisions are known.

    Args:
        commands: COMMAND, shape (capacity,); blank from n on.
        n: Commands written for the symbols before.
        s: The symbol.
        bars: Of the block.
        i: The row.
        position: POSITION of the symbol.
        orders: Working orders of all symbols.
        params: Constants.
        memory: Changed.
        fresh: Whether one of the three decided since the symbol's last bar.
        entry: State of its entry orders.
        cancel: Whether a resting entry is to be cancelled.
        paused: Whether the account is.

    Returns:
        The number of commands so far.
    """
    symbol, level = memory.symbols[s], memory.level[0]
    if not symbol.has_strategic or not symbol.has_tactical or level < 0:
        return n
    if not fresh and not symbol.pending and not cancel:
        return n
    symbol.pending = 0
    units, ordered = wanted_position(symbol, level, position.quantity, entry, params.settings[0].rebalance, cancel)
    if not ordered:
        return n
    left = memory.symbols.shape[0] - s  # a command each is always left for this symbol and those after it
    # a stop that is met before the flip fills would make the new position twice as large; a paused account refuses
    # the flip, and its stops must stay
    if position.quantity * units < 0.0 and not paused and n + left < commands.shape[0]:
        commands[n].kind = CANCEL_ALL
        commands[n].symbol = s
        n += 1
    write_target(commands[n], symbol, s, units, bars.close[i, s], bars.ts_event[i], orders, entry, params)
    return n + 1
