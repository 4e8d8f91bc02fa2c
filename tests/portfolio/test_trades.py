from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.base.state import decode
from engine.types.records import FILL, POSITION, Reason, Records, Role
from portfolio.trades import TradeBook
from tests.trees import saved

MULTIPLIERS = (10, 3)


@dataclass
class Trip:
    """A round trip in plain Python, from the lots that entered and left."""

    symbol: int
    side: int
    entries: list[tuple[Fraction, Fraction]] = field(default_factory=list)
    exits: list[tuple[Fraction, Fraction]] = field(default_factory=list)
    fees: Fraction = Fraction(0)
    largest: Fraction = Fraction(0)
    first: int = 0
    last: int = 0

    @property
    def profit(self) -> Fraction:
        bought, sold = (sum((q * p for q, p in lots), Fraction(0)) for lots in (self.entries, self.exits))
        return self.side * (sold - bought) * MULTIPLIERS[self.symbol] - self.fees


def average(lots: list[tuple[Fraction, Fraction]]) -> float:
    return float(sum(q * p for q, p in lots) / sum(q for q, _ in lots))


def oracle(orders: list[tuple[int, int, int, int]]) -> tuple[list[Trip], dict[int, Trip]]:
    """Round trips of (symbol, signed size, price, fee) fills, by lots and exact fractions."""
    held: dict[int, int] = {0: 0, 1: 0}
    running: dict[int, Trip] = {}
    ended: list[Trip] = []
    for number, (symbol, size, price, fee) in enumerate(orders):
        left = size
        while left:
            position = held[symbol]
            if position == 0:
                running[symbol] = Trip(symbol, 1 if left > 0 else -1, first=number)
            trip = running[symbol]
            leaving = position * left < 0
            part = max(-abs(position), min(left, abs(position))) if leaving else left
            (trip.exits if leaving else trip.entries).append((Fraction(abs(part)), Fraction(price)))
            trip.fees += Fraction(fee) * abs(part) / abs(size)
            held[symbol] += part
            trip.largest = max(trip.largest, Fraction(abs(held[symbol])))
            trip.last = number
            left -= part
            if held[symbol] == 0:
                ended.append(running.pop(symbol))
    return ended, running


def fills_of(orders: list[tuple[int, int, int, int]]) -> tuple[Records, Records]:
    """FILL records and final POSITION records as the simulator would report them."""
    fills, positions = np.zeros(len(orders), FILL), np.zeros(2, POSITION)
    for number, (symbol, size, price, fee) in enumerate(orders):
        position, fill = positions[symbol], fills[number]
        before, after = position["quantity"], position["quantity"] + size
        closing = min(abs(size), abs(before)) if before * size < 0 else 0
        side = np.sign(before)
        fill["realized"] = closing * (price - position["avg_price"]) * side * MULTIPLIERS[symbol]
        if before * after <= 0:
            position["avg_price"] = price if after else 0.0
        elif abs(after) > abs(before):
            position["avg_price"] = (abs(before) * position["avg_price"] + abs(size) * price) / abs(after)
        position["quantity"], position["mark"] = after, price
        fill["symbol"], fill["side"], fill["quantity"] = symbol, np.sign(size), abs(size)
        fill["price"], fill["fee"], fill["position"] = price, fee, after
        fill["seq"], fill["ts_event"] = number, 60 * number + 60
    return fills, positions


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(-5, 5).filter(bool),
        st.integers(50, 150),
        st.integers(0, 4),
    ),
    max_size=40,
)


def check(trade: Any, trip: Trip) -> None:
    assert (trade["symbol"], trade["side"]) == (trip.symbol, trip.side)
    assert trade["profit"] == pytest.approx(float(trip.profit), abs=1e-9)
    assert trade["fees"] == pytest.approx(float(trip.fees), abs=1e-12)
    assert trade["quantity"] == float(trip.largest)
    assert trade["entry_price"] == pytest.approx(average(trip.entries))
    assert trade["exit_price"] == pytest.approx(average(trip.exits))
    entered = sum(q * p for q, p in trip.entries) * MULTIPLIERS[trip.symbol]
    assert trade["return"] == pytest.approx(float(trip.profit / entered), abs=1e-12)
    assert (trade["entry_seq"], trade["entry_ts"]) == (trip.first, 60 * trip.first + 60)


