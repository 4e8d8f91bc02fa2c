"""Making, growing and saving what the ensemble's kernels work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.kernels.layout import (
    NETWORK_SCRATCH,
    NO_LEVEL,
    RISK_ANSWER,
    RISK_SIGNAL,
    SETTINGS,
    SIGNAL,
    SYMBOL_STATE,
    Memory,
    Params,
    Signals,
)
from agents.features.kernels.risk import RISK_STATE
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import Floats

STATE = ("risk", "level", "symbols")
"""Parts of the memory that are carried from row to row."""


def make_params(tactical_ns: int, rebalance: float, ticks: Sequence[float], network: Floats | None = None) -> Params:
    """Constants of the kernels.

    Args:
        tactical_ns: How long a patient entry rests.
        rebalance: Relative change that is worth a trade.
        ticks: Tick size of each symbol.
        network: The risk network, if one is asked.
    """
    settings = np.array([(tactical_ns, rebalance)], SETTINGS)
    return Params(settings, np.array(ticks, np.float64), np.zeros(0) if network is None else np.array(network))


def make_memory(symbols: int, network_scratch: int) -> Memory:
    """Memory before the first row.

    Args:
        symbols: S.
        network_scratch: Numbers that the risk network needs.
    """
    return Memory(
        risk=np.zeros(1, RISK_STATE),
        level=np.full(1, NO_LEVEL, np.int64),
        symbols=np.zeros(symbols, SYMBOL_STATE),
        scratch=np.zeros(NETWORK_SCRATCH + network_scratch),
        answers=np.zeros(0, RISK_ANSWER),
    )


def blank_signals(rows: int, symbols: int) -> Signals:
    """Signals of a block in which nobody decides."""
    return Signals(np.zeros((rows, symbols), SIGNAL), np.zeros(rows, RISK_SIGNAL))


def with_rows(memory: Memory, rows: int) -> Memory:
    """Room for the answers of a block; a longer block before leaves room enough."""
    return memory if len(memory.answers) >= rows else memory._replace(answers=np.zeros(rows, RISK_ANSWER))


def with_scratch(memory: Memory, network_scratch: int) -> Memory:
    """The same state with the scratch memory that another risk network needs."""
    return memory._replace(scratch=np.zeros(NETWORK_SCRATCH + network_scratch))


def memory_snapshot(memory: Memory) -> State:
    """The carried state."""
    return snapshot_of({}, _carried(memory))


def memory_restored(state: Any, like: Memory) -> Memory:
    """The memory with the state that `memory_snapshot` gave.

    Raises:
        DataError: If it does not fit.
    """
    return like._replace(**arrays_of(state, {}, _carried(like)))


def _carried(memory: Memory) -> dict[str, NDArray[Any]]:
    return {name: getattr(memory, name) for name in STATE}
