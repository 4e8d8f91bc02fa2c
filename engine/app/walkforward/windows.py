"""The windows of a walk-forward analysis: train, leave a gap, test, move on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.app.comparison.parts import FEWEST_ROWS
from engine.base.errors import UsageError

Kind = Literal["anchored", "rolling"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the bars are cut.

    Attributes:
        folds: Test parts, one after the other, up to the last bar.
        kind: `anchored` trains on everything from the first bar on, `rolling` on windows of one length.
        train: Bars of the first training part, as a share of all.
        purge: Bars left out at the end of a training part: what is learned from them reaches into the test.
        embargo: Bars left out after a test part, before they are trained on in later folds.
    """

    folds: int = 5
    kind: Kind = "anchored"
    train: float = 0.5
    purge: int = 0
    embargo: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """One fold, in rows of the bars; stops are not included.

    Attributes:
        number: From 1.
        start: First row of the training part.
        train_stop: Row behind its last one.
        test: First row of the test part.
        stop: Row behind its last one.
    """

    number: int
    start: int
    train_stop: int
    test: int
    stop: int


def windows_of(rows: int, plan: Plan) -> list[Window]:
    """Cut so many rows.

    A training part ends `purge` rows before its test begins, and `embargo` rows more where another test part lies just
    before it, so that no training part holds the last `embargo` rows of any test part before its own.

    Raises:
        UsageError: If a part would be empty.
    """
    first = round(rows * plan.train)
    cuts = [first + (rows - first) * number // plan.folds for number in range(plan.folds + 1)]
    found = []
    for number in range(plan.folds):
        test, stop = cuts[number], cuts[number + 1]
        train_stop = test - plan.purge - (plan.embargo if number else 0)
        start = 0 if plan.kind == "anchored" else max(0, test - first)
        if min(train_stop - start, stop - test) < FEWEST_ROWS:
            raise UsageError(
                f"fold {number + 1} has no bars to {'train on' if train_stop - start < FEWEST_ROWS else 'test on'}",
                expected=f"{FEWEST_ROWS} bars at least in each part",
                found=f"{max(train_stop - start, 0):,} to train on and {stop - test:,} to test on, of {rows:,} bars",
                hint="give more bars, fewer folds, or a smaller purge and embargo",
            )
        found.append(Window(number + 1, start, train_stop, test, stop))
    return found
