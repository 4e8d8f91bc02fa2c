"""Declared features: extra columns beside an agent's own features, whose bits stay what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.features.declared import DeclaredFeature, FeaturesConfig, declared_in
from agents.features.schema import difference, schema, schema_hash
from agents.features.stream import FeatureRows, FeatureStream
from agents.spec import AGENTS, AgentSpec, agents_seeing
from engine.base.errors import DataError
from engine.types.blocks import BarBlock, reblock
from engine.types.calendar import sessions_for
from engine.types.instruments import load_instrument
from tests.bars import random_bars

ES = load_instrument("ES")
FEATURES = FeaturesConfig.model_validate(
    {
        "strategic": [{"column": "rate", "scale": 2.0}, {"column": "imbalance", "limit": 0.5}],
        "tactical": [{"column": "imbalance"}],
    }
)
SEEING = agents_seeing(FEATURES)


def bars(rows: int = 4000, seed: int = 3) -> BarBlock:
    """Two symbols, of which bars are missing, with columns that are not always known."""
    found = random_bars(rows, seed, ("A", "B"), absent=0.05)
    rng = np.random.default_rng(seed)
    rate = np.where(rng.random((rows, 1)) < 0.2, np.nan, rng.normal(0.0, 30.0, (rows, 1))).repeat(2, axis=1)
    imbalance = np.where(found.present, rng.uniform(-1, 1, (rows, 2)), np.nan)
    return replace(found, extra={"rate": rate, "imbalance": imbalance})


def stream(agent: str | AgentSpec, block: BarBlock) -> FeatureStream:
    return FeatureStream(agent, block.symbols, sessions_for([load_instrument("BTC-PERP")], int(block.ts_event[0])))


def last_known(block: BarBlock, column: str, rows: FeatureRows, width: int) -> np.ndarray:
    """By hand: of the rows of each larger bar, the last one in which the symbol traded and the column was known."""
    out = np.zeros((len(rows), len(block.symbols)))
    for i, end in enumerate(rows.ts_event.tolist()):
        inside = (block.ts_event > end - width) & (block.ts_event <= end)
        for s in range(len(block.symbols)):
            values = block.extra[column][inside & block.present[:, s], s]
            values = values[~np.isnan(values)]
            out[i, s] = values[-1] if len(values) else 0.0
    return out


@pytest.mark.parametrize("seat", ["strategic", "tactical"])
def test_the_columns_come_after_the_features_whose_bits_stay(seat: str) -> None:
    block = bars()
    plain, seen = stream(seat, block).push(block), stream(SEEING[seat], block).push(block)
    count = len(AGENTS[seat].features)
    assert seen.features[:, :, :count].tobytes() == plain.features.tobytes()
    assert seen.features.dtype == np.float32 and seen.features.flags.c_contiguous
    width = AGENTS[seat].timeframe_ns
    for place, one in enumerate(SEEING[seat].declared):
        expected = np.clip(last_known(block, one.column, seen, width) / one.scale, -one.limit, one.limit)
        np.testing.assert_array_equal(
            seen.features[:, :, count + place], np.where(seen.ready, expected, 0.0).astype(np.float32)
        )
        assert np.abs(seen.features[:, :, count + place]).max() > 0.3


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(1, 700), min_size=1), cut=st.integers(100, 3900))
def test_blocks_and_snapshots_mean_nothing(sizes: list[int], cut: int) -> None:
    block = bars()
    whole = stream(SEEING["strategic"], block).push(block)
    going = stream(SEEING["strategic"], block)
    parts = [going.push(part) for part in reblock([block.slice(0, cut)], sizes)]
    resumed = stream(SEEING["strategic"], block)
    resumed.restore(going.snapshot())
    parts.append(resumed.push(block.slice(cut, len(block))))
    assert np.concatenate([part.features for part in parts]).tobytes() == whole.features.tobytes()
    other = stream("strategic", block)
    with pytest.raises(DataError):
        other.restore(going.snapshot())


def test_bars_without_the_column_are_refused_with_what_to_do() -> None:
    block = bars(100)
    missing = replace(block, extra={"imbalance": block.extra["imbalance"]})
    with pytest.raises(DataError, match="strategic agent needs a column 'rate', which the bars lack") as refused:
        stream(SEEING["strategic"], missing).push(missing)
    assert "imbalance" in str(refused.value) and "indicators" in str(refused.value)


def test_the_schema_is_another_with_and_the_same_without() -> None:
    for name, spec in agents_seeing(FeaturesConfig()).items():
        assert schema_hash(spec) == schema_hash(name)
        assert "declared" not in schema(name)
    hashes = {
        schema_hash(AGENTS["strategic"].seeing(declared))
        for declared in (
            (),
            (DeclaredFeature(column="rate"),),
            (DeclaredFeature(column="rate", scale=2.0),),
            (DeclaredFeature(column="rate", limit=2.0),),
            (DeclaredFeature(column="imbalance"),),
        )
    }
    assert len(hashes) == 5
    assert "feature 14 (rate) is missing" in difference(schema(SEEING["strategic"]), schema("strategic"))
    assert SEEING["strategic"].observation == (48, 15)
    assert SEEING["tactical"].observation == (60, 8)
    assert SEEING["risk"] == AGENTS["risk"]
    assert SEEING["strategic"].seeing(()) == AGENTS["strategic"]


def test_declarations_that_cannot_be_are_refused() -> None:
    for given_ in ({"column": "x", "scale": 0.0}, {"column": ""}, {"column": "x", "limit": -1.0}, {"name": "x"}):
        with pytest.raises(ValidationError):
            FeaturesConfig.model_validate({"strategic": [given_]})
    with pytest.raises(ValidationError, match="declared twice"):
        FeaturesConfig.model_validate({"tactical": [{"column": "x"}, {"column": "x"}]})
    with pytest.raises(DataError, match="cannot be read"):
        declared_in({"declared": [{"column": "x", "scale": "large"}]}, "a file")
    assert declared_in({}, "a file") == ()
