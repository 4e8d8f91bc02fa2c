"""Means of prices against exact arithmetic: ties are ties, and a mean is the double nearest to the true one."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.rules import SmaCross
from agents.strategy import Context, Strategy
from engine.types.blocks import BarBlock, Floats, reblock
from engine.types.instruments import Instrument
from tests.agents.context.driving import MINUTE, driven

Prices = list[Decimal]


@st.composite
def walks(draw: st.DrawFn) -> Prices:
    """Prices that move by a few steps of a decimal grid, so that means tie often."""
    decimals = draw(st.integers(0, 6))
    step = Decimal(draw(st.sampled_from([1, 5, 25]))).scaleb(-decimals)
    start = draw(st.sampled_from([30, 1_007, 14_763, 6_432_170]))
    moves = draw(st.lists(st.integers(-2, 2), min_size=40, max_size=120))
    return [step * (start + int(move)) for move in np.cumsum(moves) if start + int(move) > 0]


def block_of(closes: Floats) -> BarBlock:
    columns = dict.fromkeys(("open", "high", "low", "close"), closes)
    return BarBlock.from_columns(["X"], MINUTE * (1 + np.arange(len(closes))), columns)


def mean(prices: Prices, end: int, length: int) -> Fraction:
    return sum(map(Fraction, prices[end - length : end]), Fraction(0)) / length


def exact_sides(prices: Prices, fast: int, slow: int) -> list[float]:
    wanted, out = 0.0, []
    for end in range(1, len(prices) + 1):
        if end >= slow:
            quick, calm = mean(prices, end, fast), mean(prices, end, slow)
            wanted = 1.0 if quick > calm else -1.0 if quick < calm else wanted
        out.append(wanted)
    return out


@given(prices=walks(), fast=st.integers(1, 9), more=st.integers(1, 20), cut=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_sma_cross_is_right_to_the_last_tie(prices: Prices, fast: int, more: int, cut: int) -> None:
    agent = SmaCross(fast, fast + more)
    agent.bind(["X"], [Instrument(name="X")])
    parts = reblock([block_of(np.array(prices, np.float64))], [cut])
    wanted = np.concatenate([agent.targets(part) for part in parts])[:, 0]
    assert wanted.tolist() == exact_sides(prices, fast, fast + more)


class Means(Strategy):
    """Keeps the values of one indicator."""

    def __init__(self, name: str, *values: float) -> None:
        self.asked, self.seen = (name, *values), []

    def on_bar(self, context: Context) -> None:
        self.seen.append(context.indicator(*self.asked).value)


def values(prices: Prices, tick: float, cut: int, name: str, *parameters: float) -> list[float]:
    strategy = Means(name, *parameters)
    driven(strategy, block_of(np.array(prices, np.float64)), [cut], Instrument(name="X", tick_size=tick, size_step=1))
    return strategy.seen


@given(prices=walks(), length=st.integers(1, 30), cut=st.integers(1, 50), known=st.booleans())
@settings(max_examples=40, deadline=None)
def test_means_are_the_nearest_doubles(prices: Prices, length: int, cut: int, known: bool) -> None:
    tick = float(Decimal(1).scaleb(min(int(price.as_tuple().exponent) for price in prices))) if known else 0.0
    exact = [float(mean(prices, end, length)) for end in range(length, len(prices) + 1)]
    for name, *more in (("sma",), ("bollinger", 2.0)):
        assert values(prices, tick, cut, name, length, *more)[length - 1 :] == exact


@given(prices=walks(), length=st.integers(2, 15), cut=st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_percent_k_is_the_nearest_double(prices: Prices, length: int, cut: int) -> None:
    found = values(prices, 0.0, cut, "stochastic", length, 1, 1)
    for end in range(length, len(prices) + 1):
        window = list(map(Fraction, prices[end - length : end]))
        low, high = min(window), max(window)
        assert found[end - 1] == float(100 * (window[-1] - low) / (high - low) if high > low else 0)


@pytest.mark.parametrize("price", [0.1 * 3, float(np.float32(147.123)), 1 / 3, 1e15 / 7, 123.45])
def test_a_price_that_stands_still_has_itself_as_mean(price: float) -> None:
    closes = np.concatenate([np.full(50, price), np.full(5, price * 1.01), np.full(300, price)])
    for length in (3, 7, 10, 30):
        strategy = Means("sma", length)
        driven(strategy, block_of(closes), [64])
        assert strategy.seen[40] == price
        assert set(strategy.seen[100:]) == {price}
    agent = SmaCross(7, 30)
    agent.bind(["X"], [Instrument(name="X")])
    wanted = agent.targets(block_of(closes))[:, 0]
    assert set(wanted[:50]) == {0.0}
    assert set(wanted[85:]) == {wanted[85]}


def test_prices_that_turn_out_finer_are_summed_at_the_finer_step() -> None:
    prices = [Decimal(text) for text in ("3", "4", "3.5", "3.25", "3.1", "3.15", "3.125", "3", "3.1", "3.1")]
    exact = [float(mean(prices, end, 3)) for end in range(3, 11)]
    assert values(prices, 0.0, 4, "sma", 3)[2:] == exact
