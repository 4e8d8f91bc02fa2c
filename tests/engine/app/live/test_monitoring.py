"""The performance monitor of a live session: it changes nothing, survives kills, and sends what is proved."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.app.journal.mending import mend
from engine.app.live.commands import status_of
from engine.app.live.control import ControlServer
from engine.app.live.dead_letters import Relay
from engine.app.live.folder import SessionLock
from engine.app.live.monitoring import LiveMonitor
from engine.app.live.observers import Measuring
from engine.app.live.paper import trade
from engine.app.live.session import Session
from engine.app.monitoring import monitored
from engine.app.wiring import Setup
from engine.base.errors import CheckFailed, DataError, UsageError
from engine.base.files import read_json
from engine.base.state import encode
from engine.journal.reading import JournalReader
from engine.monitor.metrics import SessionMetrics
from engine.monitor.performance.config import MonitorConfig
from engine.monitor.performance.following import StepMonitor
from engine.report.monitoring import monitor_run
from tests.bars import MINUTE
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import START, Case, case, live_bars
from tests.engine.cli.children import called
from tests.engine.monitor.performance.test_following import SESSIONS, cut, follower

ROWS = 700


@pytest.fixture(scope="module")
def losing() -> Case:
    """Crossings of two short means of random prices: most trades lose their fees."""
    return case(live_bars(ROWS))


@pytest.fixture(scope="module")
def whole(losing: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "session"
    losing.run(folder, [50])
    return folder


def state(folder: Path) -> bytes:
    return encode(monitored(folder).monitor.snapshot())


def test_the_ledger_is_the_same_with_the_monitor_and_without(losing: Case, whole: Path, tmp_path: Path) -> None:
    losing.run(tmp_path / "off", [50], monitor={"enabled": False})
    with JournalReader(tmp_path / "off") as reader:
        assert "monitor" not in reader.states()
    ledgers = {read_json(folder / "manifest.json")["ledger_sha256"] for folder in (whole, tmp_path / "off")}
    assert ledgers == {losing.expected}
    # what the session did not watch, its journal still says
    assert state(tmp_path / "off") == state(whole)


def test_a_monitor_that_fails_is_off_and_the_session_goes_on(
    losing: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(self: StepMonitor, step: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(StepMonitor, "update", failing)
    losing.run(tmp_path / "s", [50])
    monkeypatch.undo()
    assert capsys.readouterr().err.count("the performance monitor failed and is off") == 1
    assert read_json(tmp_path / "s" / "manifest.json")["ledger_sha256"] == losing.expected


def test_kills_and_restarts_do_not_show(losing: Case, whole: Path, tmp_path: Path) -> None:
    expected = state(whole)
    for at in (41, 330, 777, 1500, 2100):
        folder = tmp_path / f"killed-{at}"
        assert losing.killed(folder, at, [3])
        losing.traded(folder, [20])
        assert state(folder) == expected
    # nor does a restart with other settings, which has the rows since the first to go by
    folder = tmp_path / "other"
    assert losing.killed(folder, 1500, [3])
    with SessionLock(folder):
        trade(losing.config(monitor={"alpha": 0.2}), folder, (), ListSource(losing.payloads, [20]), None)
    found = monitored(folder).monitor
    assert found.config.alpha == 0.2 and found.raised >= monitored(whole).monitor.raised


def test_rows_that_are_taken_back_are_taken_back_here_too(losing: Case, tmp_path: Path) -> None:
    losing.run(tmp_path / "s", [50])
    mend(tmp_path / "s", START + 500 * MINUTE)
    losing.run(tmp_path / "short", [50], payloads=losing.payloads[:500])
    assert state(tmp_path / "s") == state(tmp_path / "short")


def test_session_journal_and_tables_agree(whole: Path) -> None:
    found = monitored(whole)
    assert found.kind == "session" and found.rows == ROWS and not found.running
    tables = monitor_run(whole, read_json(whole / "manifest.json"), read_json(whole / "metrics.json"))
    # the tables also know sessions that have no later row: none here
    assert encode(tables.snapshot()) == encode(found.monitor.snapshot())


def exposed(session: Session) -> str:
    """What Prometheus would read of a session."""
    relay = cast(Relay, SimpleNamespace(given_up=0))
    return Measuring(SessionMetrics(), session, relay).refresh().decode()


def run_to(watched: Case, folder: Path, upto: int | None = None) -> Session:
    """Run a session over its first messages; how it was at the end."""
    sessions: list[Session] = []

    def screen(session: Session) -> Any:
        sessions.append(session)

        async def look(_: object) -> None:
            """Nothing."""

        return look

    with SessionLock(folder):
        trade(watched.config(), folder, [screen], ListSource(watched.payloads[:upto], [10]), None)
    return sessions[0]


def proofs(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines of the alerts about figures that are proved to be low."""
    return [line for line in capsys.readouterr().err.splitlines() if "proved below" in line]


