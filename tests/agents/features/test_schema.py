from __future__ import annotations

import hashlib
import json
import math
from dataclasses import FrozenInstanceError

import pytest

from agents.features.definitions import FORMULAS_VERSION, STRATEGIC
from agents.features.schema import difference, schema, schema_hash
from agents.spec import AGENTS
from engine.base.errors import UsageError


def test_the_shapes_are_those_of_the_networks() -> None:
    shapes = {name: (seat.timeframe, seat.window, len(seat.features)) for name, seat in AGENTS.items()}
    assert shapes == {"strategic": ("30min", 48, 13), "tactical": ("5min", 60, 7), "risk": (None, None, 10)}


@pytest.mark.parametrize("seat", AGENTS)
def test_features_are_well_formed(seat: str) -> None:
    features = AGENTS[seat].features
    assert len({feature.name for feature in features}) == len(features)
    for feature in features:
        assert feature.low < feature.high
        assert math.isfinite(feature.low) and math.isfinite(feature.high)
        assert feature.formula and feature.unit and feature.source and feature.oracle
    with pytest.raises(FrozenInstanceError):
        STRATEGIC[0].name = "other"  # type: ignore[misc]  # the point of the test


def test_the_hash_is_that_of_the_canonical_json() -> None:
    text = (
        '{"features":["log_return","momentum_3","momentum_12","rsi_7","close_location","order_flow",'
        f'"range_expansion"],"formulas_version":{FORMULAS_VERSION},"seat":"tactical","timeframe":"5min","window":60}}'
    )
    assert schema_hash("tactical") == hashlib.sha256(text.encode()).hexdigest()
    assert len({schema_hash(seat) for seat in AGENTS}) == 3


@pytest.mark.parametrize("seat", AGENTS)
def test_a_schema_survives_json(seat: str) -> None:
    assert difference(schema(seat), json.loads(json.dumps(schema(seat)))) == ""


def test_differences_are_named() -> None:
    mine = schema("strategic")
    names = mine["features"]
    cases = {
        "window is 60 instead of 48": mine | {"window": 60},
        "formulas_version is 0 instead of 1": mine | {"formulas_version": 0},
        'timeframe is missing instead of "30min"': {key: mine[key] for key in mine if key != "timeframe"},
        "extra is 1 instead of missing": mine | {"extra": 1},
        "feature 2 is adx instead of macd": mine | {"features": [names[0], "adx", *names[2:]]},
        "feature 13 (spread_estimate) is missing": mine | {"features": names[:-1]},
        "feature 14 (adx) is too many": mine | {"features": [*names, "adx"]},
        "features are not a list of names": mine | {"features": None},
    }
    for words, found in cases.items():
        assert difference(mine, found) == words
    assert difference(mine, {}).endswith("features are not a list of names")
    several = difference(mine, schema("tactical"))
    assert several.startswith('seat is "tactical" instead of "strategic"; timeframe is')
    assert several.endswith("; feature 1 is log_return instead of rsi_14")


def test_an_unknown_seat_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean tactical"):
        schema("tactic")
    with pytest.raises(UsageError, match="no seat is called"):
        schema_hash("x")
