"""Statistics of features: from training only, and masked as configured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.spec import AGENTS
from engine.base.errors import DataError
from tests.training.data.configs import small, synthetic
from training.config import Preprocessing
from training.data.normalise import MASKED, fit_statistics, masked_features, visible_rows
from training.data.parts import Parts
from training.data.sources import load_market
from training.environment.market import Market

PLAIN = Preprocessing()


@pytest.fixture(scope="module")
def divided() -> tuple[Market, Parts]:
    """A market whose single long scenario is divided by time, and one of many scenarios beside it."""
    sources = [synthetic("monte_carlo", 1, length=12_000), synthetic("regime_drift", 4)]
    return load_market(small(sources, data={"split": {"embargo": 0}}), 1)


def slow_visible(market: Market, parts: Parts, seat: str, window: int) -> set[int]:
    """Oracle: every row of every window known in the training ranges, one by one."""
    ends = getattr(market, f"{seat}_end")
    seen: set[int] = set()
    for start, stop in parts.training:
        for row in range(start, stop):
            if ends[row] >= 0:
                seen |= set(range(int(ends[row]) - window, int(ends[row])))
    return seen


@pytest.mark.parametrize(("seat", "window"), [("strategic", 48), ("tactical", 60)])
def test_statistics_are_those_of_the_rows_that_training_sees(
    divided: tuple[Market, Parts], seat: str, window: int
) -> None:
    market, parts = divided
    rows, ends = getattr(market, f"{seat}_rows"), getattr(market, f"{seat}_end")
    seen = slow_visible(market, parts, seat, window)
    assert set(np.flatnonzero(visible_rows(ends, len(rows), parts.training, window)).tolist()) == seen
    assert 0 < len(seen) < len(rows)
    values = rows[sorted(seen)].astype(np.float64)
    found = fit_statistics(market, parts.training, PLAIN)[seat]
    assert np.allclose(found.mean, values.mean(axis=0), rtol=1e-6)
    assert np.allclose(found.std, values.std(axis=0), rtol=1e-6)
    assert found.mean.dtype == found.std.dtype == np.float32


def test_validation_and_test_leave_no_trace(divided: tuple[Market, Parts]) -> None:
    market, parts = divided
    clean = fit_statistics(market, parts.training, PLAIN)
    poisoned = {}
    for seat, window in (("strategic", 48), ("tactical", 60)):
        rows = getattr(market, f"{seat}_rows").copy()
        held_out = np.ones(len(rows), np.bool_)
        held_out[sorted(slow_visible(market, parts, seat, window))] = False
        assert held_out.any()
        rows[held_out] = np.nan
        poisoned[f"{seat}_rows"] = rows
    again = fit_statistics(replace(market, **poisoned), parts.training, PLAIN)
    for seat, statistics in clean.items():
        assert np.array_equal(statistics.mean, again[seat].mean)
        assert np.array_equal(statistics.std, again[seat].std)


def test_a_later_market_leaves_no_trace(divided: tuple[Market, Parts]) -> None:
    """Other bars after the training part, and the whole pipeline run anew."""
    market, parts = divided
    end = parts.training[0][1]
    blocks = []
    for segment in market.segments:
        part = {name: np.array(values[segment.start : segment.stop]) for name, values in market.bars._asdict().items()}
        if segment.start == 0:
            for name in ("open", "high", "low", "close"):
                part[name][end:] *= 3.0
        blocks.append((segment.name, part))
    from engine.types.blocks import BarBlock

    rebuilt = Market.build(
        market.instrument,
        [
            (name, BarBlock.from_columns(("GENERIC",), part.pop("ts_event"), part, part.pop("present")))
            for name, part in blocks
        ],
    )
    clean, again = (fit_statistics(one, parts.training, PLAIN) for one in (market, rebuilt))
    for seat in clean:
        assert np.array_equal(clean[seat].mean, again[seat].mean)
        assert np.array_equal(clean[seat].std, again[seat].std)


def test_flags_mask_features(divided: tuple[Market, Parts]) -> None:
    market, parts = divided

    def left(seat: str, **flags: bool) -> set[str]:
        hidden = masked_features(AGENTS[seat], Preprocessing(**flags))
        return {feature.name for feature, off in zip(AGENTS[seat].features, hidden, strict=True) if not off}

    everything = {feature.name for feature in AGENTS["strategic"].features}
    assert left("strategic", regime_detection=False) == everything - {"trend_regime", "volatility_regime"}
    assert left("strategic", feature_engineering=False) == {"log_return", "volume_ratio", "session"}
    assert left("tactical", feature_engineering=False) == {"log_return"}
    found = fit_statistics(market, parts.training, Preprocessing(regime_detection=False))["strategic"]
    hidden = masked_features(AGENTS["strategic"], Preprocessing(regime_detection=False))
    assert set(found.std[hidden].tolist()) == {np.float32(MASKED)}
    assert set(found.mean[hidden].tolist()) == {0.0}
    shown = (market.strategic_windows(market.strategic_end[-1:]) - found.mean) / found.std
    assert np.abs(shown[..., hidden]).max() < 1e-25
    assert np.abs(shown[..., ~hidden]).max() > 0.1


def test_without_normalisation_features_stay_as_they_are(divided: tuple[Market, Parts]) -> None:
    market, parts = divided
    found = fit_statistics(market, parts.training, Preprocessing(normalize=False, regime_detection=False))
    hidden = masked_features(AGENTS["strategic"], Preprocessing(regime_detection=False))
    assert not found["strategic"].mean.any()
    assert set(found["strategic"].std[~hidden].tolist()) == {1.0}
    assert set(found["risk"].std.tolist()) == {1.0}


def test_a_constant_feature_is_not_blown_up() -> None:
    market, parts = load_market(small([synthetic("constant_price", 4)]), 1)
    found = fit_statistics(market, parts.training, PLAIN)
    assert bool((found["tactical"].std == 1.0).all())
    assert all(bool(np.isfinite(one.mean).all() and (one.std > 0).all()) for one in found.values())


def test_nothing_to_fit_on_is_an_error(divided: tuple[Market, Parts]) -> None:
    market, _ = divided
    with pytest.raises(DataError, match="no observation of the strategic agent"):
        fit_statistics(market, [(0, 100)], PLAIN)
