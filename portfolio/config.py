"""Configuration of the portfolio: how orders fill, how large positions are, and what stops them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from engine.base.config import Config
from engine.types.instruments import IS_FRACTION, Instrument, NonNegative, Positive, Rate
from engine.types.records import INSTRUMENT, RULES, Records, Sizing
from portfolio.depth import MOST_LEVELS

Fraction = Annotated[float, Field(gt=0, le=1), IS_FRACTION]
HIGHEST_FRACTION = 100.0
"""A sizing by a fraction of equity above this was meant as a percentage."""


class Slippage(Config):
    """Slippage of market and stop fills; the three parts add up.

    Attributes:
        ticks: In ticks of the instrument.
        bps: In basis points (1e-4) of the price.
        range: As a share of the bar's high minus low.
    """

    ticks: NonNegative = 0.0
    bps: Annotated[float, Field(ge=0, lt=10_000)] = 0.0
    range: Rate = 0.0


class Execution(Config):
    """How orders meet the market.

    Attributes:
        slippage: Of market and stop fills.
        limit_fill: Whether a limit order fills when the price touches it or only when it trades through.
        participation: Largest share of a bar's volume that fills; null is no cap.
        max_open_orders: Working orders of a symbol beyond this number are rejected.
        fills: Whether orders meet the prices of bars, or the levels of an order book, which bars of one hold.
    """

    fills: Literal["bars", "book"] = "bars"

    slippage: Slippage = Slippage()
    limit_fill: Literal["touch", "through"] = "touch"
    participation: Fraction | None = None
    max_open_orders: Annotated[int, Field(ge=1, le=4096)] = 64

    @model_validator(mode="after")
    def _book_has_its_own(self) -> Self:
        if self.fills == "book" and (self.slippage != Slippage() or self.participation is not None):
            raise ValueError(
                "fills against the book take slippage and size from it: leave slippage and participation out"
            )
        return self


class SizingConfig(Config):
    """What one unit of an agent's target position is worth.

    Attributes:
        mode: `fixed` contracts, `equity_fraction` of equity as notional, or `volatility_target` per year.
        value: Contracts, fraction, or annualised volatility as a fraction of equity.
        volatility_span: Span of the exponentially weighted variance, in bars.
    """

    mode: Literal["fixed", "equity_fraction", "volatility_target"] = "fixed"
    value: Positive = 1.0
    volatility_span: Annotated[int, Field(ge=2)] = 390


class Limits(Config):
    """Hard limits, checked on marked equity; null is off. Agents may only tighten them.

    Attributes:
        max_position: Contracts per symbol.
        max_leverage: Gross exposure over equity.
        max_daily_loss: Fraction of the equity at the end of the session before; trips the kill switch.
        max_drawdown: Fraction of peak equity; trips the kill switch.
    """

    max_position: Positive | None = None
    max_leverage: Positive | None = None
    max_daily_loss: Fraction | None = None
    max_drawdown: Fraction | None = None


class StatisticsConfig(Config):
    """How figures are scaled to a year.

    Attributes:
        periods_per_year: Returns in a year, for volatility, Sharpe and Sortino; null observes it.
        shortest_days: A run over fewer days by the calendar has no CAGR, Calmar ratio or alpha.
        fewest_returns: A run of fewer returns has no Sharpe, Sortino or information ratio.
    """

    periods_per_year: Positive | None = None
    shortest_days: NonNegative = 60.0
    fewest_returns: Annotated[int, Field(ge=2)] = 5


class PortfolioConfig(Config):
    """Everything the simulator needs besides instruments and bars."""

    initial_capital: Positive = 100_000.0
    currency: str = "USD"
    execution: Execution = Execution()
    sizing: SizingConfig = SizingConfig()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _fraction_needs_a_cap(self) -> Self:
        if self.sizing.mode == "equity_fraction" and self.sizing.value > HIGHEST_FRACTION:
            raise ValueError("sizing.value is a fraction of equity (1.0 is all of it), not a percentage")
        return self


SIZING = {
    "fixed": Sizing.FIXED,
    "equity_fraction": Sizing.EQUITY_FRACTION,
    "volatility_target": Sizing.VOLATILITY_TARGET,
}


def _or_inf(value: float | None) -> float:
    return np.inf if value is None else value


def rules_record(config: PortfolioConfig, bars_per_year: float) -> Records:
    """The configuration as one RULES record for the kernels.

    Args:
        config: Validated configuration.
        bars_per_year: Scales the variance of a bar to a year for the volatility target.
    """
    rules = np.zeros(1, RULES)
    slippage, execution = config.execution.slippage, config.execution
    rules["slippage_ticks"], rules["slippage_bps"] = slippage.ticks, slippage.bps
    rules["slippage_range"] = slippage.range
    rules["participation"] = _or_inf(execution.participation)
    rules["limit_through"] = execution.limit_fill == "through"
    rules["max_open_orders"] = execution.max_open_orders
    rules["book_levels"] = MOST_LEVELS if execution.fills == "book" else 0
    rules["sizing"], rules["sizing_value"] = SIZING[config.sizing.mode], config.sizing.value
    rules["variance_decay"] = 1.0 - 2.0 / (config.sizing.volatility_span + 1.0)
    rules["bars_per_year"] = bars_per_year
    for name in ("max_position", "max_leverage", "max_daily_loss", "max_drawdown"):
        rules[name] = _or_inf(getattr(config.limits, name))
    return rules


def instrument_records(instruments: list[Instrument]) -> Records:
    """The instruments as INSTRUMENT records for the kernels, in symbol order."""
    records = np.zeros(len(instruments), INSTRUMENT)
    for index, instrument in enumerate(instruments):
        row = records[index]
        row["index"] = index
        row["tick_size"], row["size_step"] = instrument.tick_size, instrument.size_step
        row["min_size"] = instrument.min_size
        row["multiplier"] = instrument.multiplier * instrument.fx_rate
        row["fee_per_contract"], row["fee_rate"] = instrument.fees.per_contract, instrument.fees.rate
        row["initial_per_contract"] = instrument.initial_margin.per_contract
        row["initial_rate"] = instrument.initial_margin.rate
        row["maintenance_per_contract"] = instrument.maintenance_margin.per_contract
        row["maintenance_rate"] = instrument.maintenance_margin.rate
    return records
