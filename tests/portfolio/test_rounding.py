"""What breaks even is neither won nor lost, however its floats were added up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grandmodel as gm
from engine.types.records import FILL
from portfolio.trades import TradeBook

SIZES = st.lists(st.integers(1, 10_000), min_size=1, max_size=8)


def fills_of(sizes: list[float], prices: list[float], fee: float = 0.0) -> np.ndarray:
    """Buys of these sizes and one sale of all of them; realized profit as a book with an average price keeps it."""
    fills = np.zeros(len(sizes) + 1, FILL)
    held, average = 0.0, 0.0
    for at, (size, price) in enumerate(zip([*sizes, -sum(sizes)], prices, strict=True)):
        fill = fills[at]
        fill["quantity"], fill["price"], fill["side"] = abs(size), price, np.sign(size)
        fill["fee"], fill["seq"] = fee, at
        if size > 0:
            average = (held * average + size * price) / (held + size)
            held += size
        else:
            fill["realized"] = held * (price - average)
            held = 0.0
        fill["position"] = held
    return fills


@settings(max_examples=150, deadline=None)
@given(SIZES, st.integers(1, 10_000_000))
def test_in_and_out_at_one_price_is_neither_a_win_nor_a_loss(sizes: list[int], price: int) -> None:
    sizes_as_floats = [size / 1000 for size in sizes]
    book = TradeBook([1.0])
    trades = book.update(fills_of(sizes_as_floats, [price / 100] * (len(sizes) + 1)))
    stats = book.stats[0]
    assert (stats["trades"], stats["wins"], stats["losses"]) == (1, 0, 0)
    assert trades["profit"][0] == trades["return"][0] == stats["gross_profit"] == stats["gross_loss"] == 0.0


@settings(max_examples=150, deadline=None)
@given(SIZES, st.integers(1, 10_000_000), st.sampled_from([-1, 1]))
def test_one_tick_is_a_win_or_a_loss_still(sizes: list[int], price: int, tick: int) -> None:
    entry = (price + 1) / 100
    book = TradeBook([1.0])
    leaving = (price + 1 + tick) / 100
    book.update(fills_of([size / 1000 for size in sizes], [*[entry] * len(sizes), leaving]))
    assert (book.stats["wins"][0], book.stats["losses"][0]) == ((1, 0) if tick > 0 else (0, 1))


def test_a_fee_that_eats_the_gain_to_the_cent_breaks_even() -> None:
    book = TradeBook([1.0])
    book.update(fills_of([3.0], [0.1, 0.2], fee=0.15))
    assert (book.stats["wins"][0], book.stats["losses"][0], book.stats["profit"][0]) == (0, 0, 0.0)


def test_scaling_in_and_out_at_one_price_through_the_simulator() -> None:
    class InAndOut(gm.Strategy):
        def __init__(self) -> None:
            self.orders = iter([0.1, 0.2, -0.3] * 20)

        def on_bar(self, context: gm.Context) -> None:
            size = next(self.orders, 0.0)
            if size:
                (context.buy if size > 0 else context.sell)(abs(size))

    index = pd.date_range("2024-03-04 00:01", periods=70, freq="1min")
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 100.0) | {"volume": 1e6}, index=index)
    metrics = gm.backtest(frame, agent=InAndOut, fee=0.0).metrics
    assert metrics["trades"] == metrics["break_even_trades"] == 20
    assert metrics["win_rate"] == 0.0 and metrics["profit_factor"] is None and metrics["average_win"] is None
    assert metrics["longest_win_streak"] == metrics["longest_loss_streak"] == 0
    assert metrics["max_drawdown"] == pytest.approx(0.0, abs=1e-12) and metrics["longest_drawdown_days"] == 0.0
