"""What keeps an account from trading at all, checked against the simulator: with the value named it trades."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.types.blocks import BarBlock
from engine.types.calendar import DAY_NS
from engine.types.instruments import Instrument, Margin, load_instrument
from portfolio.config import Limits, PortfolioConfig, SizingConfig
from portfolio.simulator import Simulator
from portfolio.tradable import obstacle, rounded_up

MINUTE = 60_000_000_000
ENDS = np.arange(1, 100, dtype=np.int64) * DAY_NS


def trades(config: PortfolioConfig, item: Instrument, price: float) -> bool:
    """Whether the target of one unit becomes a position."""
    columns = dict.fromkeys(("open", "high", "low", "close"), np.full(3, price))
    bars = BarBlock.from_columns([item.name], MINUTE * np.arange(1, 4), columns)
    return bool(len(Simulator(config, [item], ENDS).run_targets(bars, np.ones((3, 1))).fills))


def changed(config: PortfolioConfig, key: str, value: float) -> PortfolioConfig:
    tree: dict[str, Any] = config.model_dump()
    at = tree
    *above, last = key.split(".")
    for name in above:
        at = at[name]
    at[last] = value
    return PortfolioConfig.model_validate(tree)


@given(
    capital=st.sampled_from([500.0, 9_999.0, 100_000.0, 1e6]),
    mode=st.sampled_from(["fixed", "equity_fraction"]),
    value=st.sampled_from([0.05, 0.5, 1.0, 2.0]),
    price=st.sampled_from([0.00123, 1.1, 97.31, 4_783.25]),
    step=st.sampled_from([0.001, 0.1, 1.0]),
    multiplier=st.sampled_from([1.0, 50.0, 125_000.0]),
    rate=st.sampled_from([0.0, 0.05, 1.0]),
    most=st.sampled_from([(None, None), (0.5, None), (None, 2.0), (3.0, 1.0)]),
)
@settings(max_examples=200, deadline=None)
def test_it_is_named_exactly_where_the_simulator_trades_nothing(
    capital: float,
    mode: Any,
    value: float,
    price: float,
    step: float,
    multiplier: float,
    rate: float,
    most: tuple[float | None, float | None],
) -> None:
    item = Instrument(name="X", size_step=step, min_size=step, multiplier=multiplier, initial_margin=Margin(rate=rate))
    config = PortfolioConfig(
        initial_capital=capital,
        sizing=SizingConfig(mode=mode, value=value),
        limits=Limits(max_position=most[0], max_leverage=most[1]),
    )
    found = obstacle(config, item, price, units=True)
    assert (found is None) == trades(config, item, price)
    for _ in range(4):  # one thing after the other may stand against it
        if found is None:
            return
        config = changed(config, found.key, found.needed)
        found = obstacle(config, item, price, units=True)
    assert found is None


def test_one_contract_of_6e_is_more_than_the_capital() -> None:
    item = load_instrument("6E")
    config = PortfolioConfig(sizing=SizingConfig(mode="equity_fraction", value=1.0))
    found = obstacle(config, item, 1.0835, units=True)  # a notional of 135,437.50
    assert found is not None
    assert (found.key, found.needed, found.capital) == ("sizing.value", 1.4, 140_000.0)
    assert found.hint == "set sizing.value to 1.4 or more, or initial_capital to 140000"
    assert obstacle(changed(config, "sizing.value", 1.4), item, 1.0835, units=True) is None
    assert obstacle(changed(config, "initial_capital", 140_000.0), item, 1.0835, units=True) is None
    assert obstacle(config, item, 1.0835, units=False) is None  # contracts can be ordered: the margin is 2,600


@pytest.mark.parametrize(
    ("number", "above"), [(137_421.0, 140_000.0), (140_000.0, 140_000.0), (0.00123, 0.0013), (1.0, 1.0)]
)
def test_numbers_are_rounded_up_to_two_digits(number: float, above: float) -> None:
    assert rounded_up(number) == pytest.approx(above, rel=1e-12)
