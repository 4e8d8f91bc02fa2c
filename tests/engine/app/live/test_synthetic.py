"""A live session on made-up bars says so, as a backtest does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

import grandmodel as gm
from engine.api.printing import as_text
from engine.app.journal.verifying import export_whole
from engine.app.live.config import PaperConfig
from engine.app.live.paper import PaperRun, run_paper
from engine.base.config import parse
from engine.report.html import write_report
from engine.report.presentation import SYNTHETIC_WARNING
from feeds.live.announcements import Announcement, encode_announcement, read_announcement
from feeds.live.source import Record
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.cli.children import ROOT, RUN


def says_so(run: PaperRun, folder: Path, name: str) -> None:
    assert run.exported is not None
    assert run.exported.manifest["synthetic"] == [name]
    text = " ".join(as_text(run.exported.metrics, run.exported.manifest, run.exported.curve).replace("│", " ").split())
    assert f"Synthetic data ({name}): {SYNTHETIC_WARNING}" in text
    write_report(folder)
    assert SYNTHETIC_WARNING in (folder / "report.html").read_text(encoding="utf-8")


def test_bars_that_a_publisher_calls_made_up(tmp_path: Path) -> None:
    short = case(live_bars(40))
    begin = encode_announcement(Announcement(7, 40, synthetic=("walk",)), format="json")
    payloads = [begin, *short.payloads, begin]
    run = short.run(tmp_path, payloads=payloads, end={"bars": 20})
    says_so(run, tmp_path, "walk")
    again = short.run(tmp_path, payloads=payloads)  # after a restart, that reads no announcement
    says_so(again, tmp_path, "walk")
    assert again.counters["synthetic.walk"] == 1
    assert export_whole(tmp_path, tmp_path / "exported").manifest["synthetic"] == ["walk"]
    assert again.exported is not None and again.exported.manifest["ledger_sha256"] == short.expected


def test_bars_of_a_market_are_not_called_made_up(tmp_path: Path) -> None:
    run = case(live_bars(40)).run(tmp_path)
    assert run.exported is not None and run.exported.manifest["synthetic"] == []


def test_a_recording_that_is_replayed(tmp_path: Path) -> None:
    config = parse(
        PaperConfig,
        {"feed": {"address": "replay:es-synthetic"}, "agent": "flat", "end": {"bars": 50}, "instrument": "ES"},
        where="test",
    )
    says_so(run_paper(config, tmp_path), tmp_path, "es-synthetic")
    assert gm.load(tmp_path).manifest["synthetic"] == ["es-synthetic"]


@pytest.mark.parametrize("names", [["x" * 101], [""], ["x"] * 17, "x", [1]])
def test_names_from_outside_are_bounded(names: object) -> None:
    payload = json.dumps({"v": 1, "type": "begin", "id": 1, "bars": 2, "synthetic": names}).encode()
    assert read_announcement(Record("p", 0, payload)) is None


def test_an_older_publisher_says_nothing_of_it() -> None:
    found = read_announcement(Record("p", 0, b'{"v": 1, "type": "begin", "id": 1, "bars": 2}'))
    assert found is not None and found.synthetic == ()


def test_publish_names_its_recording() -> None:
    command = [*RUN, "publish", "--data", "es-synthetic", "--feed", "stdout", "--end", "2024-01-02"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    first = msgspec.json.decode(done.stdout.splitlines()[0], type=Announcement)
    assert first.synthetic == ("es-synthetic",)