@settings(max_examples=150, deadline=None)
@given(ORDERS, st.lists(st.integers(0, 40), max_size=4))
def test_round_trips_agree_with_lots_in_fractions(orders: list[tuple[int, int, int, int]], cuts: list[int]) -> None:
    fills, positions = fills_of(orders)
    book = TradeBook(MULTIPLIERS)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(fills)), len(fills)]
    parts = [book.update(fills[a:b]) for a, b in pairwise(edges)]
    trades = np.concatenate(parts)
    ended, running = oracle(orders)
    assert len(trades) == len(ended)
    for trade, trip in zip(trades, ended, strict=True):
        check(trade, trip)
        assert trade["exit_seq"] == trip.last and trade["open"] == 0
    still_open = book.open_trades(positions, ts_event=9999, seq=77)
    assert still_open["symbol"].tolist() == sorted(running)
    for trade in still_open:
        trip = running[int(trade["symbol"])]
        position = positions[trip.symbol]
        trip.exits.append((Fraction(abs(float(position["quantity"]))), Fraction(float(position["mark"]))))
        check(trade, trip)
        assert (trade["open"], trade["exit_ts"], trade["exit_seq"]) == (1, 9999, 77)
    profit = sum(t["profit"] for t in trades) + sum(t["profit"] for t in still_open)
    assert profit == pytest.approx(
        float(fills["realized"].sum() - fills["fee"].sum())
        + sum((p["mark"] - p["avg_price"]) * p["quantity"] * m for p, m in zip(positions, MULTIPLIERS, strict=True)),
        abs=1e-6,
    )


@settings(max_examples=60, deadline=None)
@given(ORDERS, st.integers(0, 40))
def test_a_snapshot_goes_on_with_the_same_trades(orders: list[tuple[int, int, int, int]], at: int) -> None:
    fills, positions = fills_of(orders)
    whole, first, second = (TradeBook(MULTIPLIERS) for _ in range(3))
    before, stats = first.update(fills[:at]), second.stats
    second.restore(decode(saved(first)))
    assert saved(second) == saved(first)
    trades = np.concatenate([before, second.update(fills[at:])])
    assert trades.tobytes() == whole.update(fills).tobytes()
    assert second.open_trades(positions, 9, 7).tobytes() == whole.open_trades(positions, 9, 7).tobytes()
    assert stats.tobytes() == whole.stats.tobytes()
    assert saved(second) == saved(whole)


def test_a_book_of_other_contracts_is_refused() -> None:
    with pytest.raises(DataError, match="other settings"):
        TradeBook((10, 4)).restore(decode(saved(TradeBook(MULTIPLIERS))))


def longest(flags: list[bool]) -> int:
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


@settings(max_examples=80, deadline=None)
@given(ORDERS)
def test_statistics_are_those_of_the_trades(orders: list[tuple[int, int, int, int]]) -> None:
    fills, _ = fills_of(orders)
    book = TradeBook(MULTIPLIERS)
    trades = book.update(fills)
    stats, profits = book.stats[0], trades["profit"].tolist()
    wins, losses = [p for p in profits if p > 0], [p for p in profits if p < 0]
    assert (stats["trades"], stats["wins"], stats["losses"]) == (len(profits), len(wins), len(losses))
    assert stats["gross_profit"] == pytest.approx(sum(wins)) and stats["gross_loss"] == pytest.approx(sum(losses))
    assert stats["largest_win"] == max(wins, default=0) and stats["largest_loss"] == min(losses, default=0)
    assert stats["best_win_streak"] == longest([p > 0 for p in profits])
    assert stats["worst_loss_streak"] == longest([p < 0 for p in profits])
    assert stats["bars"] == (trades["exit_seq"] - trades["entry_seq"]).sum()
    assert stats["longs"] == (trades["side"] > 0).sum()
    notional = sum(abs(size) * price * MULTIPLIERS[symbol] for symbol, size, price, _ in orders)
    assert stats["notional"] == pytest.approx(notional) and stats["fills"] == len(orders)


def test_decimal_sizes_that_sum_to_zero_end_a_trade() -> None:
    fills = np.zeros(3, FILL)
    fills["quantity"], fills["side"], fills["price"] = [0.1, 0.2, 0.3], [1, 1, -1], [100, 100, 110]
    fills["position"], fills["realized"] = [0.1, 0.3, 0.0], [0, 0, 3.0]
    trades = TradeBook([1.0]).update(fills)
    assert len(trades) == 1
    assert trades["profit"][0] == pytest.approx(3.0) and trades["quantity"][0] == 0.3


def test_the_exit_says_who_closed_the_trade() -> None:
    fills, _ = fills_of([(0, 2, 100, 0), (0, -2, 90, 0)])
    fills["role"] = [Role.ENTRY, Role.STOP_LOSS]
    fills["reason"], fills["tag"] = [Reason.NONE, Reason.MAX_LEVERAGE], [4, 5]
    trade = TradeBook(MULTIPLIERS).update(fills)[0]
    assert (trade["entry_role"], trade["exit_role"]) == (Role.ENTRY, Role.STOP_LOSS)
    assert (trade["exit_reason"], trade["entry_tag"], trade["exit_tag"]) == (Reason.MAX_LEVERAGE, 4, 5)
