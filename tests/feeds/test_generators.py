"""Generators: their laws, their promises about bars, and their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import ConfigError, UsageError
from engine.types.blocks import BAR_COLUMNS
from engine.types.calendar import sessions_between
from engine.types.instruments import load_instrument
from engine.types.timeframe import MINUTE_NS
from feeds.generators import GENERATORS, START_NS, find_generator, generate, generate_with_truth
from feeds.generators_paths import Generator

GENERIC = load_instrument("GENERIC")
YEAR = 525_960.0


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("market", ["GENERIC", "ES"])
def test_bars_are_plausible(name: str, market: str) -> None:
    instrument = load_instrument(market)
    block = generate(name, instrument, 3000, seed=5)
    assert len(block) == 3000
    assert block.symbols == (instrument.name,)
    assert bool(block.present.all())
    assert bool((block.high >= np.maximum(block.open, block.close)).all())
    assert bool((block.low <= np.minimum(block.open, block.close)).all())
    assert bool((block.low > 0).all())
    assert bool((block.volume > 0).all())
    assert all(bool(np.isfinite(getattr(block, column)).all()) for column in BAR_COLUMNS)
    sessions = sessions_between(instrument, int(block.ts_event[0]), int(block.ts_event[-1]))
    assert bool(sessions.is_open(block.ts_event).all())
    if instrument.tick_size:
        ticks = block.close / instrument.tick_size
        assert np.array_equal(ticks, np.round(ticks))


@pytest.mark.parametrize("name", GENERATORS)
def test_a_longer_series_begins_with_the_shorter_and_seeds_differ(name: str) -> None:
    long, short, other = (generate(name, GENERIC, n, seed) for n, seed in ((4000, 3), (1500, 3), (1500, 4)))
    for column in ("ts_event", *BAR_COLUMNS):
        assert np.array_equal(getattr(long, column)[:1500], getattr(short, column)), column
    assert name == "constant_price" or not np.array_equal(short.close, other.close)


def test_bars_follow_each_other_by_a_minute_from_the_start() -> None:
    block = generate("random_walk", GENERIC, 100, 1, start_ns=START_NS + 7 * MINUTE_NS)
    assert block.ts_event[0] == START_NS + 8 * MINUTE_NS
    assert set(np.diff(block.ts_event).tolist()) == {MINUTE_NS}


def test_a_random_walk_has_its_volatility_and_no_memory() -> None:
    block = generate("random_walk", GENERIC, 100_000, 2, {"volatility": 0.4})
    returns = np.diff(np.log(block.close[:, 0]))
    assert returns.std() * math.sqrt(YEAR) == pytest.approx(0.4, rel=0.03)
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.015
    assert abs(returns.mean()) < 4 * returns.std() / math.sqrt(len(returns))


def test_ranges_follow_the_brownian_bridge() -> None:
    block = generate("random_walk", GENERIC, 50_000, 2, {"volatility": 0.4})
    ranges = np.log(block.high / block.low).mean()
    # Feller (1951): the mean range of a Brownian motion over a unit of time is sqrt(8 / pi)
    assert ranges == pytest.approx(math.sqrt(8 / math.pi) * 0.4 / math.sqrt(YEAR), rel=0.02)


def test_regimes_drift_and_last_as_they_should() -> None:
    generator = find_generator("regime_drift", {"drift_bps": 2.0, "volatility_bps": 3.0, "mean_minutes": 200})
    block, sign = generate_with_truth(generator, GENERIC, 200_000, 1)
    returns = np.diff(np.log(block.close[:, 0]), prepend=math.log(100.0))
    assert set(np.unique(sign)) == {-1.0, 1.0}
    assert (returns * sign).mean() == pytest.approx(2e-4, rel=0.05)
    assert (returns - 2e-4 * sign).std() == pytest.approx(3e-4, rel=0.02)
    assert len(sign) / (np.count_nonzero(np.diff(sign)) + 1) == pytest.approx(200, rel=0.1)
    assert np.array_equal(block.open[1:], block.close[:-1])


def test_mean_reversion_has_its_half_life_and_deviation() -> None:
    generator = find_generator("mean_reversion", {"half_life_minutes": 30, "deviation_bps": 80})
    block, away = generate_with_truth(generator, GENERIC, 200_000, 1)
    logs = np.log(block.close[:, 0])
    assert np.allclose(np.diff(logs), np.diff(away), atol=2e-8 * 100)
    assert away.std() == pytest.approx(0.008, rel=0.05)
    assert np.corrcoef(away[30:], away[:-30])[0, 1] == pytest.approx(0.5, abs=0.03)


def test_a_trending_drift_has_its_deviation_and_half_life() -> None:
    generator = find_generator("trending", {"drift_bps": 1.0, "half_life_minutes": 60, "volatility_bps": 3.0})
    block, drift = generate_with_truth(generator, GENERIC, 200_000, 1)
    returns = np.diff(np.log(block.close[:, 0]), prepend=math.log(100.0))
    assert drift.std() == pytest.approx(1e-4, rel=0.05)
    assert np.corrcoef(drift[60:], drift[:-60])[0, 1] == pytest.approx(0.5, abs=0.03)
    assert (returns - drift).std() == pytest.approx(3e-4, rel=0.02)
    assert np.polyfit(drift, returns, 1)[0] == pytest.approx(1.0, abs=0.05)
    assert np.array_equal(block.open[1:], block.close[:-1])


def test_calm_spells_rise_and_turbulent_ones_fall() -> None:
    given_spells = {"calm_minutes": 300, "turbulent_minutes": 100, "calm_drift_bps": 0.5, "turbulent_drift_bps": -1.0}
    block, kind = generate_with_truth(find_generator("volatility_premium", given_spells), GENERIC, 300_000, 1)
    returns = np.diff(np.log(block.close[:, 0]), prepend=math.log(100.0))
    assert set(np.unique(kind)) == {-1.0, 1.0}
    assert (kind > 0).mean() == pytest.approx(0.75, abs=0.03)
    for sign, drift, deviation, mean in ((1.0, 0.5e-4, 1.5e-4, 300), (-1.0, -1e-4, 4e-4, 100)):
        inside = kind == sign
        assert returns[inside].mean() == pytest.approx(drift, abs=4 * deviation / math.sqrt(inside.sum()))
        assert returns[inside].std() == pytest.approx(deviation, rel=0.02)
        begins = np.count_nonzero(np.diff(inside.astype(int), prepend=0) == 1)
        assert inside.sum() / begins == pytest.approx(mean, rel=0.1)


def test_spells_begin_by_the_stationary_law() -> None:
    generator = find_generator("volatility_premium", {"calm_minutes": 3000, "turbulent_minutes": 1000})
    first = [generate_with_truth(generator, GENERIC, 1, seed).hidden[0] for seed in range(300)]
    assert np.mean(np.array(first) > 0) == pytest.approx(0.75, abs=0.08)


@pytest.mark.parametrize("start", [START_NS, START_NS + 13 * 60 * MINUTE_NS])
def test_the_drift_follows_the_time_of_day_wherever_the_series_starts(start: int) -> None:
    generator = find_generator("time_of_day", {"drift_bps": 1.0, "rise_minute": 300})
    block, minute = generate_with_truth(generator, GENERIC, 144_000, 1, start)
    assert np.array_equal(minute, block.ts_event // MINUTE_NS % 1440)
    returns = np.diff(np.log(block.close[:, 0]), prepend=math.log(100.0))
    rising = (minute > 300) & (minute < 1020)
    # the mean of a sine over its upper half is 2 / pi
    assert returns[rising].mean() == pytest.approx(2e-4 / math.pi, abs=0.05e-4)
    assert returns[~rising].mean() == pytest.approx(-2e-4 / math.pi, abs=0.05e-4)


def test_noise_around_a_mean_adds_a_random_walk() -> None:
    given_noise = {"half_life_minutes": 30.0, "deviation_bps": 80.0, "noise_bps": 5.0}
    block, away = generate_with_truth(find_generator("mean_reversion", given_noise), GENERIC, 50_000, 1)
    rest = np.diff(np.log(block.close[:, 0])) - np.diff(away)
    assert rest.std() == pytest.approx(5e-4, rel=0.03)


def test_noise_decides_how_much_of_a_trend_can_be_foreseen() -> None:
    explained = []
    for noise in (0.1, 0.5, 1.0):
        generator = find_generator("trend", {"noise": noise, "volatility_min": 0.2, "volatility_max": 0.2})
        block, direction = generate_with_truth(generator, GENERIC, 60_000, 1)
        hourly = np.log(block.close[:, 0])[59::60]
        explained.append(float(np.corrcoef(np.diff(hourly), direction[60::60][: len(hourly) - 1])[0, 1]))
    assert explained[0] > 0.9 > explained[1] > explained[2] + 0.2
    assert abs(explained[2]) < 0.15


def test_sideways_stays_in_its_range_and_volatile_moves_more() -> None:
    common = {"volatility_min": 0.3, "volatility_max": 0.3, "trend": 0.0}
    minute = 0.3 / math.sqrt(YEAR)
    calm = generate("conditions", GENERIC, 50_000, 1, {**common, "volatile": 0.0, "noise": 0.0})
    wild = generate("conditions", GENERIC, 50_000, 1, {**common, "sideways": 0.0})
    assert np.abs(np.log(calm.close / 100)).max() < 6 * 0.5 * minute * math.sqrt(480)
    assert np.diff(np.log(wild.close[:, 0])).std() == pytest.approx(2.5 * minute, rel=0.15)


def test_a_crash_falls_by_its_depth_and_recovers_in_part() -> None:
    parameters = {"volatility": 1e-4, "mean_minutes": 5000.0, "depth": 0.1, "rebound": 0.5}
    close = generate("flash_crash", GENERIC, 20_000, 3, parameters).close[:, 0]
    deepest = int(np.argmin(close[5:] / close[:-5]))
    assert close[deepest + 5] / close[deepest] == pytest.approx(0.9, abs=2e-3)
    assert math.log(close[deepest + 65] / close[deepest]) == pytest.approx(0.5 * math.log(0.9), abs=5e-3)


def test_gaps_lie_between_bars() -> None:
    block = generate("gap", GENERIC, 50_000, 3, {"mean_minutes": 500, "size_bps": 100, "volatility": 0.01})
    gaps = np.log(block.open[1:, 0] / block.close[:-1, 0])
    large = np.abs(gaps) > 5e-4
    assert np.count_nonzero(large) == pytest.approx(100, rel=0.25)
    assert gaps[large].std() == pytest.approx(0.01, rel=0.25)


def test_a_constant_price_is_constant() -> None:
    block = generate("constant_price", GENERIC, 500, 1, {"price": 42.0})
    assert {*np.unique(block.open), *np.unique(block.high), *np.unique(block.low), *np.unique(block.close)} == {42.0}


def test_monte_carlo_draws_another_market_for_each_scenario() -> None:
    deviations = [
        float(np.diff(np.log(generate("monte_carlo", GENERIC, 3000, seed).close[:, 0])).std()) for seed in range(12)
    ]
    assert max(deviations) > 2 * min(deviations)


def test_unknown_names_and_wrong_parameters_are_explained() -> None:
    with pytest.raises(ConfigError, match="did you mean regime_drift"):
        find_generator("regime_drif")
    with pytest.raises(ConfigError, match="did you mean 'drift_bps'"):
        find_generator("regime_drift", {"drift_bp": 1})
    with pytest.raises(ConfigError, match="volatility: expected greater than 0"):
        find_generator("random_walk", {"volatility": 0})
    with pytest.raises(ConfigError, match="volatility_min cannot exceed volatility_max"):
        find_generator("monte_carlo", {"volatility_min": 2})
    with pytest.raises(ConfigError, match="must be above 0"):
        find_generator("trend", {"trend": 0})
    with pytest.raises(ConfigError, match=r"data\.sources\.1"):
        find_generator("gapp", where="data.sources.1.generator")
    with pytest.raises(UsageError, match="from 1 up"):
        generate("random_walk", GENERIC, 0, 1)
    with pytest.raises(UsageError, match="negative"):
        generate("random_walk", GENERIC, 1, -1)
    with pytest.raises(UsageError, match="run away"):
        generate("regime_drift", GENERIC, 50_000, 1, {"drift_bps": 100, "mean_minutes": 20_000})


@given(seed=st.integers(0, 2**63 - 1), name=st.sampled_from(sorted(GENERATORS)), bars=st.integers(1, 300))
@settings(max_examples=40)
def test_any_seed_and_length_gives_so_many_bars(seed: int, name: str, bars: int) -> None:
    generator = find_generator(name)
    assert isinstance(generator, Generator)
    block, hidden = generate_with_truth(generator, GENERIC, bars, seed)
    assert len(block) == len(hidden) == bars


def test_a_wrong_parameter_points_at_those_that_there_are() -> None:
    with pytest.raises(ConfigError) as error:
        find_generator("monte_carlo", {"volatilty": 1.0})
    hint = error.value.hint or ""
    assert "volatility_max 0.6" in hint and "price null" in hint and "config schema" not in hint
