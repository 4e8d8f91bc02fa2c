"""The record of what each agent of the ensemble said, for the run folder and for explanations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.ensemble.kernels import RISK_ACTION, RISK_CLOCK, RISK_CONFIDENCE
from agents.ensemble.seats import Decisions
from engine.blocks import BarBlock, Floats
from engine.records import AGENT_OUTPUT, Records, SeatName


def collect_outputs(block: BarBlock, signals: Floats, decided: Mapping[str, Decisions]) -> Records:
    """AGENT_OUTPUT records of a block, by row, then strategic, tactical, risk, then symbol.

    Args:
        block: The rows.
        signals: After the scan, with the risk agent's answers in their columns.
        decided: Of the other seats.
    """
    parts = [_of_seat(SeatName[name.upper()], block, decisions) for name, decisions in decided.items()]
    parts.append(_of_risk(block, signals))
    outputs = np.concatenate(parts)
    return outputs[np.lexsort((outputs["symbol"], outputs["seat"], outputs["seq"]))]


def _of_seat(seat: SeatName, block: BarBlock, decisions: Decisions) -> Records:
    records = np.zeros(len(decisions.known_at), AGENT_OUTPUT)
    records["seat"], records["seq"] = seat, decisions.known_at
    records["ts_event"] = block.ts_event[decisions.known_at - block.seq]
    records["symbol"], records["confidence"] = decisions.symbol, decisions.confidence
    records["first_ts"], records["last_ts"] = decisions.first_ts, decisions.last_ts
    for component in range(decisions.action.shape[1]):
        records[f"action_{component}"] = decisions.action[:, component]
    return records


def _of_risk(block: BarBlock, signals: Floats) -> Records:
    rows = np.flatnonzero(signals[:, 0, RISK_CLOCK])
    records = np.zeros(len(rows), AGENT_OUTPUT)
    records["seat"], records["seq"], records["symbol"] = SeatName.RISK, block.seq + rows, -1
    records["ts_event"] = records["first_ts"] = records["last_ts"] = block.ts_event[rows]
    records["action_0"] = signals[rows, 0, RISK_ACTION]
    records["confidence"] = signals[rows, 0, RISK_CONFIDENCE]
    return records
