"""Whether an account can trade an instrument at all: what stands against it, and a value with which it could."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.types.instruments import Instrument
from portfolio.config import HIGHEST_FRACTION, PortfolioConfig

NEAR = 1e-9
DIGITS = 2


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why nothing can be traded.

    Attributes:
        key: Of the portfolio's configuration, such as `sizing.value`.
        needed: A value of it that would do.
        capital: An initial capital that would do, too; None where capital is no help.
    """

    what: str
    key: str
    needed: float
    found: float
    capital: float | None = None

    @property
    def hint(self) -> str:
        """What to change."""
        text = f"set {self.key} to {plain(self.needed)} or more"
        return text if self.capital is None else f"{text}, or initial_capital to {plain(self.capital)}"


def plain(number: float) -> str:
    """A number as a user would write it in a configuration: 140000, 0.35."""
    return f"{number:.0f}" if number >= 1000 else f"{number:.12g}"


def rounded_up(number: float) -> float:
    """The next number with two digits, so that it can be copied and still does: 137,421 is 140,000."""
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(number)))
    # a number that has two digits already stays, whatever its rounding
    return math.ceil(number * scale - NEAR) / scale


def smallest_order(instrument: Instrument) -> float:
    """Contracts of the smallest order that opens a position."""
    step = instrument.size_step
    return max(math.ceil(instrument.min_size / step - NEAR), 1) * step


def obstacle(config: PortfolioConfig, instrument: Instrument, price: float, *, units: bool) -> Obstacle | None:
    """What keeps the account from ever opening the smallest position at a price; None if nothing does.

    Args:
        config: Capital, sizing and limits.
        price: Quote currency; above 0.
        units: Whether orders are targets of one unit of the configured sizing; otherwise of any number of contracts.
    """
    size, capital, limits = smallest_order(instrument), config.initial_capital, config.limits
    point = instrument.multiplier * instrument.fx_rate
    notional = size * price * point
    if units and (found := _sizing(config, instrument, size, notional)) is not None:
        return found
    name = f"{plain(size)} contract{'' if size == 1 else 's'} of {instrument.name}"
    if limits.max_position is not None and limits.max_position < size * (1 - NEAR):
        what = f"limits.max_position is below the smallest order, {name}"
        return Obstacle(what, "limits.max_position", size, limits.max_position)
    if limits.max_leverage is not None and limits.max_leverage * capital < notional * (1 - NEAR):
        return Obstacle(
            f"{name} at {price:g}, a notional of {notional:,.0f}, is more than limits.max_leverage allows",
            "limits.max_leverage",
            rounded_up(notional / capital),
            limits.max_leverage,
            rounded_up(notional / limits.max_leverage),
        )
    margin, fees = instrument.initial_margin, instrument.fees
    needed = size * (margin.per_contract + fees.per_contract) + notional * (margin.rate + fees.rate)
    if needed > capital * (1 + NEAR):
        what = f"{name} at {price:g} needs a margin of {needed:,.0f}, more than the capital"
        return Obstacle(what, "initial_capital", rounded_up(needed), capital)
    return None


def _sizing(config: PortfolioConfig, instrument: Instrument, size: float, notional: float) -> Obstacle | None:
    """Whether one unit amounts to less than the smallest order; unknown, so no obstacle, for a volatility target."""
    value, mode = config.sizing.value, config.sizing.mode
    if mode == "volatility_target":
        return None
    unit = value if mode == "fixed" else size * value * config.initial_capital / notional
    if unit >= size * (1 - NEAR):
        return None
    what = (
        f"one unit of a position is {unit:.3g} contracts of {instrument.name}, the smallest order is {plain(size)}, "
        "and sizes are rounded down"
    )
    if mode == "fixed":
        return Obstacle(what, "sizing.value", size, value)
    fraction, capital = rounded_up(notional / config.initial_capital), rounded_up(notional / value)
    if fraction > HIGHEST_FRACTION:
        return Obstacle(what, "initial_capital", capital, config.initial_capital)
    return Obstacle(what, "sizing.value", fraction, value, capital)
