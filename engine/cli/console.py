"""Consoles and error messages, shared by the commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from engine.base.errors import GrandModelError
from engine.base.quoting import printable


class SafeConsole(Console):
    """A console that escapes control characters, so that printed data cannot command the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render to segments; rich's own control codes stay as they are."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, kept="\n\t"), segment.style)


def out() -> Console:
    """Standard output as it is now, for results."""
    return SafeConsole(file=sys.stdout)


def err() -> Console:
    """Standard error, for progress, notes and errors, so that `--json` keeps standard output clean."""
    return SafeConsole(file=sys.stderr, stderr=True)


def print_error(error: GrandModelError) -> None:
    """Print an error's parts, a line each, with nothing interpreted as markup."""
    for label, text in error.parts():
        line = Text("error: ", style="bold red") if not label else Text(f"  {label}: ", style="bold")
        # escaped before rich sees it, which would drop some control characters without a trace
        err().print(line + Text(printable(text, kept="\n\t")), soft_wrap=True)


def print_failure(error: GrandModelError) -> None:
    """Print an error as the one object that `--json` puts on standard output: `{"error": {...}}`."""
    sys.stdout.write(json.dumps({"error": error.as_object()}) + "\n")


def note(text: str) -> None:
    """Print a line of information on standard error."""
    err().print(Text(printable(text, kept="\n\t"), style="dim"), soft_wrap=True)
