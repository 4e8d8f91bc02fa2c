"""Named generators of synthetic bars: `data.sources[].generator` of a training configuration.

    bars = generate("regime_drift", load_instrument("GENERIC"), 20_000, seed=1, parameters={"drift_bps": 1.0})

Same name, instrument, seed, start and parameters, same bars; a longer series begins with the shorter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from engine.base.config import parse
from engine.base.errors import ConfigError
from engine.base.nearest import did_you_mean
from engine.types.blocks import BarBlock, concat
from engine.types.instruments import Instrument, NonNegative, Positive
from engine.types.timeframe import DAY_NS
from feeds.fitting.generator import Fitted
from feeds.gan.generator import Gan
from feeds.generators_bars import Draws, Generated
from feeds.generators_drifts import TimeOfDay, Trending, VolatilityPremium
from feeds.generators_paths import (
    Conditions,
    ConstantPrice,
    FlashCrash,
    Generator,
    MeanReversion,
    OpeningGap,
    RandomWalk,
    RegimeDrift,
    Tail,
    Trend,
    TrendSideways,
    Volatile,
    ordered,
)
from feeds.synthetic import CALM, NORMAL, TURBULENT, SyntheticBars, SyntheticConfig, check_series

START_NS = 19_723 * DAY_NS
"""1 January 2024."""

ALL_ROWS = 1 << 24


class MonteCarlo(Generator):
    """Bars of `feeds.synthetic`, whose volatility, drifts and tails are drawn for each scenario.

    Attributes:
        volatility_min, volatility_max: Annualised, in normal spells; drawn evenly on a logarithmic scale.
        drift: Deviation of the annual drift of each of the three regimes (normal, calm, turbulent).
        tail_min, tail_max: Degrees of freedom of the returns given the volatility.
        clustering: Deviation of the log volatility inside a regime.
        missing: Share of minutes without a bar.
    """

    volatility_min: Positive = 0.1
    volatility_max: Positive = 0.6
    drift: NonNegative = 0.5
    tail_min: Tail = 3.0
    tail_max: Tail = 10.0
    clustering: Annotated[float, Field(ge=0, le=2)] = 0.35
    missing: Annotated[float, Field(ge=0, lt=0.5)] = 0.005

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        ordered("volatility", self.volatility_min, self.volatility_max)
        ordered("tail", self.tail_min, self.tail_max)
        return self

    def made(self, instrument: Instrument, bars: int, start_ns: int, draws: Draws) -> Generated:
        """Bars of one scenario; nothing in them can be foreseen, so there is no truth beside them."""
        source = SyntheticBars(instrument, bars, start_ns, draws["shocks"], self.scenario(draws["scenario"]))
        block = concat(list(source.blocks(ALL_ROWS)))
        return Generated(block, np.zeros(len(block)))

    def scenario(self, rng: np.random.Generator) -> SyntheticConfig:
        """One market of those that the parameters allow."""
        low, high = math.log(self.volatility_min), math.log(self.volatility_max)
        volatility = math.exp(rng.uniform(low, high))
        tail = rng.uniform(self.tail_min, self.tail_max)
        drifts = (self.drift * rng.standard_normal(3)).tolist()
        regimes = [
            regime.model_copy(update={"drift": drift})
            for regime, drift in zip((NORMAL, CALM, TURBULENT), drifts, strict=True)
        ]
        # a series begins in its first regime
        first = int(rng.integers(3))
        return SyntheticConfig(
            price=self.price,
            volatility=volatility,
            regimes=tuple(regimes[first:] + regimes[:first]),
            clustering=self.clustering,
            tail=tail,
            volume=self.volume,
            missing=self.missing,
        )


GENERATORS: dict[str, type[Generator]] = {
    "monte_carlo": MonteCarlo,
    "random_walk": RandomWalk,
    "regime_drift": RegimeDrift,
    "mean_reversion": MeanReversion,
    "trending": Trending,
    "volatility_premium": VolatilityPremium,
    "time_of_day": TimeOfDay,
    "trend": Trend,
    "trend_sideways": TrendSideways,
    "volatile": Volatile,
    "conditions": Conditions,
    "flash_crash": FlashCrash,
    "gap": OpeningGap,
    "constant_price": ConstantPrice,
}
"""By name; the parameters of each are the fields of its model, and all of them have defaults."""

FROM_FILES: dict[str, type[Generator]] = {"fitted": Fitted, "gan": Gan}
"""Those that need a file or folder, which is their parameter `model`; otherwise as `GENERATORS`."""


def find_generator(
    name: str, parameters: Mapping[str, float | str] | None = None, where: str = "synthetic source"
) -> Generator:
    """A generator with its parameters.

    Args:
        name: One of `GENERATORS` or `FROM_FILES`.
        parameters: By name; the others keep their defaults.
        where: Key of the configuration, for messages.

    Raises:
        ConfigError: If there is none of that name, or a parameter is unknown or out of range; the nearest is named.
    """
    known_ones = {**GENERATORS, **FROM_FILES}
    if name not in known_ones:
        raise ConfigError(
            f"no generator is called {name!r}",
            where=where,
            expected=f"one of {', '.join(known_ones)}",
            hint=did_you_mean(name, known_ones),
        )
    model = known_ones[name]
    try:
        return parse(model, parameters or {}, where=f"{where}, parameters of the generator {name}")
    except ConfigError as error:
        # a schema of a training's configuration does not list them: each generator has its own
        known = ", ".join(f"{key} {_default(one)}" for key, one in model.model_fields.items())
        hint = f"the parameters of {name} and their defaults: {known}"
        raise ConfigError(error.what, where=error.where, hint=hint) from None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(needed)"
    return "null" if field.default is None else str(field.default)


def generate(
    name: str,
    instrument: Instrument,
    bars: int,
    seed: int,
    parameters: Mapping[str, float | str] | None = None,
    start_ns: int = START_NS,
) -> BarBlock:
    """1-minute bars of a named generator.

    Args:
        name: One of `GENERATORS` or `FROM_FILES`.
        instrument: Its name, ticks, sizes and sessions are respected.
        seed: Of everything random.
        start_ns: Bars close after this time, nanoseconds UTC.

    Raises:
        ConfigError: If the generator or a parameter is unknown or out of range.
        UsageError: If the number of bars, the seed or the start makes no sense, or prices run away.
    """
    return generate_with_truth(find_generator(name, parameters), instrument, bars, seed, start_ns).bars


def generate_with_truth(
    generator: Generator, instrument: Instrument, bars: int, seed: int, start_ns: int = START_NS
) -> Generated:
    """The bars that `generate` gives, with what drives them.

    Raises:
        UsageError: If the number of bars, the seed or the start makes no sense, or prices run away.
    """
    check_series(bars, start_ns, seed)
    return generator.made(instrument, bars, start_ns, Draws(seed))
