"""Configuration of the performance monitor: thresholds, windows, and how sure an alert must be."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.base.config import Config
from engine.types.instruments import IS_FRACTION

Share = Annotated[float, Field(gt=0, lt=1), IS_FRACTION]
Count = Annotated[int, Field(ge=2, le=100_000)]


class FigureConfig(Config):
    """One figure over the latest observations.

    Attributes:
        last: Observations that the value is of.
        least: Observations before there is a value.
        margin: How far above its threshold a value must rise before it no longer counts as below.
    """

    last: Count
    least: Count
    margin: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _least_fits(self) -> Self:
        if self.least > self.last:
            raise ValueError(f"least ({self.least}) must not exceed last ({self.last})")
        return self


class WinRateConfig(FigureConfig):
    """Share of the last closed trades that made money.

    Attributes:
        below: LOW_WIN_RATE below this.
        retrain_below: RETRAINING_RECOMMENDED below this.
    """

    last: Count = 50
    least: Count = 20
    margin: Annotated[float, Field(ge=0)] = 0.02
    below: Share = 0.45
    retrain_below: Share = 0.5


class SharpeConfig(FigureConfig):
    """Annualised Sharpe ratio of the last trading days.

    Attributes:
        below: LOW_SHARPE_RATIO below this.
    """

    last: Count = 60
    least: Count = 20
    margin: Annotated[float, Field(ge=0)] = 0.1
    below: Annotated[float, Field(gt=-20, lt=20)] = 0.5


class ConsistencyConfig(FigureConfig):
    """Share of the last strategic decisions for a side that no later one soon reversed.

    Attributes:
        below: INCONSISTENT_DECISIONS below this.
        bars: A decision for the other side among so many next ones of the symbol is a reversal.
    """

    last: Count = 100
    least: Count = 30
    margin: Annotated[float, Field(ge=0)] = 0.02
    below: Share = 0.7
    bars: Annotated[int, Field(ge=1, le=1000)] = 6


class ConfidenceConfig(FigureConfig):
    """Mean confidence of the last decisions of a seat.

    A probability of an action among three, one of lying near a chosen number and a softmax of values are not the same,
    so that each seat has its own threshold; null only shows the figure.

    Attributes:
        strategic, tactical, risk: LOW_MODEL_CONFIDENCE below this.
        batch: Decisions in a row that are one observation for the evidence.
    """

    last: Count = 100
    least: Count = 30
    margin: Annotated[float, Field(ge=0)] = 0.02
    strategic: Share | None = 0.6
    tactical: Share | None = None
    risk: Share | None = None
    batch: Annotated[int, Field(ge=1, le=10_000)] = 48


class DriftConfig(Config):
    """Whether what is seen and done still looks like a reference.

    Attributes:
        reference: File that `grandmodel monitor RUN --write-reference FILE` wrote; null watches no drift.
    """

    reference: str | None = None


class MonitorConfig(Config):
    """What the performance monitor watches. It changes nothing that is traded.

    Attributes:
        enabled: Whether a live session is watched, and alerts are sent.
        alpha: Largest chance that a figure is ever called proved below its threshold while it is not.
        win_rate: Of closed trades.
        sharpe: Of trading days.
        consistency: Of strategic decisions.
        confidence: Of every seat's network.
        drift: Of bars, decisions and fills, against a reference.
    """

    enabled: bool = True
    alpha: Annotated[float, Field(gt=0, le=0.5), IS_FRACTION] = 0.01
    win_rate: WinRateConfig = WinRateConfig()
    sharpe: SharpeConfig = SharpeConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    confidence: ConfidenceConfig = ConfidenceConfig()
    drift: DriftConfig = DriftConfig()
