"""Decisions, what they would earn, and the band."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.regression.markets import trending_market
from training.environment.market import Market
from training.regression.decisions import NOTHING, best_band, discounted, kept, stretches


@pytest.fixture(scope="module")
def market() -> Market:
    return trending_market()


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


def test_later_returns_count_less() -> None:
    ahead = np.random.default_rng(3).normal(size=40)
    for discount in (0.0, 0.5, 0.8):
        weights = (1.0 - discount) * discount ** np.arange(40)
        expected = [float(ahead[at:] @ weights[: 40 - at]) for at in range(40)]
        assert discounted(ahead, discount) == pytest.approx(expected)


def test_the_band_is_the_one_that_earns_most() -> None:
    rng = np.random.default_rng(1)
    ahead = rng.normal(0.0, 1.0, (8, 400))
    forecasts = 0.5 * ahead + rng.normal(0.0, 1.0, (8, 400))
    series = list(zip(forecasts, ahead, strict=True))
    narrow, wide = best_band(series, 0.0), best_band(series, 0.3)
    assert narrow.profit > wide.profit > wide.error > 0.0
    assert narrow.band < 0.2 < wide.band
    assert best_band(series, 10.0) == NOTHING
    assert best_band([(-one, other) for one, other in series], 0.1) == NOTHING


def test_a_band_earns_what_its_sides_earn_source_by_source() -> None:
    rng = np.random.default_rng(4)
    series = [(rng.normal(size=count), rng.normal(0.2, 1.0, count)) for count in (30, 2, 55, 9)]
    found = best_band(series, 0.05)
    earned = []
    for forecasts, ahead in series:
        sides = kept(forecasts, found.band)
        earned.append(float(sides @ ahead) - 0.05 * np.abs(np.diff([0, *sides.tolist(), 0])).sum())
    assert found.profit == pytest.approx(sum(earned))
    assert found.error == pytest.approx(np.std(earned) * 2.0)
