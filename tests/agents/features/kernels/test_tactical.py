from __future__ import annotations

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from agents.features.definitions import TACTICAL
from agents.features.kernels.tactical import TACTICAL_WARMUP
from engine.types.blocks import BarBlock
from tests.agents.features import oracles
from tests.agents.features.kernels.test_strategic import CELLS, bars_of
from tests.bars import MINUTE, random_bars

NAMES = [feature.name for feature in TACTICAL]
FLOW = NAMES.index("order_flow")


@pytest.mark.parametrize(("seed", "volatility"), [(1, 1e-3), (2, 2e-2), (3, 1e-4)])
def test_agrees_with_talib_and_the_definitions(seed: int, volatility: float) -> None:
    block = random_bars(700, seed=seed, volatility=volatility, tick=0.0)
    expected = oracles.tactical(block)
    features, ready, atr = oracles.run_tactical(block)
    exists = ~np.isnan(expected).any(axis=1)
    assert ready[:, 0].tolist() == exists.tolist()
    for place, name in enumerate(NAMES):
        np.testing.assert_allclose(
            features[exists, 0, place], expected[exists, place], rtol=1e-9, atol=1e-9, err_msg=name
        )
    talib_atr = talib.ATR(block.high[:, 0], block.low[:, 0], block.close[:, 0], 14)
    np.testing.assert_allclose(atr[:, 0], talib_atr, rtol=1e-12)


def test_the_first_row_is_the_60th() -> None:
    features, ready, atr = oracles.run_tactical(random_bars(70))
    assert np.flatnonzero(ready[:, 0])[0] == TACTICAL_WARMUP - 1 == 59
    assert ready[59:].all()
    assert not features[:59].any()
    assert np.flatnonzero(~np.isnan(atr[:, 0]))[0] == 14


def test_bars_weigh_equally_where_a_volume_is_unknown_or_all_are_zero() -> None:
    block = random_bars(120, seed=5, tick=0.0)
    block.volume[70] = np.nan
    block.volume[90:110] = 0.0
    features, _, _ = oracles.run_tactical(block)
    fractions = oracles.bulk_fraction(block.close[:, 0])
    equal, volume = oracles.rolling(fractions, 12) / 12, block.volume[:, 0]
    with np.errstate(invalid="ignore"):
        weighted = oracles.rolling(fractions * volume, 12) / oracles.rolling(volume, 12)
    plain = [*range(70, 82), *range(101, 110)]
    others = [row for row in range(59, 120) if row not in plain]
    np.testing.assert_allclose(features[plain, 0, FLOW], equal[plain], rtol=1e-9)
    np.testing.assert_allclose(features[others, 0, FLOW], weighted[others], rtol=1e-9)


def test_signed_volume_replaces_the_estimate_where_it_is() -> None:
    block = random_bars(120, seed=6, tick=0.0)
    block.volume[100] = np.nan
    signed = np.full((120, 1), np.nan)
    signed[70:75] = 0.25 * block.volume[70:75]
    signed[80] = 3.0 * block.volume[80]  # more than was traded: all of it was bought
    signed[100] = 5.0  # of an unknown volume: no fraction
    with_signs, _, _ = oracles.run_tactical(block, signed)
    without, _, _ = oracles.run_tactical(block)
    fractions, volume = oracles.bulk_fraction(block.close[:, 0]), block.volume[:, 0]
    fractions[70:75], fractions[80] = 0.25, 1.0
    expected = oracles.rolling(fractions * volume, 12) / oracles.rolling(volume, 12)
    np.testing.assert_allclose(with_signs[59:100, 0, FLOW], expected[59:100], rtol=1e-9)
    assert with_signs[100:, 0].tobytes() == without[100:, 0].tobytes()
    assert np.delete(with_signs, FLOW, axis=2).tobytes() == np.delete(without, FLOW, axis=2).tobytes()


def test_a_straight_fall_by_hand() -> None:
    close = 1000.0 - np.arange(80, dtype=np.float64)
    columns = {"open": close + 1, "high": close + 1, "low": close, "close": close, "volume": np.ones(80)}
    features, _, _ = oracles.run_tactical(BarBlock.from_columns(["X"], np.arange(1, 81) * MINUTE, columns))
    last = dict(zip(NAMES, features[-1, 0], strict=True))
    assert last["rsi_7"] == -1.0
    assert last["close_location"] == -1.0
    assert last["range_expansion"] == pytest.approx(1.0)
    # every change is one deviation: 68.27 percent of a normal distribution lie within it
    assert last["order_flow"] == pytest.approx(-0.6826894921)


@given(st.lists(CELLS, min_size=60, max_size=90))
def test_wild_bars_give_finite_features(cells: list[tuple[float, float, float, float]]) -> None:
    features, ready, _ = oracles.run_tactical(bars_of(cells))
    assert ready[-1, 0]
    assert np.isfinite(features).all()
    for name in ("rsi_7", "close_location", "order_flow", "range_expansion"):
        feature, values = TACTICAL[NAMES.index(name)], features[:, 0, NAMES.index(name)]
        assert feature.low - 1e-12 <= values.min(), name
        assert values.max() <= feature.high + 1e-12, name
