"""A session to which mostly refused messages come says so, says what to do, and does not end as if all were well."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.app.live.feed_health import REMEDIES, WINDOW, Refusals
from engine.types.dead_letter import DeadLetter
from feeds.live.checks import REASONS
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import case, live_bars
from tests.engine.app.live.test_trouble import Watching, _run
from tests.engine.cli.children import ROOT, RUN, called


def letters(count: int, reason: str = "late") -> list[DeadLetter]:
    return [DeadLetter("p", 0, reason, "", "", b"")] * count


def test_most_is_told_once_and_again_after_it_was_well() -> None:
    refusals = Refusals(Path("runs/live"))
    assert refusals.count(5000, letters(10)) is None
    told = [refusals.count(10, letters(10)) for _ in range(30)]
    [text] = [text for text in told if text]
    assert "late" in text and "`grandmodel journal mend runs/live`" in text
    assert refusals.verdict == refusals._text(refusals._lately, refusals._recent)
    refusals.count(2 * WINDOW, [])
    assert refusals.verdict is None
    assert any(refusals.count(10, letters(10)) for _ in range(30))


@pytest.mark.parametrize("reason", [None, *REMEDIES])
def test_every_remedy_is_for_a_reason_that_exists(reason: str | None) -> None:
    refusals = Refusals(Path("here"))
    assert refusals.verdict is None
    refusals.count(30, letters(20, reason or "malformed"))
    assert (reason or "malformed") in REASONS
    assert "{" not in (refusals.verdict or "{")


def test_what_comes_again_is_no_fault() -> None:
    refusals = Refusals(Path("here"))
    assert refusals.count(1000, letters(1000, "duplicate")) is None
    assert refusals.verdict is None


def test_a_feed_of_another_symbol_is_a_critical_alert(tmp_path: Path) -> None:
    short, watching = case(live_bars(30)), Watching()
    other = [payload.replace(b'"X"', b'"Y"') for payload in short.payloads]
    ended, _ = _run(short, tmp_path, ListSource(other, (7,)), [watching])
    assert watching.kinds == ["mostly_refused"]
    assert "unknown_symbol" in (ended.refused or "")


def test_the_exit_code_says_so(tmp_path: Path) -> None:
    payloads = case(live_bars(30)).payloads
    words = ("--feed", "stdin", "--symbols", "X", "--agent", "flat", "--json", "--no-report")
    lines = b"\n".join(payloads[:10] + [b"{}"] * 60)
    command = [*RUN, "paper", *words, "--out", str(tmp_path)]
    ended = subprocess.run(command, input=lines, capture_output=True, cwd=ROOT, check=False)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["bars"] == 10
    assert b"60 missing_field of about 70" in ended.stderr


def test_a_file_of_which_half_is_refused_does_not_end_well(tmp_path: Path) -> None:
    rows = [f"{1_704_067_260 + 60 * k},1,1,1,1,1" for k in range(60)]
    rows.insert(10, "8835955200,1,1,1,1,1")  # 2250: all that follows goes back in time
    (tmp_path / "bars.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    words = ("--feed", f"replay:{tmp_path / 'bars.csv'}", "--agent", "flat", "--no-report", "--json")
    code, said, complained = called("paper", *words, "--out", str(tmp_path / "run"))
    assert (code, json.loads(said)["bars"]) == (1, 11)
    assert "50 rows: time goes back" in complained


def test_a_filter_that_leaves_out_all_that_comes_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = case(live_bars(1500))
    run = short.run(tmp_path / "all", [100], feed={"fields": {"only": {"closed": True}}})
    assert run.ended.bars == 0 and run.counters["skipped"] == 1500
    assert capsys.readouterr().err.count("feed.fields.only left out all of the first 1,000 elements") == 1
    ours = short.run(tmp_path / "ours", [100], feed={"fields": {"only": {"type": "bar"}}})
    assert ours.ended.bars == 1500 and ours.counters.get("skipped", 0) == 0
    assert "left out" not in capsys.readouterr().err
