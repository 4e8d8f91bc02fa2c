"""Operators on the market: each against what it says, and properties that all share."""

from dataclasses import replace

import numpy as np
import pytest

from engine.base.config import parse
from engine.base.errors import ConfigError
from engine.types.blocks import PRICE_COLUMNS, BarBlock
from engine.types.instruments import load_instrument
from feeds.generators import generate
from feeds.stress.scenarios import OPERATORS, Scenario, load_scenarios, strike_market
from feeds.stress.strike import BarOperator, MarketOperator, Strike

TICK, ROWS, AT = 0.25, 3000, 1200
MARKET = sorted(name for name, kind in OPERATORS.items() if issubclass(kind, MarketOperator))


@pytest.fixture(scope="module")
def bars() -> BarBlock:
    return generate("monte_carlo", load_instrument("ES"), ROWS, 7)


def two(bars: BarBlock) -> BarBlock:
    """Two symbols, the second at half the price and with holes."""
    columns = {name: np.column_stack([getattr(bars, name), getattr(bars, name) * 0.5]) for name in PRICE_COLUMNS}
    volume, present = np.column_stack([bars.volume, bars.volume]), np.column_stack([bars.present, bars.present])
    gone = np.arange(len(bars)) % 7 == 3
    for values in (*columns.values(), volume):
        values[gone, 1] = np.nan
    present[gone, 1] = False
    return BarBlock(("A", "B"), 0, bars.ts_event, volume=volume, present=present, **columns)


def made(name: str, **parameters: object) -> BarOperator:
    found = parse(OPERATORS[name], {"operator": name, **parameters}, where="test")
    assert isinstance(found, BarOperator)
    return found


def struck(bars: BarBlock, name: str, row: int = AT, seed: int = 1, **parameters: object) -> BarBlock:
    ticks = [TICK] + [TICK / 2] * (len(bars.symbols) - 1)
    return made(name, **parameters).apply(bars, Strike(row, (seed,), ticks))


def same(one: BarBlock, other: BarBlock) -> bool:
    names = ("ts_event", *PRICE_COLUMNS, "volume", "present")
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name in (*PRICE_COLUMNS, "volume"))
        for name in names
    )


@pytest.mark.parametrize("symbols", [1, 2])
@pytest.mark.parametrize("row", [0, 1, AT, ROWS - 2, ROWS - 1])
@pytest.mark.parametrize("name", MARKET)
def test_bars_stay_bars(bars: BarBlock, name: str, row: int, symbols: int) -> None:
    given = bars if symbols == 1 else two(bars)
    before = {column: getattr(given, column).copy() for column in (*PRICE_COLUMNS, "volume", "ts_event")}
    after = struck(given, name, row)
    for column, values in before.items():
        assert np.array_equal(getattr(given, column), values, equal_nan=True), "the given block must not change"
    assert same(after.slice(0, min(row, len(after))), given.slice(0, min(row, len(after))))
    assert same(after, struck(given, name, row)), "the same seed gives the same bars"
    there = after.present
    assert (np.diff(after.ts_event) > 0).all()
    assert len(after) >= 1
    assert (after.high[there] >= np.maximum(after.open, after.close)[there]).all()
    assert (after.low[there] <= np.minimum(after.open, after.close)[there]).all()
    assert (after.low[there] > 0).all()
    assert (after.volume[there] >= 0).all()
    for column in PRICE_COLUMNS:
        values = getattr(after, column)
        assert np.isnan(values[~there]).all()
        steps = values / np.array([TICK, TICK / 2][:symbols])
        assert np.allclose(steps[there], np.round(steps[there]), atol=1e-6)


def test_a_gap_moves_the_open_and_everything_after(bars: BarBlock) -> None:
    after = struck(bars, "gap", move=-0.05)
    for column in PRICE_COLUMNS:
        expected = np.round(getattr(bars, column)[AT:] * 0.95 / TICK) * TICK
        assert np.allclose(getattr(after, column)[AT:], expected)


