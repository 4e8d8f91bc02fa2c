"""The ridge regression: its algebra, and the band."""

from __future__ import annotations

import numpy as np
import pytest

from engine.base.errors import UsageError
from tests.training.data.configs import small, synthetic
from training.data.sources import load_market
from training.environment.market import Market
from training.suite.linear import PENALTIES, best_band, fit, kept, stretches


@pytest.fixture(scope="module")
def market() -> Market:
    return load_market(small([synthetic("trending", 12, length=6000, parameters={"drift_bps": 2.0})]), 4)[0]


def test_it_is_ridge_regression_on_all_windows(market: Market) -> None:
    found = fit(market, [(0, len(market))], 1e-4)
    series = list(stretches(market, (0, len(market))))
    rows, ahead = (np.concatenate(parts) for parts in zip(*series, strict=True))
    windows = market.strategic_windows(market.strategic_end[rows]).reshape(len(rows), -1).astype(np.float64)
    x = (windows - found.mean) / found.deviation
    centred = x - x.mean(axis=0)
    predicted = found.forecasts(market, rows)
    off = []
    for penalty in PENALTIES:
        weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(624), centred.T @ (ahead - ahead.mean()))
        off.append(float(np.abs(predicted - ahead.mean() - centred @ weights).max()))
    assert min(off) < 0.01 * predicted.std()
    assert np.corrcoef(predicted, ahead)[0, 1] > 0.6
    assert 0.0 <= found.band < np.abs(predicted).max()


def test_returns_are_from_fill_to_fill_within_a_source(market: Market) -> None:
    series = list(stretches(market, (0, len(market))))
    assert len(series) == 12
    for part, segment in zip(series, market.segments, strict=True):
        assert segment.start < part.rows[0]
        assert set(np.diff(part.rows).tolist()) == {30}
        assert part.rows[-1] + 31 < segment.stop
        opens = market.bars.open[:, 0]
        assert part.ahead == pytest.approx(opens[part.rows + 31] / opens[part.rows + 1] - 1.0)
    assert len(list(stretches(market, (6000, 9000)))) == 1


def test_what_is_held_stays_within_the_band() -> None:
    assert kept(np.array([0.5, 2.0, 0.1, -1.0, -3.0, 0.9]), 1.0).tolist() == [0, 1, 1, 1, -1, -1]
    assert kept(np.array([0.5, -2.0]), float("inf")).tolist() == [0, 0]


def test_the_band_is_the_one_that_earns_most() -> None:
    rng = np.random.default_rng(1)
    ahead = rng.normal(0.0, 1.0, (8, 400))
    forecasts = 0.5 * ahead + rng.normal(0.0, 1.0, (8, 400))
    series = list(zip(forecasts, ahead, strict=True))
    narrow, wide = best_band(series, 0.0), best_band(series, 0.3)
    assert narrow[0] > wide[0] > 0.0
    assert narrow[1] < 0.2 < wide[1]
    assert best_band(series, 10.0) == (0.0, float("inf"))
    assert best_band([(-one, other) for one, other in series], 0.1) == (0.0, float("inf"))


def test_too_little_to_learn_from_is_refused(market: Market) -> None:
    with pytest.raises(UsageError, match="at least 1,000 decisions"):
        fit(market, [(0, 6000)], 1e-4)
