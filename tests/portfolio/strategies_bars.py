"""Random markets, accounts and commands for the simulator, drawn from any `random.Random`.

Hypothesis hands in a Random that it can shrink; fixed seeds hand in a plain one. On the *exact* grid prices, sizes
and rates are multiples of powers of two, which floats carry without rounding; on the *decimal* one they are
tenths and hundredths, which floats do not; *rough* prices have many digits and meet no ties.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from hypothesis import strategies as st

from engine.types.instruments import Fees, Instrument, Margin
from engine.types.records import CommandKind, Operation, OrderType, TimeInForce
from portfolio.config import Execution, Limits, PortfolioConfig, SizingConfig, Slippage
from tests.portfolio.oracle_records import Command

Candle = tuple[float, float, float, float, float]
MINUTE = 60_000_000_000
START = 1_704_067_200_000_000_000
Grid = Literal["exact", "decimal", "rough"]
GRIDS: dict[Grid, tuple[tuple[float, ...], tuple[float, ...]]] = {  # ticks and size steps
    "exact": ((0.25, 0.5, 0.03125), (1.0, 0.5, 0.125)),
    "decimal": ((0.01, 0.05, 0.1, 0.0005), (0.1, 0.01, 0.001)),
    "rough": ((0.0, 0.25), (1.0, 0.1, 0.001)),
}
BAD_NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 0.0)


@dataclass
class Scenario:
    """What a simulator is told: `bars[row][symbol]` is OHLCV or None, `commands[row]` follow that row.

    `operations[row]` are an operator's orders after those commands; row -1 is before the first.
    """

    config: PortfolioConfig
    instruments: list[Instrument]
    bars: list[list[Candle | None]]
    commands: list[list[Command]]
    session_ends: list[int] = field(default_factory=list)
    bars_per_year: float = 252.0
    ts: list[int] = field(default_factory=list)
    operations: dict[int, list[Operation]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ts = self.ts or [START + row * MINUTE for row in range(len(self.bars))]


@dataclass(frozen=True)
class Flavour:
    """What a random scenario is like."""

    rows: int
    symbols: int
    grid: Grid = "exact"
    capital: tuple[float, ...] = (128.0, 512.0, 2048.0, 65536.0)
    busy: float = 0.6  # chance of commands in a row
    most: int = 3  # commands in one row
    bad: float = 0.03  # chance that a number of a command is none at all
    limits: float = 0.5  # chance that a limit is set
    operated: float = 0.0  # chance that an operator orders something after a row


def maybe(rng: Random, chance: float) -> bool:
    return rng.randint(0, 999) < chance * 1000


def tidy(number: float) -> float:
    """The number as somebody would have written it: 0.3 and not 0.30000000000000004."""
    return round(number, 12)


def instrument(rng: Random, flavour: Flavour, index: int) -> Instrument:
    ticks, steps = GRIDS[flavour.grid]
    step = rng.choice(steps)
    rate = rng.choice((0.0, 0.0625, 0.125, 0.5, 1.0))
    per_contract = rng.choice((0.0, 0.0, 4.0, 16.0))
    share = rng.choice((0.0, 0.5, 1.0))
    return Instrument(
        name=f"S{index}",
        tick_size=rng.choice(ticks),
        multiplier=rng.choice((1.0, 2.0, 0.5)),
        fx_rate=rng.choice((1.0, 1.0, 1.25)),
        size_step=step,
        min_size=rng.choice((0.0, step, 2 * step)),
        fees=Fees(per_contract=rng.choice((0.0, 0.25)), rate=rng.choice((0.0, 2.0**-12))),
        initial_margin=Margin(per_contract=per_contract, rate=rate),
        maintenance_margin=Margin(per_contract=per_contract * share, rate=rate * share),
    )


def account(rng: Random, flavour: Flavour) -> PortfolioConfig:
    def limit(*values: float) -> float | None:
        return rng.choice(values) if maybe(rng, flavour.limits) else None

    slippage = Slippage()
    if maybe(rng, 0.5):
        slippage = Slippage(
            ticks=rng.choice((0.0, 1.0, 0.5, 1.5)),
            bps=rng.choice((0.0, 5.0, 20.0)),
            range=rng.choice((0.0, 0.125)),
        )
    return PortfolioConfig(
        initial_capital=rng.choice(flavour.capital),
        execution=Execution(
            slippage=slippage,
            limit_fill=rng.choice(("touch", "through")),
            participation=limit(0.0625, 0.25, 1.0),
            max_open_orders=rng.choice((2, 6, 64)),
        ),
        sizing=SizingConfig(
            mode=rng.choice(("fixed", "equity_fraction", "volatility_target")),
            value=rng.choice((0.25, 1.0, 3.0)),
            volatility_span=rng.choice((2, 7)),
        ),
        limits=Limits(
            max_position=limit(2.0, 5.0, 12.0),
            max_leverage=limit(0.5, 2.0, 6.0),
            max_daily_loss=limit(0.0625, 0.25),
            max_drawdown=limit(0.125, 0.5),
        ),
    )


class Market:
    """A random walk on (or off) the tick grid of one symbol; `last` is the last close."""

    def __init__(self, rng: Random, traded: Instrument, flavour: Flavour) -> None:
        self.rng, self.flavour = rng, flavour
        self.grid = traded.tick_size or 0.25
        self.reach = max(int(1 / self.grid), 2)
        self.last = self.grid * round(rng.choice((40, 100)) / self.grid)

    def step(self, most: int) -> float:
        """A random number of ticks, up to `most`, as a distance in price."""
        ticks = self.rng.randint(0, most)
        rough = self.rng.random() if self.flavour.grid == "rough" and ticks else 0.0
        return tidy((ticks + rough) * self.grid)

    def priced(self, price: float) -> float:
        """The price on the grid (unless rough), away from zero."""
        price = max(price, 4 * self.grid)
        return price if self.flavour.grid == "rough" else tidy(round(price / self.grid) * self.grid)

    def around(self, most: int) -> float:
        """A price near the last close."""
        return self.priced(self.last + self.rng.choice((-1, 1)) * self.step(most))

    def candle(self) -> Candle:
        jump = self.reach * 12 if maybe(self.rng, 0.04) else self.reach
        opened = self.around(jump // 2) if maybe(self.rng, 0.5) else self.last
        closed = self.priced(opened + self.rng.choice((-1, 1)) * self.step(jump))
        high = self.priced(max(opened, closed) + self.step(self.reach))
        low = self.priced(min(opened, closed) - self.step(self.reach))
        self.last = closed
        volume = self.rng.choice((math.nan, 0.0, 1.0, 7.0, 30.0, 64.0, 500.0))
        return opened, max(high, opened, closed), min(low, opened, closed), closed, volume


class Trader:
    """Commands of every kind, most of them sensible."""

    def __init__(self, rng: Random, flavour: Flavour, instruments: list[Instrument], markets: list[Market]) -> None:
        self.rng, self.flavour, self.instruments, self.markets = rng, flavour, instruments, markets
        self.orders = 1  # about as many ids as were given out

    def commands(self, ts: int) -> list[Command]:
        if not maybe(self.rng, self.flavour.busy):
            return []
        return [self.command(ts) for _ in range(self.rng.randint(1, self.flavour.most))]

    def command(self, ts: int) -> Command:
        symbol = self.rng.randint(0, len(self.instruments) - 1)
        order, target, up_to = CommandKind.ORDER, CommandKind.TARGET, CommandKind.UP_TO
        others = (CommandKind.CANCEL, CommandKind.CANCEL_ALL, CommandKind.CLOSE)
        kind = self.rng.choice((order, order, order, up_to, target, target, *others))
        command = Command(kind=kind, symbol=symbol, ts_event=ts, tag=self.rng.randint(0, 3))
        if kind == CommandKind.CANCEL:
            command.order_id = max(self.orders - self.rng.randint(-2, 6), 0)
        elif kind in (order, up_to, target):
            self.orders += 1
            command.order_id = self.rng.choice((0, 0, 7))
            self._size(command, self.instruments[symbol])
            self._prices(command, self.markets[symbol])
            self._bracket(command, self.markets[symbol])
            self._life(command, ts)
            if maybe(self.rng, self.flavour.bad):
                self._spoil(command)
        return command

    def _size(self, command: Command, traded: Instrument) -> None:
        side = self.rng.choice((-1, 1))
        if command.kind == CommandKind.TARGET:
            command.quantity = side * self.rng.randint(0, 12) / 4
        else:
            steps = self.rng.randint(0, 8) * self.rng.choice((1.0, 1.0, 1.5, 4.0))
            command.quantity = tidy(side * steps * traded.size_step)
        command.reduce_only = int(maybe(self.rng, 0.1))

    def _prices(self, command: Command, market: Market) -> None:
        command.type = self.rng.choice(tuple(OrderType))
        if command.type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            command.limit = market.around(market.reach)
        if command.type in (OrderType.STOP, OrderType.STOP_LIMIT):
            command.stop = market.around(market.reach)
        if command.type == OrderType.TRAILING_STOP:
            command.trail = tidy(market.grid + market.step(market.reach))

    def _bracket(self, command: Command, market: Market) -> None:
        if not maybe(self.rng, 0.4):
            return
        fractions = (0.0, 0.0, 2.0**-8, 2.0**-6, 2.0**-5)
        if maybe(self.rng, 0.5):
            command.stop_distance = self.rng.choice(fractions)
            command.target_distance = self.rng.choice(fractions)
        else:
            side = 1 if command.quantity > 0 else self.rng.choice((-1, -1, -1, 1))
            command.stop_loss = market.priced(market.last - side * (market.grid + market.step(market.reach)))
            command.take_profit = market.priced(market.last + side * (market.grid + market.step(market.reach)))
        if maybe(self.rng, 0.3):
            command.trail_distance = self.rng.choice(fractions)

    def _life(self, command: Command, ts: int) -> None:
        command.tif = self.rng.choice((TimeInForce.GTC, *TimeInForce))
        if command.tif == TimeInForce.GTD:
            command.expire_ts = ts + self.rng.randint(-1, 4) * MINUTE

    def _spoil(self, command: Command) -> None:
        names = ("limit", "stop", "trail", "stop_loss", "take_profit", "stop_distance", "target_distance")
        name = self.rng.choice((*names, "trail_distance", "quantity"))
        value = self.rng.choice(BAD_NUMBERS)
        setattr(command, name, value)


def operations(rng: Random, flavour: Flavour) -> dict[int, list[Operation]]:
    """An operator's orders: now and then one, more often one that lets trading go on."""
    kinds = (*Operation, Operation.RESUME, Operation.RESET_HALT, Operation.RESET_HALT)
    ordered = [row for row in range(-1, flavour.rows) if flavour.operated and maybe(rng, flavour.operated)]
    return {row: [rng.choice(kinds) for _ in range(rng.randint(1, 2))] for row in ordered}


