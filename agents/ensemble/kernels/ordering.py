"""Rules 2 to 6 of docs/ensemble.md for one symbol: the position wanted, and the order that leads to it."""

from __future__ import annotations

import math

from agents.ensemble.kernels.layout import FLIP, LEVELS, NOTHING, REDUCTION, Memory, Params
from agents.ensemble.kernels.watching import GTD, WORKS, nearest_stop
from engine.base.compiled import inlined
from engine.types.records import Bars, CommandKind, OrderType, Record, Records

TARGET = int(CommandKind.TARGET)
CANCEL_ALL = int(CommandKind.CANCEL_ALL)
LIMIT = int(OrderType.LIMIT)
MARKET_NOW = 1.0 - 1e-9
"""Timing from which on an entry crosses at the next open."""


@inlined
def all_decided(symbol: Record) -> bool:
    """Whether each of the three has decided once (rule 1)."""
    return symbol.has_strategic != 0 and symbol.has_tactical != 0 and symbol.has_risk != 0


@inlined
def desired_position(symbol: Record) -> float:
    """Side, scale and level as one position, in units (rule 2); nothing after a stop-out (rule 6)."""
    if symbol.stopped:
        return 0.0
    return symbol.side * symbol.scale * (symbol.level / (LEVELS - 1))


@inlined
def worth_trading(desired: float, wanted: float, rebalance: float) -> bool:
    """Whether a change of the wanted position is traded for (rule 2)."""
    if desired == wanted:
        return False
    if desired == 0.0 or wanted == 0.0 or desired * wanted < 0.0:
        return True
    return abs(desired - wanted) > rebalance * max(abs(wanted), abs(desired))


@inlined
def leaves_first(symbol: Record, held: float, desired: float) -> bool:
    """Whether the position is closed at the market before the other side is entered (rule 4)."""
    # one limit order for both would keep the wrong side open for as long as it rests
    return held * desired < 0.0 and symbol.timing < MARKET_NOW


@inlined
def gives_up_stops(held: float, units: float, paused: int) -> bool:
    """Whether the stops of a position are cancelled before the order that changes its side (rule 4)."""
    # a stop that is met before the flip fills would make the new position twice as large; a paused account refuses
    # the flip, and its stops must stay
    return held * units < 0.0 and not paused


@inlined
def wanted_position(symbol: Record, position: float, entry: int, rebalance: float, cancel: bool) -> tuple[float, bool]:
    """The position to go to now, in units, and whether it is to be ordered (rules 2 and 4).

    Args:
        symbol: SYMBOL_STATE, changed.
        position: Held, in contracts.
        entry: State of the symbol's entry orders.
        rebalance: Relative change that is worth a trade.
        cancel: Whether a resting entry is to be cancelled.
    """
    desired = desired_position(symbol)
    # what expired or was refused is ordered again, however small the change
    unfilled = symbol.lapsed or (symbol.wanted != 0.0 and position == 0.0 and entry != WORKS)
    if not worth_trading(desired, symbol.wanted, rebalance) and not unfilled and not cancel:
        return desired, False
    if leaves_first(symbol, position, desired):
        symbol.pending = 1  # the entry on the other side is decided at the symbol's next bar
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
def write_entry(
    command: Record, symbol: Record, units: float, close: float, ts: int, tick: float, rest_ns: int
) -> None:
    """Make the order that grows a position patient, where the timing says so (rule 3)."""
    # without a range there is no distance to wait at, and what was decided is not to be missed
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
    command: Record,
    symbol: Record,
    s: int,
    units: float,
    close: float,
    ts: int,
    orders: Records,
    entry: int,
    params: Params,
) -> None:
    """Order a wanted position: an entry, or an exit at the market (rules 3 to 5)."""
    held = symbol.held
    # what the position stands for, in units: sizing rounds and limits cut, so contracts do not tell whether it grows
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
    position: Record,
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
    symbol = memory.symbols[s]
    if not all_decided(symbol):
        return n
    if not fresh and not symbol.pending and not cancel:
        return n
    symbol.pending = 0
    units, ordered = wanted_position(symbol, position.quantity, entry, params.settings[0].rebalance, cancel)
    if not ordered:
        return n
    left = memory.symbols.shape[0] - s  # a command each is always left for this symbol and those after it
    if gives_up_stops(position.quantity, units, paused) and n + left < commands.shape[0]:
        commands[n].kind = CANCEL_ALL
        commands[n].symbol = s
        n += 1
    write_target(commands[n], symbol, s, units, bars.close[i, s], bars.ts_event[i], orders, entry, params)
    return n + 1
