from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.config import parse
from engine.base.errors import ConfigError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
from engine.types.calendar import sessions_between
from engine.types.instruments import Instrument, load_instrument
from engine.types.timeframe import DAY_NS, MINUTE_NS
from feeds.synthetic import CHUNK, Regime, SyntheticBars, SyntheticConfig

START = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp()) * 10**9
NAMES = ("6E", "ES", "BTC-PERP", "GENERIC")


def make(
    name: str = "6E",
    bars: int = 6000,
    seed: int = 1,
    start: int = START,
    config: SyntheticConfig | None = None,
) -> BarBlock:
    return concat(list(SyntheticBars(load_instrument(name), bars, start, seed, config).blocks(2048)))


def same(a: BarBlock, b: BarBlock) -> bool:
    columns = ("ts_event", "present", *BAR_COLUMNS)
    return a.seq == b.seq and all(getattr(a, c).tobytes() == getattr(b, c).tobytes() for c in columns)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(1, 3 * CHUNK), st.integers(1, 3 * CHUNK), st.integers(1, 5000), st.integers(0, 2**40))
def test_a_longer_series_begins_with_the_shorter_whatever_the_blocks(few: int, more: int, rows: int, seed: int) -> None:
    few, more = sorted((few, more))
    instrument = load_instrument("6E")
    short = concat(list(SyntheticBars(instrument, few, START, seed).blocks(rows)))
    long = concat(list(SyntheticBars(instrument, more, START, seed).blocks(1000)))
    assert len(short) == few
    assert len(long) == more
    assert same(short, long.slice(0, few))


def test_blocks_are_as_long_as_asked_and_numbered() -> None:
    blocks = list(SyntheticBars(load_instrument("ES"), 10_000, START, 3).blocks(3000))
    assert [len(block) for block in blocks] == [3000, 3000, 3000, 1000]
    assert [block.seq for block in blocks] == [0, 3000, 6000, 9000]


def test_the_seed_decides_and_can_come_from_a_generator() -> None:
    assert same(make(seed=5), make(seed=5))
    assert not same(make(seed=5), make(seed=6))
    instrument = load_instrument("6E")

    def from_generator(seed: int) -> BarBlock:
        source = SyntheticBars(instrument, 100, START, np.random.Generator(np.random.Philox(seed)))
        first, again = (concat(list(source.blocks(7))) for _ in range(2))
        assert same(first, again)
        return first

    assert same(from_generator(1), from_generator(1))
    assert not same(from_generator(1), from_generator(2))


def test_global_random_state_is_neither_read_nor_changed() -> None:
    np.random.seed(1)
    before = repr(np.random.get_state())
    first = make()
    assert repr(np.random.get_state()) == before
    np.random.seed(2)
    assert same(first, make())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_bars_are_sound(name: str, seed: int) -> None:
    instrument = load_instrument(name)
    bars = make(name, 30_000, seed)
    assert bool(bars.present.all())
    assert bool((bars.high >= np.maximum(bars.open, bars.close)).all())
    assert bool((bars.low <= np.minimum(bars.open, bars.close)).all())
    assert bool((bars.low > 0).all())
    assert bool((bars.volume > 0).all())
    if instrument.tick_size:
        ticks = bars.close / instrument.tick_size
        assert float(np.abs(ticks - np.round(ticks)).max()) < 1e-6
        # a price reads as its decimals say, without the noise of a float product
        assert all(len(repr(price)) <= 8 for price in bars.close[:100, 0].tolist())
    steps = bars.volume / instrument.size_step
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_bar_lies_in_a_session_and_almost_every_minute_has_one(name: str) -> None:
    instrument = load_instrument(name)
    bars = make(name, 40_000)
    sessions = sessions_between(instrument, int(bars.ts_event[0]), int(bars.ts_event[-1]))
    assert bool(sessions.is_open(bars.ts_event).all())
    assert bool((bars.ts_event % MINUTE_NS == 0).all())
    grid = np.arange(START + MINUTE_NS, int(bars.ts_event[-1]) + 1, MINUTE_NS)
    expected = grid[sessions.is_open(grid)]
    assert set(bars.ts_event.tolist()) <= set(expected.tolist())
    assert bars.ts_event[0] == expected[0]
    assert 0.001 < 1 - len(bars) / len(expected) < 0.02


