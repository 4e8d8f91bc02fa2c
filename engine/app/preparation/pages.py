"""A card for people: the same facts as Markdown and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

TITLES = {
    "sources": "Sources",
    "reading": "How they were read",
    "rows": "Rows",
    "span": "Span",
    "coverage": "Coverage of the calendar",
    "outliers": "Outliers",
    "contracts": "Contracts",
    "adjustment": "Adjustments",
    "parts": "Parts",
    "files": "Files",
}
"""Sections, in order; what is not among them stands at the top."""
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h2{font-size:1.1rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem .2rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid #eee;overflow-wrap:break-word}th{font-weight:600}table.pairs td:first-child{width:12rem}
td:last-child{overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}h2{border-color:#444}td,th{border-color:#333}}
"""

Table = tuple[list[str], list[list[str]]]


def write_card(card: Mapping[str, Any], folder: Path) -> None:
    """Write `card.json`, `card.md` and `card.html`."""
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "card.md").write_text(as_markdown(card), encoding="utf-8")
    (folder / "card.html").write_text(as_page(card), encoding="utf-8")


def as_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    lines = [f"# {card['name']}", ""]
    for title, tables in _sections(card):
        lines += [f"## {title}", ""] if title else []
        for head, rows in tables:
            lines += [_line(head), _line(["---"] * len(head)), *map(_line, rows), ""]
    return "\n".join(lines)


def as_page(card: Mapping[str, Any]) -> str:
    """The card as one HTML file that needs nothing else."""
    parts = []
    for title, tables in _sections(card):
        parts += [f"<h2>{escape(title)}</h2>"] if title else []
        for head, rows in tables:
            cells = "".join(f"<th>{escape(name)}</th>" for name in head)
            body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
            kind = "" if any(head) else ' class="pairs"'
            top = f"<tr>{cells}</tr>" if any(head) else ""
            parts.append(f"<table{kind}>{top}{body}</table>")
    name = escape(str(card["name"]))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: data card</title>'
        f"<style>{STYLE}</style></head><body><h1>{name}</h1>{''.join(parts)}</body></html>\n"
    )


def _sections(card: Mapping[str, Any]) -> list[tuple[str, list[Table]]]:
    top = {key: value for key, value in card.items() if key not in TITLES and key != "card_version"}
    return [("", [_pairs(top)]), *((title, list(_tables(card[key]))) for key, title in TITLES.items())]


def _tables(value: Any) -> Sequence[Table]:
    """A mapping as one table of its plain values, and one for each list of mappings in it."""
    if isinstance(value, list):
        return [_records(value)]
    plain = {key: one for key, one in value.items() if not _is_records(one)}
    return [*([_pairs(plain)] if plain else []), *(_records(one) for one in value.values() if _is_records(one))]


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _pairs(values: Mapping[str, Any]) -> Table:
    return ["", ""], [[_words(key), _text(value)] for key, value in values.items()]


def _records(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = list(rows[0])
    return [_words(name) for name in names], [[_text(row.get(name)) for name in names] for row in rows]


def _words(key: str) -> str:
    return key.replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_text(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
