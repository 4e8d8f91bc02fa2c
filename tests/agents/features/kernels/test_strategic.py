from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from agents.features.definitions import STRATEGIC
from agents.features.kernels.strategic import STRATEGIC_WARMUP
from engine.types.blocks import PRICE_COLUMNS, BarBlock, Floats
from tests.agents.features import oracles
from tests.bars import MINUTE, random_bars

NAMES = [feature.name for feature in STRATEGIC]


def column(features: Floats, name: str) -> Floats:
    return features[:, 0, NAMES.index(name)]


def bars_of(cells: list[tuple[float, float, float, float]]) -> BarBlock:
    """Bars from (one price, another, closeness of the close to the first, volume)."""
    one, other, share, volume = np.array(cells, np.float64).T
    close = one + (other - one) * share
    columns = {
        "open": one,
        "high": np.maximum(np.maximum(one, other), close),
        "low": np.minimum(np.minimum(one, other), close),
        "close": close,
        "volume": volume,
    }
    return BarBlock.from_columns(["X"], np.arange(1, len(cells) + 1) * MINUTE, columns)


@pytest.mark.parametrize(("seed", "volatility"), [(1, 1e-3), (2, 2e-2), (3, 1e-4)])
def test_agrees_with_talib_and_the_definitions(seed: int, volatility: float) -> None:
    block = random_bars(700, seed=seed, volatility=volatility, tick=0.0)
    block.volume[::7] = np.nan
    block.volume[300:330] = 0.0
    session = np.linspace(0.0, 1.0, 700)
    expected = oracles.strategic(block, session)
    features, ready, atr = oracles.run_strategic(block, session)
    exists = ~np.isnan(expected).any(axis=1)
    assert ready[:, 0].tolist() == exists.tolist()
    for place, name in enumerate(NAMES):
        np.testing.assert_allclose(
            features[exists, 0, place], expected[exists, place], rtol=1e-9, atol=1e-9, err_msg=name
        )
    talib_atr = talib.ATR(block.high[:, 0], block.low[:, 0], block.close[:, 0], 14)
    np.testing.assert_allclose(atr[:, 0], talib_atr, rtol=1e-12)


def test_the_first_row_is_the_49th() -> None:
    features, ready, atr = oracles.run_strategic(random_bars(60))
    assert np.flatnonzero(ready[:, 0])[0] == STRATEGIC_WARMUP - 1 == 48
    assert ready[48:].all()
    assert not features[:48].any()
    assert np.flatnonzero(~np.isnan(atr[:, 0]))[0] == 14


def test_every_regime_occurs() -> None:
    calm, wild = random_bars(400, seed=1, volatility=1e-4, tick=0), random_bars(400, seed=2, volatility=1e-2, tick=0)
    rows = {name: np.concatenate([getattr(calm, name), getattr(wild, name)]) for name in PRICE_COLUMNS}
    block = BarBlock.from_columns(["X"], np.arange(1, 801) * MINUTE, rows)
    features, ready, _ = oracles.run_strategic(block)
    for name in ("trend_regime", "volatility_regime"):
        assert set(column(features, name)[ready[:, 0]]) == {-1.0, 0.0, 1.0}
    assert column(features, "volatility_regime")[401:412].tolist() == [1.0] * 11
    assert set(column(features, "volume_ratio")[ready[:, 0]]) == {1.0}


def test_a_straight_rise_by_hand() -> None:
    close = 1000.0 + np.arange(80, dtype=np.float64)
    block = BarBlock.from_columns(
        ["X"], np.arange(1, 81) * MINUTE, {"open": close - 1, "high": close, "low": close - 1, "close": close}
    )
    features, _, atr = oracles.run_strategic(block)
    last = dict(zip(NAMES, features[-1, 0], strict=True))
    assert last["rsi_14"] == 1.0
    assert atr[-1, 0] == pytest.approx(1.0)
    # an EMA of span n lags a straight line by (n - 1) / 2 bars
    assert last["macd"] == pytest.approx((26 - 12) / 2)
    assert last["macd_signal"] == pytest.approx((26 - 12) / 2)
    assert last["trend_regime"] == 1.0
    assert last["close_location"] == 1.0
    assert last["bollinger_upper"] + last["bollinger_lower"] == pytest.approx(4 * np.sqrt(399 / 12) / close[-1])


