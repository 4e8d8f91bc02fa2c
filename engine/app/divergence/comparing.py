"""Where two runs first differ in their bars, decisions, orders, fills and ledgers, aligned by time.

Numbers that only count (rows, orders) are not compared: where one run has a row more, they differ ever after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from engine.app.divergence.composing import Period, shared_rows
from engine.types.blocks import BAR_COLUMNS, Ints
from engine.types.records import (
    LEDGER_COLUMNS,
    CommandKind,
    OrderEventKind,
    OrderType,
    Reason,
    Records,
    Role,
    SeatName,
    TimeInForce,
)
from engine.types.step import StepBlock

LAYERS: Final = {"decisions": "decisions", "agents": "outputs", "orders": "events", "fills": "fills"}
"""Tables of records, and the part of a step that holds each; `agents` are the seats of an ensemble."""
COUNTING: Final = frozenset({"seq", "order_id", "parent", "first_ts", "last_ts"})
WORDS: Final[dict[str, type[IntEnum]]] = {
    "role": Role,
    "reason": Reason,
    "type": OrderType,
    "tif": TimeInForce,
    "seat": SeatName,
}
KINDS: Final[dict[str, type[IntEnum]]] = {"decisions": CommandKind, "orders": OrderEventKind}
MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class Parting:
    """The first place where a table of two runs differs.

    Attributes:
        table: bars, decisions, agents, orders, fills or ledger.
        ts_event: Close of the row, nanoseconds UTC.
        row, other_row: Its number in the two runs; None where a run has no such row.
        field: Such as `ES.close`, `price` or `equity`; `row` where one of the two lacks it.
        value, other_value: What the two have there.
    """

    table: str
    ts_event: int
    row: int | None
    other_row: int | None
    field: str
    value: str
    other_value: str


def first_partings(step: StepBlock, other: StepBlock, period: Period) -> list[Parting]:
    """The first difference of each table within a period, the earliest first; no entry for a table without any.

    Args:
        step, other: All rows of the two runs.
    """
    times = step.bars.ts_event, other.bars.ts_event
    found = [_bars(step, other, period), *(_records(name, step, other, period) for name in LAYERS)]
    found.append(_ledger(step, other, period))
    partings = [
        Parting(table, ts, _row(times[0], ts), _row(times[1], ts), field, value, other_value)
        for table, ts, field, value, other_value in filter(None, found)
    ]
    return sorted(partings, key=lambda one: one.ts_event)


def _row(times: Ints, ts_event: int) -> int | None:
    at = int(np.searchsorted(times, ts_event))
    return at if at < len(times) and int(times[at]) == ts_event else None


_Found = tuple[str, int, str, str, str] | None


def _bars(step: StepBlock, other: StepBlock, period: Period) -> _Found:
    times, others = step.bars.ts_event, other.bars.ts_event
    missing = np.setxor1d(times[period.of(times)], others[period.of(others)], assume_unique=True)
    changed = _first_value(list(_bar_columns(step)), list(_bar_columns(other)), (times, others), period)
    if len(missing) and (changed is None or missing[0] < changed[0]):
        ts = int(missing[0])
        has = _row(times, ts) is not None
        return ("bars", ts, "row", *(("a row", MISSING) if has else (MISSING, "a row")))
    return None if changed is None else ("bars", *changed)


def _bar_columns(step: StepBlock) -> Iterator[tuple[str, Any]]:
    for s, symbol in enumerate(step.bars.symbols):
        yield f"{symbol}.present", step.bars.present[:, s].astype(np.float64)
        for name in BAR_COLUMNS:
            yield f"{symbol}.{name}", np.where(step.bars.present[:, s], getattr(step.bars, name)[:, s], np.nan)


def _ledger(step: StepBlock, other: StepBlock, period: Period) -> _Found:
    columns = [
        [
            *((name, one.ledger[:, c]) for c, name in enumerate(LEDGER_COLUMNS)),
            *((f"position.{symbol}", one.positions[:, s]) for s, symbol in enumerate(one.bars.symbols)),
        ]
        for one in (step, other)
    ]
    changed = _first_value(columns[0], columns[1], (step.bars.ts_event, other.bars.ts_event), period)
    return None if changed is None else ("ledger", *changed)


def _first_value(
    columns: list[tuple[str, Any]], others: list[tuple[str, Any]], times: tuple[Ints, Ints], period: Period
) -> tuple[int, str, str, str] | None:
    """The first shared row in which a column differs: time, name and both values; two NaNs are equal."""
    here, there = shared_rows(*times)
    inside = period.of(times[0][here])
    here, there = here[inside], there[inside]
    first: tuple[int, str, str, str] | None = None
    for (name, values), (_, theirs) in zip(columns, others, strict=True):
        one, two = values[here], theirs[there]
        differs = np.flatnonzero((one != two) & ~(np.isnan(one) & np.isnan(two)))
        if len(differs) and (first is None or int(times[0][here[differs[0]]]) < first[0]):
            at = int(differs[0])
            first = int(times[0][here[at]]), name, repr(float(one[at])), repr(float(two[at]))
    return first


def _records(table: str, step: StepBlock, other: StepBlock, period: Period) -> _Found:
    one, two = (_inside(getattr(each, LAYERS[table]), period) for each in (step, other))
    names = [name for name in one.dtype.names or () if name not in COUNTING]
    count = min(len(one), len(two))
    differs = np.zeros(count, np.bool_)
    for name in names:
        differs |= _bits(one[name][:count]) != _bits(two[name][:count])
    at = int(np.argmax(differs)) if differs.any() else count
    if at == max(len(one), len(two)):
        return None
    times = [int(each["ts_event"][at]) if at < len(each) else period.last_ns + 1 for each in (one, two)]
    if times[0] != times[1]:
        ours = times[0] < times[1]
        record = _described(table, (one if ours else two)[at], step.bars.symbols)
        return (table, min(times), "row", *((record, MISSING) if ours else (MISSING, record)))
    field = next(name for name in names if _bits(one[name][at : at + 1])[0] != _bits(two[name][at : at + 1])[0])
    values = [_shown(table, field, each[field][at], step.bars.symbols) for each in (one, two)]
    return table, times[0], field, values[0], values[1]


def _inside(records: Records, period: Period) -> Records:
    times = records["ts_event"]
    return records[(times >= period.first_ns) & (times <= period.last_ns)]


def _described(table: str, record: Any, symbols: tuple[str, ...]) -> str:
    names = [name for name in ("kind", "seat", "symbol", "quantity", "price") if name in (record.dtype.names or ())]
    return " ".join(_shown(table, name, record[name], symbols) for name in names)


def _shown(table: str, field: str, value: Any, symbols: tuple[str, ...]) -> str:
    if field == "symbol":
        return symbols[int(value)] if int(value) >= 0 else "all"
    words = KINDS.get(table) if field == "kind" else WORDS.get(field)
    if words is not None and int(value) in {int(one) for one in words}:
        return words(int(value)).name.lower()
    return repr(value.item())


def _bits(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.ascontiguousarray(values).view(np.int64)
