"""Keys that order: what is obeyed at once, what asks back, and the line that tells."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import UsageError
from engine.dashboard.cells import width_of
from engine.dashboard.keys import CONFIRM_S, KeyAction, KeyPad
from tests.engine.dashboard.steps import unhurried
from tests.engine.dashboard.test_live import CLOSE, Terminal, running, steps
from tests.waiting import eventually, patience

__all__ = ["unhurried"]  # a fixture

ASKING = {"f": "flatten", "h": "halt"}
PLAIN = {"p": "pause", "r": "resume"}


class Pad:
    """A pad over a clock that the test moves, and what it ordered."""

    def __init__(self, refuse: str = "", attached: bool = False) -> None:
        self.now, self.obeyed, self.refused = 0.0, [], []
        self._refuse = refuse
        actions = {key: KeyAction(word, self._act, f"really {word}?") for key, word in ASKING.items()}
        actions |= {key: KeyAction(word, self._act) for key, word in PLAIN.items()}
        self.pad = KeyPad(actions, self.refused.append, lambda: self.now, attached=attached)

    def _act(self, command: str) -> str:
        if command == self._refuse:
            raise UsageError("it cannot be", found="1 ES")
        self.obeyed.append(command)
        return f"{command} is done"

    def line(self, width: int = 120, keys: bool = True) -> str:
        return "".join(part.text for part in self.pad.line(width, "a note", keys=keys)).strip()


@given(st.lists(st.tuples(st.sampled_from("fhprqz"), st.floats(0, 8)), max_size=30))
def test_nothing_that_asks_is_obeyed_without_a_second_press_in_time(presses):
    pad, obeyed = Pad(), []
    asked, since = "", 0.0
    for key, wait in presses:
        pad.now += wait
        pending = asked if pad.now - since < CONFIRM_S else ""
        asked = ""
        if pending and key == pending:
            obeyed.append(ASKING[key])
        elif pending:
            pass
        elif key in ASKING:
            asked, since = key, pad.now
        elif key in PLAIN:
            obeyed.append(PLAIN[key])
        closes = key == "q" and not pending
        assert pad.pad.press(key) is closes
    assert pad.obeyed == obeyed


def test_the_line_asks_answers_and_goes_back_to_the_keys():
    pad = Pad()
    assert pad.line(200).startswith(
        "f flatten   h halt   p pause   r resume   ? help   q close the dashboard, the session continues"
    )
    assert pad.line(200).endswith("a note")
    pad.pad.press("F")
    assert pad.line() == "flatten: really flatten? press f again to confirm, any other key cancels"
    pad.pad.press("z")
    assert (pad.line(), pad.obeyed) == ("flatten: cancelled", [])
    pad.pad.press("f")
    pad.pad.press("f")
    assert (pad.line(), pad.obeyed) == ("flatten: flatten is done", ["flatten"])
    pad.now += 10
    assert pad.line().startswith("f flatten")
    pad.pad.press("h")
    pad.now += CONFIRM_S
    assert pad.line().startswith("f flatten")


def test_a_refusal_is_told_and_not_raised():
    pad = Pad(refuse="pause")
    assert pad.pad.press("p") is False
    assert pad.refused == ["pause refused: it cannot be (1 ES)"]
    assert pad.line() == "pause: refused"


@given(st.integers(1, 200), st.sampled_from(["", "f", "fz", "p"]), st.booleans(), st.booleans())
def test_the_line_is_as_wide_as_the_terminal(width, presses, attached, keys):
    pad = Pad(attached=attached)
    for key in presses:
        pad.pad.press(key)
    assert width_of(pad.pad.line(width, "a note", keys=keys)) == width


@pytest.mark.parametrize("width", [80, 100])
def test_a_question_and_the_keys_fit_a_usual_terminal(width):
    pad = Pad()
    assert "q close" in pad.line(width)
    pad.pad.press("f")
    assert "f again" in pad.line(width) and "…" not in pad.line(width)


def test_a_screen_that_watches_another_process_offers_to_stop_nothing():
    pad = KeyPad({}, list.append, attached=True)
    for keys in (True, False):
        line = "".join(part.text for part in pad.line(120, "", keys=keys))
        assert ("q close" in line, "Ctrl-C close" in line, "stop" in line) == (keys, True, False)


@pytest.mark.usefixtures("unhurried")
async def test_keys_order_on_the_screen_and_refusals_become_alerts():
    file, obeyed = Terminal(), []
    master, slave = os.openpty()

    def act(command: str) -> str:
        if command == "halt":
            raise UsageError("it is halted already")
        obeyed.append(command)
        return "flattened it"

    actions = {"f": KeyAction("flatten", act, "close all?"), "h": KeyAction("halt", act)}
    with os.fdopen(slave) as stdin:
        async with running(file, stdin=stdin, actions=actions) as (_, latest, task):
            latest.put(steps(1)[0])
            await eventually(lambda: "1,000.00" in file.getvalue())
            assert "flatten" in file.getvalue()
            os.write(master, b"f")
            await eventually(lambda: "close all? press f again" in file.getvalue())
            assert obeyed == []
            os.write(master, b"f")
            await eventually(lambda: "flattened it" in file.getvalue())
            os.write(master, b"h")
            await eventually(lambda: "halt refused: it is halted already" in file.getvalue())
            os.write(master, b"q")
            await eventually(lambda: CLOSE in file.getvalue())
            assert not task.done()
            latest.close()
            await task
    os.close(master)
    assert obeyed == ["flatten"]


@pytest.mark.usefixtures("unhurried")
async def test_closing_a_screen_that_watches_another_process_ends_the_watching():
    file = Terminal()
    master, slave = os.openpty()
    with os.fdopen(slave) as stdin:
        async with running(file, stdin=stdin, attached=True) as (_, latest, task):
            latest.put(steps(1)[0])
            await eventually(lambda: "1,000.00" in file.getvalue())
            os.write(master, b"q")
            async with patience():
                await task
    os.close(master)
    assert file.getvalue().split(CLOSE)[1].startswith("the dashboard is closed, the session continues\nclosed: ")
