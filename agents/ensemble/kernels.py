"""The ensemble inside the scan: the risk network, and from three decisions to orders.

`signals[i, s]` holds what the strategic and tactical agents decided from the market (columns below); the risk agent is
asked here, since it sees the portfolio, and its answer is written back into the last columns for the record.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agents.features.kernels.indicators import smoothed, true_range
from agents.features.kernels.risk import RISK_PLACES, RISK_STATE, risk_metrics, update_risk
from agents.serving.kernels import best_action, best_probability, risk_q_values
from engine.base.compiled import inlined, kernel
from engine.types.records import CommandKind, OrderType, Role, TimeInForce

# Columns of signals: inputs
STRATEGIC_FRESH, DIRECTION, TACTICAL_FRESH, TIMING, STOP_DISTANCE, SCALE, ATR, RISK_CLOCK = 0, 1, 2, 3, 4, 5, 6, 7
# Columns of signals: written by `decide`, for symbol 0
RISK_ACTION, RISK_CONFIDENCE = 8, 9
SIGNAL_COLUMNS = 10

# Head of params: then one tick size a symbol, then the risk network
TACTICAL_NS, REBALANCE, FIXED_LEVEL, SYMBOLS = 0, 1, 2, 3
PARAMS_HEAD = 4

# Memory: risk state, then these, then one slot a symbol, then scratch
LEVEL = RISK_PLACES
MEMORY_HEAD = RISK_PLACES + 1
METRICS = 10
HAS_STRATEGIC, HAS_TACTICAL, SIDE, TIMING_GIVEN, STOP, SIZE, RANGE, WANTED, HELD, STOPPED, PENDING = range(11)
# Units that the position stands for while its growth is under way, end and lapse of a patient entry, what the last
# order does before it opens anything, nearest protective stop then, and the profit realized so far
REACHED, EXPIRES, LAPSED, CLOSING, LEG, REALIZED = range(11, 17)
SLOT = 17

NOTHING, REDUCTION, FLIP = 0.0, 1.0, 2.0  # CLOSING
GONE, OVER, WORKS = 0, 1, 2  # entry orders of a symbol: none, one whose time is over, one that can fill
RANGE_STATE = np.dtype([("seen", np.int64)] + [(name, np.float64) for name in ("close", "average", "last")])
"""Bars seen, the close before, Wilder's average (the sum of the ranges until there are 14), the last range given."""

LEVELS = 5
ATR_BARS = 14
MARKET_NOW = 1.0 - 1e-9
TARGET = int(CommandKind.TARGET)
CANCEL_ALL = int(CommandKind.CANCEL_ALL)
MARKET = int(OrderType.MARKET)
LIMIT = int(OrderType.LIMIT)
GTD = int(TimeInForce.GTD)
ENTRY = int(Role.ENTRY)
STOP_LOSS = int(Role.STOP_LOSS)
NOISE = 1e-12  # as in the simulator: a computed level may miss the price that it stands for


@kernel
def average_ranges(bars: Any, state: Any, out: Any) -> None:
    """Average true ranges of consecutive bars, from the first bar of a symbol on.

    Args:
        bars: Arrays of shape (n, S).
        state: RANGE_STATE, shape (S,), changed; `last` is NaN before the first bar.
        out: Price units, shape (n, S); where a symbol has no bar, the one before.
    """
    for s in range(state.shape[0]):
        record = state[s]
        for i in range(bars.ts_event.shape[0]):
            if bars.present[i, s]:
                high, low, n = bars.high[i, s], bars.low[i, s], record.seen
                if n == 0:
                    record.last = high - low  # stands in until there is a close before
                else:
                    sample = true_range(high, low, record.close)
                    record.average = smoothed(record.average, n, ATR_BARS, 1.0 / ATR_BARS, sample)
                    record.last = record.average if n >= ATR_BARS else record.average / n
                record.close = bars.close[i, s]
                record.seen = n + 1
            out[i, s] = record.last


@inlined
def ask_risk(state: Any, account: Any, params: Any, memory: Any, symbols: int) -> tuple[float, float]:
    """Let the risk agent choose a level; returns its action and confidence."""
    if params[FIXED_LEVEL] >= 0.0:
        memory[LEVEL] = params[FIXED_LEVEL] / (LEVELS - 1)
        return params[FIXED_LEVEL], 1.0
    at = MEMORY_HEAD + symbols * SLOT
    metrics = memory[at : at + METRICS]
    values = memory[at + METRICS : at + METRICS + LEVELS]
    scratch = memory[at + METRICS + LEVELS :]
    risk_metrics(state, account, metrics)
    for k in range(METRICS):
        metrics[k] = np.float64(np.float32(metrics[k]))  # the very numbers that training sees
    risk_q_values(params[PARAMS_HEAD + symbols :], metrics, values, scratch)
    action = best_action(values)
    memory[LEVEL] = action / (LEVELS - 1)
    return float(action), best_probability(values)


