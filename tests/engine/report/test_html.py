from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.base.errors import DataError, UsageError
from engine.report.html import write_report
from engine.report.payload import MOST_TRADES
from tests.engine.runs import MINUTE, run_folder
from tests.waiting import LIMIT_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "<b>&\"'</script><script>boom()</script>{{css}}"
TYPES = {"f8": "<f8", "f4": "<f4", "i4": "<i4"}
HOUR = 60 * MINUTE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("run"), rows=3000, symbols=2, step=HOUR)


@pytest.fixture(scope="module")
def report(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def embedded(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def unpacked(column: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(column["bytes"]), TYPES[column["type"]])


class Scripts(HTMLParser):
    """Counts elements and collects text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.words.append(data)


def parsed(page: str) -> Scripts:
    parser = Scripts()
    parser.feed(page)
    return parser


def test_holds_the_runs_own_numbers(folder: Path, report: str) -> None:
    import polars as pl

    data, chart = embedded(report), pl.read_parquet(folder / "chart.parquet")
    np.testing.assert_array_equal(unpacked(data["chart"]["equity"]), chart["equity"].to_numpy())
    np.testing.assert_allclose(
        unpacked(data["chart"]["ts"]), chart["ts_event"].to_physical().to_numpy() / 1e6, rtol=0, atol=0
    )
    assert [symbol["name"] for symbol in data["symbols"]] == ["S0", "S1"]
    np.testing.assert_array_equal(unpacked(data["symbols"][1]["high"]), chart["high.S1"].to_numpy())
    fills = pl.read_parquet(folder / "fills.parquet").with_columns(pl.col(pl.Categorical).cast(pl.String))
    np.testing.assert_array_equal(unpacked(data["fills"]["price"]), fills["price"].to_numpy())
    sides = np.where(fills["side"].to_numpy() == "buy", 1, -1)
    np.testing.assert_array_equal(unpacked(data["fills"]["side"]), sides)
    assert len(data["trades"]["symbol"]) == pl.read_parquet(folder / "trades.parquet").height < MOST_TRADES


def test_needs_nothing_from_outside(report: str) -> None:
    page = parsed(report)
    assert page.links == ["data:,"]
    assert "default-src 'none'" in report


def test_whatever_a_run_is_called_stays_text(folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for path in folder.glob("*.parquet"):
        shutil.copy(path, tmp_path)
    manifest |= {"agent": NASTY, "symbols": [NASTY], "labels": NASTY, "created_by": NASTY, "quarantined": {NASTY: 1}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "metrics.json").write_text(json.dumps({"halted": NASTY, f"rejected.{NASTY}": 1}))
    page = write_report(tmp_path).read_text()
    scripts = parsed(page)
    assert scripts.tags.count("script") == 3
    assert "b" not in {tag for tag in scripts.tags if tag not in {"body", "b"}}
    assert "".join(scripts.words).count(NASTY) >= 5
    assert "boom()</script>" not in page


def test_a_folder_that_is_no_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json"):
        write_report(tmp_path)


def test_a_missing_table_and_broken_files_are_named(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "chart.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match=r"chart\.parquet"):
        write_report(tmp_path)
    (tmp_path / "chart.parquet").unlink()
    with pytest.raises(UsageError, match=r"chart\.parquet"):
        write_report(tmp_path)
    (tmp_path / "metrics.json").write_text("[1]")
    with pytest.raises(DataError, match="JSON object"):
        write_report(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        write_report(tmp_path)


PROBE = """
<script>
const facts = {};
facts.overview = document.getElementById("overview").data.map((trace) => trace.x.length);
const coarse = document.getElementById("candles").data[0].x.length;
show(-0.5, 35.5);
facts.coarse = coarse;
facts.zoomed = document.getElementById("candles").data[0].x.length;
facts.range = document.getElementById("overview").layout.xaxis.range;
const select = document.getElementById("symbol");
select.value = "1";
select.dispatchEvent(new Event("change"));
const wicks = document.getElementById("candles").data.slice(1, 3);
facts.low = Math.min(...wicks.flatMap((trace) => trace.y).filter((value) => value !== null));
document.querySelector('#trades button[data-column="3"]').click();
const profit = (row) => Number(row.cells[3].textContent.replaceAll(/[$,]/g, ""));
const profits = () => [...document.querySelectorAll("#trades tbody tr")].map(profit);
facts.best = profits();
document.querySelector('#pages button[data-step="1"]').click();
facts.next = profits();
document.querySelector("#trades tbody tr").click();
facts.detail = document.getElementById("detail").textContent;
facts.picked = document.getElementById("candles").layout.shapes.length;
facts.heat = document.querySelectorAll("#heatmap td").length;
const place = document.createElement("pre");
place.id = "facts";
place.textContent = JSON.stringify(facts);
document.body.append(place);
</script></body>
"""


def browse(path: Path, profile: Path, *options: str) -> tuple[str, list[str]]:
    """The page as the browser builds it, and what scripts wrote to the console."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0", "--window-size=1400,3000",
            "--virtual-time-budget=8000", *options, "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=LIMIT_S, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_draws_and_answers_in_a_browser(folder: Path, report: str, tmp_path: Path, scheme: str) -> None:
    import polars as pl

    page = tmp_path / "probe.html"
    page.write_text(report.replace("</body>", PROBE))
    dark = ("--blink-settings=preferredColorScheme=0",) if scheme == "dark" else ()
    dom, console = browse(page, tmp_path / "profile", *dark)
    assert console == []
    found = re.search(r'<pre id="facts">(.*?)</pre>', dom)
    assert found
    facts = json.loads(found[1])
    assert dom.count('class="main-svg"') >= 4
    assert all(0 < points <= 2401 for points in facts["overview"])
    assert 36 <= facts["zoomed"] <= 38 and facts["coarse"] <= 330
    assert facts["range"] == [-0.5, 35.5]
    chart = pl.read_parquet(folder / "chart.parquet")
    assert chart["low.S1"][:38].min() <= facts["low"] <= chart["low.S1"][:36].min()
    profits = sorted(pl.read_parquet(folder / "trades.parquet")["profit"].to_list(), reverse=True)
    np.testing.assert_allclose(facts["best"] + facts["next"], profits[:50], atol=0.0051)
    assert facts["heat"] > 10 and facts["picked"] == 2
    assert re.search(r"Trade \d+: (long|short).*grandmodel explain \S+ \d+", facts["detail"])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("script", ["undefinedName()", "fetch('data:,x')"], ids=["error", "network"])
def test_the_browser_would_have_told(tmp_path: Path, report: str, script: str) -> None:
    (tmp_path / "bad.html").write_text(report.replace("</body>", f"<script>{script}</script></body>"))
    assert browse(tmp_path / "bad.html", tmp_path / "profile")[1] != []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_an_empty_run_draws_without_errors(tmp_path: Path) -> None:
    from tests.engine.runs import record

    run = tmp_path / "run"
    _, metrics = record([], ("A",), run)
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "manifest.json").write_text("{}")
    dom, console = browse(write_report(run), tmp_path / "profile")
    assert console == []
    headings = re.findall(r"<h2>([\w ]+)", dom)
    assert headings == ["Metrics"]
