"""What is shown of a learner, and from which rows on others decided: on the screen, the page and in the terminal."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from engine.challengers.takeovers import Takeover, takeovers
from engine.dashboard.cells import width_of
from engine.dashboard.chart import equity_chart
from engine.dashboard.following import Following
from engine.dashboard.history import EquityHistory
from engine.dashboard.keys import KeyAction, KeyPad
from engine.dashboard.learner_panel import LearnerSummary
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.view import frame
from engine.learning.records import job_records
from engine.learning.words import job_rows, job_sentence
from engine.loop.learner import LearningEvent
from engine.loop.rivals import RoleChange
from engine.loop.weights import Activation
from engine.report.learning_panel import learning_panel
from engine.report.summary import RunSummary
from tests.engine.dashboard.steps import make_step

HOSTILE = "<b>no room</b>\x1b[31m"
BEGUN = {"number": 1440, "first": 0, "last": 1439, "parent_sha256": "a" * 64, "seed": 7}
EVENTS = [
    LearningEvent(1440, "queued", "every 1440 rows", "learner", 1440, details=BEGUN),
    LearningEvent(1500, "late", "the job has not ended yet", "learner", 1440),
    LearningEvent(1560, "admitted", "it earns more", "learner", 1440, "learned-1440", "v1", "b" * 64),
    LearningEvent(2880, "queued", "every 1440 rows", "learner", 2880, details={**BEGUN, "number": 2880}),
    LearningEvent(2940, "refused", HOSTILE, "learner", 2880, details={"reason": "gate", "figures": {"kl": 0.0125}}),
    LearningEvent(4320, "queued", "every 1440 rows", "learner", 4320, details={**BEGUN, "number": 4320}),
    LearningEvent(4400, "ordered", "", "ctl", None, "ensemble:other", "other", "c" * 64),
]
STATUS = {"paused": False, "next_job": 5760, "running": 4320, "jobs": job_records(EVENTS)}


def written(lines: list[Any]) -> list[str]:
    return ["".join(part.text for part in line) for line in lines]


def test_rows_say_what_became_of_each_job() -> None:
    cells = [row.cells for row in job_rows(STATUS["jobs"])]  # type: ignore[arg-type]
    assert cells[0] == ("1,440", "rows 0 to 1,439", "accepted, late", "1,560", "learned-1440")
    assert cells[1][2] == "refused" and cells[2][2:] == ("training", "", "")
    assert cells[3] == ("-", "", "ordered", "4,400", "ensemble:other")
    assert job_sentence(STATUS["jobs"][0]) == (  # type: ignore[index]
        "row 1,560: training job 1,440 accepted as learned-1440: it earns more"
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "training job 4,320"),
        ({"running": None}, "next training job at row 5,760"),
        ({"running": None, "paused": True, "next_job": None}, "paused"),
        ({"running": None, "next_job": None}, "no training jobs"),
    ],
)
def test_the_learner_says_what_it_does(changed: dict[str, Any], words: str) -> None:
    summary = LearnerSummary.of({**STATUS, **changed})
    assert summary is not None and summary.stands == words
    assert LearnerSummary.of(None) is None


@pytest.mark.parametrize(("width", "height"), [(160, 45), (120, 40), (80, 40), (80, 24), (40, 24), (120, 12)])
def test_the_screen_keeps_its_size(width: int, height: int) -> None:
    state = DashboardState(RunInfo("paper", "ensemble", ("ES",), challengers=2))
    Following(state).look("trading", "", {}, learner=LearnerSummary.of(STATUS))
    lines = frame(state, width, height, 0.0)
    assert [width_of(line) for line in lines] == [width] * height
    text = "\n".join(written(lines))
    assert "\x1b" not in text and ("Learner" in text) == (height >= 36)
    assert ("training job 4,320" in text) == (height >= 20)
    if width >= 80 and height >= 36:
        assert "learned-1440" in text and "refused" in text
    elif height >= 20 and width >= 80:
        assert "last job ensemble:other ordered" in text
    Following(state).look("stopped", "", {})  # what was known stays in sight
    assert state.learner is not None


def test_who_decides_from_a_row_on_goes_by_the_name_of_the_champion() -> None:
    changes = [
        RoleChange(300, "learned-240", "champion", "", "test"),
        RoleChange(300, "ensemble", "shadow", "", "test"),
        RoleChange(200, "flat", "retired", "", "rule"),
    ]
    activations = [Activation(0, "first", "a"), Activation(100, "second", "b"), Activation(300, "v3", "c")]
    assert takeovers(changes, activations) == [Takeover(100, "second"), Takeover(300, "learned-240")]


@given(
    st.integers(1, 5_000),
    st.lists(st.integers(0, 6_000), max_size=6, unique=True),
    st.integers(16, 120),
    st.integers(1, 12),
)
def test_marks_stand_where_their_rows_are(rows: int, seqs: list[int], width: int, height: int) -> None:
    history = EquityHistory(256)
    history.add(0, np.full(rows, 1000.0))
    marks = [Takeover(seq, f"m{seq}") for seq in sorted(seqs)]
    lines = equity_chart(history, 1000.0, width, height, marks)
    assert [width_of(line) for line in lines] == [width] * height
    cells = width - written(lines)[0].index("│") - 1
    placed = {int(place * cells) for seq in seqs if (place := history.place(seq)) is not None}
    assert all((history.place(seq) is None) == (seq >= rows) for seq in seqs)
    for text in written(lines)[: height // 2 - 1]:  # above the curve, which covers them
        found = {at for at, char in enumerate(text[-cells:]) if char == "│"}
        assert found == placed


def test_the_chart_names_who_decides() -> None:
    state = DashboardState(RunInfo("paper", "ensemble", ("ES",)))
    state.recall(make_step(np.linspace(1000.0, 900.0, 400).tolist()))
    Following(state).look("trading", "", {}, takeovers=[Takeover(200, "learned-120")])
    text = "\n".join(written(frame(state, 100, 30, 0.0)))
    assert "│learned-120" in text
    Following(state).look("trading", "", {}, takeovers=[Takeover(300, "learned-240")])
    text = "\n".join(written(frame(state, 100, 30, 0.0)))
    assert "│learned-120" in text and "│learned-240" in text
    late = DashboardState(RunInfo("paper", "ensemble", ("ES",)))
    late.recall(make_step(np.linspace(1000.0, 900.0, 400).tolist()))
    Following(late).look("trading", "", {}, takeovers=[Takeover(399, "learned-360")])
    assert "learned-360│" in "\n".join(written(frame(late, 100, 30, 0.0)))  # there is no room at its right


def test_a_question_may_depend_on_how_things_stand() -> None:
    paused = [False]

    def ask() -> str:
        return "let jobs begin again?" if paused[0] else "let no job begin?"

    def switch(command: str) -> str:
        paused[0] = not paused[0]
        return command

    pad = KeyPad({"l": KeyAction("learning", switch, ask)}, lambda _: None)
    for asked, then in (("let no job begin?", True), ("let jobs begin again?", False)):
        pad.press("l")
        assert asked in "".join(part.text for part in pad.line(120, "", keys=True))
        assert any(asked.rstrip("?") in words for _, words in pad.help_page())
        pad.press("l")
        assert paused == [then]


def test_the_page_and_the_summary_tell_of_jobs_and_escape() -> None:
    manifest = {"learning": STATUS["jobs"]}
    page = learning_panel(manifest)
    assert "&lt;b&gt;no room" in page and "<b>no" not in page
    assert "accepted, late" in page and "kl 0.0125" in page
    assert learning_panel({}) == learning_panel({"learning": "x"}) == ""
    console = Console(file=io.StringIO(), width=100)
    console.print(RunSummary({}, manifest))
    assert "training job 1,440 accepted as learned-1440" in console.file.getvalue()  # type: ignore[attr-defined]
