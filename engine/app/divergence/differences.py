"""Which parts of two runs differ, and how, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, TypeVar

import numpy as np

from engine.app.comparison.differences import flat
from engine.app.divergence.composing import Period, changed_rows, shared_rows, taken_rows
from engine.app.divergence.parts import START, Command, Factor, Recorded, models_of, settings_of
from engine.types.blocks import BarBlock, Ints
from engine.types.moments import briefly

SIDES: Final = ("RUN", "OTHER")
"""What the two are called, as on the command line."""
T = TypeVar("T")
MOST_SHOWN: Final = 3
FACTOR: Final = 2.0
"""Prices that are so many times those of the other run are remarked on."""
LONGEST: Final = 60
"""Characters of a value that are shown."""
ABSENT: Final = "nothing"
CHALLENGERS: Final = "challengers.agents"
AGENTS: Final = frozenset({"first", CHALLENGERS})


@dataclass(frozen=True, slots=True)
class PartDifference:
    """A part that differs.

    Attributes:
        factor: Which.
        what: How it differs, in words.
        first_ns: Where it begins to, a close, nanoseconds UTC; None where it holds from the beginning on.
    """

    factor: Factor
    what: str
    first_ns: int | None = None


def differing_parts(run: Recorded, other: Recorded, period: Period) -> list[PartDifference]:
    """All parts of two runs that differ in a period; the results of the two are the same if none does."""
    found = (
        _bars(run, other, period),
        _rows(run, other, period),
        _commands(run, other, period),
        _models(run, other, period),
        _settings(run, other),
        _history(run, other, period),
    )
    return [one for one in found if one is not None]


def _bars(run: Recorded, other: Recorded, period: Period) -> PartDifference | None:
    one, two = (taken_rows(each.bars, period.of(each.bars.ts_event)) for each in (run, other))
    here, there = shared_rows(one.ts_event, two.ts_event)
    one, two = taken_rows(one, here), taken_rows(two, there)
    changed = changed_rows(one, two)
    if not changed:
        return None
    values = [name for name in changed if name != "present"]
    parts = []
    if values:
        count = int(np.any([changed[name] for name in values], axis=0).sum())
        parts.append(f"{_rows_of(count)} with another {', '.join(values)}")
    for side, (a, b) in zip(SIDES, ((one, two), (two, one)), strict=True):
        if lacking := int((b.present & ~a.present).any(axis=1).sum()):
            parts.append(f"{_rows_of(lacking)} of {side} without a symbol that the other has there")
    first = int(one.ts_event[np.argmax(np.any([*changed.values()], axis=0))])
    return PartDifference("bars", f"{', '.join(parts)}; first {briefly(first)}{_scales(one, two)}", first)


def _scales(one: BarBlock, two: BarBlock) -> str:
    """A remark on the symbols whose prices are of another size altogether, as those of another instrument are."""
    remarks = []
    for s, symbol in enumerate(one.symbols):
        both = one.present[:, s] & two.present[:, s] & (one.close[:, s] > 0.0) & (two.close[:, s] > 0.0)
        if not both.any():
            continue
        ratio = float(np.median(one.close[both, s] / two.close[both, s]))
        if not 1.0 / FACTOR <= ratio <= FACTOR:
            high, low = SIDES if ratio > 1.0 else SIDES[::-1]
            remarks.append(
                f"; {symbol}: the prices of {high} are {max(ratio, 1.0 / ratio):,.4g} times those of {low}, "
                "is it the same instrument?"
            )
    return "".join(remarks)


def _rows(run: Recorded, other: Recorded, period: Period) -> PartDifference | None:
    one, two = (each.bars.ts_event[period.of(each.bars.ts_event)] for each in (run, other))
    only = [np.setdiff1d(a, b, assume_unique=True) for a, b in ((one, two), (two, one))]
    if not len(only[0]) + len(only[1]):
        return None
    parts = [f"{_rows_of(len(times))} only in {side}" for times, side in zip(only, SIDES, strict=True) if len(times)]
    late = [
        f"{side} refused {each.refused['late']:,} as late"
        for side, each in zip(SIDES, (run, other), strict=True)
        if each.refused.get("late")
    ]
    first = int(min(times[0] for times in only if len(times)))
    return PartDifference(
        "rows", f"{', '.join(parts)}; first {briefly(first)}" + "".join(f"; {one}" for one in late), first
    )


def _commands(run: Recorded, other: Recorded, period: Period) -> PartDifference | None:
    shared = np.intersect1d(run.bars.ts_event, other.bars.ts_event, assume_unique=True)
    lists = [_obeyed(each.trading_orders, period) for each in (run, other)]
    first = _first_other(lists, shared)
    if first is None:
        return None
    return PartDifference("commands", _told(lists, _command), None if first == START else first)


def _models(run: Recorded, other: Recorded, period: Period) -> PartDifference | None:
    challenged = run.follows_challengers or other.follows_challengers
    trees = [flat(models_of(each, challenged=challenged)) for each in (run, other)]
    if None in {run.models.sha256, other.models.sha256}:  # the agent of one has no models: that is a setting
        trees = [{key: value for key, value in tree.items() if key != "first"} for tree in trees]
    shared = np.intersect1d(run.bars.ts_event, other.bars.ts_event, assume_unique=True)
    orders = [_obeyed(each.role_orders, period) for each in (run, other)]
    replaced = [[one for one in each.models.replaced if one.from_ns <= period.last_ns] for each in (run, other)]
    given = _first_other(orders, shared)
    took_over = [[(one.sha256, one.from_ns) for one in each] for each in replaced]
    times = [] if given is None or given == START else [given]
    parts = [] if given is None else [_told(orders, _command)]
    if took_over[0] != took_over[1]:
        parts.append(_told(replaced, lambda one: f"{one.version} from {briefly(one.from_ns)}"))
        times += [one.from_ns for each in replaced for one in each]
    if trees[0] != trees[1]:
        if trees[0].get(CHALLENGERS) != trees[1].get(CHALLENGERS):  # which says enough
            trees = [{key: value for key, value in tree.items() if key in AGENTS} for tree in trees]
        parts.append(_settings_told(trees))
    return PartDifference("models", "; ".join(parts), min(times, default=None)) if parts else None


def _settings(run: Recorded, other: Recorded) -> PartDifference | None:
    trees = [flat(settings_of(each)) for each in (run, other)]
    return None if trees[0] == trees[1] else PartDifference("configuration", _settings_told(trees))


def _history(run: Recorded, other: Recorded, period: Period) -> PartDifference | None:
    for each, (side, short) in ((run, SIDES), (other, SIDES[::-1])):
        rows = period.of(each.bars.ts_event).start
        if rows:
            first = int(each.bars.ts_event[0])
            return PartDifference("history", f"{side} begins {_rows_of(rows)} before {short}, {briefly(first)}", first)
    return None


def _obeyed(commands: Sequence[Command], period: Period) -> list[Command]:
    """Those that a row of the period or one before it follows."""
    return [one for one in commands if one.after_ns < period.last_ns]


def _first_other(lists: Sequence[Sequence[Command]], shared: Ints) -> int | None:
    """When the first command was given that only one of two has; two are the same between the same shared rows."""
    for one, two in zip_longest(*lists):
        if one is None or two is None or _place(one, shared) != _place(two, shared):
            return int(min(each.after_ns for each in (one, two) if each is not None))
    return None


def _place(command: Command, shared: Ints) -> tuple[int, int]:
    return int(np.searchsorted(shared, command.after_ns, side="right")), int(command.kind)


def _command(one: Command) -> str:
    when = "before the first row" if one.after_ns == START else f"after {briefly(one.after_ns)}"
    return f"{one.kind.name.lower().replace('_', '-')} {when}"


def _told(lists: Sequence[Sequence[T]], shown: Callable[[T], str]) -> str:
    return "; ".join(
        f"{side}: {_some([shown(one) for one in each]) or ABSENT}" for side, each in zip(SIDES, lists, strict=True)
    )


def _settings_told(trees: Sequence[Mapping[str, Any]]) -> str:
    keys = sorted(key for key in {**trees[0], **trees[1]} if trees[0].get(key) != trees[1].get(key))
    return _some([f"{key}: {_value(trees[0].get(key))} and {_value(trees[1].get(key))}" for key in keys])


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(map(str, value)) or None
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _some(parts: Sequence[str]) -> str:
    more = f", and {len(parts) - MOST_SHOWN} more" if len(parts) > MOST_SHOWN else ""
    return ", ".join(parts[:MOST_SHOWN]) + more


def _rows_of(count: int) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")
