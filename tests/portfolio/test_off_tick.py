"""Prices between two ticks move away from the market, and a limit met exactly trips; by hand, both simulators."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.types.instruments import Instrument, Margin
from engine.types.records import OrderEventKind, OrderType, Reason, Role
from portfolio.config import Limits, PortfolioConfig
from tests.portfolio.driving import Outcome, run_kernel, run_oracle
from tests.portfolio.oracle_records import Command
from tests.portfolio.strategies_bars import Candle, Scenario

Run = Callable[[Scenario], Outcome]
ITEM = Instrument(name="S", tick_size=0.05, size_step=0.1, min_size=0.1, initial_margin=Margin(rate=0.0))
FLAT: Candle = (7.0, 7.1, 6.9, 7.0, 1000.0)


@pytest.fixture(params=[run_oracle, run_kernel], ids=["oracle", "kernel"])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def scenario(bars: list[Candle], command: Command, config: PortfolioConfig | None = None) -> Scenario:
    commands = [[command], *([] for _ in bars[1:])]
    return Scenario(config or PortfolioConfig(), [ITEM], [[bar] for bar in bars], commands, [])


def order(quantity: float, kind: OrderType, **prices: float) -> Command:
    return Command(quantity=quantity, type=kind, **prices)


@pytest.mark.parametrize(
    ("command", "works_at"),
    [
        (order(1, OrderType.LIMIT, limit=6.83), 6.80),  # a buyer pays no more than was asked for
        (order(-1, OrderType.LIMIT, limit=7.21), 7.25),  # a seller gets no less
        (order(1, OrderType.STOP, stop=7.21), 7.25),  # a stop does not trigger before its price
        (order(-1, OrderType.STOP, stop=6.83), 6.80),
        (order(1, OrderType.STOP_LIMIT, stop=7.21, limit=7.34), 7.30),
        (order(-1, OrderType.STOP_LIMIT, stop=6.83, limit=6.61), 6.65),
        (order(-1, OrderType.TRAILING_STOP, trail=0.12), 6.85),  # 0.15 below 7.00
        (order(1, OrderType.LIMIT, limit=2.3 * 3), 6.90),  # 6.8999999999999995 is the tick that it means
        (order(-1, OrderType.LIMIT, limit=0.1 + 7.05), 7.15),
    ],
)
def test_a_price_between_ticks_moves_away_from_the_market(run: Run, command: Command, works_at: float) -> None:
    events = run(scenario([FLAT], command)).events
    assert [(event["kind"], event["price"]) for event in events] == [(OrderEventKind.SUBMITTED, works_at)]


@pytest.mark.parametrize(("side", "stop", "target"), [(1, 6.80, 7.25), (-1, 7.25, 6.80)])
def test_legs_move_away_from_the_market(run: Run, side: int, stop: float, target: float) -> None:
    asked = (6.83, 7.21) if side > 0 else (7.21, 6.83)
    command = order(side, OrderType.MARKET, stop_loss=asked[0], take_profit=asked[1])
    events = run(scenario([FLAT, FLAT], command)).events
    legs = {Role(int(event["role"])): event["price"] for event in events if event["parent"]}
    assert legs == {Role.STOP_LOSS: stop, Role.TAKE_PROFIT: target}


@pytest.mark.parametrize(
    "command",
    [
        order(1, OrderType.LIMIT, limit=0.04),
        order(-1, OrderType.STOP, stop=0.04),
        order(1, OrderType.MARKET, stop_loss=0.04),
        order(-1, OrderType.MARKET, take_profit=0.04),
    ],
)
def test_a_price_that_comes_to_nothing_is_refused(run: Run, command: Command) -> None:
    events = run(scenario([FLAT, FLAT], command)).events
    assert [(event["kind"], event["reason"]) for event in events] == [(OrderEventKind.REJECTED, Reason.BAD_PRICE)]


@pytest.mark.parametrize(
    "limits",
    [Limits(max_drawdown=0.07), Limits(max_daily_loss=0.07)],  # 1 - 0.07 is 0.9299999999999999 as a double
)
def test_a_limit_that_is_met_exactly_trips(run: Run, limits: Limits) -> None:
    bars: list[Candle] = [(price, price, price, price, 1000.0) for price in (7.0, 7.0, 6.3, 6.3)]
    command = order(100, OrderType.MARKET)
    outcome = run(scenario(bars, command, PortfolioConfig(initial_capital=1000.0, limits=limits)))
    assert [Role(int(fill["role"])) for fill in outcome.fills] == [Role.ENTRY, Role.KILL_SWITCH]
    just_above = [*bars[:2], (6.35, 6.35, 6.35, 6.35, 1000.0)]
    assert len(run(scenario(just_above, command, PortfolioConfig(initial_capital=1000.0, limits=limits))).fills) == 1