def test_what_is_proved_is_sent_once_and_again_after_a_restart(
    losing: Case, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    session = run_to(losing, tmp_path / "s", 600)
    status, first = status_of(session)["monitor"], proofs(capsys)
    assert status["alerts"] == ["LOW_WIN_RATE"] and status["advice"] == "RETRAINING_RECOMMENDED"
    figures = exposed(session)
    assert 'grandmodel_monitor_alert{code="LOW_WIN_RATE",level="proved"} 1.0' in figures
    assert re.search(r'grandmodel_monitor_value\{figure="win_rate"\} 0\.[0-4]', figures)
    assert 'grandmodel_monitor_e_value{figure="win_rate",threshold="0.45"}' in figures
    alerts = [line for line in first if "LOW_WIN_RATE: win rate" in line]
    assert len(alerts) == 1 and "kind: low_win_rate" in alerts[0]
    assert "proved below 0.45 (e-value" in alerts[0] and "false with a chance of at most 1 %" in alerts[0]
    assert "closed trades made -" in alerts[0] and "advice: RETRAINING_RECOMMENDED" in alerts[0]
    run_to(losing, tmp_path / "s")
    second = proofs(capsys)
    assert [line.partition("(kind")[0] for line in second] == [line.partition("(kind")[0] for line in first]
    assert state(tmp_path / "s") == state(whole)


def test_the_command(whole: Path, tmp_path: Path) -> None:
    code, out, _ = called("monitor", str(whole), "--json")
    tree = json.loads(out)
    assert code == 1 and tree["proved"] == {"alerts": ["LOW_WIN_RATE"], "advice": "RETRAINING_RECOMMENDED"}
    assert tree["kind"] == "session" and tree["data"]["bars"] == ROWS
    [win_rate] = [one for one in tree["figures"] if one["name"] == "win_rate"]
    assert win_rate["value"] < 0.45 and win_rate["thresholds"][0]["proved"]
    with pytest.raises(CheckFailed, match="proved: LOW_WIN_RATE"):
        monitored(whole).check()
    code, out, err = called("monitor", str(whole))
    assert code == 1 and "proved below" in out and "proved    LOW_WIN_RATE; advice: RETRAINING_RECOMMENDED" in out
    assert "found: advice: RETRAINING_RECOMMENDED" in err
    assert "has nothing to train" in err and "train the ensemble" not in err
    with pytest.raises(UsageError, match="no such folder"):
        monitored(tmp_path / "nothing")
    with pytest.raises(UsageError, match="neither a session nor a run"):
        monitored(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="JSON object"):
        monitored(tmp_path)


@pytest.fixture(scope="module")
def reference(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a session of 1,500 quiet bars."""
    folder = tmp_path_factory.mktemp("reference")
    case(live_bars(1500)).run(folder / "quiet", [200])
    code, out, err = called(
        "monitor", str(folder / "quiet"), "--write-reference", str(folder / "ref"), "--run-length", "20000", "--json"
    )
    tree = json.loads(out)
    assert code == 0 and set(tree["streams"]) >= {"X.return", "X.range", "X.volume"}, err
    code, _, err = called("monitor", str(folder / "quiet"), "--write-reference", str(folder / "ref"))
    assert code == 2 and "exists already" in err and "(--write-reference)" in err and "--out" not in err
    code, _, err = called("monitor", str(whole), "--write-reference", str(folder / "other"))
    assert code == 2 and "too little to compare with" in err
    return folder / "ref"


def test_drift_of_a_session_is_sent_and_kills_do_not_show(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = live_bars(600, seed=9)
    busy = case(replace(bars, volume=bars.volume * 4.0), monitor={"drift": {"reference": str(reference)}})
    busy.run(tmp_path / "whole", [50])
    lines = [line for line in capsys.readouterr().err.splitlines() if "DRIFT: X.volume is" in line]
    assert len(lines) == 1 and "kind: drift" in lines[0] and "above its reference" in lines[0]
    found = monitored(tmp_path / "whole")
    assert found.drift is not None and "X.volume" in found.drift.drifted
    assert read_json(tmp_path / "whole" / "manifest.json")["ledger_sha256"] == busy.expected
    for at in (500, 1300):
        folder = tmp_path / f"killed-{at}"
        assert busy.killed(folder, at, [3])
        figures = exposed(run_to(busy, folder))
        assert 'grandmodel_monitor_drifted{stream="X.volume"} 1.0' in figures
        assert re.search(r'grandmodel_monitor_drift_deviations\{stream="X.volume"\} [1-9]', figures)
        again = monitored(folder)
        assert again.drift is not None and again.drift.tree() == found.drift.tree()
    # the journal, the tables and the bars of the run say the same
    tables = tmp_path / "tables"
    tables.mkdir()
    for path in (tmp_path / "whole").glob("*.[jp]*"):
        if path.suffix in {".json", ".parquet"}:
            (tables / path.name).write_bytes(path.read_bytes())
    of_run = monitored(tables, reference)
    assert of_run.kind == "run" and of_run.drift is not None and of_run.drift.tree() == found.drift.tree()
    assert read_json(tmp_path / "whole" / "drift.json") == found.drift.tree()
    bars_file, run = tmp_path / "X.parquet", tmp_path / "run"
    bars_file.write_bytes((tmp_path / "whole" / "bars.parquet").read_bytes())
    code, _, err = called(
        *("backtest", "--data", str(bars_file), "--agent", "sma_cross:fast=2,slow=5", "--fee", "0.0002"),
        *("--labels", "close", "--out", str(run), "--set", f"monitor.drift.reference={reference}", "--json"),
    )
    assert code == 0, err
    assert read_json(run / "drift.json") == {**found.drift.tree(), "streams": of_run.drift.rows()}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "X.volume" in page and "drifted" in page and page.count("data-from=") >= found.drift.raised
    reference_gone = reference.rename(reference.with_name("moved"))
    code, out, err = called("verify", str(run))
    reference_gone.rename(reference)
    assert code == 0 and "same ledger" in out, err
    code, out, err = called("monitor", str(tables), "--reference", str(reference))
    assert code in {0, 1} and "X.volume" in out and "drifted" in out and "1 alarm of drift:" in err


def test_a_wrong_reference_is_named_before_anything_is_traded(tmp_path: Path, losing: Case, reference: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the reference"):
        losing.run(tmp_path / "s", [50], monitor={"drift": {"reference": str(tmp_path / "none")}})
    other = case(live_bars(50, ("Y",)))
    with pytest.raises(UsageError, match="of another market"):
        other.run(tmp_path / "t", [50], monitor={"drift": {"reference": str(reference)}})


async def test_a_session_that_runs_says_how_long_its_rows_take(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    answers = [{"milliseconds_50": 0.5, "milliseconds_99": 2.0}]
    with SessionLock(folder):
        async with ControlServer(folder, lambda command, by, name: answers.pop(0)):
            found = await asyncio.to_thread(monitored, folder)
            assert found.running and found.latency == {"p50": 0.5, "p99": 2.0}
            assert (await asyncio.to_thread(monitored, folder)).latency is None  # one that is busy
    assert monitored(folder).latency is None and not monitored(folder).running


def test_two_proofs_are_critical_and_what_stands_is_told_again() -> None:
    settings = MonitorConfig(alpha=0.2)
    setup = cast(Setup, SimpleNamespace(config=SimpleNamespace(currency="USD")))
    live = LiveMonitor(setup, settings, follower(alpha=0.2))
    standing: set[str] = set()
    severities = set()
    for step in cut([50]):
        for news in live.follow([step], SESSIONS):
            assert live.followed is not None
            alerts = live.followed.monitor.alerts("proved")
            if news.severity == "info":
                standing.discard(news.text.partition(" is over")[0])
            else:
                assert news.severity == ("critical" if len(alerts) > 1 else "warning")
                standing.add(news.text.partition(":")[0])
            severities.add(news.severity)
    assert {"critical", "warning"} <= severities
    assert {news.text.partition(":")[0] for news in live.standing()} == standing
    assert live.state(1) is None and live.followed is not None and live.state(live.followed.next_seq) is not None
