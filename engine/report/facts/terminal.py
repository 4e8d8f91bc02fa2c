"""The facts of several markets as a table: in a terminal, in Markdown, as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from feeds.stylised.facts import CURVES, FIGURES, Estimate, Facts, apart

MARK = "≠"


def written(one: Estimate) -> str:
    """A figure with its interval."""
    if not math.isfinite(one.value):
        return "n/a"
    if not math.isfinite(one.low):
        return _number(one.value)
    return f"{_number(one.value)} ({_number(one.low)} to {_number(one.high)})"


def agreeing(facts: Sequence[Facts]) -> list[tuple[int, int] | None]:
    """Of each but the first: figures whose interval meets that of the first, and figures that both have."""
    found: list[tuple[int, int] | None] = [None]
    for one in facts[1:]:
        verdicts = [apart(facts[0].figures[key], one.figures[key]) for key in FIGURES]
        found.append((verdicts.count(False), len(verdicts) - verdicts.count(None)))
    return found


def rows(facts: Sequence[Facts]) -> list[list[str]]:
    """Cells: what it is, what markets show, and one a market; those that differ from the first are marked."""
    lines = []
    for key, (title, usual) in FIGURES.items():
        if all(not math.isfinite(one.figures[key].value) for one in facts):
            continue
        cells = [
            written(one.figures[key]) + (f" {MARK}" if k and apart(facts[0].figures[key], one.figures[key]) else "")
            for k, one in enumerate(facts)
        ]
        lines.append([title, usual, *cells])
    if len(facts) > 1:
        agreed = ["" if pair is None else f"{pair[0]} of {pair[1]}" for pair in agreeing(facts)]
        lines.append(["intervals that meet that of the first", "", *agreed])
    return lines


def foot(facts: Sequence[Facts]) -> list[str]:
    """Sentences below the table: what was measured, and how intervals come about."""
    lines = [
        f"{one.name}: {one.bars:,} returns"
        + (f", {one.left_out:,} over missing bars left out" if one.left_out else "")
        + f"; {one.blocks} blocks, {one.run:.1f} together."
        for one in facts
    ]
    lines.append(
        "Intervals hold the middle 95 % of resamples of whole sessions (stationary bootstrap). "
        f"{MARK}: does not meet the interval of the first. The size of a return is its absolute value."
    )
    return lines


def as_table(facts: Sequence[Facts]) -> Table:
    """For a terminal."""
    table = Table(caption="\n".join(foot(facts)), caption_justify="left")
    table.add_column("fact", min_width=26)
    for one in facts:
        table.add_column(Text(one.name), justify="right", overflow="fold")
    for title, _, *cells in rows(facts):
        # the interval below its figure leaves room for more markets
        lines = (cell.replace(" (", "\n(") for cell in cells)
        table.add_row(title, *(Text(line, style="yellow" if line.endswith(MARK) else "") for line in lines))
    return table


def as_markdown(facts: Sequence[Facts]) -> str:
    """For a document."""
    header = ["fact", "markets show", *(one.name for one in facts)]
    rules = ["---", "---", *("---:" for _ in facts)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (header, rules, *rows(facts))]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return table + "\n\n" + "\n".join(f"* {line}" for line in foot(facts)) + "\n"


def as_tree(facts: Sequence[Facts]) -> dict[str, Any]:
    """For JSON; what is not known is null."""
    return {
        "figures": {key: title for key, (title, _) in FIGURES.items()},
        "markets": [
            {
                "name": one.name,
                "returns": one.bars,
                "left_out": one.left_out,
                "blocks": one.blocks,
                "run": one.run,
                "figures": {
                    key: {name: _known(value) for name, value in estimate._asdict().items()}
                    for key, estimate in one.figures.items()
                },
                "curves": {
                    key: {name: [_known(x) for x in values.tolist()] for name, values in curve._asdict().items()}
                    for key, curve in one.curves.items()
                    if key in CURVES
                },
            }
            for one in facts
        ],
        "agreeing": agreeing(facts),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "n/a"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}" if round(value, digits) else f"{0:.{digits}f}"
