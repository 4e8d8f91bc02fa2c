from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from portfolio.luck import deflated_sharpe, luck
from portfolio.overfitting.pbo import block_sums, overfitting

purgedcv = pytest.importorskip("purgedcv")


def sums(returns: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = [block_sums(row, blocks) for row in returns]
    return (
        parts[0][0].astype(float),
        np.array([total for _, total, _ in parts]),
        np.array([square for _, _, square in parts]),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 12), st.sampled_from([2, 4, 6, 8]), st.integers(40, 133), st.booleans())
def test_the_same_as_a_peer(seed: int, variants: int, blocks: int, periods: int, skilled: bool) -> None:
    returns = np.random.default_rng(seed).standard_normal((variants, periods)) * 0.01 + 0.001
    returns[-1] += 0.004 * skilled
    returns[0] = 0.0  # never traded
    found = overfitting(*sums(returns, blocks))
    expected = purgedcv.probability_of_backtest_overfitting(returns, blocks)
    assert found is not None
    assert found.splits == expected.n_combos == math.comb(blocks, blocks // 2)
    assert found.probability == pytest.approx(expected.pbo, abs=1e-9)
    assert found.loss == pytest.approx((expected.is_oos_performance[:, 1] < 0).mean(), abs=1e-9)
    if found.slope is not None:
        assert found.slope == pytest.approx(expected.slope, abs=1e-7)


def test_sixteen_blocks_are_12870_splits() -> None:
    found = overfitting(*sums(np.random.default_rng(1).standard_normal((5, 400)), 16))
    assert found is not None
    assert found.splits == 12_870


def test_one_that_is_always_best_does_not_overfit() -> None:
    returns = np.random.default_rng(2).standard_normal((20, 800))
    returns[7] += 1.0
    found = overfitting(*sums(returns, 16))
    assert found is not None
    assert (found.probability, found.loss) == (0.0, 0.0)


def test_too_little_to_judge() -> None:
    assert overfitting(*sums(np.ones((1, 64)), 16)) is None
    assert overfitting(*sums(np.ones((3, 10)), 16)) is None
    with pytest.raises(ValueError, match="even"):
        overfitting(*sums(np.ones((3, 10)), 5))


def test_the_published_example() -> None:
    """Bailey and Lopez de Prado (2014): the best of 100, Sharpe 2.5 a year over 1,250 days, skew -3, kurtosis 10."""
    benchmark = luck(math.sqrt(0.5 / 250), 100)
    assert f"{benchmark:.4f}" == "0.1132"
    found = deflated_sharpe(2.5 / math.sqrt(250), benchmark, 1250, -3.0, 10.0)
    assert f"{found:.4f}" == "0.9004"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 100_000), st.floats(1e-4, 0.2))
def test_deflated_as_a_peer(seed: int, trials: int, deviation: float) -> None:
    returns = np.random.default_rng(seed).standard_t(5, 300) * 0.01 + 0.001
    # the peer's moments are those without bias
    skew, kurtosis = stats.skew(returns, bias=False), stats.kurtosis(returns, bias=False, fisher=False)
    found = deflated_sharpe(returns.mean() / returns.std(), luck(deviation, trials), len(returns), skew, kurtosis)
    assert found == pytest.approx(purgedcv.deflated_sharpe_ratio(returns, trials, deviation**2), abs=1e-9)
