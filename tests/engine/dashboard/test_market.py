"""The market panel and the help of the dashboard: last prices, what the agents want, every key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dashboard.cells import width_of
from engine.dashboard.help import help_frame
from engine.dashboard.keys import KeyAction, KeyPad
from engine.dashboard.market import CLOSES_KEPT
from engine.dashboard.market_panel import market_panel, sparkline
from engine.dashboard.state import DashboardState, RunInfo
from engine.dashboard.view import frame
from engine.types.records import AGENT_OUTPUT, COMMAND, CommandKind, SeatName
from engine.types.step import StepBlock
from tests.engine.dashboard.steps import START, make_step


def lines_of(state: DashboardState, width: int = 80, height: int = 8) -> list[str]:
    return ["".join(part.text for part in line).rstrip() for line in market_panel(state, width, height)]


def state_of(*steps: StepBlock, agent: str = "sma_cross:fast=3", **info: object) -> DashboardState:
    state = DashboardState(RunInfo("backtest", agent, steps[0].bars.symbols, **info))  # type: ignore[arg-type]
    for step in steps:
        state.update(step, 1.0)
    return state


def outputs(*said: tuple[SeatName, int, float, float, float]) -> np.ndarray:
    records = np.zeros(len(said), AGENT_OUTPUT)
    for record, (seat, symbol, first, third, confidence) in zip(records, said, strict=True):
        record["seat"], record["symbol"], record["confidence"] = seat, symbol, confidence
        record["action_0"], record["action_2"] = first, third
    return records


def test_the_last_price_its_change_and_its_course() -> None:
    step = make_step([1000.0] * 30)
    closes = step.bars.close[:, 0]
    screen = lines_of(state_of(step, tick_sizes=(0.00001,)), height=3)
    assert f"{closes[-1]:.5f}" in screen[1]
    assert f"{100 * (closes[-1] / closes[0] - 1):+.2f} %" in screen[1]
    assert "▁" in screen[1] and "█" in screen[1]
    assert "last 30 bars" in screen[0]


def test_absent_bars_leave_the_price_and_old_ones_are_forgotten() -> None:
    step = make_step([1000.0] * (CLOSES_KEPT + 60), symbols=("A", "B"))
    step.bars.present[-5:, 1] = False
    state = state_of(step)
    assert len(state.market.course(0)) == CLOSES_KEPT
    assert state.market.course(1)[-1] == step.bars.close[-6, 1]


@pytest.mark.parametrize(
    ("kind", "quantity", "said"),
    [
        (CommandKind.TARGET, 2.0, "sma_cross wants long +2"),
        (CommandKind.TARGET, -1.5, "sma_cross wants short -1.5"),
        (CommandKind.TARGET, 0.0, "sma_cross wants flat"),
        (CommandKind.ORDER, 3.0, "sma_cross ordered +3"),
        (CommandKind.CLOSE, 0.0, "sma_cross closed its position"),
    ],
)
def test_the_last_wish_of_a_rule(kind: CommandKind, quantity: float, said: str) -> None:
    wishes = np.zeros(2, COMMAND)
    wishes["kind"], wishes["quantity"], wishes["ts_event"] = [CommandKind.TARGET, kind], [9.0, quantity], START
    step = replace(make_step([1000.0] * 3), decisions=wishes)
    assert any(line.startswith(said) for line in lines_of(state_of(step)))


def test_nothing_asked_is_said() -> None:
    assert "sma_cross has made no request yet" in "\n".join(lines_of(state_of(make_step([1000.0] * 3))))


def test_what_each_agent_of_an_ensemble_wants_and_how_sure_it_is() -> None:
    said = outputs((SeatName.TACTICAL, 0, 0.9, 1.5, 0.73), (SeatName.RISK, -1, 3.0, 0.0, 0.24))
    first = replace(make_step([1000.0] * 3), outputs=said)
    state = state_of(first, agent="ensemble")
    screen = "\n".join(lines_of(state, 200))
    assert "strategic has not decided yet" in screen
    assert "tactical entry 0.90 size 1.50 (73 % sure)" in screen
    assert "risk exposure 75 % (24 % sure)" in screen
    later = outputs((SeatName.STRATEGIC, 0, 1.0, 0.0, 0.5), (SeatName.STRATEGIC, 0, -1.0, 0.0, 0.61))
    state.update(replace(make_step([1000.0] * 3, seq=3), outputs=later), 2.0)
    for width in (60, 200):  # narrow: a line for each
        assert "strategic short (61 % sure)" in "\n".join(lines_of(state, width, 12))


def test_names_are_never_obeyed_by_the_terminal() -> None:
    step = make_step([1000.0] * 3, symbols=("x\x1b[31m", "a\nb"))
    for width, height in ((80, 24), (120, 40), (200, 60)):
        for line in frame(state_of(step, agent="my\x1b]0;.py"), width, height, 0.0):
            assert all(part.text.isprintable() for part in line)


@given(st.lists(st.floats(0.01, 1e9), max_size=300), st.integers(0, 100))
def test_a_sparkline_keeps_to_its_room_and_shows_the_extremes(values: list[float], width: int) -> None:
    line = sparkline(np.array(values), width)
    assert width_of(line) <= width
    if line and len(values) <= width and max(values) > min(values):
        assert {"▁", "█"} <= set(line[0].text)


def test_help_shows_every_key_and_any_key_leaves_it() -> None:
    done: list[str] = []
    actions = {
        "p": KeyAction("pause", lambda word: done.append(word) or "done"),
        "h": KeyAction("halt", str, "trigger the kill switch: close every position and stop trading?"),
    }
    pad = KeyPad(actions, done.append)
    assert not pad.press("?") and pad.helping
    for width, height in ((80, 24), (40, 5), (1, 1)):
        lines = help_frame(pad.help_page(), width, height)
        assert len(lines) == height and {width_of(line) for line in lines} == {width}
    page = "\n".join("".join(part.text for part in line) for line in help_frame(pad.help_page(), 80, 24))
    for words in ("pause", "close the dashboard; the session continues", "stop the session", "its confidence"):
        assert words in page
    assert "…" not in page
    assert not pad.press("p") and not pad.helping and not done
    assert not pad.press("p") and done == ["pause"]
