"""Rules that a bar must keep by itself: its numbers are numbers and its prices fit together."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np

from engine.types.blocks import BAR_COLUMNS, PRICE_COLUMNS, UNKNOWN_VOLUME, Bools, Floats
from feeds.reading.columns.casting import Array, to_floats
from feeds.reading.columns.numbers import PLAIN, NumberForm, plain_numbers


class Fault(IntEnum):
    """What can be wrong with a row; the first that holds is the one recorded."""

    NONE = 0
    FIELDS = 1
    TIME = 2
    SYMBOL = 3
    NUMBER = 4
    NOT_FINITE = 5
    NOT_POSITIVE = 6
    HIGH_BELOW_LOW = 7
    OPEN_OUTSIDE = 8
    CLOSE_OUTSIDE = 9
    NEGATIVE_VOLUME = 10
    INFINITE_VOLUME = 11
    DUPLICATE = 12
    BACKWARDS = 13


REASONS = {
    Fault.FIELDS: "wrong number of fields",
    Fault.TIME: "unreadable time",
    Fault.SYMBOL: "missing symbol",
    Fault.NUMBER: "unreadable number",
    Fault.NOT_FINITE: "price missing or not finite",
    Fault.NOT_POSITIVE: "price not positive",
    Fault.HIGH_BELOW_LOW: "high below low",
    Fault.OPEN_OUTSIDE: "open outside high and low",
    Fault.CLOSE_OUTSIDE: "close outside high and low",
    Fault.NEGATIVE_VOLUME: "negative volume",
    Fault.INFINITE_VOLUME: "volume not finite",
    Fault.DUPLICATE: "duplicate time",
    Fault.BACKWARDS: "time goes back",
}


Faults = np.ndarray[tuple[int], np.dtype[np.uint8]]
Columns = dict[str, Floats]


def read_numbers(cells: Mapping[str, Array], count: int, form: NumberForm = PLAIN) -> tuple[Columns, dict[str, Bools]]:
    """Read the columns of a batch.

    Args:
        cells: Arrow column of each of open, high, low, close and perhaps volume; a volume of -1 is unknown.

    Returns:
        open, high, low, close and volume, each of shape (n,), NaN where missing; and, for each column that
        has some, which cells hold something that is no number.
    """
    columns: Columns = {}
    unreadable: dict[str, Bools] = {}
    for name, column in cells.items():
        columns[name], bad = to_floats(plain_numbers(column, form))
        if bad is not None:
            unreadable[name] = bad
    if "volume" not in columns:
        columns["volume"] = np.full(count, np.nan)
    columns["volume"][columns["volume"] == UNKNOWN_VOLUME] = np.nan
    return {name: columns[name] for name in BAR_COLUMNS}, unreadable


def check_bars(columns: Columns, unreadable: Mapping[str, Bools]) -> Faults | None:
    """Find what is wrong with each bar by itself.

    Returns:
        The fault of each row, shape (n,); None if there is none.
    """
    open_, high, low, close = (columns[name] for name in PRICE_COLUMNS)
    volume = columns["volume"]
    # written so that NaN fails every price rule, and passes as a volume that is not known
    good = (low > 0) & (high < np.inf) & (open_ >= low) & (open_ <= high) & (close >= low) & (close <= high)
    good &= ~((volume < 0) | (volume == np.inf))
    for bad in unreadable.values():
        good &= ~bad
    if good.all():
        return None
    faults = np.zeros(len(good), np.uint8)
    rows = np.flatnonzero(~good)
    few = {name: values[rows] for name, values in columns.items()}
    faults[rows] = _explain(few, [bad[rows] for bad in unreadable.values()])
    return faults


def _explain(columns: Columns, unreadable: list[Bools]) -> Faults:
    open_, high, low, close = (columns[name] for name in PRICE_COLUMNS)
    prices = np.stack([open_, high, low, close])
    rules: list[tuple[Fault, Any]] = [
        (Fault.NOT_FINITE, ~np.isfinite(prices).all(axis=0)),
        (Fault.NOT_POSITIVE, (prices <= 0).any(axis=0)),
        (Fault.HIGH_BELOW_LOW, high < low),
        (Fault.OPEN_OUTSIDE, (open_ < low) | (open_ > high)),
        (Fault.CLOSE_OUTSIDE, (close < low) | (close > high)),
        (Fault.NEGATIVE_VOLUME, columns["volume"] < 0),
    ]
    faults = np.full(len(open_), Fault.INFINITE_VOLUME, np.uint8)
    for fault, broken in reversed(rules):
        faults[broken] = fault
    for bad in unreadable:
        faults[bad] = Fault.NUMBER
    return faults


def describe(fault: Fault, bar: Mapping[str, float], cells: Mapping[str, str]) -> tuple[str, str]:
    """What was expected of a bar and what was found.

    Args:
        fault: One of the faults that concern numbers.
        cells: Text of the cells that are no numbers, by column.
    """
    high_low = f"between low {bar['low']} and high {bar['high']}"
    if fault == Fault.NUMBER:
        return "numbers", ", ".join(f"{name} {text!r}" for name, text in cells.items())
    if fault == Fault.NOT_FINITE:
        wrong = [f"{name} {bar[name]}" for name in PRICE_COLUMNS if not np.isfinite(bar[name])]
        return "a finite open, high, low and close", ", ".join(wrong).replace("nan", "missing")
    if fault == Fault.NOT_POSITIVE:
        wrong = [f"{name} {bar[name]}" for name in PRICE_COLUMNS if bar[name] <= 0]
        return "prices above 0", ", ".join(wrong)
    if fault == Fault.HIGH_BELOW_LOW:
        return f"a high of at least the low {bar['low']}", f"high {bar['high']}"
    if fault == Fault.OPEN_OUTSIDE:
        return f"an open {high_low}", f"open {bar['open']}"
    if fault == Fault.CLOSE_OUTSIDE:
        return f"a close {high_low}", f"close {bar['close']}"
    return "a volume of 0 or more, or none", f"volume {bar['volume']}"