def test_a_market_that_stands_still_says_nothing() -> None:
    block = random_bars(2000, seed=4)
    for name in PRICE_COLUMNS:
        getattr(block, name)[100:] = 101.3
    block.volume[100:] = 0.0
    features, _, _ = oracles.run_strategic(block)
    last = dict(zip(NAMES, features[-1, 0], strict=True))
    assert last["volume_ratio"] == 1.0
    for name in ("macd", "macd_signal", "log_return", "trend_regime", "close_location", "spread_estimate"):
        assert last[name] == 0.0, name
    assert last["atr_14"] < 1e-9


def test_a_flat_market_from_the_start_is_all_zero() -> None:
    flat = np.full(60, 5.0)
    block = BarBlock.from_columns(["X"], np.arange(1, 61) * MINUTE, dict.fromkeys(PRICE_COLUMNS, flat))
    features, ready, _ = oracles.run_strategic(block)
    assert ready[-1, 0]
    assert features[-1, 0].tolist() == [0.0] * 6 + [1.0] + [0.0] * 6


def test_quoted_spreads_replace_the_estimate_where_they_are() -> None:
    block = random_bars(100, seed=6)
    spread = np.full((100, 1), np.nan)
    spread[60:80] = np.linspace(0.0, 2e-3, 20)[:, None]
    with_quotes, _, _ = oracles.run_strategic(block, spread=spread)
    without, _, _ = oracles.run_strategic(block)
    assert column(with_quotes, "spread_estimate")[60:80].tolist() == spread[60:80, 0].tolist()
    with_quotes[60:80, 0, -1] = without[60:80, 0, -1]
    assert with_quotes.tobytes() == without.tobytes()


def test_a_bar_without_positive_prices_is_no_bar() -> None:
    block = random_bars(120, seed=7)
    kept = np.setdiff1d(np.arange(120), [20, 70, 71, 90])
    spoiled = replace(block, low=block.low.copy(), close=block.close.copy(), high=block.high.copy())
    spoiled.low[20], spoiled.low[70], spoiled.close[71], spoiled.high[90] = 0.0, -1.0, np.nan, np.inf
    features, ready, atr = oracles.run_strategic(spoiled)
    columns = {name: getattr(block, name)[kept] for name in ("open", "high", "low", "close", "volume")}
    without = oracles.run_strategic(BarBlock.from_columns(["X"], block.ts_event[kept], columns))
    assert features[kept].tobytes() == without[0].tobytes()
    assert atr[kept].tobytes() == without[2].tobytes()
    assert not ready[[20, 70, 71, 90]].any()
    assert np.isnan(atr[[20, 70, 71, 90]]).all()


PRICES = st.sampled_from([1e-8, 0.5, 1.0, 1.0000001, 1.5, 97.0, 1e9])
CELLS = st.tuples(PRICES, PRICES, st.floats(0.0, 1.0), st.sampled_from([np.nan, 0.0, 1.0, 1e12]))


@given(st.lists(CELLS, min_size=49, max_size=90))
def test_wild_bars_give_finite_features(cells: list[tuple[float, float, float, float]]) -> None:
    features, ready, _ = oracles.run_strategic(bars_of(cells))
    assert ready[-1, 0]
    assert np.isfinite(features).all()
    for name, low, high in (
        ("rsi_14", -1.0, 1.0),
        ("volume_ratio", 0.0, 20.0),
        ("close_location", -1.0, 1.0),
        ("spread_estimate", 0.0, 2.0),
    ):
        values = column(features, name)
        assert low <= values.min(), name
        assert values.max() <= high * (1 + 1e-12), name
