"""The shell of every page: one HTML file that needs nothing else, not even a network, with Plotly inside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

STYLE = "page.css"
LAYOUT = "page_layout.js"


@dataclass(frozen=True)
class Head:
    """What a page says first, as plain text.

    Attributes:
        title: Heading, and name of the page.
        span: Line below it.
        verdicts: Whether each is good news (None: neither good nor bad), and the sentence.
        warnings: What a reader should know before trusting the figures, a sentence each.
    """

    title: str
    span: str = ""
    verdicts: Sequence[tuple[bool | None, str]] = ()
    warnings: Sequence[str] = ()


def shell(
    head: Head, main: str, data: Mapping[str, Any], *, footer: str = "", styles: Sequence[str], scripts: Sequence[str]
) -> str:
    """The page as text.

    Args:
        head: Escaped here.
        main: HTML of the page's body, escaped where it comes from a run.
        data: What the scripts draw; JSON without infinities and NaN.
        footer: Plain text, escaped here.
        styles: Style sheets of this page beside the common one, as paths within `engine/report`.
        scripts: Scripts of this page beside the common one, likewise, in their order.
    """
    parts = {
        "title": escape(head.title),
        "span": escape(head.span),
        "verdicts": "".join(
            f'<p class="verdict {"good" if good else "plain"}">{escape(sentence)}</p>'
            for good, sentence in head.verdicts
        ),
        "warnings": _warnings(head.warnings),
        "main": main,
        "footer": escape(footer),
        # a script element ends at "</script", so no "<" may stand in its data
        "data": json.dumps(data, allow_nan=False, ensure_ascii=True).replace("<", "\\u003c"),
        "css": "\n".join(map(part, (STYLE, *styles))),
        "js": "\n".join(map(part, (LAYOUT, *scripts))),
        "plotly": resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8"),
    }
    return fill(part("shell.html"), parts)


def part(name: str) -> str:
    """The text of a file that pages are made of.

    Args:
        name: Path within `engine/report`.
    """
    return resources.files("engine.report").joinpath(name).read_text("utf-8")


def fill(template: str, parts: Mapping[str, str]) -> str:
    """A template with every `{{name}}` replaced, once: inserted text is not scanned again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _warnings(lines: Sequence[str]) -> str:
    return f'<ul class="warnings">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>' if lines else ""
