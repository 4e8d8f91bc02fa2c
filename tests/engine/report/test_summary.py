from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.report.presentation import GROUPS, figures, span, title
from engine.report.summary import RunSummary, sparkline
from tests.engine.runs import run_folder


def text_of(width: int, metrics: Any, manifest: Any, curve: Any = ()) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(RunSummary(metrics, manifest, curve))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder: Path = run_folder(tmp_path_factory.mktemp("run"), rows=400)
    return json.loads((folder / "metrics.json").read_text()), json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize("width", [48, 60, 80, 100, 160])
def test_fits_the_screen_and_cuts_no_figure(run: tuple[Any, Any], width: int) -> None:
    metrics, manifest = run
    large = {**metrics, "final_equity": 123_456_789.12, "net_profit": -123_456_789.12, "fees": 98_765_432.1}
    text = text_of(width, large, manifest, [1.0, 2.0, 3.0])
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for figure in ("123,456,789.12", "98,765,432.10", "Win rate", "▁", "█"):
        assert figure in text


def test_says_plainly_what_went_wrong(run: tuple[Any, Any]) -> None:
    metrics, manifest = run
    worse = {**metrics, "total_return": -0.5, "benchmark_return": 0.1, "halted": "max_daily_loss"}
    text = text_of(100, worse, manifest)
    assert "Does not beat buy and hold: -50.00 % at a mean leverage of" in text
    assert "halted by a hard limit: max daily loss" in text and "3 duplicate" in text and "Gaps in the data: 2" in text


def test_markup_in_names_is_shown_as_it_is() -> None:
    text = text_of(100, {}, {"symbols": ["[bold]X[/bold]"], "agent": "[red]"})
    assert "[bold]X[/bold]" in text and "[red]" in text


def test_needs_nothing_and_leaves_out_what_is_not_known() -> None:
    assert "Return" not in text_of(80, {}, {})


def test_sparkline_spans_low_to_high() -> None:
    assert sparkline([1, 2, 3], 10) == "▁▅█" or sparkline([1, 2, 3], 10) == "▁▄█"
    assert len(sparkline(list(range(1000)), 40)) == 40
    assert sparkline([5, 5, 5]) == "▁▁▁"
    assert sparkline([1]) == sparkline([]) == ""


@pytest.mark.parametrize("width", [48, 60, 80, 119, 160])
def test_every_width_says_the_same(run: tuple[Any, Any], width: int) -> None:
    metrics, manifest = run
    words = " ".join(text_of(width, metrics, manifest).replace("│", " ").split()).lower()
    shown = figures([row for _, rows in GROUPS for row in rows if row.short], manifest, metrics)
    assert len(shown) > 15
    for figure in shown:
        assert figure.label.lower() in words and figure.text.lower() in words
    for part in (title(manifest), span(manifest, metrics)):
        assert part.lower() in words
