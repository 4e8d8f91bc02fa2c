"""Families of markets: training parameters and others, held out, that an agent has not met.

Parameters are drawn from stated ranges. Each range is divided into as many cells as there are markets, training and
held out together, and every market has a cell of its own for every parameter (a Latin hypercube; McKay, Beckman and
Conover, 1979): both kinds cover the whole range, and no value of one is met in the other.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from training.config import SyntheticSource
from training.data.parts import Parts
from training.data.sources import read_sources
from training.environment.market import Market
from training.trainer.setup import TrainingSetup

MARKETS = 4
"""Training markets of a family, and as many that are held out."""

HELD_OUT_SEED = 1_000_003
"""Added to a seed for the paths of markets that are held out."""


class Range(NamedTuple):
    """Where a parameter is drawn from.

    Attributes:
        low, high: Its ends.
        logarithmic: Whether evenly in its logarithm.
    """

    low: float
    high: float
    logarithmic: bool = True

    def at(self, share: float) -> float:
        """The value a share of the way, to four digits."""
        if self.logarithmic:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return float(f"{value:.4g}")


@dataclass(frozen=True)
class Family:
    """Markets of one kind.

    Attributes:
        generator: Its name.
        varied: Ranges of parameters that differ from market to market.
        shared: Ranges of parameters that all markets of a seed have in common, since prices do not tell them.
        earns: Whether anything can be earned at a fee of 1 bp.
    """

    generator: str
    varied: Mapping[str, Range]
    shared: Mapping[str, Range] = field(default_factory=dict)
    earns: bool = True


FAMILIES: Mapping[str, Family] = {
    "regime_drift": Family(
        "regime_drift",
        {"drift_bps": Range(0.35, 0.7), "volatility_bps": Range(1.5, 2.5), "mean_minutes": Range(960.0, 2400.0)},
    ),
    "mean_reversion": Family(
        "mean_reversion",
        {
            "half_life_minutes": Range(120.0, 360.0),
            "deviation_bps": Range(50.0, 100.0),
            "noise_bps": Range(0.0, 1.0, logarithmic=False),
        },
    ),
    "trending": Family(
        "trending",
        {"drift_bps": Range(0.35, 0.7), "half_life_minutes": Range(300.0, 900.0), "volatility_bps": Range(2.0, 4.0)},
    ),
    "volatility_premium": Family(
        "volatility_premium",
        {
            "calm_drift_bps": Range(0.15, 0.3),
            "turbulent_drift_bps": Range(-0.6, -0.3, logarithmic=False),
            "calm_volatility_bps": Range(1.0, 2.0),
            "turbulent_volatility_bps": Range(3.5, 6.0),
            "calm_minutes": Range(720.0, 1440.0),
            "turbulent_minutes": Range(360.0, 720.0),
        },
    ),
    "time_of_day": Family(
        "time_of_day",
        {"drift_bps": Range(0.15, 0.3), "volatility_bps": Range(2.0, 4.0)},
        shared={"rise_minute": Range(0.0, 1439.0, logarithmic=False)},
    ),
    "trend_sideways": Family("trend_sideways", {"noise": Range(0.15, 0.3), "mean_minutes": Range(360.0, 720.0)}),
    "random_walk": Family("random_walk", {"volatility": Range(0.1, 0.4)}, earns=False),
    # a regime of mean length moves by at most 1.8 bp, and to turn round costs 2 bp
    "regime_below_fee": Family(
        "regime_drift",
        {"drift_bps": Range(0.005, 0.03), "volatility_bps": Range(1.5, 2.5), "mean_minutes": Range(30.0, 60.0)},
        earns=False,
    ),
}
"""By name."""


def training_sources(
    name: str, seed: int, *, markets: int = MARKETS, scenarios: int = 300, length: int = 12_000
) -> tuple[SyntheticSource, ...]:
    """`data.sources` of a training.

    Args:
        name: One of `FAMILIES`.
        seed: Of the parameters.
        markets: How many sets of parameters; as many are held out.
        scenarios: Of all markets together.
        length: Bars of each.

    Raises:
        UsageError: If there is no such family, or fewer scenarios than markets.
    """
    return _sources(name, seed, markets, scenarios, length, held_out=False)


def held_out_sources(
    name: str, seed: int, *, markets: int = MARKETS, scenarios: int = 40, length: int = 12_000
) -> tuple[SyntheticSource, ...]:
    """The same with parameters of the family that the training of that seed does not meet.

    Raises:
        UsageError: As `training_sources`.
    """
    return _sources(name, seed, markets, scenarios, length, held_out=True)


def held_out_setup(setup: TrainingSetup, name: str, *, scenarios: int = 40, length: int = 12_000) -> TrainingSetup:
    """The setup of a training over markets that are held out: all of it is test part, with the training's statistics.

    Args:
        setup: Of a training on the family's sources; their number tells how many markets there are.
        name: Of the family.
        scenarios: Of all markets together.
        length: Bars of each.

    Raises:
        UsageError: As `training_sources`.
    """
    config = setup.config
    sources = held_out_sources(name, config.seed, markets=len(config.data.sources), scenarios=scenarios, length=length)
    data = config.data.model_copy(update={"sources": list(sources)})
    changed = config.model_copy(update={"data": data, "seed": config.seed + HELD_OUT_SEED})
    loaded = [(one.name, one.bars) for one in read_sources(changed, changed.seed)]
    market = Market.build(setup.market.instrument, loaded, config.ensemble.risk_cadence, agents=setup.market.agents)
    every = tuple((segment.start, segment.stop) for segment in market.segments)
    return replace(setup, config=changed, market=market, parts=Parts((), (), every))


def _sources(
    name: str, seed: int, markets: int, scenarios: int, length: int, *, held_out: bool
) -> tuple[SyntheticSource, ...]:
    if name not in FAMILIES:
        raise UsageError(
            f"no family is called {name!r}", expected=", ".join(FAMILIES), hint=did_you_mean(name, FAMILIES)
        )
    if not 1 <= markets <= scenarios:
        raise UsageError("every market needs a scenario", expected=f"at least {markets}", found=f"{scenarios}")
    family = FAMILIES[name]
    return tuple(
        SyntheticSource(
            type="synthetic",
            generator=family.generator,
            scenarios=scenarios // markets + (number < scenarios % markets),
            length=length,
            parameters={**parameters},
        )
        for number, parameters in enumerate(_parameters(name, family, seed, markets, held_out=held_out))
    )


def _parameters(name: str, family: Family, seed: int, markets: int, *, held_out: bool) -> list[dict[str, float]]:
    """Of each market."""
    rng = np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), seed]))
    common = {key: one.at(float(rng.random())) for key, one in family.shared.items()}
    cells = 2 * markets
    drawn = {
        key: [one.at(float(share)) for share in (rng.permutation(cells) + rng.random(cells)) / cells]
        for key, one in family.varied.items()
    }
    first = markets if held_out else 0
    return [common | {key: values[first + number] for key, values in drawn.items()} for number in range(markets)]
