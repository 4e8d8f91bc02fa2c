"""One row of the ensemble: who decided, what became of the orders, what is ordered now."""

from __future__ import annotations

import numpy as np

from agents.ensemble.kernels.layout import LEVELS, METRICS, NETWORK_SCRATCH, Memory, Params, Signals
from agents.ensemble.kernels.ordering import order_symbol
from agents.ensemble.kernels.watching import entry_state, trading_resumed, watch_orders
from agents.features.kernels.risk import risk_metrics, update_risk
from agents.serving.kernels import best_action, best_probability, risk_q_values
from engine.base.compiled import inlined
from engine.types.records import Bars, Record, Records


@inlined
def ask_network(account: Record, params: Params, memory: Memory) -> tuple[int, float]:
    """The level that the risk network chooses, and the softmax probability of it."""
    metrics = memory.scratch[:METRICS]
    values = memory.scratch[METRICS : METRICS + LEVELS]
    risk_metrics(memory.risk[0], account, metrics)
    for k in range(METRICS):
        metrics[k] = np.float64(np.float32(metrics[k]))  # the very numbers that training sees
    risk_q_values(params.network, metrics, values, memory.scratch[NETWORK_SCRATCH:])
    return best_action(values), best_probability(values)


@inlined
def take_level(i: int, signal: Record, account: Record, params: Params, memory: Memory) -> None:
    """Put the risk agent's decision in force, and answer it."""
    level, confidence = signal.level, 1.0
    if level < 0:
        level, confidence = ask_network(account, params, memory)
    memory.level[0] = level
    memory.answers[i].level = level
    memory.answers[i].confidence = confidence


@inlined
def take_decisions(signal: Record, symbol: Record, level: int, flat: bool) -> bool:
    """Put fresh decisions of all three in force, by the rule of which is read when.

    Args:
        signal: SIGNAL.
        symbol: SYMBOL_STATE, changed.
        level: The risk agent's latest.
        flat: Whether the symbol has no position.

    Returns:
        Whether the strategic or the tactical agent has decided.
    """
    if signal.strategic_fresh:
        symbol.has_strategic = 1
        symbol.side = signal.side
        symbol.stopped = 0  # a stop-out bars entries until the strategic agent's next decision
    if signal.tactical_fresh:
        symbol.has_tactical = 1
        symbol.timing = signal.timing
        symbol.stop_distance = signal.stop_distance
        symbol.latest_scale = signal.scale
        symbol.atr = signal.atr
    # a position is resized when the strategic agent decides: every change in between would be traded for
    if flat or signal.strategic_fresh:
        symbol.scale = symbol.latest_scale
    # risk is cut at once, and restored with the strategic agent's next decision
    if level >= 0 and (signal.strategic_fresh or not symbol.has_risk or level < symbol.level):
        symbol.has_risk = 1
        symbol.level = level
    return signal.strategic_fresh or signal.tactical_fresh


def decide(
    i: int,
    bars: Bars,
    signals: Signals,
    account: Records,
    positions: Records,
    orders: Records,
    params: Params,
    memory: Memory,
    commands: Records,
) -> int:
    """One row of the ensemble.

    Args:
        i: The row.
        bars: Of the block.
        signals: What the agents decided from the market.
        account: ACCOUNT after the row, shape (1,).
        positions: POSITION after the row, shape (S,).
        orders: Working ORDER records.
        params: Constants.
        memory: Written: state, scratch, and the answer of the row.
        commands: COMMAND, all blank; the first n are written.

    Returns:
        n.
    """
    update_risk(memory.risk[0], account[0])
    asked = signals.risk[i].due != 0
    if asked:
        take_level(i, signals.risk[i], account[0], params, memory)
    n, ts, level = 0, bars.ts_event[i], memory.level[0]
    for s in range(positions.shape[0]):
        symbol, position = memory.symbols[s], positions[s]
        if not bars.present[i, s]:
            # nothing can be ordered without a price: what was decided waits for the symbol's next bar
            if take_decisions(signals.symbols[i, s], symbol, level, position.quantity == 0.0) or asked:
                symbol.pending = 1
            continue
        # what happened within the row comes before what is decided at its close
        entry = entry_state(orders, s, ts)
        cancel = watch_orders(symbol, position, entry, bars.low[i, s], bars.high[i, s], ts)
        cancel = trading_resumed(symbol, position) or cancel
        fresh = take_decisions(signals.symbols[i, s], symbol, level, position.quantity == 0.0) or asked
        n = order_symbol(
            commands, n, s, bars, i, position, orders, params, memory, fresh, entry, cancel, account[0].paused
        )
    return n
