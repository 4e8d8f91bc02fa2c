"""What `grandmodel diverge` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import floor, log10
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from engine.app.divergence.comparing import Parting
from engine.app.divergence.differences import SIDES
from engine.app.divergence.divergence import Divergence
from engine.app.divergence.shapley import rounded
from engine.cli.console import err, out
from engine.report.presentation import money
from engine.types.moments import briefly, iso

NAMES: Final = {
    "bars": "bars",
    "rows": "missing and late rows",
    "commands": "operator's commands",
    "models": "models and promotions",
    "configuration": "configuration and costs",
    "history": "history at the start",
}

NOTHING: Final = 5e-9
"""Amounts below this are rounding errors, which the eight decimals of small amounts do not show."""


@contextmanager
def replay_progress() -> Iterator[Callable[[int, int], object] | None]:
    """Says on a terminal which replay runs; nothing elsewhere."""
    if not err().is_terminal:
        yield None
        return
    with err().status("replaying") as status:
        yield lambda done, total: status.update(f"replay {done + 1} of {total}")


def divergence_object(found: Divergence) -> dict[str, Any]:
    """What `--json` prints; money in the currency of the run's account, times in UTC."""
    return {
        "run": found.run.name,
        "other": found.other.name,
        "unended": [found.run.unended, found.other.unended],
        "same": found.same,
        "symbols": list(found.run.symbols),
        "first": iso(found.period.first_ns),
        "last": iso(found.period.last_ns),
        "rows_after": found.rows_after[0],
        "other_rows_after": found.rows_after[1],
        "currency": found.run.config.currency,
        "profit": found.profit,
        "other_profit": found.other_profit,
        "difference": found.profit - found.other_profit,
        "causes": [
            {
                "cause": cause.part.factor,
                "effect": float(cause.effect),
                "alone": cause.alone,
                "what": cause.part.what,
                "first": None if cause.part.first_ns is None else iso(cause.part.first_ns),
            }
            for cause in found.causes
        ],
        "first_differences": [
            {
                "table": one.table,
                "time": iso(one.ts_event),
                "row": one.row,
                "other_row": one.other_row,
                "field": one.field,
                "value": one.value,
                "other_value": one.other_value,
            }
            for one in found.partings
        ],
        "replays": found.replays,
    }


def show_divergence(found: Divergence) -> None:
    """Print causes and first differences."""
    currency, symbols = found.run.config.currency, ", ".join(found.run.symbols)
    _line(f"RUN    {found.run.name}: {money(found.profit, currency)}")
    _line(f"OTHER  {found.other.name}: {money(found.other_profit, currency)}")
    _line(f"{symbols}, {briefly(found.period.first_ns)} to {briefly(found.period.last_ns)} UTC{_beyond(found)}")
    for side, each in zip(SIDES, (found.run, found.other), strict=True):
        if each.unended:
            _line(f"{side} was killed and has not been started again: compared are the rows that it had committed")
    if found.same:
        _line("\nnothing differs")
        return
    _line(f"\n{_earned(found.profit - found.other_profit, currency)}\n")
    out().print(_causes(found))
    head = "first differences, RUN and OTHER:" if found.partings else "the two traded the same, bit for bit"
    _line("\n".join(["", head, *(f"  {_parting(one)}" for one in found.partings)]))


def _earned(difference: float, currency: str) -> str:
    if abs(difference) < NOTHING:
        return "RUN earned as much as OTHER, but they differ:"
    return f"RUN earned {money(abs(difference), currency)} {'less' if difference < 0.0 else 'more'}, because of:"


def _beyond(found: Divergence) -> str:
    parts = [f"{rows:,} of {side}" for side, rows in zip(SIDES, found.rows_after, strict=True) if rows]
    return f"; later rows are not compared: {', '.join(parts)}" if parts else ""


def _causes(found: Divergence) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("cause", no_wrap=True)
    table.add_column("effect", justify="right", no_wrap=True)
    table.add_column("alone", justify="right", no_wrap=True)
    table.add_column("what differs", overflow="fold")
    digits = _digits(found)
    effects = rounded({cause.part.factor: cause.effect for cause in found.causes}, digits)
    for cause in found.causes:
        alone = round(cause.alone, digits) + 0.0  # no sign for what is rounded to 0
        amounts = f"{effects[cause.part.factor]:,.{digits}f}", f"{alone:,.{digits}f}"
        table.add_row(NAMES[cause.part.factor], *amounts, Text(cause.part.what))
    if len(found.causes) > 1:
        table.add_section()
        table.add_row("together", f"{sum(effects.values()):,.{digits}f}", style="bold")
    return table


def _digits(found: Divergence) -> int:
    """Decimals of amounts: two, and more where the largest effect is below 1."""
    largest = max(abs(float(cause.effect)) for cause in found.causes)
    return 2 if largest == 0.0 or largest >= 1.0 else min(8, 1 - floor(log10(largest)))


def _parting(one: Parting) -> str:
    rows = [f"{row:,}" if row is not None else "none" for row in (one.row, one.other_row)]
    row = f"row {rows[0]}" if rows[0] == rows[1] else f"rows {rows[0]} and {rows[1]}"
    return f"{one.table:<9} {briefly(one.ts_event)}, {row}, {one.field}: {one.value} and {one.other_value}"


def _line(text: str) -> None:
    out().print(Text(text), soft_wrap=True)
