"""The record of what each agent of the ensemble decided, for the run folder and for explanations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.ensemble.kernels.layout import DecisionColumns
from agents.ensemble.kernels.recording import merge_outputs
from agents.ensemble.seats import Decisions
from engine.types.blocks import BarBlock
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


def _in_order(decisions: Decisions, symbols: int) -> DecisionColumns:
    """The columns by row, then symbol."""
    d = decisions
    # one row may complete two bars of a symbol, whose decisions come one after the other
    keys = d.known_at * symbols + d.symbol
    at = np.argsort(keys, kind="stable") if symbols > 1 and (keys[1:] < keys[:-1]).any() else slice(None)
    return DecisionColumns(d.known_at[at], d.symbol[at], d.action[at], d.confidence[at], d.first_ts[at], d.last_ts[at])
