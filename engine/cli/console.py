"""Consoles and error messages, shared by the commands."""

from __future__ import annotations

import json
import sys

from rich.console import Console
from rich.text import Text

from engine.errors import GrandModelError
from engine.quoting import printable


def out() -> Console:
    """Standard output, for results."""
    return Console()


def err() -> Console:
    """Standard error, for progress, notes and errors, so that `--json` keeps standard output clean."""
    return Console(stderr=True)


def print_error(error: GrandModelError) -> None:
    """Print an error's parts, a line each, with nothing interpreted as markup."""
    for label, text in error.parts():
        line = Text("error: ", style="bold red") if not label else Text(f"  {label}: ", style="bold")
        err().print(line + Text(printable(text)), soft_wrap=True)


def print_failure(error: GrandModelError) -> None:
    """Print an error as the one object that `--json` puts on standard output: `{"error": {...}}`."""
    sys.stdout.write(json.dumps({"error": error.as_object()}) + "\n")


def note(text: str) -> None:
    """Print a line of information on standard error."""
    err().print(Text(printable(text), style="dim"), soft_wrap=True)
