"""How each column of a file was understood, and why, for people to check."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from feeds.reading.columns.closes import ADJUSTED_NAMES, SETTLEMENT_NAMES
from feeds.reading.columns.names import normalise
from feeds.reading.formats.importing import Importing
from feeds.reading.plan import FilePlan
from feeds.reading.times.labels import LabelDecision

_ADJUSTED = {name for names in ADJUSTED_NAMES.values() for name in names}
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """One column of a file.

    Attributes:
        name: What the file calls it; its number where the file has no names.
        example: Its cell in the first row that is read.
        role: What it is to us; empty if it is not read.
        how: How its cells are understood.
        why: What told so.
    """

    name: str
    example: str
    role: str
    how: str
    why: str


def explain_columns(plan: FilePlan, decision: LabelDecision, how: Importing) -> list[ColumnUse]:
    """One entry for each column of a file, in its order.

    Args:
        decision: How the file labels its bars.
        how: What the user said of its columns.
    """
    columns = plan.columns
    roles = {at: role for role, at in columns.values.items()}
    roles |= {at: ("date", "time")[place] if len(columns.time) > 1 else "time" for place, at in enumerate(columns.time)}
    if columns.symbol is not None:
        roles[columns.symbol] = "symbol"
    if columns.factor is not None:
        roles[columns.factor] = "adjusted close"
    if columns.more_volume is not None:
        roles[columns.more_volume] = "volume"
    roles |= {at: f"extra column {name}" for name, at in columns.extra.items()}
    reason = partial(_reason, plan, how)
    first = _first_row(plan)
    described = partial(_described, plan, decision, first)
    nameless = how.order or (plan.file.declared is not None and not plan.file.declared.format.header)
    return [
        ColumnUse(
            f"{at + 1}" if nameless else name,
            first[at],
            roles.get(at, ""),
            described(roles[at], at) if at in roles else "not read",
            reason(roles[at], at) if at in roles else _unread(name, at, plan),
        )
        for at, name in enumerate(columns.names)
    ]


def _first_row(plan: FilePlan) -> list[str]:
    every = range(len(plan.columns.names))
    batch = next(iter(plan.file.batches(list(every))), None)
    if batch is None or not len(batch.lines):
        return ["" for _ in every]
    cells = [batch.columns[at][0] for at in every]
    texts = [_text(cell) if cell.is_valid else "" for cell in cells]
    return [text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..." for text in texts]


def _text(cell: object) -> str:
    try:
        return str(cell.as_py())  # type: ignore[attr-defined]
    except UnicodeDecodeError:
        return "?"


def _described(plan: FilePlan, decision: LabelDecision, first: list[str], role: str, at: int) -> str:
    if at in plan.columns.time:
        if at != plan.columns.time[0]:
            return "time of day"
        return f"{plan.times.described}{_zone(plan, first[plan.columns.time[-1]])}; {decision.labels} of the bar"
    if role == "symbol":
        return "name of the symbol"
    if role.startswith("extra column"):
        return "what ticks or an order book add to a bar"
    written = f", written with {plan.numbers.described}" if plan.numbers.described else ""
    if role in {"volume", "adjusted close"}:
        return {"volume": "volume", "adjusted close": "all prices times this over the close"}[role] + written
    return f"{role} price" + (f", divided by {plan.divisor:,.0f}" if plan.divisor != 1.0 else "") + written


def _zone(plan: FilePlan, example: str) -> str:
    if plan.times.kind == "epoch" or "tz=" in plan.times.described:
        return ""
    if plan.times.kind == "text" and re.search(r"(?:Z|[-+]\d\d:?\d\d)$", example):
        return "; with its offset"
    return f"; {plan.zone}, {plan.zone_reason}"


def _reason(plan: FilePlan, how: Importing, role: str, at: int) -> str:
    declared = plan.file.declared
    if how.order:
        return f"--columns calls it {plan.columns.names[at]}"
    if any(name == plan.columns.names[at] for name in how.pairs.values()):
        return "as --columns says"
    if plan.file.time == at:
        return "the index of the frame"
    if declared is not None and not declared.format.header:
        return f"column {at + 1} of the format {declared.format.name}"
    if declared is not None and at < len(declared.columns) and declared.columns[at]:
        return f"by its name in the format {declared.format.name}"
    if role == "close" and normalise(plan.columns.names[at]) in SETTLEMENT_NAMES:
        return "the settlement price, since there is no other close"
    return "by its name"


def _unread(name: str, at: int, plan: FilePlan) -> str:
    plain = normalise(name)
    if plain in _ADJUSTED:
        return "adjusted prices are read with --adjusted"
    if plain in SETTLEMENT_NAMES:
        return f"the settlement price is the close with --columns close={name}"
    if at == plan.columns.spare_volume:
        return "a count of ticks, beside the volume"
    return "nothing needs it"
