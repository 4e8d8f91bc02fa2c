"""How each column of a file of ticks was understood, and why, for people to check."""

from __future__ import annotations

from typing import Final

from feeds.reading.explain import ColumnUse
from feeds.reading.formats.importing import Importing
from feeds.ticks.plan import TickPlan

_MEANINGS: Final = {
    "price": "price of a trade",
    "size": "size of a trade",
    "bid": "best bid",
    "ask": "best ask",
    "symbol": "name of the symbol",
    "side": "who took: the buyer or the seller",
    "is_buyer_maker": "whether the buyer was the maker, so that the seller took",
    "action": "which events are trades",
}
_LONGEST: Final = 40


def explain_ticks(one: TickPlan, how: Importing) -> list[ColumnUse]:
    """One entry for each column of a file, in its order.

    Args:
        how: What the user said of its columns.
    """
    plan, columns = one.plan, one.columns.map
    roles = {at: role for role, at in (*columns.values.items(), *one.columns.telling.items())}
    roles |= dict.fromkeys(columns.time, "time")
    if columns.symbol is not None:
        roles[columns.symbol] = "symbol"
    first = next(iter(plan.file.batches(list(range(len(columns.names))))), None)
    return [
        ColumnUse(
            name,
            "" if first is None or not len(first.lines) else _shown(first.columns[at][0]),
            roles.get(at, ""),
            _described(one, roles[at]) if at in roles else "not read",
            _reason(one, how, at) if at in roles else "nothing needs it",
        )
        for at, name in enumerate(columns.names)
    ]


def _described(one: TickPlan, role: str) -> str:
    plan = one.plan
    if role == "time":
        zone = (
            "" if "tz=" in plan.times.described or plan.times.kind == "epoch" else f"; {plan.zone}, {plan.zone_reason}"
        )
        return f"{plan.times.described}{zone}; when it happened"
    divided = f", divided by {plan.divisor:,.0f}" if plan.divisor != 1.0 and role in {"price", "bid", "ask"} else ""
    return _MEANINGS[role] + divided


def _reason(one: TickPlan, how: Importing, at: int) -> str:
    declared, name = one.plan.file.declared, one.columns.map.names[at]
    if how.order or name in how.pairs.values():
        return "as --columns says"
    if one.plan.file.time == at:
        return "the index of the frame"
    if declared is not None:
        return f"as the format {declared.format.name} says"
    return "by its name"


def _shown(cell: object) -> str:
    value = cell.as_py()  # type: ignore[attr-defined]
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
