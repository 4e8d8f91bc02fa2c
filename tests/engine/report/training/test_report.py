from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.report.training.charts import Chart, Series
from engine.report.training.report import Written, write_training_report
from engine.report.training.svg import draw, ticks
from tests.engine.report.training.samples import NASTY, evaluation, history
from tests.waiting import LIMIT_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    return write_training_report(folder, evaluation(), {"a": history(1), "b": history(2)})


def test_markdown_shows_charts_that_exist(written: Written) -> None:
    text = written.markdown.read_text()
    named = re.findall(r'src="([^"]+)"', text)
    assert len(named) > 10
    for name in named:
        root = ET.fromstring((written.markdown.parent / name).read_text())
        assert root.tag == f"{SVG}svg"
    drawn = {path.name for path in (written.markdown.parent / "evaluation_charts").iterdir()}
    assert drawn == {Path(name).name for name in named}
    assert "**Beats buy and hold: " in text
    assert "**CONSTANT\\_RISK**: " in text


def embedded(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, dict[str, object]] = json.loads(found[1])
    return data


def test_the_page_holds_every_chart_once(written: Written) -> None:
    page = written.page.read_text()
    charts = embedded(page)
    places = re.findall(r'<div id="([a-z_]+)" class="chart', page)
    assert sorted(places) == sorted(charts)
    assert len(places) == len(set(places))
    assert charts["episodes"]["series"][-1]["y"] == [0.01, 0.02, 0.03]  # type: ignore[index]


class Tags(HTMLParser):
    """Elements, links and words of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.words += data


def test_whatever_things_are_called_stays_text(tmp_path: Path) -> None:
    tree = evaluation(model=NASTY, instrument=NASTY, created_by=NASTY, remarks=[NASTY])
    tree["findings"] = [{"name": NASTY, "message": NASTY}]
    tree["summary"]["terms"][NASTY] = {"value": 1.0, "low": None, "high": None}
    records = [*history(1), {"kind": "losses", "episode": 500, "ppo": {"loss": 1.0}}]
    written = write_training_report(tmp_path, tree, {NASTY: records, "b": history(2)})
    page = written.page.read_text()
    parser = Tags()
    parser.feed(page)
    assert parser.tags.count("script") == 3
    assert parser.links == ["data:,"]
    assert parser.words.count(NASTY) >= 5
    assert "boom()</script>" not in page
    assert "<script>" not in written.markdown.read_text().replace("\\<", "")
    for chart in (tmp_path / "evaluation_charts").iterdir():
        ET.fromstring(chart.read_text())


def test_names_from_a_history_reach_no_path(tmp_path: Path) -> None:
    records = [{"kind": "losses", "episode": 1, "ppo": {"../../x": 1.0, "a b/c": 2.0}}]
    write_training_report(tmp_path, None, {"a": records})
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.md", "evaluation.html", "evaluation_charts"}
    assert len(list((tmp_path / "evaluation_charts").iterdir())) == 2


def test_learning_curves_alone_and_nothing_at_all(tmp_path: Path) -> None:
    written = write_training_report(tmp_path, None, {"a": history(1)}, name="training", heading="Training of today")
    assert written.markdown.name == "training.md"
    assert written.markdown.read_text().startswith("# Training of today\n")
    assert "Training of today" in written.page.read_text()
    with pytest.raises(UsageError, match="nothing to report"):
        write_training_report(tmp_path, None, {"a": []})


def test_a_later_report_leaves_no_old_charts(tmp_path: Path) -> None:
    write_training_report(tmp_path, evaluation(), {"a": history(1)})
    write_training_report(tmp_path, evaluation())
    names = {path.stem for path in (tmp_path / "evaluation_charts").iterdir()}
    assert "rewards" not in names
    assert "episodes" in names


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_ticks_are_round_few_and_cover_the_range(low: float, width: float) -> None:
    high = low + width
    if high - low < 1e-9 * max(abs(low), 1.0):
        return
    found = ticks(low, high)
    step = found[1] - found[0]
    assert 2 <= len(found) <= 8
    assert found[0] <= low + 1e-6 * step
    assert found[-1] >= high - 1e-6 * step


def heights(text: str) -> list[float]:
    root = ET.fromstring(text)
    return [float(bar.get("height", "0")) for bar in root.iter(f"{SVG}rect") if bar.get("class") == "f0"]


def test_bars_are_as_high_as_their_values() -> None:
    series = Series("", [1.0, -2.0, None, 0.5])
    one, two, half = heights(draw(Chart("c", "Bars", "bars", ["a", "b", "c", "d"], [series])))
    assert two == pytest.approx(2 * one, abs=0.3)
    assert half == pytest.approx(one / 2, abs=0.3)


@pytest.mark.parametrize("values", [[], [1.0], [None, None], [0.0, 0.0], [None, 2.0, None, 3.0, 4.0], [1e-12, 1e12]])
@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_odd_data_still_make_a_file(values: list[float | None], kind: str) -> None:
    x = [float(k) for k in range(len(values))] if kind == "lines" else [str(k) for k in range(len(values))]
    series = Series("a", values, values, values)
    text = draw(Chart("c", "Odd & <so>", kind, x, [series], "x < y"))  # type: ignore[arg-type]
    assert "nan" not in text.lower().replace("nano", "")
    ET.fromstring(text)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_draws_every_chart(written: Written) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *options, written.page.as_uri()], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert done.stdout.count("main-svg") >= len(embedded(written.page.read_text()))