@inlined
def absorb(signal: Any, memory: Any, slot: int) -> bool:
    """Take over fresh decisions of the strategic and tactical agents; returns whether there were any."""
    fresh = False
    if signal[STRATEGIC_FRESH] > 0.0:
        memory[slot + HAS_STRATEGIC] = 1.0
        memory[slot + SIDE] = signal[DIRECTION]
        memory[slot + STOPPED] = 0.0
        fresh = True
    if signal[TACTICAL_FRESH] > 0.0:
        memory[slot + HAS_TACTICAL] = 1.0
        memory[slot + TIMING_GIVEN] = signal[TIMING]
        memory[slot + STOP] = signal[STOP_DISTANCE]
        memory[slot + SIZE] = signal[SCALE]
        memory[slot + RANGE] = signal[ATR]
        fresh = True
    return fresh


@inlined
def entry_state(orders: Any, symbol: int, ts: int) -> int:
    """Whether an entry order of the symbol can still fill after `ts`: WORKS, OVER or GONE."""
    found = GONE
    for k in range(orders.shape[0]):
        order = orders[k]
        if order.symbol == symbol and order.role == ENTRY:
            if order.tif != GTD or order.expire_ts > ts:
                return WORKS
            found = OVER
    return found


@inlined
def nearest_stop(orders: Any, symbol: int, position: float) -> float:
    """The protective stop of a position that prices meet first; 0 if it has none."""
    nearest = 0.0
    for k in range(orders.shape[0]):
        order = orders[k]
        if order.symbol != symbol or order.role != STOP_LOSS:
            continue
        if order.type == MARKET:
            # met already and filling in parts: any price meets it
            return math.inf if position > 0.0 else NOISE
        if nearest == 0.0 or (order.stop - nearest) * position > 0.0:
            nearest = order.stop
    return nearest


@inlined
def stop_met(held: float, stop: float, low: float, high: float) -> bool:
    """Whether a bar met the stop of what was held."""
    if held > 0.0:
        return low <= stop * (1.0 + NOISE)
    return stop > 0.0 and high >= stop * (1.0 - NOISE)


@inlined
def stopped_out(position: Any, entry: int, memory: Any, slot: int) -> bool:
    """Whether something other than the agents' own wish has emptied the position in this row.

    A position that came and went within the row shows in the profit realized. A reduction can round to nothing, and a
    flip passes through nothing while it fills in parts.
    """
    if position.quantity != 0.0 or memory[slot + WANTED] == 0.0:
        return False
    if memory[slot + HELD] == 0.0 and position.realized == memory[slot + REALIZED]:
        return False
    return memory[slot + CLOSING] == NOTHING or (memory[slot + CLOSING] == FLIP and entry != WORKS)


@inlined
def look(position: Any, low: float, high: float, ts: int, entry: int, memory: Any, slot: int) -> bool:
    """Notice what became of position and orders in this row; returns whether an entry must be called off."""
    if memory[slot + CLOSING] == REDUCTION and stop_met(memory[slot + HELD], memory[slot + LEG], low, high):
        memory[slot + CLOSING] = NOTHING  # from here on, whatever empties the position is the stop
    stopped = stopped_out(position, entry, memory, slot)
    if memory[slot + EXPIRES] > 0.0 and entry != WORKS:
        memory[slot + LAPSED] = 1.0 if entry == OVER or ts > memory[slot + EXPIRES] else 0.0
        memory[slot + EXPIRES] = 0.0
    if entry != WORKS:
        memory[slot + CLOSING] = NOTHING
    if stopped:
        memory[slot + STOPPED] = 1.0
        memory[slot + WANTED] = memory[slot + LAPSED] = 0.0
    memory[slot + HELD] = position.quantity
    memory[slot + REALIZED] = position.realized
    return stopped and entry == WORKS


@inlined
def ask_again(position: Any, memory: Any, slot: int) -> bool:
    """Whether the operator resumed trading: wants may have been refused or cancelled, so nothing was reached."""
    if not math.isnan(position.target):
        return False
    memory[slot + REACHED] = memory[slot + EXPIRES] = 0.0
    memory[slot + LAPSED] = 1.0
    return True


@inlined
def passive_price(close: float, side: float, offset: float, tick: float) -> float:
    """A limit price away from the market, on the tick that gives more, not less."""
    price = close - side * offset
    if tick > 0.0:
        price = (math.floor(price / tick + 1e-9) if side > 0.0 else math.ceil(price / tick - 1e-9)) * tick
    return max(price, 0.0)


