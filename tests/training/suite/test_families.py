"""Families: ranges, disjoint draws, and whether anything can be earned."""

from __future__ import annotations

import pytest

from engine.base.errors import UsageError
from engine.types.instruments import load_instrument
from feeds.generators import START_NS, find_generator
from tests.training.data.configs import small
from training.config import SyntheticSource
from training.suite.families import FAMILIES, held_out_sources, training_sources
from training.suite.laws import law_of
from training.suite.markets import best_policy, has_known_laws

FEE = 1e-4


def gain(source: SyntheticSource) -> float:
    """Of full information, percent of the price in an episode of 2,000 bars, with one unit."""
    generator = find_generator(source.generator, source.parameters)
    law = law_of(generator, load_instrument("GENERIC"), (1, START_NS))
    assert law is not None
    return 100.0 * 2000 * best_policy(law, FEE, 1.0).gain


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_lie_in_their_ranges_and_none_is_met_twice(name: str) -> None:
    family = FAMILIES[name]
    seen, held = training_sources(name, 7), held_out_sources(name, 7)
    assert len(seen) == len(held) == 4
    assert sum(one.scenarios for one in seen) == 300
    assert sum(one.scenarios for one in held) == 40
    for key, limits in family.varied.items():
        values = [one.parameters[key] for one in (*seen, *held)]
        assert all(limits.low * 0.999 <= value <= limits.high * 1.001 or value == limits.low for value in values) or (
            limits.low < 0 and all(limits.low <= value <= limits.high for value in values)
        )
        assert len(set(values)) == 8
        # one in each eighth of the range
        places = sorted(values)
        assert places[0] < limits.at(1 / 8) + 1e-9
        assert places[-1] > limits.at(7 / 8) - 1e-3
    for key in family.shared:
        assert len({one.parameters[key] for one in (*seen, *held)}) == 1


def test_seeds_and_families_differ_and_repeat() -> None:
    assert training_sources("trending", 1) == training_sources("trending", 1)
    assert training_sources("trending", 1) != training_sources("trending", 2)
    assert (
        training_sources("time_of_day", 1)[0].parameters["rise_minute"]
        != (training_sources("time_of_day", 2)[0].parameters["rise_minute"])
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_training_takes_the_sources_and_their_optimum_is_known(name: str) -> None:
    sources = [one.model_dump() for one in training_sources(name, 1, scenarios=6, markets=2)]
    config = small(sources)
    assert [one.scenarios for one in config.data.sources if isinstance(one, SyntheticSource)] == [3, 3]
    assert has_known_laws(config)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.earns])
def test_every_market_that_should_earn_does(name: str) -> None:
    for seed in (1, 2):
        assert all(gain(one) > 0.4 for one in (*training_sources(name, seed), *held_out_sources(name, seed)))


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.earns])
def test_in_the_others_nothing_can_be_earned(name: str) -> None:
    for seed in range(4):
        for one in (*training_sources(name, seed), *held_out_sources(name, seed)):
            assert gain(one) == pytest.approx(0.0, abs=1e-6)


def test_the_largest_edge_below_the_fee_earns_nothing() -> None:
    limits = FAMILIES["regime_below_fee"].varied
    strongest = {"drift_bps": limits["drift_bps"].high, "mean_minutes": limits["mean_minutes"].high}
    source = SyntheticSource(type="synthetic", generator="regime_drift", parameters=strongest)
    assert gain(source) == pytest.approx(0.0, abs=1e-6)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(UsageError, match="no family is called 'trendign'"):
        training_sources("trendign", 1)
    with pytest.raises(UsageError, match="needs a scenario"):
        held_out_sources("trending", 1, scenarios=3)
