"""A month of a currency future and of a perpetual: finite, within range and equal to the oracles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.features.stream import FeatureStream, elapsed_fraction
from agents.features.windows import Windows
from agents.spec import AGENTS
from engine.loop.aggregate import Aggregator
from engine.types.blocks import BarBlock, concat
from engine.types.calendar import Sessions, sessions_between
from engine.types.instruments import load_instrument
from engine.types.timeframe import parse_timeframe
from feeds.quarantine import Quarantine
from feeds.replay import HistoricalReplay, ReplayConfig
from tests.agents.features import oracles
from tests.real import BITCOIN, EURO_FX, needs_real_data

pytestmark = needs_real_data
MARKETS = [(EURO_FX, "6E", {}), (BITCOIN, "BTC-PERP", {"labels": "open"})]


def load(path: Path, name: str, options: dict[str, str]) -> tuple[BarBlock, Sessions]:
    instrument = load_instrument(name)
    replay = HistoricalReplay(path, instrument, ReplayConfig.model_validate(options), Quarantine())
    block = concat(list(replay.blocks(8192)))
    return block, sessions_between(instrument, int(block.ts_event[0]), int(block.ts_event[-1]))


@pytest.mark.parametrize(("path", "name", "options"), MARKETS)
@pytest.mark.parametrize("seat", ["strategic", "tactical"])
def test_a_month(path: Path, name: str, options: dict[str, str], seat: str) -> None:
    block, sessions = load(path, name, options)
    rows = FeatureStream(seat, block.symbols, sessions).push(block)
    features = AGENTS[seat].features
    assert rows.ready.sum() > 800
    assert np.isfinite(rows.features).all()
    for place, feature in enumerate(features):
        values = rows.features[rows.ready][:, place]
        assert feature.low <= values.min() < values.max() <= feature.high, feature.name
    bars = Aggregator(parse_timeframe(AGENTS[seat].timeframe or ""), sessions).push(block).bars
    if seat == "strategic":
        expected = oracles.strategic(bars, elapsed_fraction(sessions, bars.ts_event))
    else:
        expected = oracles.tactical(bars)
    assert rows.ready[:, 0].tolist() == (~np.isnan(expected).any(axis=1)).tolist()
    np.testing.assert_allclose(rows.features[rows.ready], expected[rows.ready[:, 0]], rtol=1e-6, atol=1e-6)
    batch = Windows(AGENTS[seat].window or 0, len(features), 1).push(rows)
    assert len(batch) == rows.ready.sum() - (AGENTS[seat].window or 0) + 1