def test_a_flash_crash_falls_and_recovers(bars: BarBlock) -> None:
    after = struck(bars, "flash_crash", depth=0.1, fall=4, recovery=10, recovered=0.75, volume=3.0)
    factor = after.close[:, 0] / bars.close[:, 0]
    bottom = np.log(0.9)
    for row in range(AT, AT + 30):  # the slow, obvious version
        passed = row - AT + 1
        if passed <= 4:
            log = bottom * passed / 4
        elif passed <= 14:
            log = bottom * (1 - 0.75 * (passed - 4) / 10)
        else:
            log = bottom * 0.25
        assert factor[row] == pytest.approx(np.exp(log), abs=TICK / 4000)
    assert np.allclose(after.volume[AT : AT + 14], bars.volume[AT : AT + 14] * 3.0)
    assert np.array_equal(after.volume[AT + 14 :], bars.volume[AT + 14 :])


def test_a_locked_market_has_one_price(bars: BarBlock) -> None:
    after = struck(bars, "limit_down", limit=0.05, rows=60, volume=0.0)
    level = np.round(bars.close[AT - 1, 0] * 0.95 / TICK) * TICK
    assert (after.close[AT : AT + 60] == level).all()
    assert (after.low[AT : AT + 60] == level).all()
    assert (after.high[AT + 1 : AT + 60] == level).all()
    assert after.high[AT, 0] >= bars.open[AT, 0], "it falls to the limit within the first bar"
    assert (after.volume[AT : AT + 60] == 0).all()
    later = after.close[AT + 60 :, 0] / level
    assert np.allclose(later, bars.close[AT + 60 :, 0] / bars.close[AT + 59, 0], atol=2 * TICK / level)


def test_a_volatility_shock_multiplies_every_log_move(bars: BarBlock) -> None:
    after = struck(bars, "volatility_shock", factor=3.0, rows=100)
    logs, then = np.log(bars.close[:, 0]), np.log(after.close[:, 0])
    moves = np.diff(logs)
    moves[AT - 1 : AT + 99] *= 3.0
    expected = logs[0] + np.concatenate([[0.0], np.cumsum(moves)])
    assert np.allclose(then, expected, atol=TICK / after.close.min())


def test_a_trend_day_and_a_squeeze_end_where_they_say(bars: BarBlock) -> None:
    trend = struck(bars, "trend_day", move=0.04, rows=200).close / bars.close
    assert np.allclose(trend[AT + 199 :], 1.04, atol=1e-4)
    assert trend[AT + 99, 0] == pytest.approx(1.04**0.5, abs=1e-4)
    squeeze = struck(bars, "squeeze", move=0.08, rows=100, fade=20, given_back=0.5).close / bars.close
    assert squeeze[AT + 99, 0] == pytest.approx(1.08, abs=1e-4)
    assert np.allclose(squeeze[AT + 119 :], 1.08**0.5, atol=1e-4)
    steps = np.diff(np.log(squeeze[AT - 1 : AT + 100, 0]))
    assert steps[-10:].sum() > 3 * steps[40:50].sum(), "it speeds up"


def test_a_sell_off_correlates_the_symbols(bars: BarBlock) -> None:
    random = np.random.default_rng(3)
    walks = 4000.0 * np.exp(np.cumsum(0.0004 * random.standard_normal((2000, 3)), axis=0))
    block = BarBlock.from_columns(
        ("A", "B", "C"), bars.ts_event[:2000], {name: np.round(walks / TICK) * TICK for name in PRICE_COLUMNS}
    )
    operator = made("sell_off", depth=0.2, rows=300, dispersion=0.0, correlation=0.9)
    after = operator.apply(block, Strike(500, (1,), [TICK] * 3))

    def apart(of: BarBlock) -> float:
        total = np.log(of.close[799] / of.close[499])
        return float(np.abs(total - total.mean()).max())

    assert apart(after) < 0.25 * apart(block)
    expected = np.log1p(-0.2) + 0.1 * np.log(block.close[799] / block.close[499])
    assert np.allclose(np.log(after.close[799] / after.close[499]), expected, atol=1e-3)
    betas = made("sell_off", depth=0.2, rows=300, dispersion=0.5).apply(block, Strike(500, (1,), [TICK] * 3))
    assert np.std(np.log(betas.close[799] / betas.close[499])) > 0.02


