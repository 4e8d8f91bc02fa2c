"""Making, growing and saving what the ensemble's kernels work on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.ensemble.kernels.layout import (
    LEVELS,
    METRICS,
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
from agents.features.kernels.risk import RISK_PLACES, RISK_STATE
from engine.base.packing import MAGIC, pack, pack_array, unpack, unpack_array
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


def pack_memory(memory: Memory) -> bytes:
    """The carried state as bytes; equal states give equal bytes."""
    return pack({name: pack_array(getattr(memory, name)) for name in STATE})


def unpack_memory(state: bytes, like: Memory) -> Memory:
    """The memory with the state that `pack_memory` gave, here or up to release 0.2.

    Raises:
        DataError: If it does not fit.
    """
    if not state.startswith(MAGIC):
        return _unpack_floats(state, like)
    parts = unpack(state, STATE)
    return like._replace(**{name: unpack_array(parts[name], getattr(like, name)) for name in STATE})


def _unpack_floats(state: bytes, like: Memory) -> Memory:
    """Up to release 0.2 everything lay in one array of floats.

    Risk state | level in force, 0 to 1, or NaN | the fields of SYMBOL_STATE for each symbol | scratch
    """
    symbols, fields = len(like.symbols), SYMBOL_STATE.names or ()
    head = RISK_PLACES + 1
    slots = symbols * len(fields)
    scratch = METRICS + LEVELS + len(like.scratch) - NETWORK_SCRATCH
    floats = unpack_array(state, np.zeros(head + slots + scratch))
    memory = make_memory(symbols, 0)._replace(scratch=like.scratch, answers=like.answers)
    memory.risk[0] = tuple(floats[:RISK_PLACES])
    if not np.isnan(floats[RISK_PLACES]):
        memory.level[0] = round(floats[RISK_PLACES] * (LEVELS - 1))
    for name, values in zip(fields, floats[head : head + slots].reshape(symbols, len(fields)).T, strict=True):
        memory.symbols[name] = values
    return memory
