"""Steps as the bytes that the journal keeps, and back, bit for bit."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import BAR_COLUMNS, BarBlock, Floats, joined_extra
from engine.types.records import (
    ACCOUNT,
    AGENT_OUTPUT,
    COMMAND,
    FILL,
    LEDGER_COLUMNS,
    ORDER,
    ORDER_EVENT,
    POSITION,
    Records,
)
from engine.types.step import StepBlock

RECORDS = {"fills": FILL, "events": ORDER_EVENT, "decisions": COMMAND, "outputs": AGENT_OUTPUT}
NEEDED, MAYBE = (int,) * 5 + (bytes,) * 4, frozenset({bytes, type(None)})
# most rows lack most kinds of records
NO_RECORDS: dict[str, Records] = {name: np.frombuffer(b"", dtype) for name, dtype in RECORDS.items()}
NO_ORDERS: Records = np.frombuffer(b"", ORDER)


class StoredBlock(NamedTuple):
    """One row of the table `blocks`, in the order of its columns."""

    seq: int
    rows: int
    first_ts: int
    last_ts: int
    crc: int
    bars: bytes
    ledger: bytes
    positions: bytes
    account: bytes
    fills: bytes | None
    events: bytes | None
    decisions: bytes | None
    outputs: bytes | None

    @property
    def well_formed(self) -> bool:
        """Whether every value is of the kind that was written."""
        kinds = tuple(map(type, self))
        return kinds[:9] == NEEDED and MAYBE.issuperset(kinds[9:])

    @property
    def intact(self) -> bool:
        """Whether the bytes are those that were written."""
        return _checksum(self[5:]) == self.crc


def encode(step: StepBlock) -> StoredBlock:
    """A step as the journal keeps it."""
    block = step.bars
    columns = [np.ascontiguousarray(getattr(block, name)).tobytes() for name in BAR_COLUMNS]
    present = np.ascontiguousarray(block.present).tobytes()
    bars = b"".join([block.ts_event.tobytes(), *columns, present, _extra_bytes(block)])
    ledger, positions = np.ascontiguousarray(step.ledger).tobytes(), np.ascontiguousarray(step.positions).tobytes()
    fills, events, decisions, outputs = (_some(getattr(step, name)) for name in RECORDS)
    whole = StoredBlock(
        block.seq,
        len(block),
        int(block.ts_event[0]),
        int(block.ts_event[-1]),
        0,
        bars,
        ledger,
        positions,
        step.account.tobytes(),
        fills,
        events,
        decisions,
        outputs,
    )
    return whole._replace(crc=_checksum(whole[5:]))


def decode(stored: StoredBlock, symbols: Sequence[str]) -> StepBlock:
    """The step that was encoded; POSITION records hold the quantities only, and no working orders.

    Raises:
        DataError: If the bytes were damaged, or do not fit the symbols.
    """
    count, width = stored.rows, len(symbols)
    least, ledger_size = 8 * count * (1 + len(BAR_COLUMNS) * width) + count * width, 8 * count * len(LEDGER_COLUMNS)
    extra = _extra_of(stored.bars[least:], count, width) if stored.intact and len(stored.bars) >= least else None
    if extra is None or len(stored.ledger) != ledger_size:
        raise DataError(
            "the journal is damaged",
            where=f"rows {stored.seq} to {stored.seq + count - 1}",
            expected=f"checksum {stored.crc:08x}",
            found=f"checksum {_checksum(stored[5:]):08x}",
            hint="restore the session folder from a copy",
        )
    bars = _bars(stored, symbols, extra)
    if (int(bars.ts_event[0]), int(bars.ts_event[-1])) != (stored.first_ts, stored.last_ts):
        raise DataError(
            "the journal is damaged",
            where=f"rows {stored.seq} to {stored.seq + count - 1}",
            expected=f"rows from {int(bars.ts_event[0])} to {int(bars.ts_event[-1])}, by their bars",
            found=f"{stored.first_ts} to {stored.last_ts}",
            hint="restore the session folder from a copy",
        )
    positions = np.frombuffer(stored.positions, np.float64).reshape(count, width)
    held = np.zeros(width, POSITION)
    held["quantity"] = positions[-1]
    records: dict[str, Any] = {
        name: np.frombuffer(body, RECORDS[name]) if body else NO_RECORDS[name]
        for name, body in zip(RECORDS, stored[9:], strict=True)
    }
    return StepBlock(
        bars,
        np.frombuffer(stored.ledger, np.float64).reshape(count, len(LEDGER_COLUMNS)),
        positions,
        account=np.frombuffer(stored.account, ACCOUNT),
        position_records=held,
        orders=NO_ORDERS,
        **records,
    )


def joined(steps: Sequence[StepBlock]) -> StepBlock:
    """Consecutive steps as one."""
    if len(steps) == 1:
        return steps[0]
    last, bars = steps[-1], [step.bars for step in steps]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(block, name) for block in bars]) for name in ("ts_event", *BAR_COLUMNS, "present")
    }
    records: dict[str, Any] = {name: _in_turn([getattr(step, name) for step in steps]) for name in RECORDS}
    return StepBlock(
        BarBlock(bars[0].symbols, bars[0].seq, extra=joined_extra(bars), **columns),
        np.concatenate([step.ledger for step in steps]),
        np.concatenate([step.positions for step in steps]),
        account=last.account,
        position_records=last.position_records,
        orders=last.orders,
        **records,
    )


def _in_turn(parts: Sequence[Records]) -> Records:
    """Records one after the other; by their bytes, since NumPy compares every field of every part first."""
    some = [part for part in parts if len(part)]
    return np.frombuffer(bytearray().join(part.tobytes() for part in some), parts[0].dtype)


def _bars(stored: StoredBlock, symbols: Sequence[str], extra: dict[str, Floats]) -> BarBlock:
    count, width = stored.rows, len(symbols)
    size, start = 8 * count * width, 8 * count
    numbers = np.frombuffer(stored.bars, np.float64, len(BAR_COLUMNS) * count * width, start)
    columns: dict[str, Any] = dict(zip(BAR_COLUMNS, numbers.reshape(len(BAR_COLUMNS), count, width), strict=True))
    present = np.frombuffer(stored.bars, np.bool_, count * width, start + len(BAR_COLUMNS) * size)
    ts_event = np.frombuffer(stored.bars, np.int64, count)
    return BarBlock(tuple(symbols), stored.seq, ts_event, present=present.reshape(count, width), extra=extra, **columns)


def _extra_bytes(block: BarBlock) -> bytes:
    """What follows the bars: the size of the names of the extra columns, these as JSON, and their numbers."""
    if not block.extra:
        return b""
    names = json.dumps(list(block.extra)).encode()
    numbers = (np.ascontiguousarray(values, np.float64).tobytes() for values in block.extra.values())
    return b"".join([len(names).to_bytes(4, "little"), names, *numbers])


def _extra_of(body: bytes, count: int, width: int) -> dict[str, Floats] | None:
    """The extra columns that `_extra_bytes` wrote; None if these bytes are something else."""
    if not body:
        return {}
    start = 4 + int.from_bytes(body[:4], "little")
    try:
        names = json.loads(body[4:start])
    except ValueError:
        return None
    if not isinstance(names, list) or len(body) != start + 8 * count * width * len(names):
        return None
    numbers = np.frombuffer(body[start:], np.float64).reshape(len(names), count, width)
    return {str(name): numbers[at] for at, name in enumerate(names)}


def _some(records: Records) -> bytes | None:
    return records.tobytes() if len(records) else None


def _checksum(bodies: Sequence[Any]) -> int:
    crc = 0
    for body in bodies:
        crc = zlib.crc32(body or b"", crc)
    return crc
