from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from engine.report.training.phrases import estimate, findings, remarks, span, tables, title, verdicts
from engine.report.training.terminal import render_evaluation
from tests.engine.report.training.samples import NASTY, evaluation, figure


def compared(value: float | None, half: float | None) -> tuple[bool, str]:
    tree = evaluation()
    tree["comparisons"] = {"buy_and_hold": {"reward": figure(None), "total_return": figure(value, half)}}
    (found,) = verdicts(tree)
    return found


@pytest.mark.parametrize(
    ("value", "half", "good", "says"),
    [
        (0.02, 0.01, True, "Beats buy and hold: "),
        (0.02, 0.03, False, "may be chance"),
        (0.02, None, False, "may be chance"),
        (-0.01, 0.02, False, "Does not beat buy and hold. "),
        (-0.02, 0.01, False, "it does worse"),
        (0.0, 0.0, False, "Does not beat buy and hold. "),
        (None, None, False, "Cannot be compared"),
    ],
)
def test_the_comparison_says_what_the_figures_allow(
    value: float | None, half: float | None, good: bool, says: str
) -> None:
    judged = compared(value, half)
    assert judged[0] is good
    assert says in judged[1]


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        (figure(1.234, 0.5), "ratio", "1.23 (0.73 to 1.73)"),
        (figure(-0.01, 0.002), "percent", "-1.00 % (-1.20 to -0.80)"),
        (figure(0.5, 0.0), "ratio", "0.50"),
        (figure(3.0), "money", "3.00"),
        (figure(None), "ratio", "n/a"),
        (None, "ratio", "n/a"),
    ],
)
def test_figures_and_their_intervals(given: Any, kind: Any, expected: str) -> None:
    assert estimate(given, kind) == expected


def test_what_a_reader_should_know() -> None:
    lines = remarks(evaluation(untrained=True, part="training", episodes_asked=100, remarks=["odd split"]))
    assert any("untrained" in line for line in lines)
    assert any("learned from" in line for line in lines)
    assert "100 episodes were asked for; the data hold 20 different ones." in lines
    assert any("count for 10.5 independent" in line for line in lines)
    assert "odd split." in lines
    whole = evaluation()
    whole["summary"]["effective_episodes"] = 20.0
    assert remarks(whole) == []


def test_tables_hold_every_figure() -> None:
    found = {table.title: table for table in tables(evaluation())}
    assert list(found) == ["Performance", "Risk", "Trading", "What each agent adds", "What the reward is made of"]
    assert found["Performance"].head == ("", "Ensemble", "Buy and hold", "Flat")
    assert ("Profit factor", "n/a", "n/a", "n/a") in found["Trading"].rows
    assert [row[0] for row in found["What each agent adds"].rows] == ["Strategic", "Tactical", "Risk"]
    assert all(len(row) == len(table.head) for table in found.values() for row in table.rows)
    bare = evaluation()
    bare["contributions"] = {}
    assert "What each agent adds" not in [table.title for table in tables(bare)]


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_shows_all_of_it(width: int) -> None:
    tree = evaluation(model="[bold]m[/bold]")
    tree["findings"].append({"name": "OTHER", "message": NASTY})
    console = Console(width=width, record=True, color_system=None)
    with console.capture() as captured:
        console.print(render_evaluation(tree))
    text = captured.get()
    for words in ("[bold]m[/bold]", "Mean reward", "Strategic", "Beats buy and hold", "CONSTANT_RISK", "20 episodes"):
        assert words in text
    assert max(map(len, text.splitlines())) <= width


def test_names() -> None:
    tree = evaluation()
    assert title(tree) == "Evaluation · m-1 · validation data"
    assert span(tree) == "20 episodes of 100 bars · 2024-01-02 to 2024-02-03 · ES"
    assert findings(tree) == [("CONSTANT_RISK", "The risk agent chose level 3.")]


def test_an_ensemble_that_never_traded_is_not_judged() -> None:
    tree = evaluation()
    tree["summary"]["trading"] |= {"trades": figure(0.0, 0.0), "exposure": figure(0.0, 0.0)}
    assert verdicts(tree) == [
        (False, "Never traded: no position was opened in 20 episodes, so there is nothing to judge")
    ]
    tree["summary"]["trading"]["exposure"] = figure(0.4, 0.1)  # one position, held to the end of every episode
    assert not verdicts(tree)[0][1].startswith("Never traded")


def test_agents_that_change_nothing_are_named() -> None:
    tree = evaluation()
    nothing = {"mean": figure(0.0, 0.0), "deviation": 0.0, "correlation": figure(None), "total_return": figure(0.0)}
    tree["contributions"] = tree["contributions"] | {"risk": nothing}
    assert "The risk agent changes nothing: every episode ends as it does with the neutral stand-in." in remarks(tree)
    tree["contributions"]["tactical"] = nothing
    assert any(line.startswith("The tactical and risk agents change nothing") for line in remarks(tree))
    assert not any("nothing" in line for line in remarks(evaluation()))
