"""Fills against an order book: beside a plain computation, by hand, and under any cut of the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, concat, reblock
from engine.types.instruments import Instrument, Margin
from engine.types.records import COMMAND, CommandKind, OrderType, Records, TimeInForce
from feeds.books.bars.builder import BookBars
from portfolio.config import Execution, Limits, PortfolioConfig, Slippage
from portfolio.simulator import Simulator
from tests.feeds.books.streams import TICK, market, messages

START = 1_700_000_040_000_000_000
SECOND = 1_000_000_000
DEPTH = 4
PRICE = TICK / 1e9
ES = Instrument(name="ES", tick_size=PRICE, multiplier=50.0, initial_margin=Margin(rate=0.0))
BOOK = PortfolioConfig(initial_capital=1e12, execution=Execution(fills="book", max_open_orders=64))
Wish = tuple[int, float | None, TimeInForce]
"""Signed contracts, limit or None, and how long it works."""


def bars_of(seed: int) -> BarBlock:
    bars = BookBars("ES", SECOND, DEPTH, latency_ns=40_000_000)
    return bars.push(messages(market(seed, 900), START, 23_000_000))


def commands_of(wishes: list[Wish]) -> Records:
    made = np.zeros(len(wishes), COMMAND)
    for at, (size, limit, tif) in enumerate(wishes):
        made["kind"][at], made["quantity"][at], made["tif"][at] = CommandKind.ORDER, size, tif
        made["type"][at], made["limit"][at] = (OrderType.MARKET, 0.0) if limit is None else (OrderType.LIMIT, limit)
    return made


def run(
    blocks: list[BarBlock], wishes: list[list[Wish]], config: PortfolioConfig = BOOK, *, restart: bool = False
) -> list[Records]:
    simulator = Simulator(config, [ES], np.empty(0, np.int64))
    fills, row = [], 0
    for block in blocks:
        for at in range(len(block)):
            simulator.advance(block, at)
            if wishes[row]:
                simulator.submit(commands_of(wishes[row]))
            row += 1
        fills.append(simulator.take().fills)
        if restart:
            state = simulator.snapshot()
            simulator = Simulator(config, [ES], np.empty(0, np.int64))
            simulator.restore(state)
    return fills


@dataclass
class Waiting:
    size: int
    side: int
    limit: float | None
    tif: TimeInForce


@dataclass
class PlainDepth:
    """The rules of docs/books.md with dictionaries; no limits, no margin, no brackets."""

    taken: dict[int, dict[float, float]] = field(default_factory=lambda: {1: {}, -1: {}})
    orders: list[Waiting] = field(default_factory=list)
    fills: list[tuple[int, int, float, float]] = field(default_factory=list)

    def levels(self, block: BarBlock, at: int, side: int, prefix: str) -> list[tuple[float, float]]:
        """What a buyer (1) or a seller (-1) meets, best first."""
        name = prefix + ("ask" if side > 0 else "bid")
        ends = ["", *(f"_{level}" for level in range(2, DEPTH + 1))]
        pairs = [(block.extra[name + end][at, 0], block.extra[f"{name}_size{end}"][at, 0]) for end in ends]
        return [(float(price), float(size)) for price, size in pairs if not math.isnan(price)]

    def observe(self, block: BarBlock, at: int, prefix: str) -> None:
        shown = {side: dict(self.levels(block, at, side, prefix)) for side in (1, -1)}
        if not shown[1] and not shown[-1]:
            return
        for side, gone in self.taken.items():
            kept = {price: min(size, shown[side].get(price, 0.0)) for price, size in gone.items()}
            self.taken[side] = {price: size for price, size in kept.items() if size}

    def fill(self, row: int, order: Waiting, price: float, at: float, most: float) -> float:
        size = math.floor(min(order.size, most))
        if size <= 0:
            return 0.0
        order.size -= size
        self.fills.append((row, order.side, price, size))
        gone = self.taken[order.side]
        gone[at] = gone.get(at, 0.0) + size
        return size

    def row(self, block: BarBlock, at: int, number: int) -> None:
        self.observe(block, at, "arrival_")
        if self.levels(block, at, 1, "arrival_") and self.levels(block, at, -1, "arrival_"):
            for order in self.orders:
                self.walk(block, at, number, order)
        reach = {
            1: (float(block.extra["lowest_ask"][at, 0]), float(block.extra["lowest_ask_size"][at, 0])),
            -1: (float(block.extra["highest_bid"][at, 0]), float(block.extra["highest_bid_size"][at, 0])),
        }
        free = {side: size - self.taken[side].get(price, 0.0) for side, (price, size) in reach.items()}
        self.observe(block, at, "")
        for order in self.orders:
            price = reach[order.side][0]
            touched = order.limit is not None and (order.limit - price) * order.side >= 0
            if not order.size or not touched or (order.tif == TimeInForce.FOK and order.size > free[order.side]):
                continue
            free[order.side] -= self.fill(number, order, order.limit or 0.0, price, free[order.side])
        self.observe(block, at, "")
        self.orders = [order for order in self.orders if order.size and order.tif == TimeInForce.GTC]

    def walk(self, block: BarBlock, at: int, number: int, order: Waiting) -> None:
        reached = [
            (price, size - self.taken[order.side].get(price, 0.0))
            for price, size in self.levels(block, at, order.side, "arrival_")
            if order.limit is None or (order.limit - price) * order.side >= 0
        ]
        if order.tif == TimeInForce.FOK and sum(max(size, 0.0) for _, size in reached) < order.size:
            order.size = 0
            return
        for price, size in reached:
            self.fill(number, order, price, price, size)


def plain(block: BarBlock, wishes: list[list[Wish]]) -> list[tuple[int, int, float, float]]:
    depth = PlainDepth()
    for at in range(len(block)):
        depth.row(block, at, at)
        for size, limit, tif in wishes[at]:
            if size:
                depth.orders.append(Waiting(abs(size), 1 if size > 0 else -1, limit, tif))
    return depth.fills


def told(fills: list[Records]) -> list[tuple[int, int, float, float]]:
    return [
        (int(fill["seq"]), int(fill["side"]), float(fill["price"]), float(fill["quantity"]))
        for part in fills
        for fill in part
    ]


_LIMIT = st.one_of(st.none(), st.integers(3990, 4010).map(lambda ticks: ticks * PRICE))
_WISH = st.tuples(
    st.integers(-60, 60).filter(bool),
    _LIMIT,
    st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
)
_WISHES = st.lists(st.lists(_WISH, max_size=2), min_size=25, max_size=25)
BLOCKS = {seed: bars_of(seed).slice(0, 25) for seed in (0, 1, 2)}


@given(seed=st.sampled_from(sorted(BLOCKS)), wishes=_WISHES)
@settings(deadline=None, max_examples=60)
def test_fills_are_those_of_the_plain_rules(seed: int, wishes: list[list[Wish]]) -> None:
    block = BLOCKS[seed]
    wishes = wishes[: len(block)]
    fills = told(run([block], wishes))
    assert fills == plain(block, wishes)


@given(
    seed=st.sampled_from(sorted(BLOCKS)),
    wishes=_WISHES,
    sizes=st.lists(st.integers(1, 6), min_size=1),
    restart=st.booleans(),
)
@settings(deadline=None, max_examples=25)
def test_cuts_and_snapshots_mean_nothing(seed: int, wishes: list[list[Wish]], sizes: list[int], restart: bool) -> None:
    block = BLOCKS[seed]
    whole = np.concatenate(run([block], wishes))
    parts = np.concatenate(run(list(reblock([block], sizes)), wishes, restart=restart))
    assert whole.tobytes() == parts.tobytes()


@given(wishes=_WISHES)
@settings(deadline=None, max_examples=20)
def test_no_more_is_bought_at_the_arrival_than_is_shown(wishes: list[list[Wish]]) -> None:
    """The same size is never taken twice while nothing changes."""
    quiet = BLOCKS[0].slice(10, 11)
    rows = [quiet.slice(0, 1)]
    for number in range(1, 25):
        last = rows[-1]
        close = {name: values for name, values in last.extra.items() if not name.startswith("arrival_")}
        same = {f"arrival_{name}": close[name] for name in close if f"arrival_{name}" in last.extra}
        reach = {"lowest_ask": close["ask"], "lowest_ask_size": close["ask_size"]}
        reach |= {"highest_bid": close["bid"], "highest_bid_size": close["bid_size"]}
        columns = {name: getattr(last, name) for name in ("open", "high", "low", "close", "volume")}
        extra = {**close, **same, **reach}
        rows.append(BarBlock.from_columns(last.symbols, last.ts_event + SECOND, columns, seq=number, extra=extra))
    bought: dict[float, float] = {}
    market_buys = [[(abs(size), None, TimeInForce.GTC) for size, _, _ in row] for row in wishes]
    for _, _, price, size in told(run([concat(rows)], market_buys)):
        bought[price] = bought.get(price, 0.0) + size
    shown = dict(PlainDepth().levels(rows[1], 0, 1, "arrival_"))
    assert all(size <= shown[price] for price, size in bought.items())


def test_the_kill_switch_closes_what_the_levels_do_not_hold() -> None:
    """The rest fills at the last level that is shown: a halted book is flat within one bar of its symbol."""
    block = BLOCKS[0]
    config = BOOK.model_copy(update={"initial_capital": 300_000.0, "limits": Limits(max_drawdown=0.03)})
    wishes: list[list[Wish]] = [[] for _ in range(len(block))]
    for row in range(2, 12):
        wishes[row] = [(400, None, TimeInForce.GTC)]
    fills = np.concatenate(run([block], wishes, config))
    closing = fills[fills["role"] != 0]
    assert len(closing) > 1
    assert len(set(closing["seq"].tolist())) == 1
    assert closing["position"][-1] == 0.0


def test_bars_without_a_book_are_refused() -> None:
    block = BarBlock.from_columns(
        ("ES",), np.array([1]), {name: np.ones(1) for name in ("open", "high", "low", "close")}
    )
    with pytest.raises(UsageError, match="need bars of an order book"):
        run([block], [[]])


def test_slippage_comes_from_the_book() -> None:
    with pytest.raises(ValidationError, match="leave slippage and participation out"):
        Execution(fills="book", slippage=Slippage(ticks=1.0))


def made(rows: list[dict[str, float]]) -> BarBlock:
    """Rows of one level, each with 10 contracts."""
    columns = {name: np.array([one[name] for one in rows]) for name in ("open", "high", "low", "close")}
    extra = {name: np.array([one[name] for one in rows]) for name in ("bid", "ask", "arrival_bid", "arrival_ask")}
    extra |= {f"{name}_size": np.full(len(rows), 10.0) for name in tuple(extra)}
    extra |= {"lowest_ask": np.array([one["lowest_ask"] for one in rows]), "lowest_ask_size": np.full(len(rows), 10.0)}
    extra |= {
        "highest_bid": np.array([one["highest_bid"] for one in rows]),
        "highest_bid_size": np.full(len(rows), 10.0),
    }
    return BarBlock.from_columns(("ES",), START + SECOND * np.arange(1, len(rows) + 1), columns, extra=extra)


def row(arrival: float, low: float, high: float, close: float) -> dict[str, float]:
    """A row by its mids; the spread is two ticks."""
    prices = {"open": arrival, "low": low, "high": high, "close": close}
    prices |= {
        "bid": close - PRICE,
        "ask": close + PRICE,
        "arrival_bid": arrival - PRICE,
        "arrival_ask": arrival + PRICE,
    }
    return prices | {"lowest_ask": low + PRICE, "highest_bid": high - PRICE}


def test_a_stop_inside_the_row_meets_the_book_at_its_close_and_comes_before_the_target() -> None:
    """Bought at the ask of 100.25; the second row falls through the stop at 99 and rises through the target at 102."""
    block = made([row(100, 100, 100, 100), row(100, 100, 100, 100), row(100, 98, 103, 101)])
    simulator = Simulator(BOOK, [ES], np.empty(0, np.int64))
    simulator.advance(block, 0)
    entry = commands_of([(2, None, TimeInForce.GTC)])
    entry["stop_loss"], entry["take_profit"] = 99.0, 102.0
    simulator.submit(entry)
    simulator.advance(block, 1)
    simulator.advance(block, 2)
    assert told([simulator.take().fills]) == [(1, 1, 100.25, 2.0), (2, -1, 100.75, 2.0)]
    assert simulator.positions["quantity"][0] == 0.0
    assert len(simulator.orders[simulator.orders["state"] != 0]) == 0


def test_a_target_fills_at_its_price_when_the_bid_comes_to_it() -> None:
    block = made(
        [row(100, 100, 100, 100), row(100, 100, 100, 100), row(100, 100, 102, 101), row(101, 101, 102.25, 101)]
    )
    simulator = Simulator(BOOK, [ES], np.empty(0, np.int64))
    simulator.advance(block, 0)
    entry = commands_of([(2, None, TimeInForce.GTC)])
    entry["stop_loss"], entry["take_profit"] = 99.0, 102.0
    simulator.submit(entry)
    for at in (1, 2, 3):
        simulator.advance(block, at)
    # in the third row the bid came to 101.75 only
    assert told([simulator.take().fills]) == [(1, 1, 100.25, 2.0), (3, -1, 102.0, 2.0)]
