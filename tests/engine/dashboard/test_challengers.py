"""The challengers' table on the screen, the page and in the terminal: what it says, whatever its names are."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from engine.challengers.standing import Standing
from engine.challengers.words import standing_rows
from engine.dashboard.cells import width_of
from engine.dashboard.following import Following
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.view import frame
from engine.report.challengers_panel import challengers_panel, challengers_table, rows_of

HOSTILE = "x:<b>[red]\x1b[31m"
STANDINGS = [
    Standing("sma_cross", "champion", 101_234.5),
    Standing("flat", "challenger", 100_000.0, 0.0, 124, 0.941, 32.8987, None),
    Standing("ensemble:second", "shadow", 99_000.25, 0.031, 40, 4.0, 20.0, 1_139),
    Standing(HOSTILE, "challenger", 99_500.0, 0.01, 60, 500.0, 296.1, 0, because="it may only be watched"),
    Standing("random", "retired", 50_000.0, 0.5, 10, 0.1, 526.0, 3, because="it fell"),
]


def test_rows_say_how_each_stands() -> None:
    cells = [row.cells for row in standing_rows(STANDINGS)]
    assert cells[0] == ("sma_cross", "champion", "101,234.50", "", "", "", "", "")
    assert cells[1] == ("flat", "challenger", "100,000.00", "0.94", "33", "124", "-", "0.0 %")
    assert [row[6] for row in cells] == ["", "-", "1,139", "enough", ""]


@pytest.mark.parametrize(("width", "height"), [(160, 45), (80, 40), (40, 24), (120, 12)])
def test_the_screen_keeps_its_size(width: int, height: int) -> None:
    state = DashboardState(RunInfo("paper", "sma_cross", ("ES",), challengers=4))
    before = [width_of(line) for line in frame(state, width, height, 0.0)]
    Following(state).look("trading", "", {}, STANDINGS)
    lines = frame(state, width, height, 0.0)
    assert [width_of(line) for line in lines] == before == [width] * height
    text = "\n".join("".join(part.text for part in line) for line in lines)
    assert ("Challengers" in text) == (height > 20)
    if height > 40:
        assert "0.94" in text and "101,234.50" in text and "\x1b" not in text
    Following(state).look("stopped", "", {})  # what was known stays in sight
    assert state.challengers == STANDINGS


def test_the_page_escapes_and_other_releases_are_read() -> None:
    manifest = {
        "challengers": [{**one.tree(), "unknown": 1} for one in STANDINGS],
        "roles": [{"seq": 1_500, "name": HOSTILE, "role": "champion", "because": "its evidence <suffices>"}],
    }
    page = challengers_panel(manifest)
    assert "x:&lt;b&gt;" in page and "<b>" not in page
    assert "row 1,500" in page and "&lt;suffices&gt;" in page
    assert challengers_panel({}) == challengers_panel({"challengers": "x"}) == ""
    console = Console(file=io.StringIO(), width=74)
    console.print(challengers_table(rows_of(manifest)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "ensemble:second" in shown and "1,139" in shown