def test_the_halt_of_a_future_is_kept() -> None:
    bars = make("6E", 30_000)
    stamps = bars.ts_event.astype("datetime64[ns]")
    minute_of_day = (bars.ts_event % DAY_NS) // MINUTE_NS
    winter = stamps < np.datetime64("2024-03-01")
    assert not bool(((minute_of_day > 22 * 60) & (minute_of_day <= 23 * 60) & winter).any())
    day = (stamps.astype("datetime64[D]").astype(np.int64) + 4) % 7  # 0 is Sunday
    assert not bool((day == 6).any())
    assert not bool(((day == 0) & (minute_of_day <= 22 * 60)).any())


def test_nothing_is_missing_if_nothing_may_be() -> None:
    bars = make("GENERIC", 10_000, config=SyntheticConfig(missing=0))
    assert bool((np.diff(bars.ts_event) == MINUTE_NS).all())


def test_volatility_is_as_configured_and_clusters() -> None:
    flat = SyntheticConfig(volatility=0.5, regimes=(Regime(name="only"),), clustering=0, tail=50, missing=0)
    minutes = 365 * 24 * 60
    quiet = np.diff(np.log(make("GENERIC", minutes, config=flat).close[:, 0]))
    # the daily profile averages about 1 and its square somewhat more, so the bound is one-sided by a fifth
    assert 0.45 < float(quiet.std()) * minutes**0.5 < 0.65
    bars = make("GENERIC", 100_000)
    returns = np.abs(np.diff(np.log(bars.close[:, 0])))
    assert np.corrcoef(returns[1:], returns[:-1])[0, 1] > 0.15  # clusters
    assert np.corrcoef(returns, bars.volume[1:, 0])[0, 1] > 0.5  # volume follows volatility
    assert float(((returns / returns.std()) ** 4).mean()) > 6  # heavier tails than the normal law


def test_extremes_follow_the_law_of_the_bridge() -> None:
    flat = SyntheticConfig(regimes=(Regime(name="only"),), clustering=0, tail=1e6, missing=0, price=1e6)
    bars = make("GENERIC", 60_000, config=flat)
    o, h, low, c = (np.log(getattr(bars, name)[:, 0]) for name in ("open", "high", "low", "close"))
    # Rogers and Satchell: E[(h-o)(h-c) + (l-o)(l-c)] is the variance of a minute, as E[(c-o)^2] is
    estimate = ((h - o) * (h - c) + (low - o) * (low - c)).mean()
    assert estimate == pytest.approx(((c - o) ** 2).mean(), rel=0.03)


def test_drift_and_price_can_be_set() -> None:
    up = SyntheticConfig(regimes=(Regime(name="bull", drift=5.0, volatility=0.1),), price=50.0)
    bars = make("GENERIC", 100_000, config=up)
    assert bars.open[0, 0] == pytest.approx(50, rel=0.01)
    years = 100_000 / (365.25 * 1440)
    assert np.log(bars.close[-1, 0] / 50) == pytest.approx(5 * years, abs=0.1)


def test_short_sessions_are_busy_at_both_ends() -> None:
    stock = Instrument(name="STOCK", tick_size=0.01, size_step=1, calendar="XNYS")
    bars = concat(list(SyntheticBars(stock, 60_000, START, 4).blocks(5000)))
    sessions = sessions_between(stock, int(bars.ts_event[0]), int(bars.ts_event[-1]))
    at = sessions.index(bars.ts_event)
    place = (bars.ts_event - sessions.opens[at]) / (sessions.closes[at] - sessions.opens[at])
    volume = bars.volume[:, 0]
    middle = volume[(place > 0.4) & (place < 0.6)].mean()
    assert volume[place < 0.1].mean() > 1.3 * middle
    assert volume[place > 0.9].mean() > 1.3 * middle


@pytest.mark.parametrize(
    ("bars", "start", "seed", "says"),
    [
        (0, START, 1, "needs bars"),
        (10, -1, 1, "out of range"),
        (10, 2**63 - 1, 1, "out of range"),
        (10, START, -1, "seed"),
    ],
)
def test_nonsense_is_refused(bars: int, start: int, seed: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        SyntheticBars(load_instrument("6E"), bars, start, seed)


def test_a_series_cannot_outlast_the_clock() -> None:
    near_the_end = 219 * 365 * DAY_NS
    with pytest.raises(UsageError, match="2189"):
        list(SyntheticBars(load_instrument("GENERIC"), 2_000_000, near_the_end, 1).blocks(100_000))


def test_blocks_need_rows() -> None:
    with pytest.raises(UsageError, match="rows"):
        SyntheticBars(load_instrument("6E"), 10, START, 1).blocks(0)


def test_a_market_needs_a_regime() -> None:
    with pytest.raises(ConfigError, match="regimes must name"):
        parse(SyntheticConfig, {"regimes": []}, where="test")
