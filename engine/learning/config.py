"""Configuration of online learning: when jobs learn and from what, and what becomes of their candidates."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from engine.base.config import Config
from engine.types.instruments import IS_FRACTION, Positive

Rows = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1), IS_FRACTION]
LearningAgent = Literal["strategic_agent", "tactical_agent", "risk_agent"]


class LearningConfig(Config):
    """The loop learns: at cuts, training jobs learn from its recent bars.

    A job gives a candidate, a version of the ensemble that may trade beside the champion and take its place. Rows are
    those of the run, counted from 0.

    Attributes:
        every_bars: A job begins before every row whose number is a multiple of this; itself a multiple of
            `cuts.every_bars`.
        window_bars: A job learns from the last so many rows.
        min_bars: No job begins before this row.
        lag_bars: The candidate of a job is used so many rows after the job began, never earlier; a multiple of
            `cuts.every_bars`, at most `every_bars`.
        older: Further bars, for the older half of what a job learns from: paths of files, or sources as in a training
            configuration. Without any, rows of the run before the window.
        recent_share: Share of episodes that are drawn from the window; the others are drawn from older bars.
        training: Keys of a training configuration, over those that a job takes by itself.
        agents: Which networks learn further; the others stay as they are.
        episodes: How many episodes a job learns from.
        max_kl: Largest mean divergence of the candidate's decisions from its parent's on the window, in nats. Where
            every decision of three is another one it is 0.8 to 2; a cap of 0.05 allows hardly any to change.
        relearn_errors: Where a regression on the window's decisions earns more than the parent by so many standard
            errors, on decisions that it was not fitted to, a fresh network that imitates it is the candidate; null:
            never.
        shrink, perturb: Before a job learns, every weight is multiplied by the first and moves towards a fresh network
            by the second (Ash and Adams, 2020), so that a network that has learned for long still can; 1 and 0 leave
            weights as they are.
        warmup_updates: Updates in which only critics learn, before policies do; of the tactical agent, which alone has
            critics.
        max_candidates: How many candidates trade beside the champion at once; the oldest makes way for the next.
        keep: How many candidates that were never admitted are kept, the latest; those admitted are always kept.
        takes_over: By the evidence of the challengers' test, or at once where its job's own test accepts it.
    """

    every_bars: Rows = 1440
    window_bars: Rows = 20_160
    min_bars: Rows = 10_080
    lag_bars: Rows = 60
    older: tuple[str | dict[str, Any], ...] = ()
    recent_share: Share = 0.5
    training: dict[str, Any] = Field(default_factory=dict)
    agents: Annotated[tuple[LearningAgent, ...], Field(min_length=1)] = ("strategic_agent",)
    episodes: Annotated[int, Field(ge=1)] = 300
    max_kl: Positive = 1.0
    relearn_errors: Positive | None = 3.0
    shrink: Annotated[float, Field(gt=0, le=1)] = 0.99
    perturb: Annotated[float, Field(ge=0, le=1)] = 0.01
    warmup_updates: Annotated[int, Field(ge=0)] = 200
    max_candidates: Annotated[int, Field(ge=1)] = 2
    keep: Annotated[int, Field(ge=0)] = 20
    takes_over: Literal["evidence", "gate"] = "evidence"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lag_bars > self.every_bars:
            raise ValueError("lag_bars is above every_bars: a job would begin before the one before it has ended")
        twice = sorted({name for name in self.agents if self.agents.count(name) > 1})
        if twice:
            raise ValueError(f"agents names {twice[0]} twice")
        return self

    def misfit(self, cut_every: int | None) -> str | None:
        """Why this does not fit a run whose cuts fall so often, in words; None if it does."""
        if cut_every is None:
            return "learning needs cuts.every_bars: candidates begin only at cuts"
        for key in ("every_bars", "lag_bars"):
            if (bars := getattr(self, key)) % cut_every:
                return f"learning.{key} is {bars}, which is no multiple of cuts.every_bars ({cut_every})"
        return None
