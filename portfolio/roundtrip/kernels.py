"""The compiled scan that folds fills into round trips and their statistics."""

from __future__ import annotations

import numpy as np

from engine.base.compiled import kernel
from engine.types.blocks import Floats
from engine.types.records import Records

ROUNDING = 1e-12
"""A profit smaller than this share of all that was bought and sold is rounding of sums: sizes and prices have steps."""


@kernel
def begin_trade(trade: np.void, fill: np.void) -> None:
    """Start a round trip with a fill; the sizes are added by `enter`."""
    trade["quantity"] = 0.0
    trade["fees"] = 0.0
    trade["realized"] = 0.0
    trade["entry_quantity"] = 0.0
    trade["entry_value"] = 0.0
    trade["exit_quantity"] = 0.0
    trade["exit_value"] = 0.0
    trade["symbol"] = fill["symbol"]
    trade["side"] = fill["side"]
    trade["entry_ts"] = fill["ts_event"]
    trade["entry_seq"] = fill["seq"]
    trade["entry_role"] = fill["role"]
    trade["entry_tag"] = fill["tag"]
    trade["fills"] = 0
    trade["open"] = 1


@kernel
def end_trade(trade: np.void, multiplier: float) -> None:
    """Work out averages, profit and return of a round trip; what broke even has a profit of exactly 0."""
    trade["entry_price"] = trade["entry_value"] / trade["entry_quantity"]
    trade["exit_price"] = trade["exit_value"] / trade["exit_quantity"] if trade["exit_quantity"] > 0.0 else 0.0
    notional = abs(trade["entry_value"]) * multiplier
    profit = trade["realized"] - trade["fees"]
    turned = notional + abs(trade["exit_value"]) * multiplier
    trade["profit"] = profit if abs(profit) > ROUNDING * turned else 0.0
    trade["return"] = trade["profit"] / notional if notional > 0.0 else 0.0


@kernel
def value_trades(trades: Records, multipliers: Floats) -> None:
    """Work out averages, profit and return of round trips that were marked at the last close."""
    for k in range(trades.shape[0]):
        end_trade(trades[k], multipliers[trades[k]["symbol"]])


@kernel
def count_trade(stats: np.void, trade: np.void) -> None:
    """Add a closed round trip to the statistics; one that breaks even ends both streaks."""
    profit = trade["profit"]
    stats["trades"] += 1
    stats["profit"] += profit
    stats["returns"] += trade["return"]
    stats["bars"] += trade["exit_seq"] - trade["entry_seq"]
    stats["held_ns"] += trade["exit_ts"] - trade["entry_ts"]
    if trade["side"] > 0:
        stats["longs"] += 1
    stats["win_streak"] = stats["win_streak"] + 1 if profit > 0.0 else 0
    stats["loss_streak"] = stats["loss_streak"] + 1 if profit < 0.0 else 0
    if profit > 0.0:
        stats["wins"] += 1
        stats["gross_profit"] += profit
        stats["largest_win"] = max(stats["largest_win"], profit)
        stats["best_win_streak"] = max(stats["best_win_streak"], stats["win_streak"])
    elif profit < 0.0:
        stats["losses"] += 1
        stats["gross_loss"] += profit
        stats["largest_loss"] = min(stats["largest_loss"], profit)
        stats["worst_loss_streak"] = max(stats["worst_loss_streak"], stats["loss_streak"])


@kernel
def enter(trade: np.void, fill: np.void, quantity: float, fee: float) -> None:
    """Add the opening part of a fill."""
    trade["entry_quantity"] += quantity
    trade["entry_value"] += quantity * fill["price"]
    trade["quantity"] = max(trade["quantity"], abs(fill["position"]))
    trade["fees"] += fee
    trade["fills"] += 1


@kernel
def leave(trade: np.void, fill: np.void, quantity: float, fee: float) -> None:
    """Add the closing part of a fill."""
    trade["exit_quantity"] += quantity
    trade["exit_value"] += quantity * fill["price"]
    trade["realized"] += fill["realized"]
    trade["fees"] += fee
    trade["fills"] += 1
    trade["exit_ts"] = fill["ts_event"]
    trade["exit_seq"] = fill["seq"]
    trade["exit_role"] = fill["role"]
    trade["exit_reason"] = fill["reason"]
    trade["exit_tag"] = fill["tag"]


@kernel
def fold_fills(
    fills: Records, multipliers: Floats, held: Floats, trades: Records, done: Records, stats: Records
) -> int:
    """Fold FILL records into round trips.

    Args:
        fills: In order of happening.
        multipliers: Account value of one contract per unit of price, shape (S,).
        held: Signed position of each symbol, shape (S,); state.
        trades: The current TRADE record of each symbol, shape (S,); state.
        done: Round trips that ended, in order of their ends, room for one per fill; output.
        stats: TRADE_STATS, shape (1,); state.

    Returns:
        Number of round trips that ended.
    """
    ended = 0
    for f in range(fills.shape[0]):
        fill = fills[f]
        s = fill["symbol"]
        trade = trades[s]
        quantity, before, after = fill["quantity"], held[s], fill["position"]
        closing = 0.0
        if before * fill["side"] < 0.0:
            # the rest of a fill that turns the position round is what the new position holds
            closing = quantity - abs(after) if before * after < 0.0 else quantity
        opening = quantity - closing
        stats[0]["fills"] += 1
        stats[0]["fees"] += fill["fee"]
        stats[0]["notional"] += quantity * abs(fill["price"]) * multipliers[s]
        if closing > 0.0:
            leave(trade, fill, closing, fill["fee"] * closing / quantity)
            if before * after <= 0.0:
                trade["open"] = 0
                end_trade(trade, multipliers[s])
                count_trade(stats[0], trade)
                done[ended] = trade
                ended += 1
        if opening > 0.0:
            if before * after <= 0.0:
                begin_trade(trade, fill)
            enter(trade, fill, opening, fill["fee"] * opening / quantity)
        held[s] = after
    return ended
