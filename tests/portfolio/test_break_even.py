"""The sign of a trade's profit is that of exact arithmetic, through the simulator and its trade book."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.strategy import Context, Strategy
from engine.types.blocks import BarBlock
from engine.types.instruments import Fees, Instrument, Margin
from engine.types.records import Records
from portfolio.trades import TradeBook
from tests.agents.context.driving import MINUTE, driven

Lots = list[tuple[Decimal, Decimal]]


class Lines(Strategy):
    """Orders one size a row."""

    def __init__(self, sizes: list[Decimal]) -> None:
        self.sizes = sizes

    def on_bar(self, context: Context) -> None:
        if context.seq < len(self.sizes):
            context.order(float(self.sizes[context.seq]))


def trades_of(lots: Lots, fee: float = 0.0) -> tuple[Records, TradeBook, Records]:
    """Trades and fills of lots that are bought, or sold where negative, one a bar at its price."""
    prices = np.array([lots[0][1], *(price for _, price in lots)], np.float64)
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    bars = BarBlock.from_columns(["X"], MINUTE * (1 + np.arange(len(prices))), columns)
    item = Instrument(name="X", size_step=0.001, fees=Fees(per_contract=fee), initial_margin=Margin(rate=0.0))
    fills = driven(Lines([size for size, _ in lots]), bars, [64], item)[0].fills
    book = TradeBook([1.0])
    return book.update(fills), book, fills


SIZES = st.integers(1, 3000).map(lambda n: Decimal(n) / 1000)
PRICES = st.integers(1, 100_000).map(lambda n: Decimal(n) / 100)


@given(sizes=st.lists(SIZES, min_size=1, max_size=4), price=PRICES, short=st.booleans())
@settings(max_examples=80, deadline=None)
def test_in_and_out_at_one_price_is_neither_won_nor_lost(sizes: list[Decimal], price: Decimal, short: bool) -> None:
    side = -1 if short else 1
    lots = [(side * size, price) for size in sizes]
    trades, book, fills = trades_of([*lots, (-side * sum(sizes, Decimal(0)), price)])
    stats = book.stats[0]
    assert trades["profit"].tolist() == trades["return"].tolist() == [0.0]
    assert fills["realized"].tolist() == [0.0] * len(fills)
    assert (stats["wins"], stats["losses"], stats["gross_profit"], stats["largest_loss"]) == (0, 0, 0.0, 0.0)


@given(
    entries=st.lists(st.tuples(SIZES, PRICES), min_size=1, max_size=4),
    leave=st.integers(1, 9),
    gain=st.integers(-1, 1),
)
@settings(max_examples=80, deadline=None)
def test_the_sign_of_a_profit_is_exact(entries: Lots, leave: int, gain: int) -> None:
    size = sum((size for size, _ in entries), Decimal(0))
    first = (size * leave / 10).quantize(Decimal("0.001"))
    lots = [*entries, (-first, entries[0][1]), (-(size - first), entries[-1][1] + Decimal(gain) / 100)]
    lots = [lot for lot in lots if lot[0]]
    exact = -sum((Fraction(size) * Fraction(price) for size, price in lots), Fraction(0))
    trades, _, _ = trades_of(lots)
    assert len(trades) == 1
    assert np.sign(trades["profit"][0]) == (exact > 0) - (exact < 0)


def test_a_gain_that_the_fees_eat_up_is_no_win() -> None:
    lots = [(Decimal("0.1"), Decimal("7.1")), (Decimal("0.2"), Decimal("7.4")), (Decimal("-0.3"), Decimal("7.5"))]
    # bought for 2.19 and sold for 2.25: a gain of 0.06, and 0.6 contracts pay 0.1 each
    trades, book, _ = trades_of(lots, fee=0.1)
    assert trades["profit"].tolist() == [0.0]
    assert book.stats[0]["wins"] == book.stats[0]["losses"] == 0
