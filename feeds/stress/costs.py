"""Operators on what trading costs, over the whole run; the portfolio's configuration is changed by them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from feeds.stress.strike import CostOperator

Times = Annotated[float, Field(ge=1, le=1000)]


class Spread(CostOperator):
    """Slippage times a factor; where none is configured, that of one tick, or of 1e-4 of the price without ticks.

    Attributes:
        factor: Of the slippage.
    """

    operator: Literal["spread"]
    factor: Times = 5.0


class Fees(CostOperator):
    """Commissions times a factor.

    Attributes:
        factor: Of the commissions.
    """

    operator: Literal["fees"]
    factor: Times = 5.0


class Participation(CostOperator):
    """At most a share of a bar's volume fills.

    Attributes:
        share: Of the volume; a smaller one that is configured stays.
    """

    operator: Literal["participation"]
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
