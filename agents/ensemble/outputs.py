"""The record of what each agent of the ensemble decided, for the run folder and for explanations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.ensemble.seats import Decisions
from engine.types.blocks import BarBlock, Ints
from engine.types.records import AGENT_OUTPUT, Records, SeatName

_NOTHING: Records = np.empty(0, AGENT_OUTPUT)
_SEATS = max(SeatName) + 1


def collect_outputs(block: BarBlock, risk_due: Ints, answers: Records, decided: Mapping[str, Decisions]) -> Records:
    """AGENT_OUTPUT records of a block, by row, then strategic, tactical, risk, then symbol.

    Args:
        block: The rows.
        risk_due: Whether the risk agent was due in each row, shape (rows,).
        answers: RISK_ANSWER of each row after the scan, shape (rows,).
        decided: Of the other seats.
    """
    spoken = [(SeatName[name.upper()], decisions) for name, decisions in decided.items() if len(decisions.known_at)]
    asked = np.flatnonzero(risk_due)
    count = len(asked) + sum(len(decisions.known_at) for _, decisions in spoken)
    if not count:
        return _NOTHING
    records: Records = np.zeros(count, AGENT_OUTPUT)
    start = 0
    for seat, decisions in spoken:
        stop = start + len(decisions.known_at)
        _write_seat(records[start:stop], seat, block, decisions)
        start = stop
    _write_risk(records[start:], block, answers, asked)
    if len(block) == 1 and len(block.symbols) == 1:
        return records  # in order already
    return records[_order(records, len(block.symbols))]


def _order(records: Records, symbols: int) -> Ints:
    # one key in place of three: the decisions of each seat lie in order already, which a stable sort makes use of
    keys = (records["seq"] * _SEATS + records["seat"]) * (symbols + 1) + records["symbol"]
    return np.argsort(keys, kind="stable")


def _write_seat(records: Records, seat: SeatName, block: BarBlock, decisions: Decisions) -> None:
    records["seat"], records["seq"] = seat, decisions.known_at
    records["ts_event"] = block.ts_event[decisions.known_at - block.seq]
    records["symbol"], records["confidence"] = decisions.symbol, decisions.confidence
    records["first_ts"], records["last_ts"] = decisions.first_ts, decisions.last_ts
    for component in range(decisions.action.shape[1]):
        records[f"action_{component}"] = decisions.action[:, component]


def _write_risk(records: Records, block: BarBlock, answers: Records, rows: Ints) -> None:
    records["seat"], records["seq"], records["symbol"] = SeatName.RISK, block.seq + rows, -1
    records["ts_event"] = records["first_ts"] = records["last_ts"] = block.ts_event[rows]
    records["action_0"] = answers["level"][rows]
    records["confidence"] = answers["confidence"][rows]
