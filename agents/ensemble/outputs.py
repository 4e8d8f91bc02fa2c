"""The record of what each agent of the ensemble decided, for the run folder and for explanations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.ensemble.kernels.recording import merge_outputs
from agents.ensemble.seats import Decisions
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.records import AGENT_OUTPUT, Records

_NOTHING: Records = np.empty(0, AGENT_OUTPUT)


def collect_outputs(block: BarBlock, risk: Records, answers: Records, decided: Mapping[str, Decisions]) -> Records:
    """AGENT_OUTPUT records of a block, by row, then strategic, tactical, risk, then symbol.

    Args:
        block: The rows.
        risk: RISK_SIGNAL of each row, shape (rows,).
        answers: RISK_ANSWER of each row after the scan, shape (rows,).
        decided: Of the other seats.
    """
    count = int(risk["due"].sum()) + sum(len(decisions.known_at) for decisions in decided.values())
    if not count:
        return _NOTHING
    strategic, tactical = (_in_order(decided[name], len(block.symbols)) for name in ("strategic", "tactical"))
    outputs: Records = np.empty(count, AGENT_OUTPUT)
    merge_outputs(block.seq, block.kernel_view().ts_event, risk, answers, strategic, tactical, outputs)
    return outputs


def _in_order(decisions: Decisions, symbols: int) -> tuple[Ints, Ints, Floats, Floats, Ints, Ints]:
    """Their fields, by row, then symbol."""
    d = decisions
    fields = (d.known_at, d.symbol, d.action, d.confidence, d.first_ts, d.last_ts)
    # one row may complete two bars of a symbol, whose decisions come one after the other
    keys = d.known_at * symbols + d.symbol
    if symbols == 1 or not (keys[1:] < keys[:-1]).any():
        return fields
    order = np.argsort(keys, kind="stable")
    known_at, symbol, action, confidence, first_ts, last_ts = (field[order] for field in fields)
    return known_at, symbol, action, confidence, first_ts, last_ts
