"""Facts of markets whose law is known, from bars to figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Floats, concat
from engine.types.instruments import load_instrument
from engine.types.timeframe import DAY_NS, MINUTE_NS
from feeds.generators import START_NS, generate
from feeds.replay import HistoricalReplay
from feeds.stylised.facts import FIGURES, Facts, apart, distance, measure
from feeds.stylised.series import Series, series_of
from tests.real import EURO_FX, needs_real_data

GENERIC, ES = load_instrument("GENERIC"), load_instrument("ES")


def facts(name: str, bars: int = 30_000, **parameters: float) -> Facts:
    (series,) = series_of(generate(name, GENERIC, bars, 3, parameters), GENERIC)
    return measure(series, resamples=200)


@pytest.fixture(scope="module")
def walk() -> Facts:
    return facts("random_walk")


@pytest.fixture(scope="module")
def lively() -> Facts:
    return facts("monte_carlo", missing=0.0)


def test_a_random_walk_has_none_of_the_facts(walk: Facts) -> None:
    for key in ("skewness", "kurtosis", "acf_1", "acf_near", "size_acf_1", "size_acf_60", "leverage"):
        low, high = walk.figures[key].low, walk.figures[key].high
        assert low - 0.01 < 0.0 < high + 0.01, key
    assert walk.figures["tail"].value > 5.0
    inside = (walk.curves["acf"].low <= 0.0) & (walk.curves["acf"].high >= 0.0)
    assert inside.mean() > 0.88


def test_clusters_tails_and_seasons_are_seen_where_they_are(lively: Facts) -> None:
    for key in ("kurtosis", "size_acf_1", "size_acf_60", "volume_size", "volume_acf_1"):
        assert lively.figures[key].low > 0.0, key
    assert lively.figures["season"].low > 1.5
    assert lively.figures["kurtosis_240"].value < lively.figures["kurtosis"].value
    assert 2.0 < lively.figures["tail"].value < 5.0


def test_every_figure_lies_within_its_interval(lively: Facts) -> None:
    assert lively.figures.keys() == FIGURES.keys()
    for key, one in lively.figures.items():
        assert one.low <= one.value <= one.high, key


def test_leverage_is_found_with_its_sign() -> None:
    shocks = np.random.default_rng(1).standard_normal(20_000)
    size = np.ones(20_000)
    size[1:] = np.where(shocks[:-1] < 0, 1.6, 0.7)
    series = Series("x", shocks * size, np.full(20_000, np.nan), np.full(20_000, 1), np.arange(20_000) // 500)
    found = measure(series, resamples=100)
    assert found.curves["leverage"].high[0] < -0.1
    assert abs(found.curves["leverage"].value[1]) < 0.05
    assert "season" not in found.curves and math.isnan(found.figures["volume_size"].value)


def test_the_same_seed_gives_the_same_facts() -> None:
    (series,) = series_of(generate("random_walk", GENERIC, 3000, 3), GENERIC)
    assert repr(measure(series, resamples=20)) == repr(measure(series, resamples=20))
    assert repr(measure(series, resamples=20)) != repr(measure(series, resamples=20, seed=1))


def test_intervals_that_do_not_meet_are_apart(walk: Facts, lively: Facts) -> None:
    assert apart(walk.figures["size_acf_1"], lively.figures["size_acf_1"]) is True
    assert apart(walk.figures["tail"], walk.figures["tail"]) is False
    unknown = walk.figures["tail"]._replace(value=math.nan)
    assert apart(unknown, walk.figures["tail"]) is None
    assert distance(walk, walk, "acf") == 0.0
    assert distance(walk, lively, "size_acf") > 0.05


def bars(prices: Floats, times: list[int]) -> BarBlock:
    close = np.asarray(prices, np.float64)
    columns = {"open": close * 0.999, "high": close, "low": close * 0.999, "close": close}
    return BarBlock.from_columns(("X",), np.array(times, np.int64), columns)


def test_returns_over_gaps_and_nights_do_not_count() -> None:
    minutes = [m for m in range(1, 2000) if m != 700]
    prices = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-3, len(minutes))))
    block = bars(prices, [START_NS + m * MINUTE_NS for m in minutes])
    (series,) = series_of(block, GENERIC)
    assert series.left_out == 1 and len(series.returns) == len(minutes) - 1
    assert series.returns[0] == pytest.approx(-math.log(0.999))
    assert series.minute[[0, 1437]].tolist() == [1, 1440]
    first_of_second = int(np.flatnonzero(np.diff(series.session))[0]) + 1
    assert series.returns[first_of_second] == pytest.approx(-math.log(0.999))
    assert series.minute[first_of_second] == 1
    assert series.returns[1] == pytest.approx(math.log(prices[1] / prices[0]))


def test_returns_of_days_go_from_close_to_close() -> None:
    prices = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-2, 600)))
    block = bars(prices, [START_NS + day * DAY_NS for day in range(600)])
    (series,) = series_of(block, GENERIC, DAY_NS)
    assert series.returns[1:] == pytest.approx(np.diff(np.log(prices)))


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(DataError, match="too few returns"):
        list(series_of(generate("random_walk", GENERIC, 100, 1), GENERIC))


@needs_real_data
def test_a_real_market_has_the_facts() -> None:
    euro = load_instrument("6E")
    block = concat(list(HistoricalReplay([EURO_FX], euro).blocks(1 << 24)))
    (series,) = series_of(block, euro)
    found = measure(series, resamples=200)
    assert found.blocks == 23 and found.left_out == 353
    assert 2.0 < found.figures["tail"].value < 5.0
    assert found.figures["size_acf_60"].low > 0.0
    assert found.figures["volume_size"].low > 0.3
    assert found.figures["season"].low > 2.0
    assert found.figures["kurtosis_60"].value < 0.5 * found.figures["kurtosis"].value
