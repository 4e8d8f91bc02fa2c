"""Whether hard limits held, found out from equity and positions alone, without asking the simulator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.types.blocks import BarBlock, Floats, Ints
from portfolio.config import Limits

NOISE = 1e-9
NEVER = -1


class Stop(NamedTuple):
    """When equity reached a limit that stops trading.

    Attributes:
        row: First row at which it did; NEVER if it did not.
        limit: `max_drawdown`, `max_daily_loss`, `bankrupt` or empty.
        flat_after: Rows until the whole book was flat; 0 if it was already, NEVER if it was not by the end.
    """

    row: int
    limit: str
    flat_after: int


def stop_of(equity: Floats, positions: Floats, capital: float, limits: Limits, ts: Ints, closes: Ints) -> Stop:
    """The first row at which equity demands a halt.

    Args:
        equity: After each row, shape (rows,).
        positions: Contracts after each row, shape (rows, S).
        capital: Before the first row.
        ts: Close times of the rows; closes: Of the sessions, both nanoseconds UTC.
    """
    peak = np.maximum.accumulate(np.concatenate([[capital], equity]))[1:]
    session = np.searchsorted(closes, ts)
    begins = np.concatenate([[True], np.diff(session) > 0])
    before = np.concatenate([[capital], equity[:-1]])
    opening = before[np.maximum.accumulate(np.where(begins, np.arange(len(equity)), 0))]
    left = equity - NOISE * peak
    reached = {"bankrupt": left <= 0.0}
    if limits.max_drawdown is not None:
        reached["max_drawdown"] = left <= peak * (1.0 - limits.max_drawdown)
    if limits.max_daily_loss is not None:
        reached["max_daily_loss"] = left <= opening * (1.0 - limits.max_daily_loss)
    rows = {name: int(np.argmax(mask)) for name, mask in reached.items() if bool(mask.any())}
    if not rows:
        return Stop(NEVER, "", NEVER)
    name = min(rows, key=lambda one: rows[one])
    flat = np.flatnonzero(~positions[rows[name] :].any(axis=1))
    return Stop(rows[name], name, int(flat[0]) if len(flat) else NEVER)


def broken_limits(stop: Stop, block: BarBlock, positions: Floats, limits: Limits) -> list[str]:
    """What hard limits did not do, a sentence each; empty if they held.

    After a stop every position has to be gone with the symbol's next bar, and nothing may be opened again.
    """
    found = []
    if limits.max_position is not None and bool((np.abs(positions) > limits.max_position * (1 + 1e-9)).any()):
        row = int(np.argmax((np.abs(positions) > limits.max_position * (1 + 1e-9)).any(axis=1)))
        found.append(f"row {row}: a position above limits.max_position")
    if stop.row == NEVER:
        return found
    for s, symbol in enumerate(block.symbols):
        later = np.flatnonzero(block.present[stop.row + 1 :, s])
        due = stop.row + 1 + int(later[0]) if len(later) else len(block)
        held = np.flatnonzero(positions[due:, s])
        if len(held):
            row = due + int(held[0])
            found.append(f"row {row}: {symbol} is held although {stop.limit} tripped in row {stop.row}")
    return found
