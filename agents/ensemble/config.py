"""Configuration of the ensemble: who sits where, how often risk is asked, and when a change is worth a trade."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.base.config import Config
from engine.types.instruments import IS_FRACTION


class SeatsConfig(Config):
    """Who decides in each seat; null is the ensemble's own model.

    Attributes:
        strategic: Specification of an agent whose wanted position's sign is the direction.
        tactical: Specification of an agent with a method `tactics`, or whose wanted size is the position scale.
        risk: `level:N` with N of 0 to 4, a constant exposure level.
    """

    strategic: str | None = None
    tactical: str | None = None
    risk: Annotated[str, Field(pattern=r"^level:[0-4]$")] | None = None


class EnsembleConfig(Config):
    """How three agents decide together.

    Attributes:
        risk_cadence: The risk agent acts at the tactical agent's closes (5 minutes) or at every bar.
        rebalance: Relative change of the wanted position below which nothing is traded.
        stop_distance: Stop of a tactical seat that is a rule agent, fraction of the entry price.
        seats: Rule agents in place of models.
    """

    risk_cadence: Literal["tactical", "bar"] = "tactical"
    rebalance: Annotated[float, Field(ge=0, lt=1), IS_FRACTION] = 0.1
    stop_distance: Annotated[float, Field(ge=0.001, le=0.05)] = 0.01
    seats: SeatsConfig = SeatsConfig()
