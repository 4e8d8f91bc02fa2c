"""How the environments lie in memory, as kernels see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.kernels.layout import Params, Signals
from agents.spec import AGENT_NAMES
from engine.types.blocks import Bools, Floats, Ints
from engine.types.records import Bars, Records

STRATEGIC_DUE, TACTICAL_DUE, RISK_DUE = 1, 2, 4
AGENT_COUNT = len(AGENT_NAMES)
STRATEGIC, TACTICAL, RISK = 0, 1, 2
TERM_COUNT = 5

EPISODE = np.dtype(
    [(name, np.int64) for name in ("row", "start", "length", "steps", "strategic_key", "tactical_key")]
    + [(name, np.float64) for name in ("average", "square", "drawdown")]
)
"""Where an environment is: its row, the row that it began at, most steps, steps taken, ends of the windows that are
seen; then the moving averages of return and squared return, and the present drawdown in percent."""


class MarketArrays(NamedTuple):
    """The market as kernels see it; `training.environment.market.Market` explains the arrays.

    Attributes:
        strategic_rows, tactical_rows: Feature rows laid flat, shape (rows * features,).
    """

    bars: Bars
    session_ends: Ints
    due: NDArray[np.uint8]
    atr: Floats
    strategic_end: Ints
    tactical_end: Ints
    strategic_rows: NDArray[np.float32]
    tactical_rows: NDArray[np.float32]


class Accounts(NamedTuple):
    """What every environment carries, the first axis is the environment.

    Attributes:
        accounts: ACCOUNT, shape (N,).
        positions: POSITION, shape (N, 1).
        orders: ORDER, shape (N, capacity).
        risk_state: RISK_STATE of the ensemble, shape (N,).
        levels: Level in force, int64, shape (N,).
        symbols: SYMBOL_STATE of the ensemble, shape (N, 1).
        episodes: EPISODE, shape (N,).
        equity: After each step of the episode, shape (N, longest + 1).
    """

    accounts: Records
    positions: Records
    orders: Records
    risk_state: Records
    levels: Ints
    symbols: Records
    episodes: Records
    equity: Floats


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

    strategic: NDArray[np.float32]
    tactical: NDArray[np.float32]
    risk: NDArray[np.float32]
    due: Bools
    terminated: Bools
    truncated: Bools
    terms: Floats
    rewards: Floats


class Workspace(NamedTuple):
    """Constants and scratch memory of the simulator and the ensemble.

    Attributes:
        instruments, rules: Of the Book.
        fills: FILL, shape (N, room) where fills are kept, else (1, room).
        events, decisions: Of the Book; forgotten in every row.
        counts: Of the Book, one for each row of `fills`.
        commands: COMMAND.
        signals: Of the ensemble; every row is the same memory.
        ledger, held: Outputs of the simulator, shapes (rows, 8) and (rows, 1); likewise.
        params: Of the ensemble.
        answers: Of the risk agent, RISK_ANSWER, shape (rows,); likewise the same memory.
        scratch: Of the ensemble; empty, since no network is asked.
        risk: RISK_STATE, shape (1,); scratch.
        blank: SYMBOL_STATE before the first row, shape (1,).
        weights: Of the reward terms.
    """

    instruments: Records
    rules: Records
    fills: Records
    events: Records
    decisions: Records
    counts: Ints
    commands: Records
    signals: Signals
    ledger: Floats
    held: Floats
    params: Params
    answers: Records
    scratch: Floats
    risk: Records
    blank: Records
    weights: Floats