def scenario(rng: Random, flavour: Flavour) -> Scenario:
    """One random scenario."""
    instruments = [instrument(rng, flavour, index) for index in range(flavour.symbols)]
    markets = [Market(rng, traded, flavour) for traded in instruments]
    trader = Trader(rng, flavour, instruments, markets)
    absent = rng.choice((0.0, 0.2))
    config = account(rng, flavour)
    ts = START
    times: list[int] = []
    bars: list[list[Candle | None]] = []
    commands: list[list[Command]] = []
    for _ in range(flavour.rows):
        ts += MINUTE * (rng.randint(2, 90) if maybe(rng, 0.05) else 1)
        times.append(ts)
        bars.append([None if maybe(rng, absent) else market.candle() for market in markets])
        commands.append(trader.commands(ts))
    every = rng.choice((4, 9, 50))
    ends = [time + rng.choice((0, MINUTE // 2)) for time in times[every - 1 :: every]]
    return Scenario(config, instruments, bars, commands, ends, 252.0, times, operations(rng, flavour))


@st.composite
def scenarios(draw: st.DrawFn, rows: int = 12, symbols: int = 3, grid: Grid = "exact") -> Scenario:
    """Small random scenarios that Hypothesis shrinks."""
    rng = draw(st.randoms(use_true_random=False))
    operated = draw(st.sampled_from((0.0, 0.3)))
    flavour = Flavour(draw(st.integers(1, rows)), draw(st.integers(1, symbols)), grid=grid, operated=operated)
    return scenario(rng, flavour)
