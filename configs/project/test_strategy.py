"""What the strategy is held to; run with `pytest`."""

from __future__ import annotations

import grandmodel as gm
from strategy import Trend


def run(block: int = 4096) -> gm.BacktestResult:
    return gm.backtest("es-synthetic", "ES", Trend, limits={"max_drawdown": 0.2}, end="2024-01-19", block=block)


def test_it_trades_and_every_position_has_a_stop() -> None:
    result = run()
    assert result.metrics["trades"] > 10
    assert (result.polars("decisions")["stop_distance"] == 0.004).all()


def test_it_sees_nothing_of_the_future() -> None:
    # in blocks of a few rows later rows do not exist yet: the same ledger shows that the strategy never used them
    assert run(block=7).ledger_sha256 == run().ledger_sha256


def test_its_losses_are_bounded() -> None:
    assert run().metrics["max_drawdown"] > -0.25
