"""facts.html and facts.md: the facts of several markets, as pictures and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from engine.base.replacing import OutputKind, replaced_folder
from engine.report.facts.terminal import MARK, agreeing, as_markdown, foot, rows
from engine.report.shell import Head, fill, part, shell
from engine.types.blocks import Floats
from feeds.stylised.facts import CURVES, Facts

FOLDER = OutputKind("a report of facts", frozenset({"facts.html", "facts.md"}))
LOGARITHMIC = {"tail": "xy", "kurtosis": "x"}
"""Axes of curves that are drawn on logarithms."""


def write_pages(folder: Path, facts: Sequence[Facts], *, overwrite: bool) -> None:
    """Write both files.

    Raises:
        UsageError: If the folder holds other things, or an earlier report that is not to be replaced.
    """
    with replaced_folder(folder, FOLDER, overwrite=overwrite) as made:
        (made / "facts.html").write_text(page(facts), encoding="utf-8")
        (made / "facts.md").write_text("# Stylised facts\n\n" + as_markdown(facts), encoding="utf-8")


def page(facts: Sequence[Facts]) -> str:
    """The page as text; names of files are escaped."""
    shown = [key for key in CURVES if any(key in one.curves for one in facts)]
    charts = "".join(
        f'<section class="panel"><h2>{escape(CURVES[key][0])}</h2><div id="{key}" class="chart small"></div></section>'
        for key in shown
    )
    parts = {
        "charts": charts,
        "table": _table(facts),
        "foot": "".join(f"<li>{escape(line)}</li>" for line in foot(facts)),
    }
    head = Head(
        "Stylised facts of " + ", ".join(one.name for one in facts[:4]),
        " ".join([*_sentences(facts), "Bands are 95 % intervals from resampled sessions."]),
    )
    data = {"names": [one.name for one in facts], "charts": [_chart(key, facts) for key in shown]}
    return shell(head, fill(part("facts/page.html"), parts), data, styles=["facts/page.css"], scripts=["facts/page.js"])


def _sentences(facts: Sequence[Facts]) -> list[str]:
    return [
        f"{one.name}: {pair[0]} of {pair[1]} figures agree with {facts[0].name} within their intervals."
        for one, pair in zip(facts, agreeing(facts), strict=True)
        if pair is not None
    ]


def _table(facts: Sequence[Facts]) -> str:
    header = "".join(f"<th>{escape(one.name)}</th>" for one in facts)
    lines = []
    for title, usual, *cells in rows(facts):
        marked = "".join(
            f'<td class="{"apart" if cell.endswith(MARK) else "same"}">{escape(cell)}</td>' for cell in cells
        )
        lines.append(
            f'<tr><td class="word">{escape(title)}</td><td class="word usual">{escape(usual)}</td>{marked}</tr>'
        )
    return (
        f'<table id="facts"><thead><tr><th class="word">Fact</th><th class="word">Markets show</th>{header}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _chart(key: str, facts: Sequence[Facts]) -> Mapping[str, Any]:
    return {
        "key": key,
        "across": CURVES[key][1],
        "logarithmic": LOGARITHMIC.get(key, ""),
        "lines": [
            {name: _plain(values) for name, values in one.curves[key]._asdict().items()} if key in one.curves else None
            for one in facts
        ],
    }


def _plain(values: Floats) -> list[float | None]:
    """Five figures are finer than any picture; what is not known is null."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values.tolist()]
