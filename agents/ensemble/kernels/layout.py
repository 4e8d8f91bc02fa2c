"""What the ensemble reads, carries and answers, as its kernels see it.

Every part is an array of records or numbers, so that its bytes are its value and a state can be saved as it lies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.types.blocks import Floats, Ints
from engine.types.records import Records

LEVELS = 5
METRICS = 10
NETWORK_SCRATCH = 22
"""Where the network's part of the scratch memory begins, after metrics and values: with ten inputs its hidden layers
then lie on cache lines, without which a decision takes a fifth longer."""
NO_LEVEL = -1
"""Of the state: the risk agent has not decided yet. Of a signal: its network is to be asked."""

NOTHING, REDUCTION, FLIP = 0, 1, 2
"""What the last order of a symbol closes before it opens anything (`closing`)."""


def _dtype(*fields: tuple[str, Any]) -> np.dtype[np.void]:
    return np.dtype(list(fields))


SIGNAL = _dtype(
    ("strategic_fresh", np.int64),
    ("tactical_fresh", np.int64),
    ("side", np.int64),
    ("timing", np.float64),
    ("stop_distance", np.float64),
    ("scale", np.float64),
    ("atr", np.float64),
)
"""What the strategic and tactical agents say of a symbol in a row: whether each decided, the side, the three parts of
the tactical decision, and the average true range of the tactical bar."""

RISK_SIGNAL = _dtype(("due", np.int64), ("level", np.int64))
"""Whether the risk agent is due in a row, and the level that it chose, or NO_LEVEL if its network is to be asked."""

RISK_ANSWER = _dtype(("level", np.int64), ("confidence", np.float64))
"""What the risk agent chose in a row, and the confidence of that; written only where it was due."""

SETTINGS = _dtype(("tactical_ns", np.int64), ("rebalance", np.float64))
"""How long a patient entry rests, and the relative change that is worth a trade."""

SYMBOL_STATE = _dtype(
    ("has_strategic", np.int64),
    ("has_tactical", np.int64),
    ("has_risk", np.int64),
    ("side", np.int64),
    ("timing", np.float64),
    ("stop_distance", np.float64),
    ("latest_scale", np.float64),
    ("scale", np.float64),
    ("level", np.int64),
    ("atr", np.float64),
    ("wanted", np.float64),
    ("held", np.float64),
    ("stopped", np.int64),
    ("pending", np.int64),
    ("reached", np.float64),
    ("expires", np.int64),
    ("lapsed", np.int64),
    ("closing", np.int64),
    ("nearest_stop", np.float64),
    ("realized", np.float64),
)
"""What is carried of a symbol. Whether each agent has decided, and the decisions in force, with the tactical agent's
latest scale, which may not be in force yet; the position wanted, in units, and the one held in the last row, in
contracts; whether a stop-out bars entries, and whether decisions wait for the symbol's next bar; the units that the
position stands for while its growth is under way; when a patient entry expires (0: there is none) and whether one
lapsed unfilled; what the last order closes, and the protective stop nearest to the price when it was given; the profit
realized so far."""


class Signals(NamedTuple):
    """What is known of the market in each row of a block.

    Attributes:
        symbols: SIGNAL, shape (rows, S).
        risk: RISK_SIGNAL, shape (rows,).
    """

    symbols: Records
    risk: Records


class DecisionColumns(NamedTuple):
    """What one seat decided in a block; `agents.ensemble.seats.Decisions` explains the columns."""

    known_at: Ints
    symbol: Ints
    action: Floats
    confidence: Floats
    first_ts: Ints
    last_ts: Ints


class Params(NamedTuple):
    """Constants.

    Attributes:
        settings: SETTINGS, shape (1,).
        ticks: Tick size of each symbol, shape (S,).
        network: The risk network in the layout of `agents.serving.kernels`; empty if levels come with the signals.
    """

    settings: Records
    ticks: Floats
    network: Floats


class Memory(NamedTuple):
    """All that `decide` writes, besides commands.

    Attributes:
        risk: RISK_STATE, shape (1,); state.
        level: The level in force, 0 to 4, or NO_LEVEL; int64, shape (1,); state.
        symbols: SYMBOL_STATE, shape (S,); state.
        scratch: Float64; means nothing between rows.
        answers: RISK_ANSWER, shape (rows,); output.
    """

    risk: Records
    level: Ints
    symbols: Records
    scratch: Floats
    answers: Records
