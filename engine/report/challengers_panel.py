"""Champion and challengers of a run, in the terminal and on its page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from engine.challengers.standing import Standing
from engine.challengers.takeovers import Takeover, takeovers
from engine.challengers.words import TITLES, StandingRow, standing_rows
from engine.loop.rivals import RoleChange
from engine.loop.weights import Activation

if TYPE_CHECKING:
    from rich.table import Table

TONES = {"champion": "good", "retired": "", "challenger": "", "shadow": ""}
STYLES = {"champion": "bold green", "retired": "dim", "challenger": "default", "shadow": "cyan"}
HINT = (
    "Each trades the same bars in a book of its own. E is the evidence that its mean net return of a block exceeds the "
    "champion's; the chance that one who is no better ever reaches what is needed is at most alpha, over all that were "
    "ever started and however often one looks. The wait is in blocks, if all goes on as so far."
)
IN_TERMINAL = 7
"""Columns that 80 characters hold."""
WORDS = {"champion": "became the champion", "shadow": "trades on as a shadow", "retired": "was retired"}


def rows_of(manifest: Mapping[str, Any]) -> list[StandingRow]:
    """How they stood at the end; empty for a run without challengers."""
    found = manifest.get("challengers")
    trees = found if isinstance(found, list) else []
    return standing_rows([Standing.of(tree) for tree in trees if isinstance(tree, dict) and "name" in tree])


def changes_of(manifest: Mapping[str, Any]) -> list[str]:
    """Every change of roles, a sentence each."""
    found = manifest.get("roles")
    changes = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [
        f"row {one.get('seq', 0):,}: {one.get('name')} {WORDS.get(str(one.get('role')), one.get('role'))}: "
        f"{one.get('because')}"
        for one in changes
    ]


def takeovers_of(manifest: Mapping[str, Any]) -> list[Takeover]:
    """From which rows on others decided."""
    lists = [found if isinstance(found := manifest.get(key), list) else [] for key in ("roles", "activations")]
    roles, activations = ([one for one in found if isinstance(one, dict) and "seq" in one] for found in lists)
    return takeovers(
        [
            RoleChange(int(one["seq"]), str(one.get("name")), one.get("role", "retired"), "", str(one.get("by", "")))
            for one in roles
        ],
        [Activation(int(one["seq"]), str(one.get("version")), str(one.get("sha256"))) for one in activations],
    )


def challengers_table(rows: list[StandingRow]) -> Table:
    """For the terminal."""
    from rich.table import Table  # noqa: PLC0415 - a page does without the terminal's tables
    from rich.text import Text  # noqa: PLC0415 - likewise

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(TITLES[:IN_TERMINAL]):
        table.add_column(title, justify="left" if number < 2 else "right", overflow="fold", no_wrap=number > 0)
    for row in rows:
        table.add_row(*map(Text, row.cells[:IN_TERMINAL]), style=STYLES.get(row.role, "default"))
    return table


def challengers_panel(manifest: Mapping[str, Any]) -> str:
    """For the page, as HTML; empty for a run without challengers."""
    rows = rows_of(manifest)
    if not rows:
        return ""
    head = "".join(f'<th class="word">{escape(title)}</th>' for title in TITLES[:2])
    head += "".join(f"<th>{escape(title)}</th>" for title in TITLES[2:]) + '<th class="word"></th>'
    body = "".join(_row(row) for row in rows)
    changes = "".join(f"<li>{escape(text)}</li>" for text in changes_of(manifest))
    listed = f"<ul>{changes}</ul>" if changes else ""
    return (
        f'<section class="panel" id="challengers"><h2>Champion and challengers</h2><p class="hint">{HINT}</p>'
        f'<div class="scroll"><table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{listed}</section>"
    )


def _row(row: StandingRow) -> str:
    name, role, *numbers = map(escape, row.cells)
    cells = "".join(f"<td>{cell}</td>" for cell in numbers)
    tone = TONES.get(row.role, "")
    return (
        f'<tr><th class="word">{name}</th><td class="word {tone}">{role}</td>{cells}'
        f'<td class="word">{escape(row.because)}</td></tr>'
    )
