"""History, indicators and timeframes: the right values, whatever the blocks, and again after a restart."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.context.indicator import Indicator
from agents.indicators.kinds import KINDS
from agents.strategy import Context, Strategy
from engine.base.errors import UsageError
from engine.loop.aggregate import aggregated
from engine.types.blocks import BarBlock, concat, reblock
from engine.types.contracts import restore_agent, snapshot_of_agent
from engine.types.instruments import Instrument
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.agents.context.driving import ENDS, MINUTE, driven
from tests.bars import random_bars
from tests.trees import saved

talib = pytest.importorskip("talib")
INSTRUMENT = Instrument(name="X", size_step=1, tick_size=0.01)
BARS = random_bars(900, seed=8, symbols=("A", "B"), absent=0.15)
SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=6)


class Looking(Strategy):
    """Keeps everything that it can see in every row."""

    history_rows = 50

    def __init__(self, early: bool = True) -> None:
        self.early = early
        self.seen: list[list[float]] = []

    def on_start(self, context: Context) -> None:
        if self.early:
            self.ask(context)

    def ask(self, context: Context) -> list[Indicator]:
        frame = context.bars("5min")
        found = [context.indicator(name, symbol=symbol) for name in KINDS for symbol in ("A", "B")]
        found += [context.indicator("ema", 7, of="volume"), frame.indicator("sma", 3, symbol="B")]
        return [*found, frame.indicator("rsi", length=5)]

    def on_bar(self, context: Context) -> None:
        if not self.early and context.seq < 40:
            return
        found = self.ask(context)
        frame = context.bars("5min")
        row = [one[name] for one in found for name in one.outputs]
        row += [found[0].ago(3), *found[1].history(4), *context.history("close", 50), *context.history("high", 3, "B")]
        row += context.history("low", 2, "*").ravel().tolist()
        row += frame.history("volume", 3, "*").ravel().tolist()
        row += [*context.times(2).astype(np.int64), *frame.times(2).astype(np.int64), frame.completed]
        bar = frame.bar("B")
        row += [0.0] if bar is None else [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ts_event]
        self.seen.append(row)


def seen(strategy: Any, sizes: list[int], bars: BarBlock = BARS) -> list[list[float]]:
    driven(strategy, bars, sizes, INSTRUMENT)
    found: list[list[float]] = strategy.seen
    return found


WHOLE = seen(Looking(), [1024])


def same(one: list[list[float]], other: list[list[float]]) -> None:
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)  # bit for bit, NaN included


@settings(max_examples=12, deadline=None)
@given(SIZES)
def test_blocks_mean_nothing(sizes: list[int]) -> None:
    same(seen(Looking(), sizes), WHOLE)


@pytest.mark.parametrize("sizes", [[1], [37], [1024]])
def test_what_is_asked_for_in_on_bar_is_as_if_it_had_been_there_from_the_start(sizes: list[int]) -> None:
    same(seen(Looking(early=False), sizes), WHOLE[40:])


def test_rows_see_nothing_of_what_comes_after_them() -> None:
    same(seen(Looking(), [1024], BARS.slice(0, 333)), WHOLE[:333])


class Columns(Strategy):
    history_rows = 300

    def __init__(self) -> None:
        self.views: list[tuple[int, Any, Any]] = []

    def on_bar(self, context: Context) -> None:
        self.views.append((context.seq, context.history("close", 300), context.history("open", 5, "*")))


def test_history_is_the_columns_of_the_past_and_views_never_change() -> None:
    strategy = Columns()
    driven(strategy, BARS, [64])
    padded = np.vstack([np.full((300, 2), np.nan), BARS.close])
    for seq, close, opens in strategy.views:  # long after they were handed out
        np.testing.assert_array_equal(close, padded[seq + 1 : seq + 301, 0])
        assert not close.flags.writeable and not close.flags.owndata
        if seq >= 4:
            np.testing.assert_array_equal(opens, BARS.open[seq - 4 : seq + 1])


ORACLES: dict[str, Any] = {
    "sma": lambda h, l, c: [talib.SMA(c, 20)],  # noqa: E741
    "ema": lambda h, l, c: [talib.EMA(c, 20)],  # noqa: E741
    "rsi": lambda h, l, c: [talib.RSI(c, 14)],  # noqa: E741
    "atr": lambda h, l, c: [talib.ATR(h, l, c, 14)],  # noqa: E741
    "macd": lambda h, l, c: talib.MACD(c),  # noqa: E741
    "bollinger": lambda h, l, c: [*(talib.BBANDS(c, 20)[k] for k in (1, 0, 2)), talib.STDDEV(c, 20)],  # noqa: E741
    "highest": lambda h, l, c: [talib.MAX(h, 20)],  # noqa: E741
    "lowest": lambda h, l, c: [talib.MIN(l, 20)],  # noqa: E741
    "roc": lambda h, l, c: [talib.ROCP(c, 10)],  # noqa: E741
    "stochastic": lambda h, l, c: talib.STOCH(h, l, c, 14, 3, 0, 3, 0),  # noqa: E741
}


class Last(Strategy):
    def __init__(self, name: str, *values: float, **named: Any) -> None:
        self.name, self.values, self.named = name, values, named
        self.seen: list[list[float]] = []

    def on_start(self, context: Context) -> None:
        self.indicator = context.indicator(self.name, *self.values, **self.named)

    def on_bar(self, context: Context) -> None:
        if context.bar(self.named.get("symbol")) is not None:
            self.seen.append([self.indicator[name] for name in self.indicator.outputs])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_indicators_are_those_of_talib(name: str) -> None:
    assert ORACLES.keys() == KINDS.keys()
    found = np.array(seen(Last(name, symbol="B"), [100])).T
    there = BARS.present[:, 1]
    high, low, close = (getattr(BARS, column)[there, 1] for column in ("high", "low", "close"))
    expected = ORACLES[name](high, low, close)
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(theirs))
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-9)


FOREIGN = ["ADX", "OBV", "SAR", "HT_TRENDLINE", "CDLDOJI", "STOCHRSI", "T3", "KAMA", "LINEARREG", "CORREL", "ULTOSC"]


@pytest.mark.parametrize("name", FOREIGN)
def test_functions_of_talib_stream(name: str) -> None:
    whole = seen(Last(f"talib.{name}", symbol="B"), [1024])
    for sizes in ([1], [97, 5]):
        same(seen(Last(f"talib.{name}", symbol="B"), sizes), whole)
    there = BARS.present[:, 1]
    names = ("open", "high", "low", "close", "volume")
    columns = {column: np.ascontiguousarray(getattr(BARS, column)[there, 1]) for column in names}
    expected = talib.abstract.Function(name)(columns)
    rows = [expected] if isinstance(expected, np.ndarray) else expected
    same([list(map(float, row)) for row in zip(*rows, strict=True)], whole)


def test_talib_takes_parameters_by_name_and_place_and_another_column() -> None:
    one, other = (
        seen(Last("talib.SMA", 5, symbol="A"), [900]),
        seen(Last("talib.sma", timeperiod=5, of="open", symbol="A"), [900]),
    )
    there = BARS.present[:, 0]
    same(one, [[v] for v in talib.SMA(BARS.close[there, 0], 5)])
    same(other, [[v] for v in talib.SMA(BARS.open[there, 0], 5)])


def test_larger_bars_are_those_of_the_aggregator() -> None:
    class Frames(Strategy):
        def __init__(self) -> None:
            self.bars: list[list[Any]] = []

        def on_bar(self, context: Context) -> None:
            frame = context.bars("30min")
            if frame.completed:
                self.bars.append([frame.times(1)[0].astype(np.int64), *frame.history("close", 1, "*")[0]])

    strategy = Frames()
    driven(strategy, BARS, [64], INSTRUMENT)
    expected = concat(list(aggregated([BARS], 30 * MINUTE, INSTRUMENT)))
    same(strategy.bars, np.column_stack([expected.ts_event, expected.close]).tolist())


class Saving(Looking):
    """As a user writes it: it knows only of its own count."""

    def snapshot(self) -> bytes:
        return json.dumps(len(self.seen)).encode()

    def restore(self, state: bytes) -> None:
        assert json.loads(state) >= 0


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("at", [1, 45, 333])
def test_a_restart_changes_nothing(at: int, early: bool) -> None:
    first, traded = Saving(early), [INSTRUMENT] * 2
    simulator = Simulator(PortfolioConfig(), traded, ENDS)
    first.bind(BARS.symbols, traded, MINUTE)
    for part in reblock([BARS.slice(0, at)], [20]):
        first.step(simulator, part)
    state = snapshot_of_agent(first)
    assert state is not None
    second = Saving(early)
    second.bind(BARS.symbols, traded, MINUTE)
    restore_agent(second, state)
    assert saved(second.saved_beside) == saved(first.saved_beside)
    for part in reblock([BARS.slice(at, 900)], [33]):
        second.step(simulator, part)
    same(first.seen + second.seen, WHOLE if early else WHOLE[40:])


def test_what_needs_all_bars_is_not_saved() -> None:
    class Foreign(Saving):
        def ask(self, context: Context) -> list[Indicator]:
            return [context.indicator("talib.OBV"), context.indicator("sma")]

    strategy = Foreign()
    driven(strategy, BARS, [64])
    assert snapshot_of_agent(strategy) is None


class Asking(Strategy):
    history_rows = 20

    def __init__(self, ask: Any, at: int = 0) -> None:
        self.ask, self.at = ask, at

    def on_bar(self, context: Context) -> None:
        if context.seq == self.at:
            self.ask(context)


@pytest.mark.parametrize(
    ("ask", "at", "message"),
    [
        (lambda c: c.history("clsoe", 3), 0, "did you mean close"),
        (lambda c: c.history("close", 21), 0, "history_rows"),
        (lambda c: c.history("close", 0), 0, "1 to 20 rows"),
        (lambda c: c.history("close", 3, "C"), 0, "no symbol 'C'"),
        (lambda c: c.indicator("smaa"), 0, "did you mean sma"),
        (lambda c: c.indicator("sma", 1.5), 0, "length must be a whole number"),
        (lambda c: c.indicator("sma", width=2), 0, "other parameters"),
        (lambda c: c.indicator("macd", 26, 12), 0, "fast < slow"),
        (lambda c: c.indicator("atr", of="open"), 0, "always looks at"),
        (lambda c: c.indicator("sma").history(21), 0, "history_rows"),
        (lambda c: c.indicator("sma")["upper"], 0, "no output 'upper'"),
        (lambda c: c.indicator("sma"), 20, "on_start"),
        (lambda c: c.bars("5min"), 20, "on_start"),
        (lambda c: c.bars("90s"), 0, "whole multiple of 1min"),
        (lambda c: c.indicator("talib.ADXX"), 0, "ADX"),
        (lambda c: c.indicator("talib.MAVP"), 0, "second series"),
        (lambda c: c.indicator("talib.SMA", 0), 0, "talib.SMA"),
    ],
)
def test_what_cannot_be_had_is_named(ask: Any, at: int, message: str) -> None:
    for sizes in ([1], [64]):
        with pytest.raises(UsageError, match=message):
            driven(Asking(ask, at), BARS, sizes)


def test_crossings_of_means_on_a_tick_grid_are_exact() -> None:
    ticks = np.random.default_rng(2).integers(-2, 3, 3000).cumsum() + 11_000
    prices = ticks / 100.0
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    bars = BarBlock.from_columns(["X"], MINUTE * (1 + np.arange(3000)), columns)

    class Crossing(Strategy):
        def __init__(self) -> None:
            self.crossed: list[int] = []

        def on_bar(self, context: Context) -> None:
            fast, slow = context.indicator("sma", 10), context.indicator("sma", 30)
            if fast.crossed_above(slow):
                self.crossed.append(context.seq)

    strategy = Crossing()
    driven(strategy, bars, [500], INSTRUMENT)
    means = {n: np.convolve(ticks, np.ones(n, np.int64))[29:3000] * (30 // n) for n in (10, 30)}
    above = means[10] > means[30]
    assert strategy.crossed == (np.flatnonzero(above[1:] & ~above[:-1]) + 30).tolist()
