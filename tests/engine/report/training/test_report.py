from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from engine.base.errors import UsageError
from engine.report.training.report import Written, write_training_report
from tests.engine.report.training.samples import NASTY, evaluation, history
from tests.waiting import LIMIT_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    return write_training_report(folder, evaluation(), {"a": history(1), "b": history(2)})


def test_markdown_holds_tables_and_no_pictures(written: Written) -> None:
    text = written.markdown.read_text()
    assert "<img" not in text
    assert "**Beats buy and hold: " in text
    assert "**CONSTANT\\_RISK**: " in text
    assert "| Return by episode: Ensemble | 1.00 % | 3.00 % | 1.00 % | 3.00 % |" in text
    assert "| Strategic: direction | Neutral | 50.00 % |" in text
    assert "| Alpha | 0.2 | 0.2 | 0.2 | 0.2 |" in text


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


def test_names_from_a_history_become_no_element(tmp_path: Path) -> None:
    records = [{"kind": "losses", "episode": 1, "ppo": {"../../x": 1.0, "a b/c": 2.0}}]
    written = write_training_report(tmp_path, None, {"a": records})
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.md", "evaluation.html"}
    assert sorted(embedded(written.page.read_text())) == ["ppo_loss_0", "ppo_loss_1"]


def test_learning_curves_alone_and_nothing_at_all(tmp_path: Path) -> None:
    written = write_training_report(tmp_path, None, {"a": history(1)}, name="training", heading="Training of today")
    assert written.markdown.name == "training.md"
    assert written.markdown.read_text().startswith("# Training of today\n")
    assert "Training of today" in written.page.read_text()
    with pytest.raises(UsageError, match="nothing to report"):
        write_training_report(tmp_path, None, {"a": []})


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_draws_every_chart(written: Written) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *options, written.page.as_uri()], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert done.stdout.count("main-svg") >= len(embedded(written.page.read_text()))
