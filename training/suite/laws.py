"""Which generators have a law whose optimum is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.types.blocks import Floats
from engine.types.instruments import Instrument
from feeds.generators_bars import Draws, year_of
from feeds.generators_drifts import TimeOfDay, Trending, VolatilityPremium
from feeds.generators_paths import Conditions, Generator, MeanReversion, RandomWalk, RegimeDrift, Trend, TrendSideways
from training.suite.chains import Law
from training.suite.drifts import Clock, Drifting, Walk
from training.suite.phases import Phases
from training.suite.reversion import Reversion
from training.suite.spells import Spells

LAWS: Mapping[type[Generator], Callable[[Any], Law]] = {
    RandomWalk: lambda _: Walk(),
    RegimeDrift: Spells.of,
    MeanReversion: Reversion.of,
    Trending: Drifting.of,
    VolatilityPremium: Spells.of,
    TimeOfDay: Clock.of,
}
"""Of generators whose scenarios all have one law."""

DRAWN: tuple[type[Generator], ...] = (Trend, TrendSideways, Conditions)
"""Generators whose volatility is drawn for each scenario."""


def is_known(kind: type[Generator] | None) -> bool:
    """Whether the optimum of a generator is known."""
    return kind in LAWS or kind in DRAWN


def law_of(generator: Generator, instrument: Instrument, origin: tuple[int, int]) -> Law | None:
    """The law of a scenario; None if its optimum is not known.

    Args:
        generator: With its parameters.
        instrument: Its sessions tell how many minutes a year has.
        origin: Seed and start of the scenario.
    """
    if isinstance(generator, Conditions):
        seed, start = origin
        minute = generator.minute(Draws(seed), year_of(instrument, start))
        return Phases.of(generator, minute) if type(generator) in DRAWN else None
    known = LAWS.get(type(generator))
    return None if known is None else known(generator)


def truth_of(generator: Generator, law: Law, hidden: Floats, seed: int) -> Floats:
    """State of the law's chain with full information after each bar, shape (n,).

    Args:
        generator: With its parameters.
        law: Of the scenario.
        hidden: What the generator gives as its truth, shape (n,).
        seed: Of the scenario.
    """
    if isinstance(generator, Conditions) and isinstance(law, Phases):
        kind, direction = generator.spells(Draws(seed), len(hidden))
        deviation = generator.range_(Draws(seed), len(hidden), 1.0)[1:] / generator.width(1.0)
        return law.places(kind, direction, deviation)
    return hidden