def test_a_drought_thins_the_volume_and_lengthens_the_wicks(bars: BarBlock) -> None:
    after = struck(bars, "drought", rows=50, volume=0.02, wicks=3.0)
    window = slice(AT, AT + 50)
    assert np.allclose(after.volume[window], bars.volume[window] * 0.02)
    top = np.maximum(bars.open, bars.close)
    assert np.allclose((after.high - top)[window], 3.0 * (bars.high - top)[window])
    assert np.array_equal(after.close, bars.close)
    assert np.array_equal(after.high[AT + 50 :], bars.high[AT + 50 :])


def test_flat_one_tick_and_zero_volume(bars: BarBlock) -> None:
    still = bars.close[AT - 1, 0]
    flat = struck(bars, "flat", rows=40)
    assert all((getattr(flat, name)[AT : AT + 40] == still).all() for name in PRICE_COLUMNS)
    tick = struck(bars, "flat", rows=40, ticks=1)
    assert set(tick.close[AT : AT + 40, 0]) == {still, still + TICK}
    assert (struck(bars, "zero_volume", rows=40).volume[AT : AT + 40] == 0).all()
    assert same(struck(bars, "zero_volume", rows=40).slice(AT + 40, ROWS), bars.slice(AT + 40, ROWS))


def test_an_early_close_takes_the_end_of_the_session(bars: BarBlock) -> None:
    end = AT + 1 + int(np.flatnonzero(np.diff(bars.ts_event[AT:]) > 15 * 60_000_000_000)[0])
    after = struck(bars, "early_close", rows=100)
    assert np.array_equal(after.ts_event, np.delete(bars.ts_event, np.arange(end - 100, end)))
    always = replace(bars, ts_event=np.arange(len(bars)) * 60_000_000_000)
    halted = struck(always, "early_close", rows=100)
    assert np.array_equal(halted.ts_event, np.delete(always.ts_event, np.arange(AT, AT + 100)))


def test_clocks_change(bars: BarBlock) -> None:
    hour = 3_600_000_000_000
    later = struck(bars, "daylight_saving")
    assert np.array_equal(later.ts_event[AT:], bars.ts_event[AT:] + hour)
    assert np.array_equal(later.close, bars.close)
    earlier = struck(bars, "daylight_saving", hours=-1)
    kept = [ts - hour for ts in bars.ts_event[AT:] if ts - hour > bars.ts_event[AT - 1]]
    assert np.array_equal(earlier.ts_event[AT:], kept)


def test_only_the_symbol_named_changes(bars: BarBlock) -> None:
    given = two(bars)
    after = struck(given, "gap", symbol="B")
    assert np.array_equal(after.close[:, 0], given.close[:, 0])
    assert not np.array_equal(after.close[:, 1], given.close[:, 1], equal_nan=True)


def test_extra_prices_follow(bars: BarBlock) -> None:
    quoted = replace(
        bars,
        extra={
            "bid": bars.close - TICK,
            "ask": bars.close + TICK,
            "spread": np.full_like(bars.close, 2 * TICK),
            "trades": np.ones_like(bars.close),
        },
    )
    after = struck(quoted, "gap", move=-0.05)
    assert np.allclose(after.extra["bid"][AT:], after.close[AT:] - TICK, atol=TICK)
    assert np.allclose(after.extra["spread"], after.extra["ask"] - after.extra["bid"])
    assert np.array_equal(after.extra["bid"][:AT], quoted.extra["bid"][:AT])
    assert np.array_equal(after.extra["trades"], quoted.extra["trades"])


def test_operators_compose_in_order(bars: BarBlock) -> None:
    scenario = parse(
        Scenario,
        {"name": "x", "operators": [{"operator": "gap", "move": 0.1}, {"operator": "gap", "move": -0.1, "after": 50}]},
        where="test",
    )
    after = scenario.struck(bars, AT, 1, [TICK]).truth
    first = struck(bars, "gap", move=0.1)
    assert same(after, struck(first, "gap", AT + 50, move=-0.1))
    assert same(after, strike_market(scenario.operators, bars, AT, (1,), [TICK]))


def test_thirty_scenarios_ship_and_mistakes_are_named() -> None:
    assert len(load_scenarios()) == 30
    with pytest.raises(ConfigError, match="dept"):
        parse(Scenario, {"name": "x", "operators": [{"operator": "flash_crash", "dept": 0.1}]}, where="test")
