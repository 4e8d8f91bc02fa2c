"""What a training job needs to know of the run that it belongs to; needs no torch."""

from __future__ import annotations

from typing import NamedTuple

from agents.ensemble.config import EnsembleConfig
from engine.base.errors import UsageError
from engine.types.instruments import Instrument
from feeds.indicators.config import IndicatorConfig
from portfolio.config import PortfolioConfig

NAMING = {"name", "description", "synonyms"}
"""Fields of an instrument that change nothing that is traded."""


class JobRun(NamedTuple):
    """The run: a job re-simulates its bars with the same costs, sizes and limits.

    Attributes:
        instruments: Of the symbols, in their order, with the fees of the run.
        portfolio: Capital, execution, sizing and limits; a run's whole configuration will do.
        ensemble: How the agents decide together.
        timeframe_ns: Length of a bar.
        indicators: Economic indicators of the run.
    """

    instruments: tuple[Instrument, ...]
    portfolio: PortfolioConfig
    ensemble: EnsembleConfig
    timeframe_ns: int
    indicators: tuple[IndicatorConfig, ...] = ()


def require_learnable_run(run: JobRun) -> None:
    """Refuse a run whose ensemble cannot learn from its own bars.

    Raises:
        UsageError: If a rule agent has a seat, or symbols differ in what trading them costs.
    """
    taken = [f"{seat}: {spec}" for seat, spec in run.ensemble.seats.model_dump().items() if spec]
    if taken:
        raise UsageError(
            "an ensemble with a rule agent in a seat cannot learn",
            where="ensemble.seats",
            expected="networks in all seats",
            found=taken[0],
            hint="take the rule agent out of ensemble.seats, or go on without learning",
        )
    rules = [one.model_dump(exclude=NAMING) for one in run.instruments]
    for one, found in zip(run.instruments, rules, strict=True):
        differing = [key for key, value in found.items() if value != rules[0][key]]
        if differing:
            raise UsageError(
                "symbols of different instruments cannot be learned from together",
                where=f"instrument ({one.name})",
                expected=f"the {differing[0]} of {run.instruments[0].name}: {rules[0][differing[0]]}",
                found=str(found[differing[0]]),
                hint="run them apart, each with an ensemble of its own",
            )
