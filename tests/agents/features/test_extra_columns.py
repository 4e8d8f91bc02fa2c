from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.features.stream import FeatureStream
from agents.spec import AGENTS
from engine.types.blocks import BarBlock
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from feeds.generators import START_NS, find_generator, generate_with_truth

ES = load_instrument("ES")


def bars() -> BarBlock:
    return generate_with_truth(find_generator("random_walk", {}), ES, 6_000, 7, START_NS).bars


def features(seat: str, block: BarBlock) -> np.ndarray:
    rows = FeatureStream(seat, block.symbols, sessions_for([ES], int(block.ts_event[0]))).push(block)
    return rows.features[rows.ready]


def at(seat: str, name: str) -> int:
    return [feature.name for feature in AGENTS[seat].features].index(name)


def test_a_quoted_spread_takes_the_place_of_the_estimate() -> None:
    block = bars()
    quoted = replace(block, extra={"spread": np.full(block.close.shape, 0.5)})
    plain, seen, place = features("strategic", block), features("strategic", quoted), at("strategic", "spread_estimate")
    assert np.array_equal(np.delete(plain, place, 1), np.delete(seen, place, 1))
    np.testing.assert_allclose(seen[:, place], 0.5 / block.close.mean(), rtol=0.2)


def test_the_volume_that_was_really_bought_takes_the_place_of_the_guess() -> None:
    block = bars()
    bought = replace(block, extra={"signed_volume": 0.25 * block.volume})
    seen, place = features("tactical", bought), at("tactical", "order_flow")
    np.testing.assert_allclose(seen[:, place], 0.25, rtol=1e-6)


def test_columns_that_no_feature_takes_change_nothing() -> None:
    block = bars()
    other = replace(block, extra={"rate": np.zeros(block.close.shape)})
    for seat in ("strategic", "tactical"):
        assert features(seat, block).tobytes() == features(seat, other).tobytes()
