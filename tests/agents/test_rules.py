"""Rule agents against slow definitions, and against any blocking of the same bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.base import MarketAgent
from agents.rules import BuyAndHold, Flat, Random, SmaCross
from engine.types.blocks import BarBlock, Floats, reblock
from engine.types.instruments import Instrument
from tests.bars import random_bars


def targets(agent: MarketAgent, block: BarBlock, sizes: list[int]) -> Floats:
    agent.bind(block.symbols, [Instrument(name=s) for s in block.symbols])
    return np.concatenate([agent.targets(part) for part in reblock([block], sizes)])


def slow_sma_cross(block: BarBlock, fast: int, slow: int) -> Floats:
    out = np.zeros((len(block), len(block.symbols)))
    for s in range(len(block.symbols)):
        closes: list[float] = []
        wanted = 0.0
        for i in range(len(block)):
            if block.present[i, s]:
                closes.append(block.close[i, s])
                if len(closes) >= slow:
                    difference = np.mean(closes[-fast:]) - np.mean(closes[-slow:])
                    if abs(difference) > 1e-9:
                        wanted = float(np.sign(difference))
            out[i, s] = wanted
    return out


def test_sma_cross_is_the_definition() -> None:
    block = random_bars(600, seed=3, symbols=("A", "B"), absent=0.1, tick=0.0)
    assert np.array_equal(targets(SmaCross(5, 12), block, [4096]), slow_sma_cross(block, 5, 12))


def test_sma_cross_can_trade_against_the_crossing() -> None:
    block = random_bars(300, seed=7)
    forward, against = (targets(SmaCross(5, 12, 2.0, reverse=reverse), block, [300]) for reverse in (False, True))
    assert np.array_equal(against, -forward)
    only_long = targets(SmaCross(5, 12, 2.0, short=False, reverse=True), block, [300])
    assert np.array_equal(only_long, np.maximum(-forward, 0.0))


def test_sma_does_not_drift() -> None:
    block = random_bars(50_000, seed=4, start=1e6, tick=0.0)
    agent = SmaCross(10, 30)
    targets(agent, block, [4096])
    exact = block.close[-10:, 0].sum()
    assert agent._sums[0, 0] == pytest.approx(exact, rel=1e-14)


@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=20), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_any_blocking_gives_the_same_bits(sizes: list[int], seed: int) -> None:
    block = random_bars(400, seed=seed, symbols=("A", "B"), absent=0.2)
    for agent in (Flat(), BuyAndHold(2), SmaCross(3, 8, short=False, reverse=True), Random(seed=seed, hold=4)):
        assert targets(agent, block, sizes).tobytes() == targets(agent, block, [len(block)]).tobytes()


def test_random_changes_its_mind_about_once_in_hold_bars() -> None:
    drawn = targets(Random(seed=1, hold=20), random_bars(20_000), [4096])[:, 0]
    kept = np.isnan(drawn).mean()
    assert kept == pytest.approx(1 - 1 / 20, abs=0.01)
    sides = drawn[~np.isnan(drawn)]
    assert {float(side): pytest.approx(1 / 3, abs=0.06) for side in (-1, 0, 1)} == {
        float(side): (sides == side).mean() for side in (-1, 0, 1)
    }
