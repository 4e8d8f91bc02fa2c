"""The keys of the dashboard: what they order, what asks back first, and the line that tells of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style

from engine.base.errors import GrandModelError
from engine.dashboard import text
from engine.dashboard.cells import BOLD, DIM, WARN, Line, fit, spread, width_of

CONFIRM_S = 5.0
ANSWER_S = 5.0
LEAVE = "q"
HELP = "?"


@dataclass(frozen=True, slots=True)
class KeyAction:
    """What a key orders.

    Attributes:
        command: In a word, as it stands in the line of keys.
        act: Given the command, obeys and says what was done; may raise GrandModelError.
        question: What it would do, for an order that is confirmed with a second press; empty for one that is not. A
            function where that depends on how things stand when the key is pressed.
    """

    command: str
    act: Callable[[str], str]
    question: str | Callable[[], str] = ""

    @property
    def asks(self) -> str:
        """The question as things stand."""
        return self.question if isinstance(self.question, str) else self.question()


class KeyPad:
    """Turns presses into orders.

    Args:
        actions: By key, lower case.
        refused: Told why an order was not obeyed.
        now: Seconds that never run backwards.
        attached: Whether the screen watches a session of another process, which continues whatever happens here.

    Attributes:
        version: Rises whenever the line changes by a press.
        helping: Whether the page of help is asked for, in place of the run.
    """

    def __init__(
        self,
        actions: Mapping[str, KeyAction],
        refused: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
        *,
        attached: bool = False,
    ) -> None:
        self._actions, self._refused, self._now, self._attached = dict(actions), refused, now, attached
        self._asked = ""
        self._answer = ""
        self._until = 0.0
        self.version = 0
        self.helping = False

    def press(self, key: str) -> bool:
        """Take a key; returns whether it closes the screen."""
        key = key.lower()
        if key == HELP or self.helping:
            # any key leaves the help, and does nothing else
            self.helping = not self.helping
            self.version += 1
            return False
        asked = self._asked if self._now() < self._until else ""
        self._asked = self._answer = ""
        self.version += 1
        action = self._actions.get(asked or key)
        if action is None:
            return key == LEAVE
        if asked and key != asked:
            self._say(f"{action.command}: cancelled")
        elif action.asks and not asked:
            self._asked, self._until = key, self._now() + CONFIRM_S
        else:
            self._obey(action)
        return False

    def line(self, width: int, note: str, *, keys: bool) -> Line:
        """The last line of the screen: a question, an answer, or the keys and a note.

        Args:
            note: What stands at the right of the keys where there is room.
        """
        if self._now() < self._until:
            if self._asked:
                return _question(self._asked, self._actions[self._asked], width)
            if self._answer:
                return fit([Segment(f" {text.clean(self._answer)}", BOLD)], width)
        labels = tuple((key, action.command) for key, action in self._actions.items())
        return key_help(width, note, keys=keys, labels=labels, attached=self._attached)

    def help_page(self) -> list[tuple[str, str]]:
        """Every key that can be pressed, and what it does."""
        runs_on = "session" if self._actions or self._attached else "run"
        orders = [
            (key, action.command + (f": {action.asks.rstrip('?')}" if action.asks else ""))
            for key, action in self._actions.items()
        ]
        stop = "close the dashboard" if self._attached else f"stop the {runs_on}"
        return [
            *orders,
            (LEAVE, f"close the dashboard; the {runs_on} continues"),
            ("Ctrl-C", stop),
            (HELP, "this help"),
        ]

    def _obey(self, action: KeyAction) -> None:
        try:
            self._say(f"{action.command}: {action.act(action.command)}")
        except GrandModelError as error:
            found = f" ({error.found})" if error.found else ""
            self._refused(f"{action.command} refused: {error.what}{found}")
            self._say(f"{action.command}: refused")

    def _say(self, answer: str) -> None:
        self._answer, self._until = answer, self._now() + ANSWER_S


def key_help(
    width: int, note: str, *, keys: bool, labels: tuple[tuple[str, str], ...] = (), attached: bool = False
) -> Line:
    """The keys, those that can be read; and a note where there is room for it.

    Args:
        labels: Keys and what they order.
        attached: As in `KeyPad`.
    """
    runs_on = "session" if labels or attached else "run"
    helps = [(HELP, "help")]
    longest = [*labels, *helps, (LEAVE, f"close the dashboard, the {runs_on} continues")] if keys else []
    short = [*labels, *helps, (LEAVE, "close")] if keys else []
    stop, long_stop = ("close", "close") if attached else ("stop", f"stop the {runs_on}")
    left: Line = []
    for parts, gap in (
        ([*longest, ("Ctrl-C", long_stop)], "   "),
        ([*short, ("Ctrl-C", stop)], "   "),
        # an order to stop is among the labels
        (short if labels and keys else [*short, ("Ctrl-C", stop)], "  "),
    ):
        left = _joined(parts, gap)
        if width_of(left) < width:
            break
    right = [Segment(f"{note} ", DIM)]
    return spread(left, right, width) if width_of(left) + width_of(right) < width else fit(left, width)


def _joined(parts: list[tuple[str, str]], gap: str) -> Line:
    line: Line = []
    for key, words in parts:
        line += [Segment(gap if line else " "), Segment(key, BOLD), Segment(f" {words}", DIM)]
    return line


def _question(key: str, action: KeyAction, width: int) -> Line:
    asked = f"{action.command}: {action.asks}"
    ends = (f"press {key} again to confirm, any other key cancels", f"{key} again confirms, another key cancels")
    lines = [f" {asked} {end}" for end in ends]
    lines.append(f" {action.command}? {ends[1]}")
    found = next((line for line in lines if len(line) <= width), lines[-1])
    return fit([Segment(found, WARN + Style(bold=True))], width)
