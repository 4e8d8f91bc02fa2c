"""Configuration of challengers: who they are, what promotes them, and what takes a promotion back."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.base.config import Config
from engine.types.instruments import IS_FRACTION, NonNegative

Fraction = Annotated[float, Field(gt=0, le=1), IS_FRACTION]
USUAL_BOUND = 0.1
"""Bound where no hard limit is configured."""


class ChallengersConfig(Config):
    """Agents that trade the same bars in books of their own, and may take the champion's place.

    Attributes:
        agents: Specifications, as of `agent`.
        promote: Whether a challenger whose evidence suffices becomes the champion at the next cut; otherwise it is only
            shown.
        alpha: Chance that, of all challengers ever started, one is promoted that is no better.
        margin: By how much the mean net return of a block must be better, as a fraction.
        bound: Loss against the champion in one block that counts in full, as a fraction of equity; a challenger that
            loses more is retired. Null is the tightest hard limit on losses, or 0.1 without one.
        block_bars: Rows of a block of the test.
        min_blocks: Blocks before anybody is promoted.
        max_blocks: Blocks after which a challenger that was not promoted is retired.
        max_drawdown: Fall from its highest equity after which a challenger is retired, as a fraction.
        rollback_drawdown: Fall of the champion's equity from its highest since it was promoted that takes the promotion
            back, as a fraction, where its predecessor has earned more since then.
        cooldown_blocks: Blocks after a promotion or a rollback in which nobody is promoted.
    """

    agents: tuple[str, ...] = ()
    promote: bool = False
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    margin: NonNegative = 0.0
    bound: Fraction | None = None
    block_bars: Annotated[int, Field(ge=1)] = 60
    min_blocks: Annotated[int, Field(ge=1)] = 50
    max_blocks: Annotated[int, Field(ge=1)] = 5_000
    max_drawdown: Fraction = 0.2
    rollback_drawdown: Fraction = 0.1
    cooldown_blocks: Annotated[int, Field(ge=0)] = 100

    @model_validator(mode="after")
    def _fits(self) -> Self:
        twice = sorted({spec for spec in self.agents if self.agents.count(spec) > 1})
        if twice:
            raise ValueError(f"the challenger {twice[0]} is given twice")
        if self.min_blocks > self.max_blocks:
            raise ValueError("min_blocks is above max_blocks, so that nobody could be promoted")
        if self.bound is not None and self.margin >= self.bound / 2:
            raise ValueError("the margin must be below half of the bound, where gains are capped")
        return self

    def bound_for(self, *limits: float | None) -> float:
        """The bound: the configured one, else the tightest of the hard limits on losses."""
        return self.bound or min((limit for limit in limits if limit is not None), default=USUAL_BOUND)
