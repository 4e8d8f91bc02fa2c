"""Extra columns of a bar, beside its prices and volume: what ticks, order books and indicators add.

A column is a name and an array of shape (rows, S); NaN where it is not known. How the values of short bars become
that of a longer one is a property of the name, so that every aggregation does the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


class Fold(IntEnum):
    """How the values of several bars become that of one. A value that is not known (NaN) leaves the rest as it is."""

    LAST = 0
    SUM = 1
    MEAN = 2  # weighted by volume; a bar without volume has no weight
    LARGEST = 3
    SMALLEST = 4


@dataclass(frozen=True, slots=True)
class ExtraColumn:
    """One known extra column.

    Attributes:
        name: In files, messages and features.
        unit: What it is measured in.
        fold: How it is aggregated.
        meaning: A line for people.
    """

    name: str
    unit: str
    fold: Fold
    meaning: str


_KNOWN = (
    ExtraColumn("trades", "count", Fold.SUM, "number of trades"),
    ExtraColumn("signed_volume", "contracts", Fold.SUM, "volume bought less volume sold, by the side that took"),
    ExtraColumn("value", "quote currency", Fold.SUM, "sum of price times size"),
    ExtraColumn("vwap", "price", Fold.MEAN, "volume-weighted average price"),
    ExtraColumn("bid", "price", Fold.LAST, "best bid at the close"),
    ExtraColumn("ask", "price", Fold.LAST, "best ask at the close"),
    ExtraColumn("bid_size", "contracts", Fold.LAST, "size at the best bid at the close"),
    ExtraColumn("ask_size", "contracts", Fold.LAST, "size at the best ask at the close"),
    ExtraColumn("spread", "price", Fold.LAST, "best ask less best bid at the close"),
    ExtraColumn("microprice", "price", Fold.LAST, "mean of bid and ask, each weighted by the size at the other"),
    ExtraColumn("imbalance", "share", Fold.LAST, "(bid size - ask size) / (bid size + ask size) at the best prices"),
    ExtraColumn("order_flow_imbalance", "contracts", Fold.SUM, "net additions of demand at the best prices"),
)
EXTRA_COLUMNS: Mapping[str, ExtraColumn] = MappingProxyType({column.name: column for column in _KNOWN})
"""By name. Any other name is allowed too: its last known value counts."""


TICK_COLUMNS = ("trades", "signed_volume", "value", "vwap", "bid", "ask", "spread")
"""Those of bars that are made of trades or quotes, in this order."""


def folds_of(names: Sequence[str]) -> NDArray[np.int64]:
    """How each column is aggregated, shape (K,).

    A name with a level, such as `order_flow_imbalance_3`, is aggregated like the one without.
    """
    return np.array([_fold_of(name) for name in names], np.int64)


def _fold_of(name: str) -> Fold:
    base, _, level = name.rpartition("_")
    column = EXTRA_COLUMNS.get(name) or (EXTRA_COLUMNS.get(base) if level.isdigit() else None)
    return Fold.LAST if column is None else column.fold
