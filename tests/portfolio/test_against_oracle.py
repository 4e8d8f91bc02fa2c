"""The compiled simulator against the oracle: fills, events, decisions, positions and the ledger, row by row."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings

from engine.types.instruments import Fees, Instrument, Margin
from engine.types.records import LEDGER_COLUMNS, CommandKind, OrderEventKind, OrderType, Reason
from portfolio.config import Execution, Limits, PortfolioConfig, Slippage
from tests.portfolio.driving import bar, block_of, commands_of, difference, kernel_of, oracle_of, run_kernel, run_oracle
from tests.portfolio.oracle_records import Command
from tests.portfolio.strategies_bars import MINUTE, Candle, Flavour, Market, Scenario, scenario, scenarios

CENT = 0.01
LOOSE = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
FLAVOURS = {
    "exact": Flavour(rows=40, symbols=3),
    "rough": Flavour(rows=40, symbols=2, grid="rough"),
    "busy": Flavour(rows=60, symbols=2, busy=0.95, most=6, bad=0.0, capital=(65536.0, 1048576.0), limits=0.2),
    "poor": Flavour(rows=60, symbols=1, busy=0.9, capital=(64.0, 256.0, 1024.0), limits=0.3),
    # A tenth has no exact float: sizes must leave no dust, and a price on the tick must touch its level.
    "decimal": Flavour(rows=60, symbols=2, grid="decimal", bad=0.0),
    "ill-formed": Flavour(rows=30, symbols=3, busy=0.9, bad=0.4),
    "operated": Flavour(rows=60, symbols=2, busy=0.8, operated=0.2, capital=(2048.0, 65536.0)),
}


@given(scenarios())
@settings(LOOSE, max_examples=150)
def test_random_scenarios_on_the_tick_grid_agree(drawn: Scenario) -> None:
    assert difference(run_oracle(drawn), run_kernel(drawn)) == ""


@given(scenarios(grid="rough"))
@settings(LOOSE, max_examples=75)
def test_random_scenarios_off_the_tick_grid_agree(drawn: Scenario) -> None:
    assert difference(run_oracle(drawn), run_kernel(drawn)) == ""


@pytest.mark.parametrize("name", FLAVOURS)
def test_longer_scenarios_agree(name: str) -> None:
    for seed in range(200):
        drawn = scenario(Random(seed), FLAVOURS[name])
        assert difference(run_oracle(drawn), run_kernel(drawn)) == "", f"seed {seed}"


def test_the_random_scenarios_reach_every_rule() -> None:
    """Agreement means something only where things happen: every kind, reason and pairing of note occurs."""
    seen: Counter[tuple[OrderEventKind, Reason]] = Counter()
    for flavour in FLAVOURS.values():
        for seed in range(120):
            events = run_kernel(scenario(Random(seed), flavour)).events
            seen.update((OrderEventKind(int(e["kind"])), Reason(int(e["reason"]))) for e in events)
    kinds, reasons = {kind for kind, _ in seen}, {reason for _, reason in seen}
    assert kinds == set(OrderEventKind)
    assert reasons == set(Reason)
    shortened = {Reason.MAX_POSITION, Reason.MAX_LEVERAGE, Reason.INSUFFICIENT_MARGIN}
    for kind in (OrderEventKind.FILLED, OrderEventKind.CANCELLED, OrderEventKind.REJECTED):
        assert all(seen[kind, reason] >= 10 for reason in shortened), kind
    limits = {Reason.BANKRUPT, Reason.MAX_DRAWDOWN, Reason.MAX_DAILY_LOSS, Reason.MARGIN_CALL}
    stopped = limits | {Reason.PAUSED, Reason.BY_OPERATOR}
    assert all(seen[OrderEventKind.CANCELLED, reason] >= 3 for reason in stopped)


ALWAYS_OPEN: Candle = (100.0, 101.0, 99.0, 100.0, 1000.0)


def repeated(commands: list[list[Command]], instrument: Instrument, config: PortfolioConfig) -> Scenario:
    return Scenario(config, [instrument], [[ALWAYS_OPEN]] * len(commands), commands)


@pytest.mark.parametrize("size", [0.29, 0.57, 1.13, 19.99])
def test_fine_steps_do_not_lose_one(size: float) -> None:
    fine = Instrument(name="S", size_step=1e-8)
    drawn = repeated([[Command(quantity=size)], []], fine, PortfolioConfig())
    assert difference(run_oracle(drawn), run_kernel(drawn)) == ""


def test_large_volumes_of_fine_steps_can_be_traded() -> None:
    fine = Instrument(name="S", size_step=1e-8)
    drawn = repeated([[Command(quantity=5.0)], []], fine, PortfolioConfig(execution=Execution(participation=1.0)))
    drawn.bars = [[(100.0, 101.0, 99.0, 100.0, 1e13)]] * 2
    assert difference(run_oracle(drawn), run_kernel(drawn)) == ""


def test_many_refused_commands_leave_room_for_the_brackets_of_the_next_row() -> None:
    free = Instrument(name="S", tick_size=0.25, size_step=1.0, initial_margin=Margin(rate=0.0))
    entries = [Command(quantity=1.0, stop_loss=50.0, take_profit=150.0) for _ in range(64)]
    refused = [Command(kind=CommandKind.CANCEL, order_id=9999) for _ in range(320)]
    drawn = repeated([entries + refused, [], []], free, PortfolioConfig())
    assert difference(run_oracle(drawn), run_kernel(drawn)) == ""


def long_market(rows: int) -> Scenario:
    """Three symbols, each with a bracketed order, a limit on either side and a target in most rows."""
    rng = Random(20240117)
    flavour = Flavour(rows=rows, symbols=3)
    instruments = [
        Instrument(
            name=f"S{index}",
            tick_size=tick,
            multiplier=multiplier,
            size_step=step,
            min_size=step,
            fees=Fees(per_contract=0.35, rate=0.00002),
            initial_margin=Margin(per_contract=3.0, rate=0.01),
            maintenance_margin=Margin(per_contract=2.0, rate=0.01),
        )
        for index, (tick, multiplier, step) in enumerate(((0.25, 2.0, 1.0), (0.5, 5.0, 0.5), (0.03125, 1.0, 0.125)))
    ]
    markets = [Market(rng, instrument, flavour) for instrument in instruments]
    config = PortfolioConfig(
        initial_capital=1e9,
        execution=Execution(slippage=Slippage(ticks=0.5, bps=0.5), participation=0.5, max_open_orders=21),
        limits=Limits(max_position=40.0, max_leverage=4.0),
    )
    bars: list[list[Candle | None]] = []
    commands: list[list[Command]] = []
    for _ in range(rows):
        bars.append([None if rng.random() < 0.02 else market.candle() for market in markets])
        commands.append([c for s, market in enumerate(markets) for c in quotes(rng, s, market, instruments[s])])
    return Scenario(config, instruments, bars, commands, list(range(0, rows * MINUTE, 390 * MINUTE)))


def quotes(rng: Random, symbol: int, market: Market, instrument: Instrument) -> list[Command]:
    size = rng.randint(1, 4) * instrument.size_step
    near = market.reach // 2
    bid = Command(quantity=size, type=OrderType.LIMIT, limit=market.last - market.step(near), symbol=symbol)
    ask = Command(quantity=-size, type=OrderType.LIMIT, limit=market.last + market.step(near), symbol=symbol)
    entry = Command(quantity=rng.choice((-1, 1)) * size, symbol=symbol, stop_distance=2.0**-6, target_distance=2.0**-6)
    target = Command(kind=CommandKind.TARGET, quantity=float(rng.randint(-9, 9)), symbol=symbol)
    return [target, bid, ask, entry] if rng.random() < 0.9 else [Command(kind=CommandKind.CLOSE, symbol=symbol)]


@pytest.mark.slow
def test_a_hundred_thousand_fills_to_the_cent() -> None:
    drawn = long_market(rows=19_000)
    oracle, kernel, block = oracle_of(drawn), kernel_of(drawn), block_of(drawn)
    for row, commands in enumerate(drawn.commands):
        oracle.row(drawn.ts[row], [bar(candle) for candle in drawn.bars[row]])
        oracle.command([replace(command) for command in commands])
        kernel.advance(block, row)
        kernel.submit(commands_of(commands))
    step = kernel.take()
    assert len(oracle.fills) == len(step.fills) >= 100_000
    for row in [*range(0, len(block), 1000), len(block) - 1]:
        assert step.positions[row].tolist() == [float(held) for held in oracle.position_rows[row]]
        for name, mine, theirs in zip(LEDGER_COLUMNS, astuple(oracle.ledger[row]), step.ledger[row], strict=True):
            assert abs(float(mine) - theirs) < CENT / 2, (row, name, mine, theirs)
