"""The words for reasons: there is a phrase for each, and no name of the code's reaches a reader."""

from __future__ import annotations

import pytest

import grandmodel as gm
from engine.types.reasons import PHRASES, phrase
from engine.types.records import Reason
from feeds.memory import MemorySource
from tests.bars import random_bars


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_phrase_that_differs_from_its_name(reason: Reason) -> None:
    assert phrase(reason) == phrase(reason.name.lower()) == PHRASES[reason]
    plain = {Reason.MAX_DAILY_LOSS, Reason.MAX_DRAWDOWN, Reason.MARGIN_CALL, Reason.NO_SUCH_ORDER, Reason.BY_OPERATOR}
    assert reason in plain or PHRASES[reason] != reason.name.lower().replace("_", " ")


def test_one_of_another_version_is_readable() -> None:
    assert phrase("out_of_tea") == "out of tea"
    assert phrase(999) == "999"


class Tiny(gm.Strategy):
    """Orders less than a contract."""

    def on_bar(self, context: gm.Context) -> None:
        context.buy(fraction=1e-9)


def test_a_summary_says_why_orders_of_a_strategy_were_rejected_and_what_to_do() -> None:
    result = gm.backtest(MemorySource(random_bars(60)), {"X": "ES"}, Tiny)
    assert result.metrics["rejected.below_min_size"] == 60
    text = " ".join(str(result).replace("│", " ").split())
    assert "60 orders were rejected (below the instrument's smallest size)" in text
    assert "Rejected orders: 60 below the instrument's smallest size" in text
    assert "give buy() and sell() a larger quantity, fraction, notional or risk" in text
    assert "below min size" not in text and "sizing.value" not in text


class Waits(gm.Strategy):
    """An order that never meets a price."""

    def on_bar(self, context: gm.Context) -> None:
        if context.seq == 0:
            context.buy(1, limit=1.0)


def test_an_order_that_never_met_a_price_is_not_blamed_on_the_sizing() -> None:
    text = " ".join(str(gm.backtest(MemorySource(random_bars(60)), agent=Waits)).replace("│", " ").split())
    assert "The only decision led to no fill: its order never met a price" in text
    assert "sizing.value" not in text
