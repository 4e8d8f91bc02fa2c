"""Checking what a network answers before anything is decided by it: every number finite and within its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.serving.outputs import Output, Outputs, outputs_of
from agents.spec import AgentSpec, find_agent
from engine.base.errors import DataError

ROUNDING = 1e-6
"""How far beyond its bounds rounding may take a number."""
Bools = NDArray[np.bool_]
Columns = tuple[tuple[float, float], ...]


class WrongAnswer(DataError):  # noqa: N818 - reads as what happened
    """A network gave an answer that nothing can be decided by.

    Attributes:
        outputs: All that it answered to B observations.
        wrong: Which of them cannot be used, shape (B,).
    """

    def __init__(self, what: str, where: str, expected: str, found: str, outputs: Outputs, wrong: Bools) -> None:
        super().__init__(what, where=where, expected=expected, found=found, hint=HINT)
        self.outputs, self.wrong = outputs, wrong


HINT = "train and export the network again, or use an earlier version (`grandmodel models list`)"


def check_answers(outputs: Outputs, seat: AgentSpec, where: str) -> None:
    """Refuse NaN, infinities, and numbers out of their bounds.

    Args:
        outputs: By name, the first axis is the observation.
        seat: Whose network it is.
        where: What to call the network in messages.

    Raises:
        WrongAnswer: Naming the first observation whose answer cannot be used, and the output.
    """
    for name, columns in _columns(seat.name).items():
        # NaN is the least and the greatest of any numbers, and fails every comparison
        if not _within(outputs[name], columns):
            raise _wrong_answer(outputs, seat, where)


def _within(values: NDArray[Any], columns: Columns) -> bool:
    if len(values) == 1:  # as live: Python is quicker at so few numbers
        given = values.ravel().tolist()
        if len(columns) == 1:
            [(low, high)] = columns
            return all(low <= value <= high for value in given)
        return all(low <= value <= high for value, (low, high) in zip(given, columns, strict=True))
    if not len(values):
        return True
    if len(columns) == 1:
        [(low, high)] = columns
        return bool(values.min() >= low and values.max() <= high)
    return all(
        values[:, place].min() >= low and values[:, place].max() <= high for place, (low, high) in enumerate(columns)
    )


def _wrong_answer(outputs: Outputs, seat: AgentSpec, where: str) -> WrongAnswer:
    masks = {name: _wrong(outputs[name], *bounds) for name, bounds in _bounds(seat.name).items()}
    wrong = np.logical_or.reduce(list(masks.values()))
    row = int(np.argmax(wrong))
    name = next(name for name, mask in masks.items() if mask[row])
    return WrongAnswer(
        f"the {seat.name} network gave an answer that cannot be used",
        f"{where}, output {name} of observation {row}",
        describe(outputs_of(seat)[name]),
        str(outputs[name][row].tolist()),
        outputs,
        wrong,
    )


def describe(out: Output) -> str:
    """What an output may be, in words."""
    if out.low is None:
        return "finite numbers"
    if out.high is None:
        return f"finite numbers from {out.low[0]:g} on"
    if len(set(out.low)) == len(set(out.high)) == 1:
        return f"{'a number' if not out.shape else 'numbers'} from {out.low[0]:g} to {out.high[0]:g}"
    ranges = (f"{low:g} to {high:g}" for low, high in zip(out.low, out.high, strict=True))
    return f"numbers within {', '.join(ranges)}"


def _wrong(values: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> Bools:
    good: Bools = (values >= low) & (values <= high)
    return ~np.asarray(good.reshape(len(good), -1).all(axis=1))


@cache
def _columns(seat: str) -> Mapping[str, Columns]:
    """The same bounds as Python's numbers: by column, or once where all columns have the same."""
    # by name, whose hash is quick
    found = {}
    for name, (low, high) in _bounds(seat).items():
        pairs = list(zip(low.ravel().tolist(), high.ravel().tolist(), strict=True))
        found[name] = tuple(pairs[:1] if len(set(pairs)) == 1 else pairs)
    return found


@cache
def _bounds(seat: str) -> Mapping[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Least and greatest number of each output, of its type; the largest finite ones where it has no bounds."""
    found = {}
    for name, out in outputs_of(find_agent(seat)).items():
        if out.dtype.kind == "f":
            least, greatest = np.finfo(out.dtype).min, np.finfo(out.dtype).max
            low = np.full(out.shape, least) if out.low is None else np.array(out.low, out.dtype) - ROUNDING
            high = np.full(out.shape, greatest) if out.high is None else np.array(out.high, out.dtype) + ROUNDING
            low, high = low.astype(out.dtype), high.astype(out.dtype)
        else:
            low, high = (np.array(bound, out.dtype).reshape(out.shape) for bound in (out.low, out.high))
        found[name] = (low, high)
    return found
