"""The page of help that `?` shows: what stands where, and every key."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment

from engine.dashboard.cells import BOLD, DIM, Line, fill_up, rule

PARTS = (
    ("first lines", "state, time of the data, rows a second, delay of the bars (lag)"),
    ("today, total", "profit since the last session's end and since the start"),
    ("drawdown", "now and at its deepest; exposure: positions over equity"),
    ("Market", "price, chart, each agent's decision and its confidence"),
    ("Equity", "green above the initial capital; at │ others begin to decide"),
    ("Orders, Fills", "working orders and what was traded, the newest first"),
    ("Alerts", "! is a warning; ✖ is critical and needs action"),
    ("Challengers", "E: evidence that one is better; may take over when it suffices"),
    ("Learner", "training jobs, and what became of what they learned"),
)


def help_frame(keys: Sequence[tuple[str, str]], width: int, height: int) -> list[Line]:
    """The page: exactly `height` lines of exactly `width` cells.

    Args:
        keys: Every key and what it does.
    """
    lines = [
        rule("Keys", "those with a colon ask for confirmation", width),
        *_pairs(keys),
        rule("What you see", "", width),
    ]
    last: Line = [Segment(" any key returns to the run", DIM)]
    return [*fill_up([*lines, *_pairs(PARTS)], width, height - 1), *fill_up([last], width, min(1, height))]


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[Line]:
    room = max((len(name) for name, _ in pairs), default=0) + 2
    return [[Segment(f" {name.ljust(room)}", BOLD), Segment(words)] for name, words in pairs]
