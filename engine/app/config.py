"""Configuration of a run: the portfolio's keys, who trades what, and for a backtest on which bars."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from agents.ensemble.config import EnsembleConfig
from engine.base.config import Config
from engine.base.errors import UsageError
from engine.challengers.config import ChallengersConfig
from engine.learning.config import LearningConfig
from engine.monitor.performance.config import MonitorConfig
from engine.types.instruments import IS_FRACTION, Instrument, find_instrument, load_instrument
from feeds.indicators.config import IndicatorConfig, check_names
from feeds.pacing import parse_speed
from feeds.replay import ReplayConfig
from portfolio.config import PortfolioConfig, StatisticsConfig

DEFAULT_BLOCK = 16384
AUTO, ASSUMED = "auto", "GENERIC"


class CutsConfig(Config):
    """Where models and weights may change.

    Attributes:
        every_bars: A cut before every row whose number is a multiple of this; null is no such cut.
        session_rolls: A cut before the first bar of every session but the first.
        follow_store: At every cut, an ensemble takes over the version that is active in the model store then.
    """

    every_bars: Annotated[int, Field(ge=1)] | None = None
    session_rolls: bool = False
    follow_store: bool = False

    @model_validator(mode="after")
    def _follow_needs_cuts(self) -> Self:
        if self.follow_store and self.every_bars is None and not self.session_rolls:
            raise ValueError("follow_store needs every_bars or session_rolls: models change only at cuts")
        return self


class RunConfig(PortfolioConfig):
    """What decides the result of a run, whether its bars come from files or live.

    Attributes:
        instrument: One name or YAML file for every symbol, or a mapping from symbol to name or file; `auto` finds the
            instrument that ships by the symbol, else takes GENERIC.
        agent: Specification of the agent, see `agents.registry`.
        fee: Commission as a fraction of notional, in place of the instrument's fees; null keeps those.
        seed: For agents that draw random numbers and have no seed parameter set.
        cuts: Where models and weights may change.
        ensemble: How three agents decide together, if the agent is an ensemble.
        challengers: Who trades the same bars in a book of its own, and may take the agent's place.
        learning: How the loop learns from its bars; null is not at all.
        statistics: How figures are scaled to a year.
        monitor: What the performance monitor watches; it changes nothing that is traded.
        indicators: Economic indicators, each an extra column of all symbols.
    """

    instrument: str | dict[str, str] = AUTO
    agent: str = "sma_cross:fast=10,slow=30"
    fee: Annotated[float, Field(ge=0, lt=1), IS_FRACTION] | None = None
    seed: Annotated[int, Field(ge=0)] = 42
    cuts: CutsConfig = CutsConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    challengers: ChallengersConfig = ChallengersConfig()
    learning: LearningConfig | None = None
    statistics: StatisticsConfig = StatisticsConfig()
    monitor: MonitorConfig = MonitorConfig()
    indicators: tuple[IndicatorConfig, ...] = ()

    @field_validator("indicators")
    @classmethod
    def _indicators_differ(cls, value: tuple[IndicatorConfig, ...]) -> tuple[IndicatorConfig, ...]:
        return check_names(value)

    @model_validator(mode="after")
    def _promotions_need_cuts(self) -> Self:
        cuts, challengers = self.cuts, self.challengers
        if challengers.promote and cuts.every_bars is None and not cuts.session_rolls:
            raise ValueError("challengers.promote needs cuts.every_bars or session_rolls: roles change only at cuts")
        if challengers.promote and cuts.follow_store:
            raise ValueError("challengers.promote and cuts.follow_store would both decide what is in production")
        if self.agent in challengers.agents:
            raise ValueError(f"challengers.agents names the champion itself, {self.agent}")
        return self

    @model_validator(mode="after")
    def _learning_fits(self) -> Self:
        if self.learning is None:
            return self
        if (misfit := self.learning.misfit(self.cuts.every_bars)) is not None:
            raise ValueError(misfit)
        if self.cuts.follow_store:
            raise ValueError("learning and cuts.follow_store would both decide what is in production")
        if self.agent.partition(":")[0] != "ensemble" or self.agent.endswith((".yaml", ".yml")):
            raise ValueError(f"learning needs an ensemble of networks as the agent, such as ensemble, not {self.agent}")
        return self

    @property
    def has_arena(self) -> bool:
        """Whether others may trade beside the agent: from the beginning, or later."""
        return bool(self.challengers.agents) or self.challengers.promote or self.learning is not None

    def instrument_for(self, symbol: str | None = None) -> Instrument:
        """The instrument of a symbol, with the configured fee, if there is one."""
        if isinstance(self.instrument, str):
            name = self.instrument
        else:
            name = self.instrument.get(symbol or "", self.instrument.get("default", AUTO))
        found = find_instrument(symbol or "") if name == AUTO else None
        instrument = found or load_instrument(ASSUMED if name == AUTO else name)
        if self.fee is None:
            return instrument
        return instrument.model_copy(
            update={"fees": instrument.fees.model_copy(update={"rate": self.fee, "per_contract": 0.0})}
        )


class BacktestConfig(RunConfig):
    """Everything that decides what a backtest does.

    Attributes:
        data: Files of bars.
        benchmark: What the result is compared with: a file of bars, or a symbol of the run; null is buy-and-hold of all
            symbols.
        replay: How the files are read.
        block: Rows of a block; any number gives the same result.
        speed: `max`, `realtime` or a factor.
    """

    data: tuple[str, ...] = ()
    benchmark: str | None = None
    replay: ReplayConfig = ReplayConfig()
    block: Annotated[int, Field(ge=1, le=1 << 20)] = DEFAULT_BLOCK
    speed: str = "max"

    @field_validator("speed", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value

    @field_validator("speed")
    @classmethod
    def _speed_reads(cls, value: str) -> str:
        try:
            parse_speed(value)
        except UsageError as error:
            raise ValueError(f"expected {error.expected}") from error
        return value
