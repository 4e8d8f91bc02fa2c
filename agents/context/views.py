"""What a strategy is shown: a bar, a position, a working order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from engine.types.records import OrderType


class Bar(NamedTuple):
    """One bar of one symbol; `ts_event` is its close time in nanoseconds UTC."""

    symbol: str
    ts_event: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Position(NamedTuple):
    """A position: signed contracts, average entry price, last close, profit realised so far before fees."""

    symbol: str
    quantity: float
    avg_price: float
    mark: float
    realized: float


class WorkingOrder(NamedTuple):
    """A working order; prices of 0 mean none, `parent` names the entry order of a bracket leg."""

    id: int
    symbol: str
    side: Literal["buy", "sell"]
    type: str
    quantity: float
    filled: float
    limit: float
    stop: float
    reduce_only: bool
    parent: int


def working_order(order: Any, symbols: Sequence[str]) -> WorkingOrder:
    """An ORDER record as a strategy sees it."""
    return WorkingOrder(
        int(order["id"]),
        symbols[int(order["symbol"])],
        "buy" if order["side"] > 0 else "sell",
        OrderType(int(order["type"])).name.lower(),
        float(order["quantity"]),
        float(order["filled"]),
        float(order["limit"]),
        float(order["stop"]),
        bool(order["reduce_only"]),
        int(order["parent"]),
    )
