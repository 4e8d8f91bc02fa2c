"""What each agent decided in a block, as records in order of row, seat and symbol."""

from __future__ import annotations

from engine.base.compiled import inlined, kernel
from engine.types.blocks import Floats, Ints
from engine.types.records import Records, SeatName

STRATEGIC, TACTICAL, RISK = int(SeatName.STRATEGIC), int(SeatName.TACTICAL), int(SeatName.RISK)
WHOLE_BOOK = -1


@inlined
def write_decision(
    output: Records, seat: int, k: int, ts: int, decisions: tuple[Ints, Ints, Floats, Floats, Ints, Ints]
) -> None:
    """Write decision k of a seat; components that its actions lack are 0."""
    known_at, symbol, action, confidence, first_ts, last_ts = decisions
    width = action.shape[1]
    output.action_0 = action[k, 0]
    output.action_1 = action[k, 1] if width > 1 else 0.0
    output.action_2 = action[k, 2] if width > 2 else 0.0
    output.confidence = confidence[k]
    output.ts_event = ts
    output.seq = known_at[k]
    output.seat = seat
    output.symbol = symbol[k]
    output.first_ts = first_ts[k]
    output.last_ts = last_ts[k]


@inlined
def write_level(output: Records, ts: int, seq: int, answer: Records) -> None:
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
    strategic: tuple[Ints, Ints, Floats, Floats, Ints, Ints],
    tactical: tuple[Ints, Ints, Floats, Floats, Ints, Ints],
    outputs: Records,
) -> int:
    """Write AGENT_OUTPUT records by row, then strategic, tactical, risk, then symbol.

    Args:
        seq: Number of the first row.
        ts_event: Of the rows.
        risk: RISK_SIGNAL of each row.
        answers: RISK_ANSWER of each row after the scan.
        strategic, tactical: Fields of the seat's Decisions, in order of row and symbol.
        outputs: Room for all of them.

    Returns:
        How many there are.
    """
    n, a, b = 0, 0, 0
    for i in range(ts_event.shape[0]):
        ts = ts_event[i]
        while a < strategic[0].shape[0] and strategic[0][a] == seq + i:
            write_decision(outputs[n], STRATEGIC, a, ts, strategic)
            a, n = a + 1, n + 1
        while b < tactical[0].shape[0] and tactical[0][b] == seq + i:
            write_decision(outputs[n], TACTICAL, b, ts, tactical)
            b, n = b + 1, n + 1
        if risk[i].due:
            write_level(outputs[n], ts, seq + i, answers[i])
            n += 1
    return n
