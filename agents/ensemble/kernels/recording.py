"""What each agent decided in a block, as records in order of row, seat and symbol."""

from __future__ import annotations

from agents.ensemble.kernels.layout import DecisionColumns
from engine.base.compiled import inlined, kernel
from engine.types.blocks import Ints
from engine.types.records import Record, Records, SeatName

STRATEGIC, TACTICAL, RISK = int(SeatName.STRATEGIC), int(SeatName.TACTICAL), int(SeatName.RISK)
WHOLE_BOOK = -1


@inlined
def write_decision(output: Record, seat: int, k: int, ts: int, decisions: DecisionColumns) -> None:
    """Write decision k of a seat; components that its actions lack are 0."""
    action = decisions.action
    width = action.shape[1]
    output.action_0 = action[k, 0]
    output.action_1 = action[k, 1] if width > 1 else 0.0
    output.action_2 = action[k, 2] if width > 2 else 0.0
    output.confidence = decisions.confidence[k]
    output.ts_event = ts
    output.seq = decisions.known_at[k]
    output.seat = seat
    output.symbol = decisions.symbol[k]
    output.first_ts = decisions.first_ts[k]
    output.last_ts = decisions.last_ts[k]


@inlined
def write_level(output: Record, ts: int, seq: int, answer: Record) -> None:
    """Write the risk agent's decision of a row."""
    output.action_0 = answer.level
    output.action_1 = output.action_2 = 0.0
    output.confidence = answer.confidence
    output.ts_event = output.first_ts = output.last_ts = ts
    output.seq = seq
    output.seat = RISK
    output.symbol = WHOLE_BOOK


@kernel
def merge_outputs(
    seq: int,
    ts_event: Ints,
    risk: Records,
    answers: Records,
    strategic: DecisionColumns,
    tactical: DecisionColumns,
    outputs: Records,
) -> int:
    """Write AGENT_OUTPUT records by row, then strategic, tactical, risk, then symbol.

    Args:
        seq: Number of the first row.
        ts_event: Of the rows.
        risk: RISK_SIGNAL of each row.
        answers: RISK_ANSWER of each row after the scan.
        strategic, tactical: Of the seats, in order of row and symbol.
        outputs: Room for all of them.

    Returns:
        How many there are.
    """
    n, a, b = 0, 0, 0
    for i in range(ts_event.shape[0]):
        ts = ts_event[i]
        while a < strategic.known_at.shape[0] and strategic.known_at[a] == seq + i:
            write_decision(outputs[n], STRATEGIC, a, ts, strategic)
            a, n = a + 1, n + 1
        while b < tactical.known_at.shape[0] and tactical.known_at[b] == seq + i:
            write_decision(outputs[n], TACTICAL, b, ts, tactical)
            b, n = b + 1, n + 1
        if risk[i].due:
            write_level(outputs[n], ts, seq + i, answers[i])
            n += 1
    return n
