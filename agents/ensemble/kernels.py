"""The ensemble inside the scan: the risk network, and from three decisions to orders.

`signals[i, s]` holds what the strategic and tactical agents decided from the market (columns below); the risk agent is
asked here, since it sees the portfolio, and its answer is written back into the last columns for the record.
"""

from __future__ import annotations

import math
from typing import Any

from agents.features.kernels.risk import RISK_PLACES, RISK_STATE, risk_metrics, update_risk
from agents.serving.kernels import best_action, best_probability, risk_q_values
from engine.compiled import inlined
from engine.records import CommandKind, OrderType, Role, TimeInForce

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
HAS_STRATEGIC, HAS_TACTICAL, SIDE, PATIENCE, STOP, SIZE, RANGE, WANTED, HELD, STOPPED, PENDING = range(11)
SLOT = 11

LEVELS = 5
MARKET_NOW = 1.0 - 1e-9
TARGET = int(CommandKind.TARGET)
MARKET = int(OrderType.MARKET)
LIMIT = int(OrderType.LIMIT)
GTD = int(TimeInForce.GTD)
ENTRY = int(Role.ENTRY)


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
        memory[slot + PATIENCE] = signal[TIMING]
        memory[slot + STOP] = signal[STOP_DISTANCE]
        memory[slot + SIZE] = signal[SCALE]
        memory[slot + RANGE] = signal[ATR]
        fresh = True
    return fresh


@inlined
def entry_works(orders: Any, symbol: int) -> bool:
    """Whether an entry order of the symbol still works."""
    for k in range(orders.shape[0]):
        if orders[k].symbol == symbol and orders[k].role == ENTRY:
            return True
    return False


@inlined
def passive_price(close: float, side: float, offset: float, tick: float) -> float:
    """A limit price away from the market, on the tick that gives more, not less."""
    price = close - side * offset
    if tick > 0.0:
        price = (math.floor(price / tick + 1e-9) if side > 0.0 else math.ceil(price / tick - 1e-9)) * tick
    return max(price, 0.0)


@inlined
def command_target(
    command: Any, symbol: int, units: float, memory: Any, slot: int, close: float, ts: int, params: Any
) -> None:
    """Ask for a position: patiently if it grows and the tactical agent says so, at the market otherwise."""
    command.kind = TARGET
    command.symbol = symbol
    command.quantity = units
    command.stop_distance = memory[slot + STOP]
    grows = abs(units) > abs(memory[slot + WANTED]) or memory[slot + HELD] == 0.0
    patience = 1.0 - memory[slot + PATIENCE]
    if units != 0.0 and grows and memory[slot + PATIENCE] < MARKET_NOW and memory[slot + RANGE] > 0.0:
        side = 1.0 if units > 0.0 else -1.0
        tick = params[PARAMS_HEAD + symbol]
        price = passive_price(close, side, patience * memory[slot + RANGE], tick)
        if price > 0.0:
            command.type = LIMIT
            command.limit = price
            command.tif = GTD
            command.expire_ts = ts + int(params[TACTICAL_NS])
    memory[slot + WANTED] = units


@inlined
def differs(desired: float, wanted: float, threshold: float) -> bool:
    """Whether a wanted position changed enough to trade for."""
    if desired == wanted:
        return False
    if desired == 0.0 or wanted == 0.0 or desired * wanted < 0.0:
        return True
    return abs(desired - wanted) > threshold * max(abs(wanted), abs(desired))


@inlined
def decide_symbol(
    command: Any, s: int, close: float, ts: int, position: float, orders: Any, params: Any, memory: Any, fresh: bool
) -> int:
    """Orders of one symbol after its decisions are known; returns the number of commands (0 or 1)."""
    slot = MEMORY_HEAD + s * SLOT
    if memory[slot + HAS_STRATEGIC] == 0.0 or memory[slot + HAS_TACTICAL] == 0.0 or math.isnan(memory[LEVEL]):
        return 0
    wanted = memory[slot + WANTED]
    if memory[slot + HELD] != 0.0 and position == 0.0 and wanted != 0.0:
        # a stop closed what was wanted: stay out until the strategic agent decides anew
        memory[slot + STOPPED] = 1.0
        memory[slot + WANTED] = wanted = 0.0
    memory[slot + HELD] = position
    if not fresh and memory[slot + PENDING] == 0.0:
        return 0
    memory[slot + PENDING] = 0.0
    desired = memory[slot + SIDE] * memory[slot + SIZE] * memory[LEVEL]
    if memory[slot + STOPPED] > 0.0:
        desired = 0.0
    unfilled = wanted != 0.0 and position == 0.0 and not entry_works(orders, s)
    if not differs(desired, wanted, params[REBALANCE]) and not unfilled:
        return 0
    if position * desired < 0.0 and memory[slot + PATIENCE] < MARKET_NOW:
        # leave at the market first; the patient entry on the other side follows once flat
        memory[slot + PENDING] = 1.0
        desired = 0.0
        if wanted == 0.0:
            return 0
    command_target(command, s, desired, memory, slot, close, ts, params)
    return 1


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
        fresh = absorb(signals[i, s], memory, MEMORY_HEAD + s * SLOT) or asked
        if not bars.present[i, s] or n >= commands.shape[0]:
            if fresh:
                memory[MEMORY_HEAD + s * SLOT + PENDING] = 1.0
        else:
            n += decide_symbol(
                commands[n],
                s,
                bars.close[i, s],
                bars.ts_event[i],
                positions[s].quantity,
                orders,
                params,
                memory,
                fresh,
            )
    return n
