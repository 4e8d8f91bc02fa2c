"""Nothing that comes from data makes a terminal do anything."""

from __future__ import annotations

import io
import re

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from engine.base.errors import DataError
from engine.base.log import configure_logging, logger
from engine.base.quoting import printable
from engine.cli.console import SafeConsole, print_error

EVIL = "ES\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202etxt"


@given(st.text())
def test_only_what_prints_is_left(text: str) -> None:
    assert printable(text, kept="").isprintable()
    assert printable(text).count("\n") == text.count("\n")


def test_tables_and_texts_keep_their_colours_and_lose_the_escapes_of_their_data() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, color_system="truecolor", width=80)
    table = Table(EVIL)
    table.add_row(Text(EVIL, style="red"))
    console.print(table)
    console.print(EVIL, markup=False)
    said = file.getvalue()
    assert "\x1b[31m" in said  # of the style
    assert not re.sub(r"\x1b\[[0-9;]*m|\n", "", said).count("\x1b")
    assert not {"\x07", "\x9b", "\r", "\u202e"} & set(said)
    assert "2J" not in re.findall(r"\x1b\[([0-9;]*[A-Z])", said)


def test_errors_and_logs_do_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(DataError(f"no bars of {EVIL}", where=EVIL, found=EVIL))
    configure_logging(1, "console")
    try:
        logger("feed").warning("refused", symbol=EVIL)
        said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    finally:
        structlog.reset_defaults()
    assert "refused" in said and "owned" in said
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)
