"""Regressions of what a position earns."""

from __future__ import annotations

import numpy as np
import pytest

from engine.base.errors import UsageError
from tests.training.data.configs import small, synthetic
from tests.training.regression.markets import trending_market
from training.data.sources import load_market
from training.environment.market import Market
from training.regression.decisions import NOTHING, stretches
from training.regression.regression import PENALTIES, fit
from training.regression.terms import flat, quadratic


@pytest.fixture(scope="module")
def market() -> Market:
    return trending_market()


def test_it_is_ridge_regression_on_all_windows(market: Market) -> None:
    found = fit(market, [(0, len(market))], 1e-4, flat, discounts=(0.0,))
    series = list(stretches(market, (0, len(market))))
    rows, ahead = (np.concatenate(parts) for parts in zip(*series, strict=True))
    windows = market.strategic_windows(market.strategic_end[rows]).astype(np.float64)
    x = ((windows - found.mean) / found.deviation).reshape(len(rows), -1)
    centred = (x - x.mean(axis=0)) / x.std(axis=0)
    predicted, off = found.forecasts(market, rows), []
    for penalty in PENALTIES:
        weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(624), centred.T @ (ahead - ahead.mean()))
        off.append(float(np.abs(predicted - ahead.mean() - centred @ weights).max()))
    assert min(off) < 0.01 * predicted.std()
    assert np.corrcoef(predicted, ahead)[0, 1] > 0.6
    assert 0.0 <= found.earning.band < np.abs(predicted).max()
    assert found.earning.profit > 5.0 * found.earning.error > 0.0
    assert found.decisions == len(rows)


def test_what_it_earns_was_not_fitted() -> None:
    """On a random walk 624 weights fit whatever happened, and earn nothing elsewhere."""
    walk = load_market(small([synthetic("random_walk", 12, length=6000)]), 4)[0]
    for terms in (flat, quadratic):
        found = fit(walk, [(0, len(walk))], 1e-4, terms)
        assert found.earning == NOTHING or found.earning.profit < 3.0 * found.earning.error
    assert set(fit(walk, [(0, len(walk))], 0.1, flat).sides(walk, np.arange(3000, 3300, 30)).tolist()) == {0}


def test_one_source_is_forecast_from_its_other_quarters() -> None:
    one = load_market(small([synthetic("trending", 1, length=60_000, parameters={"drift_bps": 2.0})]), 4)[0]
    found = fit(one, [(0, len(one))], 1e-4, quadratic)
    assert found.earning.profit > 3.0 * found.earning.error > 0.0
    assert set(found.sides(one, next(stretches(one, (0, len(one)))).rows).tolist()) >= {-1, 1}


def test_too_little_to_learn_from_is_refused(market: Market) -> None:
    with pytest.raises(UsageError, match="at least 1,000 decisions"):
        fit(market, [(0, 6000)], 1e-4, flat)
