"""Orders by fraction of equity, notional and risk, against fractions; what is too small is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.strategy import Context, Strategy
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.instruments import Instrument, Margin
from engine.types.records import OrderEventKind, Reason
from engine.types.step import StepBlock
from tests.agents.context.driving import MINUTE, driven

CAPITAL = 100_000


class Once(Strategy):
    """Gives one order in the first row."""

    def __init__(self, ask: Callable[[Context], None]) -> None:
        self.ask = ask

    def on_bar(self, context: Context) -> None:
        if context.seq == 0:
            self.ask(context)


def traded(step: str = "1", multiplier: float = 1.0, **more: Any) -> Instrument:
    more = {"initial_margin": Margin(rate=0.0), "fx_rate": 1.0, **more}
    return Instrument(name="X", size_step=float(step), min_size=float(step), multiplier=multiplier, **more)


def stepped(ask: Callable[[Context], None], item: Instrument, *closes: float) -> StepBlock:
    prices = np.array(closes, np.float64)
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    return driven(Once(ask), BarBlock.from_columns(["X"], MINUTE * (1 + np.arange(len(prices))), columns), [9], item)[0]


def filled(step: StepBlock) -> list[float]:
    return (step.fills["side"] * step.fills["quantity"]).tolist()


def refused(step: StepBlock) -> list[Reason]:
    return [Reason(int(e["reason"])) for e in step.events if e["kind"] == OrderEventKind.REJECTED]


@given(
    price=st.integers(100, 100_000).map(lambda n: Decimal(n) / 100),
    part=st.integers(1, 200).map(lambda n: Decimal(n) / 100),
    step=st.sampled_from(["1", "0.1", "0.001"]),
    multiplier=st.sampled_from([1, 5, 50]),
    side=st.sampled_from([1, -1]),
    away=st.integers(1, 40),
    way=st.sampled_from(["fraction", "notional", "risk"]),
)
# the distance of two near prices is off by more than a step in 1e9
@example(Decimal("1.51"), Decimal("1.51"), "0.1", 1, 1, 1, "risk")
@settings(max_examples=120, deadline=None)
def test_sizes_are_rounded_down_to_the_step(
    price: Decimal, part: Decimal, step: str, multiplier: int, side: int, away: int, way: str
) -> None:
    stop = price * (1 - side * Decimal(away) / 100)
    money = {"fraction": part * CAPITAL, "notional": part * 10_000, "risk": part / 100 * CAPITAL}[way]
    per_contract = abs(price - stop) if way == "risk" else price
    exact = Fraction(money) / Fraction(per_contract * multiplier) / Fraction(step)
    fields = {"fraction": part, "notional": part * 10_000, "risk": part / 100}

    def ask(context: Context) -> None:
        more = {"stop_loss": float(stop)} if way == "risk" else {}
        (context.buy if side > 0 else context.sell)(**{way: float(fields[way])}, **more)

    found = stepped(ask, traded(step, multiplier), float(price), float(price))
    # a whole number of steps that floats miss by less than 1e-9 steps is that number
    steps = int(exact + Fraction(1, 10**9))
    if steps:
        assert filled(found) == pytest.approx([side * float(steps * Fraction(step))], rel=1e-12)
    else:
        assert filled(found) == []
        assert refused(found) == [Reason.BELOW_MIN_SIZE]


def test_the_price_of_the_order_counts_and_the_account_currency() -> None:
    item = traded("0.1", multiplier=10.0, fx_rate=1.25)
    assert filled(stepped(lambda c: c.buy(notional=5_000), item, 100.0, 100.0)) == [4.0]  # 100 * 12.5 a contract
    assert filled(stepped(lambda c: c.buy(notional=5_000, limit=80.0), item, 100.0, 80.0)) == [5.0]
    assert filled(stepped(lambda c: c.sell(notional=5_000, stop=80.0), item, 100.0, 80.0)) == [-5.0]


def test_the_nearest_stop_counts() -> None:
    ask = {"stop_loss": 90.0, "trail_distance": 0.05}
    assert filled(stepped(lambda c: c.buy(risk=0.01, **ask), traded(), 100.0, 100.0)) == [200.0]  # 1,000 at 5 each
    assert filled(stepped(lambda c: c.sell(risk=0.01, stop_distance=0.02), traded(), 100.0, 100.0)) == [-500.0]


def test_a_stop_on_the_wrong_side_is_refused() -> None:
    for stop in (100.0, 101.0):
        found = stepped(lambda c, stop=stop: c.buy(risk=0.01, stop_loss=stop), traded(), 100.0, 100.0)
        assert (filled(found), refused(found)) == ([], [Reason.BAD_PRICE])


def test_all_of_the_equity_is_shortened_to_what_margin_affords_and_contracts_are_not() -> None:
    item = traded(initial_margin=Margin(rate=1.0))
    assert filled(stepped(lambda c: c.buy(fraction=1.0), item, 100.0, 101.0)) == [990.0]
    found = stepped(lambda c: c.buy(1000), item, 100.0, 101.0)
    assert (filled(found), refused(found)) == ([], [Reason.INSUFFICIENT_MARGIN])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda c: c.buy(), "needs one size"),
        (lambda c: c.buy(1, fraction=0.5), "quantity and fraction"),
        (lambda c: c.sell(risk=0.01), "needs the stop"),
        (lambda c: c.buy(risk=2, stop_loss=90.0), "not a percentage"),
        (lambda c: c.buy(fraction="half"), "fraction must be a number"),
        (lambda c: c.buy(size=0.5), "fraction=0.5 orders for half the equity"),
    ],
)
def test_what_cannot_be_meant_is_an_error(ask: Callable[[Context], None], message: str) -> None:
    with pytest.raises(UsageError) as error:
        stepped(ask, traded(), 100.0, 100.0)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda context: context.buy(-2), "without a sign"),
        (lambda context: context.sell(fraction=-0.5), "without a sign"),
        (lambda context: context.buy(float("nan")), "without a sign"),
        (lambda context: context.buy(fraction=float("nan")), "without a sign"),
        (lambda context: context.order(float("nan")), "needs a number"),
        (lambda context: context.target(None), "needs a number"),
        (lambda context: context.target(float("inf")), "needs a number"),
        (lambda context: context.buy(1, sl=3), "no field 'sl'"),
    ],
)
def test_an_order_that_cannot_be_meant_is_an_error_with_its_line(ask: Callable[[Context], None], what: str) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        stepped(ask, traded(), 100.0, 100.0)
    assert "line " in str(refused.value.where)
    assert "at row 0 (" in str(refused.value.where)