@inlined
def command_target(
    command: Any, s: int, units: float, close: float, ts: int, orders: Any, entry: int, params: Any, memory: Any
) -> None:
    """Ask for a position: patiently if it grows and the tactical agent says so, at the market otherwise."""
    slot = MEMORY_HEAD + s * SLOT
    held = memory[slot + HELD]
    if held == 0.0:
        memory[slot + REACHED] = 0.0
    elif memory[slot + LAPSED] == 0.0 and entry != WORKS:
        memory[slot + REACHED] = memory[slot + WANTED]
    command.kind = TARGET
    command.symbol = s
    command.quantity = units
    command.stop_distance = memory[slot + STOP]
    grows = units != 0.0 and (held == 0.0 or abs(units) > abs(memory[slot + REACHED]))
    flips = held * units < 0.0
    # a stop that is met first must not turn what is left of an exit into a new position
    command.reduce_only = 0 if grows or flips else 1
    memory[slot + CLOSING] = FLIP if flips else (NOTHING if grows else REDUCTION)
    memory[slot + LEG] = nearest_stop(orders, s, held)
    memory[slot + WANTED] = units
    memory[slot + EXPIRES] = memory[slot + LAPSED] = 0.0
    timing = memory[slot + TIMING_GIVEN]
    if grows and timing < MARKET_NOW and memory[slot + RANGE] > 0.0:
        side = 1.0 if units > 0.0 else -1.0
        price = passive_price(close, side, (1.0 - timing) * memory[slot + RANGE], params[PARAMS_HEAD + s])
        if price > 0.0:
            command.type = LIMIT
            command.limit = price
            command.tif = GTD
            command.expire_ts = ts + int(params[TACTICAL_NS])
            memory[slot + EXPIRES] = float(command.expire_ts)


@inlined
def differs(desired: float, wanted: float, threshold: float) -> bool:
    """Whether a wanted position changed enough to trade for."""
    if desired == wanted:
        return False
    if desired == 0.0 or wanted == 0.0 or desired * wanted < 0.0:
        return True
    return abs(desired - wanted) > threshold * max(abs(wanted), abs(desired))


@inlined
def wish(s: int, position: float, entry: int, params: Any, memory: Any, call_off: bool) -> tuple[float, bool]:
    """The position that the decisions lead to, in units, and whether to ask for it."""
    slot = MEMORY_HEAD + s * SLOT
    wanted = memory[slot + WANTED]
    desired = memory[slot + SIDE] * memory[slot + SIZE] * memory[LEVEL]
    if memory[slot + STOPPED] > 0.0:
        desired = 0.0
    unfilled = memory[slot + LAPSED] > 0.0 or (wanted != 0.0 and position == 0.0 and entry != WORKS)
    if not differs(desired, wanted, params[REBALANCE]) and not unfilled and not call_off:
        return desired, False
    if position * desired < 0.0 and memory[slot + TIMING_GIVEN] < MARKET_NOW:
        # leave at the market first; the patient entry on the other side follows once flat
        memory[slot + PENDING] = 1.0
        return 0.0, wanted != 0.0 or call_off
    return desired, True


@inlined
def decide_symbol(
    commands: Any,
    n: int,
    s: int,
    bars: Any,
    i: int,
    position: Any,
    orders: Any,
    params: Any,
    memory: Any,
    fresh: bool,
    entry: int,
    call_off: bool,
    paused: int,
) -> int:
    """Orders of one symbol that has a bar, after its decisions are known; returns the number of commands so far."""
    slot = MEMORY_HEAD + s * SLOT
    if memory[slot + HAS_STRATEGIC] == 0.0 or memory[slot + HAS_TACTICAL] == 0.0 or math.isnan(memory[LEVEL]):
        return n
    if not fresh and memory[slot + PENDING] == 0.0 and not call_off:
        return n
    memory[slot + PENDING] = 0.0
    units, act = wish(s, position.quantity, entry, params, memory, call_off)
    if not act:
        return n
    rest = int(params[SYMBOLS]) - s  # a command each is always left for this symbol and those after it
    if position.quantity * units < 0.0 and not paused and n + rest < commands.shape[0]:
        # (a paused account refuses the flip: its stops must stay)
        # a stop that is met before the flip fills would make the new position twice as large
        commands[n].kind = CANCEL_ALL
        commands[n].symbol = s
        n += 1
    command_target(commands[n], s, units, bars.close[i, s], bars.ts_event[i], orders, entry, params, memory)
    return n + 1


def decide(
    i: int,
    bars: Any,
    signals: Any,
    account: Any,
    positions: Any,
    orders: Any,
    params: Any,
    memory: Any,
    commands: Any,
) -> int:
    """One row of the ensemble; see agents.compiled for the arguments."""
    symbols = positions.shape[0]
    state = memory[:RISK_PLACES].view(RISK_STATE)[0]
    update_risk(state, account[0])
    asked = signals[i, 0, RISK_CLOCK] > 0.0
    if asked:
        action, confidence = ask_risk(state, account[0], params, memory, symbols)
        signals[i, 0, RISK_ACTION] = action
        signals[i, 0, RISK_CONFIDENCE] = confidence
    n = 0
    for s in range(symbols):
        slot = MEMORY_HEAD + s * SLOT
        if not bars.present[i, s]:
            if absorb(signals[i, s], memory, slot) or asked:
                memory[slot + PENDING] = 1.0
            continue
        # what happened within the row comes before what is decided at its close
        entry = entry_state(orders, s, bars.ts_event[i])
        call_off = look(positions[s], bars.low[i, s], bars.high[i, s], bars.ts_event[i], entry, memory, slot)
        call_off = ask_again(positions[s], memory, slot) or call_off
        fresh = absorb(signals[i, s], memory, slot) or asked
        n = decide_symbol(
            commands, n, s, bars, i, positions[s], orders, params, memory, fresh, entry, call_off, account[0].paused
        )
    return n
