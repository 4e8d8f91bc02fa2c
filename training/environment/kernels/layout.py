"""How the environments lie in memory, as kernels see them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from agents.spec import AGENT_NAMES

STRATEGIC_DUE, TACTICAL_DUE, RISK_DUE = 1, 2, 4
AGENT_COUNT = len(AGENT_NAMES)
STRATEGIC, TACTICAL, RISK = 0, 1, 2
TERM_COUNT = 5

EPISODE = np.dtype(
    [(name, np.int64) for name in ("row", "start", "length", "steps", "strategic_key", "tactical_key")]
    + [(name, np.float64) for name in ("average", "square", "drawdown")]
)
"""Where an environment is: its row, the row that it began at, most steps, steps taken, ends of the windows that are
seen; then the moving averages of return and squared return, and the largest drawdown in percent."""


class View(NamedTuple):
    """The market as kernels see it; `training.environment.market.Market` explains the arrays.

    Attributes:
        strategic_rows, tactical_rows: Feature rows laid flat, shape (rows * features,).
    """

    bars: Any
    session_ends: Any
    due: Any
    atr: Any
    strategic_end: Any
    tactical_end: Any
    strategic_rows: Any
    tactical_rows: Any


class Accounts(NamedTuple):
    """What every environment carries, the first axis is the environment.

    Attributes:
        accounts: ACCOUNT, shape (N,).
        positions: POSITION, shape (N, 1).
        orders: ORDER, shape (N, capacity).
        memory: Of the ensemble, float64, shape (N, places).
        episodes: EPISODE, shape (N,).
        equity: After each step of the episode, shape (N, longest + 1).
    """

    accounts: Any
    positions: Any
    orders: Any
    memory: Any
    episodes: Any
    equity: Any


class Seen(NamedTuple):
    """What the caller reads.

    Attributes:
        strategic, tactical: Windows laid flat, float32, shape (N, length * features).
        risk: Metrics, float32, shape (N, 10).
        due: Who decides next, bool, shape (N, 3).
        terminated, truncated: How the episode ended, bool, shape (N,).
        terms: Reward terms since each agent's last decision, shape (N, 3, 5).
        rewards: Their sums, shape (N, 3).
    """

    strategic: Any
    tactical: Any
    risk: Any
    due: Any
    terminated: Any
    truncated: Any
    terms: Any
    rewards: Any


class Desk(NamedTuple):
    """Constants and scratch memory of the simulator and the ensemble.

    Attributes:
        instruments, rules: Of the Book.
        fills: FILL, shape (N, room) where fills are kept, else (1, room).
        events, decisions: Of the Book; forgotten in every row.
        counts: Of the Book, one for each row of `fills`.
        commands: COMMAND.
        signals: Of the ensemble, shape (rows, 1, columns); every row is the same memory.
        ledger, held: Outputs of the simulator, shapes (rows, 8) and (rows, 1); likewise.
        params: Of the ensemble; its fixed level carries the risk agent's action.
        risk: RISK_STATE, shape (1,).
        weights: Of the reward terms.
    """

    instruments: Any
    rules: Any
    fills: Any
    events: Any
    decisions: Any
    counts: Any
    commands: Any
    signals: Any
    ledger: Any
    held: Any
    params: Any
    risk: Any
    weights: Any
