"""Sessions that learn: their trainer is a process of its own, and neither it nor a kill changes what is traded."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agents.models.untrained import write_untrained
from engine.app.challengers import learner_of, standings_of
from engine.app.journal.exporting import export_session
from engine.app.journal.recovering import recover
from engine.app.journal.verifying import replay_whole
from engine.app.learning import live
from engine.app.learning.live import LiveJobs
from engine.app.learning.retraining import Retrained, retrain
from engine.app.live.commands import obey
from engine.app.live.folder import SessionLock
from engine.app.live.monitoring import News
from engine.app.live.observers import Measuring
from engine.app.live.open_or_resume import runnable_setup
from engine.app.live.paper import run_paper, trade
from engine.app.live.session import Session
from engine.app.live.watching import Committed
from engine.app.verify import verify
from engine.base.errors import CheckFailed, ConfigError, UsageError
from engine.journal.digests import digest_of
from engine.journal.reading import JournalReader
from engine.learning.learner import JobLearner
from engine.loop.learner import LearningEvent
from engine.loop.runner import Screen
from engine.monitor.metrics import SessionMetrics
from engine.types.records import Operation
from engine.types.step import StepBlock
from feeds.live.source import Delivery
from tests.engine.app.learning import standin
from tests.engine.app.live.feeding import ListSource
from tests.engine.app.live.sessions import Case, case, live_bars

ROWS = 720  # tactical networks decide from row 595 on


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A version to begin with; trainers compute with the stand-in."""
    folder = tmp_path_factory.mktemp("parent") / "first"
    write_untrained(folder, seed=40, version="first")
    with standin.standing_in():
        yield folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little time between two tries."""
    monkeypatch.setattr(live, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(live, "LONGEST_WAIT_S", 5.0)


class Patient(ListSource):
    """Waits before each cut at which a candidate may enter until its job has ended, so that none is late.

    Attributes:
        session: Set when it runs.
        at: Called with the offset of each delivery, before it.
    """

    session: Session
    at: Callable[[int], None] | None = None
    patient = True
    lag = standin.LAG

    async def deliveries(self, positions: Any) -> AsyncIterator[Delivery]:
        begun = 0
        async for delivery in super().deliveries(positions):
            if delivery.records:
                offset = delivery.records[0].offset
                # at the very beginning the first rows wait for those after them
                while self.session.driver.next_seq < offset and begun > 4:
                    await asyncio.sleep(0)
                begun += 1
                learner = learner_of(self.session.driver)
                assert learner is not None
                while self.patient and (job := learner.job) is not None and offset >= job.number + self.lag - 1:
                    if isinstance(learner.jobs, LiveJobs) and learner.jobs.result(job, offset) is not None:
                        break
                    await asyncio.sleep(0.01)
                if self.at is not None:
                    self.at(offset)
            yield delivery


def watching(source: Patient, told: list[tuple[str, str]] | None = None) -> Callable[[Session], Screen]:
    """A screen that lets the source know the session, and notes what it says."""

    class Notices:
        def committed(self, _: Committed) -> None: ...

        def notice(self, severity: str, kind: str, text: str) -> None:
            if told is not None and kind != "fill":
                told.append((kind, text))

    def screen(session: Session) -> Screen:
        source.session = session
        session.observe(Notices())

        async def show(steps: AsyncIterator[StepBlock]) -> None:
            async for _ in steps:
                pass

        return show

    return screen


def learning_case(parent: Path, rows: int = ROWS, **learning: Any) -> Case:
    return case(live_bars(rows), **standin.settings(parent, **learning))


def traded(
    long: Case, folder: Path, rows: int, at: Callable[[int], None] | None = None, *, patient: bool = True
) -> list[tuple[str, str]]:
    """Trade up to a row in this process; returns the alerts."""
    source, told = Patient(long.payloads[:rows]), list[tuple[str, str]]()
    source.at, source.patient = at, patient
    run_paper(long.config(), folder, [watching(source, told)], source=source)
    return told


def events_of(folder: Path) -> list[LearningEvent]:
    with JournalReader(folder) as reader:
        return reader.learning_events()


def ended(folder: Path) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """Ledger, standings and learning of a session, as a replay of its state has them."""
    with JournalReader(folder) as reader:
        driver = recover(reader, runnable_setup(reader))
        told = [one._asdict() for one in reader.learning_events()]
        return driver.ledger_sha256, [one.tree() for one in standings_of(driver)], told


@pytest.fixture(scope="module")
def undisturbed(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session that was never killed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    traded(learning_case(parent), folder, ROWS)
    return folder


def test_a_session_learns_as_the_backtest_does(parent: Path, undisturbed: Path, tmp_path: Path) -> None:
    long = learning_case(parent)
    ledger, _, events = ended(undisturbed)
    assert ledger == long.expected
    assert {one["status"] for one in events} == {"queued", "admitted", "refused"}
    assert replay_whole(undisturbed) == (ROWS, ledger)
    with JournalReader(undisturbed) as reader:
        setup = runnable_setup(reader)
        manifest = export_session(reader, setup, recover(reader, setup), tmp_path / "out").manifest
    from engine.api.calls import backtest
    from feeds.memory import MemorySource

    shared = {key: value for key, value in long.settings.items() if key != "journal"}
    told = backtest(MemorySource(long.bars), **shared).manifest
    for key in ("learning", "roles", "challengers", "ledger_sha256"):
        assert manifest[key] == told[key]
    with pytest.raises(UsageError, match="cannot know"):
        verify(str(undisturbed))


def test_jobs_that_are_computed_again_are_compared(parent: Path, undisturbed: Path, tmp_path: Path) -> None:
    del parent
    events = events_of(undisturbed)
    outcome = next(one for one in events if one.status == "admitted")
    assert retrain(undisturbed) == Retrained(sum(one.status == "queued" for one in events), ())
    folder = tmp_path / "other"
    shutil.copytree(undisturbed, folder)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as db:
        key, value = db.execute("SELECT key, value FROM meta WHERE key LIKE 'learning:%admitted%'").fetchone()
        other = value.replace(outcome.sha256, "0" * 64)
        db.execute("UPDATE meta SET value = ?, digest = ? WHERE key = ?", (other, digest_of("meta", (key, other)), key))
        db.commit()
    with pytest.raises(CheckFailed, match="come to something else") as differs:
        retrain(folder)
    found = str(differs.value.found)
    assert (
        f"job {outcome.job}: candidate, sha256 000000000000 then, candidate, sha256 {outcome.sha256[:12]} now" in found
    )
    assert found.count("then") == 1


def run_child(long: Case, folder: Path, rows: int, die: Callable[[int, Session], None]) -> int:
    """Trade in a process of its own, in which `die` is called with every offset; returns how it ended."""
    child = os.fork()
    if child == 0:
        source = Patient(long.payloads[:rows])
        source.at = lambda offset: die(offset, source.session)
        signal.alarm(60)
        try:
            # without writing the run folder: its libraries' threads do not survive a fork
            with SessionLock(folder):
                trade(long.config(), folder, [watching(source)], source, None)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status


def kill_self(_: Session) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_trainer(session: Session) -> None:
    jobs = session.opened.jobs
    assert jobs is not None
    if jobs.pid is not None:
        os.kill(jobs.pid, signal.SIGKILL)


def kill_both(session: Session) -> None:
    kill_trainer(session)
    kill_self(session)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("whom", [kill_self, kill_trainer, kill_both])
def test_killed_at_every_stage_it_learns_the_same(
    parent: Path, undisturbed: Path, tmp_path: Path, whom: Callable[[Session], None]
) -> None:
    long = learning_case(parent)
    first = next(one.job for one in events_of(undisturbed) if one.status == "admitted")
    assert first is not None
    folder = tmp_path / "run"
    # before a job, while it is computed, when it has ended, and when its candidate trades
    for row in (first - 3, first + 1, first + standin.LAG - 2, first + standin.LAG + 3):
        done: list[int] = []

        def die(offset: int, session: Session, row: int = row, done: list[int] = done) -> None:
            if offset == row and not done:
                done.append(offset)
                whom(session)

        status = run_child(long, folder, row + 2, die)
        assert status in ({0} if whom is kill_trainer else {signal.SIGKILL})
    traded(long, folder, ROWS)
    assert ended(folder) == ended(undisturbed)
    assert replay_whole(folder)[1] == long.expected


@pytest.mark.usefixtures("quick")
def test_a_job_that_takes_too_long_is_late_and_a_replay_knows(parent: Path, tmp_path: Path) -> None:
    long = learning_case(parent, rows=200, training={"seconds": 0.3})
    folder = tmp_path / "run"
    told = traded(long, folder, 200, patient=False, at=lambda _: time.sleep(0.004))
    events = events_of(folder)
    late = [one for one in events if one.status == "late"]
    assert late
    outcome = next(one for one in events if one.job == late[0].job and one.status in {"admitted", "refused"})
    assert late[0].seq == (late[0].job or 0) + standin.LAG < outcome.seq
    assert "job_late" in {kind for kind, _ in told}
    ledger = ended(folder)[0]
    assert replay_whole(folder) == (200, ledger)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("die", "trainer_restarted", "was killed by signal 9 in training job 40"),
        ("disk", "learning_stuck", "No space left on device"),
        ("raise", "job_failed", "ValueError: no luck"),
        ("always_die", "job_failed", "was killed by signal 9, 5 times in a row"),
    ],
)
def test_what_goes_wrong_is_said_and_the_session_trades_on(
    parent: Path, tmp_path: Path, how: str, kind: str, words: str
) -> None:
    long = learning_case(parent, rows=75, training={"how": how, "mark": str(tmp_path / "mark")})
    folder = tmp_path / "run"
    told = traded(long, folder, 75)
    assert any(found == kind and words in text for found, text in told), told
    outcome = events_of(folder)[-1]
    assert (outcome.status == "failed") == (how in {"raise", "always_die"})
    assert replay_whole(folder)[0] == 75


def test_status_commands_and_figures(parent: Path, tmp_path: Path) -> None:
    long = learning_case(parent, rows=200)
    folder, answers, figures = tmp_path / "run", dict[int, Any](), list[str]()
    source = Patient(long.payloads)

    class Nobody:
        given_up = 0

    def at(offset: int) -> None:
        commands = {30: "pause-learning", 45: "status", 50: "learn", 90: "resume-learning", 130: "learn", 199: "status"}
        if offset in commands:
            try:
                answers[offset] = obey(source.session, commands[offset], "test")
            except UsageError as error:
                answers[offset] = error
        if offset == 130:
            figures.append(Measuring(SessionMetrics(), source.session, Nobody()).refresh().decode())  # type: ignore[arg-type]

    source.at = at
    told = list[tuple[str, str]]()
    run_paper(long.config(), folder, [watching(source, told)], source=source)
    assert answers[30]["done"] == "learning paused"
    assert (answers[45]["learning"]["paused"], answers[45]["learning"]["running"]) == (True, None)
    assert "training job begins" in answers[50]["done"]
    queued = [one for one in events_of(folder) if one.status == "queued"]
    assert [(one.job, one.because) for one in queued] == [
        (50, "it was asked for"),
        (120, "every 40 rows"),
        (160, "every 40 rows"),
    ]
    assert isinstance(answers[130], UsageError)
    assert "has not ended" in answers[130].what
    assert answers[199]["learning"]["next_job"] == 200
    assert [one["job"] for one in answers[199]["learning"]["jobs"]] == [50, 120, 160]
    assert "grandmodel_training 1.0" in figures[0]
    kinds = [kind for kind, _ in told]
    assert {"learning_paused", "learning_resumed", "learning_ordered", "job_started"} <= set(kinds)
    assert replay_whole(folder)[0] == 200


def test_what_cannot_learn_does_not_begin(parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfit = learning_case(parent, rows=20, training={"unfit": True})
    with pytest.raises(UsageError, match="these networks cannot learn"):
        unfit.run(tmp_path / "unfit")
    monkeypatch.setattr("engine.app.extras.find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(UsageError, match="no torch"):
        learning_case(parent, rows=20).run(tmp_path / "without")
    monkeypatch.undo()
    with standin.standing_in():
        learning_case(parent, rows=20).run(tmp_path / "unfit")  # nothing was left there that would be in the way


def test_a_learner_resumes_as_it_was() -> None:
    learner = JobLearner(None, 1)
    learner.order(LearningEvent(7, "ordered", "", "test", None, "ensemble:a", "a", "s"))
    learner.resume([LearningEvent(7, "ordered", "", "test", None, "ensemble:a", "a", "s")], [], 9)
    seen: list[str] = []
    learner.at_cut(10, lambda entrant: seen.append(entrant.name))
    assert seen == ["ensemble:a"]
    assert json.dumps([one._asdict() for one in learner.take_events()])


def test_an_alert_of_the_monitor_may_order_a_job_or_a_rollback(parent: Path, tmp_path: Path) -> None:
    rules = [
        {"alert": "low_win_rate", "order": "learn"},
        {"alert": "low_win_rate", "order": "rollback"},
        {"alert": "low_sharpe_ratio", "order": "learn"},
    ]
    long = learning_case(parent, rows=100, every_bars=80)
    long = Case(long.bars, long.settings | {"monitor_rules": rules}, long.payloads)
    source, told = Patient(long.payloads), list[tuple[str, str]]()

    def at(offset: int) -> None:
        monitor = source.session.monitor
        assert monitor is not None
        if offset == 44:  # what the monitor would say of a row
            follow = monitor.follow

            def follow_once(*given: Any) -> list[News]:
                monitor.follow = follow  # type: ignore[method-assign]
                begins = [News("warning", "low_win_rate", "proved"), News("info", "low_sharpe_ratio", "over")]
                return [*follow(*given), *begins]

            monitor.follow = follow_once  # type: ignore[method-assign]

    source.at = at
    run_paper(long.config(), tmp_path / "run", [watching(source, told)], source=source)
    with JournalReader(tmp_path / "run") as reader:
        ordered = [(one.kind, one.by) for one in reader.operations()]
        queued = [one.job for one in reader.learning_events() if one.status == "queued"]
    assert ordered == [(Operation.LEARN, "monitor")]
    assert queued == [50, 80]
    assert any(kind == "rule_not_obeyed" and "no promotion" in text for kind, text in told)
    assert replay_whole(tmp_path / "run")[0] == 100
    for rule, why in (
        ({"alert": "drift", "order": "learn"}, "needs monitor.drift.reference"),
        ({"alert": "low_wine_rate", "order": "learn"}, "did you mean 'low_win_rate'"),
    ):
        with pytest.raises(ConfigError, match=why):
            long.config(monitor_rules=[rule])
    with pytest.raises(ConfigError, match="needs `learning`"):
        case(live_bars(5)).config(monitor_rules=[rules[0]])
