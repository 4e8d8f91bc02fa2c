"""The compiled order book against a plain one, after every event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from feeds.books.book import OrderBook
from feeds.books.layout import NO_PRICE, Side
from tests.feeds.books.plain_book import PlainBook
from tests.feeds.books.streams import TICK, Row, market, messages, wild_rows

DEPTH = 50


def same(book: OrderBook, plain: PlainBook) -> None:
    found = book.levels(DEPTH)
    for side, prices, sizes, none in (
        ("B", found.bids, found.bid_sizes, -NO_PRICE),
        ("A", found.asks, found.ask_sizes, NO_PRICE),
    ):
        expected = plain.levels(side)
        assert [pair for pair in zip(prices.tolist(), sizes.tolist(), strict=True) if pair[1]] == expected
        assert all(price == none for price in prices[len(expected) :].tolist())
        for price, _ in expected:
            assert book.queue(Side(ord(side)), price) == plain.queue(side, price)


def run_both(rows: list[Row]) -> tuple[OrderBook, PlainBook]:
    made, book, plain, reached = messages(rows), OrderBook(), PlainBook(), 0
    for at, (action, side, price, size, order, flags) in enumerate(rows):
        ended = plain.apply(action, side, price, size, order, flags)
        if ended:
            assert book.apply_event(made, reached) == at + 1
            reached = at + 1
            same(book, plain)
    book.apply(made[reached:])
    same(book, plain)
    return book, plain


@given(wild_rows)
@example([("A", "B", 100 * TICK, 5, 1, 128), ("M", "A", 90 * TICK, 5, 1, 128)])
@example([("L", "B", 100 * TICK, 5, 0, 0), ("A", "B", 100 * TICK, 3, 7, 128), ("L", "B", 100 * TICK, 0, 0, 128)])
@settings(deadline=None, max_examples=150)
def test_the_book_is_that_of_the_plain_one_after_every_event(rows: list[Row]) -> None:
    book, plain = run_both(rows)
    counts = book.counts
    assert counts["crossed"] == plain.crossed
    assert counts["unknown_orders"] == plain.unknown
    assert counts["twice"] == plain.twice


@pytest.mark.parametrize("seed", range(3))
def test_a_market_of_many_messages(seed: int) -> None:
    book, plain = run_both(market(seed, 1500))
    assert plain.crossed == 0
    assert book.counts["crossed"] == 0
    assert book.trusted


@given(rows=wild_rows, cuts=st.lists(st.integers(0, 250), max_size=6))
@settings(deadline=None, max_examples=50)
def test_cuts_and_snapshots_mean_nothing(rows: list[Row], cuts: list[int]) -> None:
    made, whole, parts, start = messages(rows), OrderBook(), OrderBook(), 0
    whole.apply(made)
    for cut in sorted({min(cut, len(rows)) for cut in cuts} | {len(rows)}):
        parts.apply(made[start:cut])
        start = cut
        other = OrderBook()
        other.restore(parts.snapshot())
        parts = other
    assert whole.counts == parts.counts
    expected, found = whole.levels(DEPTH), parts.levels(DEPTH)
    for name in ("bids", "bid_sizes", "asks", "ask_sizes"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(found, name))
    for price in range(90, 111):
        for side in (Side.BID, Side.ASK):
            assert whole.queue(side, price * TICK) == parts.queue(side, price * TICK)


def test_trades_and_fills_change_nothing() -> None:
    rows: list[Row] = [("A", "B", 100 * TICK, 5, 1, 128), ("A", "A", 101 * TICK, 5, 2, 128)]
    book = OrderBook()
    book.apply(messages([*rows, *[(kind, side, 101 * TICK, 3, 2, 128) for kind in "TFN" for side in "AB"]]))  # type: ignore[list-item]
    assert book.levels(1).ask_sizes.tolist() == [5]
    assert book.queue(Side.ASK, 101 * TICK) == [(2, 5)]


def test_lost_messages_make_the_book_untrusted_until_a_snapshot() -> None:
    book = OrderBook()
    book.apply(messages([("A", "B", 100 * TICK, 5, 1, 128)]))
    assert book.trusted
    book.apply(messages([("A", "B", 99 * TICK, 5, 2, 128 | 4)]))
    assert not book.trusted
    book.apply(messages([("A", "B", 98 * TICK, 5, 3, 128)]))
    assert not book.trusted
    book.apply(messages([("R", "N", NO_PRICE, 0, 0, 32), ("A", "B", 97 * TICK, 1, 9, 160)]))
    assert book.trusted
    assert book.levels(2).bids.tolist() == [97 * TICK, -NO_PRICE]
    assert book.counts["bad_flags"] == 1
    assert book.counts["snapshots"] == 1


def test_a_crossed_book_is_counted_with_its_depth() -> None:
    book = OrderBook()
    book.apply(
        messages(
            [("A", "B", 105 * TICK, 5, 1, 128), ("A", "A", 100 * TICK, 5, 2, 128), ("C", "B", 105 * TICK, 5, 1, 128)]
        )
    )
    assert book.counts["crossed"] == 1
    assert book.counts["worst_cross"] == 5 * TICK


def test_many_orders_and_levels_grow_the_tables() -> None:
    rows: list[Row] = [("A", "B", price * TICK, 1, price, 128) for price in range(1, 5001)]
    book = OrderBook()
    book.apply(messages(rows))
    assert book.levels(3).bids.tolist() == [5000 * TICK, 4999 * TICK, 4998 * TICK]
    book.apply(messages([("C", "B", price * TICK, 1, price, 128) for price in range(5000, 1, -1)]))
    assert book.levels(2).bids.tolist() == [TICK, -NO_PRICE]


def test_a_snapshot_of_something_else_is_refused() -> None:
    state = OrderBook().snapshot()
    with pytest.raises(DataError, match="does not fit"):
        OrderBook().restore({**state, "orders": np.zeros(4)})
