"""The dashboard of a session that learns: what its learner does, who decides from which row on, and its keys."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from agents.models.untrained import write_untrained
from engine.app.challengers import learner_of
from engine.app.live.attaching import Attached, past_takeovers, standing_of
from engine.app.live.paper import run_paper
from engine.app.live.session import Session
from engine.challengers.takeovers import takeovers
from engine.cli.live_screens import LEARN_KEY, _SessionScreen, look
from engine.dashboard.learner_panel import LearnerSummary
from engine.journal.reading import JournalReader
from engine.loop.runner import Screen
from tests.engine.app.learning import standin
from tests.engine.app.live.test_learning import Patient, learning_case

ROWS = 300


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("parent") / "first"
    write_untrained(folder, seed=40, version="first")
    with standin.standing_in():
        yield folder


def test_the_dashboard_of_a_session_that_learns(parent: Path, tmp_path: Path) -> None:
    long = learning_case(parent, takes_over="gate")
    source, folder = Patient(long.payloads[:ROWS]), tmp_path / "run"
    seen: list[tuple[str, list[bool]]] = []
    config = long.config()

    def screen(session: Session) -> Screen:
        source.session = session
        inner = _SessionScreen(config, session, Console(file=io.StringIO()))

        def press(offset: int) -> None:
            if offset == ROWS - 10:
                learner = learner_of(session.driver)
                assert learner is not None
                paused = []
                for _ in range(2):  # pauses, then resumes
                    action = inner._actions()[LEARN_KEY]
                    assert action.asks and action.act(action.command)
                    paused.append(learner.paused)
                look(inner._following, session)
                summary = inner._dashboard.state.learner
                assert summary is not None and inner._dashboard.state.takeovers == session.takeovers
                seen.append((summary.stands, paused))

        source.at = press
        return inner.run

    run_paper(config, folder, [screen], source=source)
    [(stands, paused)] = seen
    assert paused == [True, False]
    assert stands.startswith(("next training job at row", "training job"))
    with JournalReader(folder) as reader:
        marks = takeovers(reader.role_changes(), reader.activations())
    assert marks and past_takeovers(folder) == marks
    assert all(one.name.startswith("learned-") for one in marks)
    # from another terminal, once it has ended
    standing = asyncio.run(asyncio.to_thread(standing_of, folder))
    told = LearnerSummary.of(standing.learning)
    assert standing.word == "stopped" and told is not None and told.jobs and standing.challengers
    with Attached(folder) as attached:
        assert attached.takeovers() == marks
