"""Mean and deviation of every feature over what training may see; they travel inside the exported networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.spec import AGENTS, AgentSpec
from engine.base.errors import DataError
from engine.types.blocks import Bools, Ints
from training.config import Preprocessing
from training.data.parts import Range
from training.environment.market import Market

if TYPE_CHECKING:
    from training.learners.networks import Statistics

MASKED = 1e30
"""Deviation of a feature that shall read 0: whatever is divided by it vanishes."""

LEAST = 1e-6
"""A feature that varies by less was constant in training: it is centred and not scaled, for a tiny deviation would blow
its first change up."""

REGIMES = frozenset({"trend_regime", "volatility_regime"})
PLAIN = frozenset({"log_return", "volume_ratio", "session"})
"""What is seen without feature engineering."""


def fit_statistics(market: Market, training: Sequence[Range], preprocessing: Preprocessing) -> Mapping[str, Statistics]:
    """Statistics of all three seats.

    Those of the strategic and tactical seats are fitted on the feature rows that some window within the training
    ranges shows, each counted once. The risk agent's metrics depend on what the agents do, and are bounded: they are
    divided by a quarter of their range.

    Args:
        market: Feature rows and where windows end.
        training: Row ranges of the training part; nothing else is read.
        preprocessing: Which features read 0, and whether the others are normalised.

    Raises:
        DataError: If no window lies within the training ranges.
    """
    from training.learners.networks import Statistics  # noqa: PLC0415 - brings torch along, which takes seconds

    known = {
        "strategic": (market.strategic_rows, market.strategic_end),
        "tactical": (market.tactical_rows, market.tactical_end),
    }
    fitted = {}
    for name, (rows, ends) in known.items():
        seat = market.agents[name]
        mean, std = np.zeros(len(seat.features)), np.ones(len(seat.features))
        if preprocessing.normalize:
            seen = visible_rows(ends, len(rows), training, seat.window or 1)
            mean, std = _moments(rows[seen], name)
        hidden = masked_features(seat, preprocessing)
        mean[hidden], std[hidden] = 0.0, MASKED
        fitted[name] = Statistics(mean.astype(np.float32), std.astype(np.float32))
    return {**fitted, "risk": _risk_statistics(preprocessing)}


def visible_rows(ends: Ints, rows: int, ranges: Sequence[Range], window: int) -> Bools:
    """Which feature rows some window shows that is known within the ranges, shape (rows,).

    Args:
        ends: End of the window known at each row of bars, -1 where there is none.
        rows: How many feature rows there are.
        ranges: Of rows of bars, each within one source.
        window: Rows in a window.
    """
    seen = np.zeros(rows, np.bool_)
    for start, stop in ranges:
        known = ends[start:stop]
        known = known[known >= 0]
        if len(known):
            # ends rise by less than a window at a time, so that their windows leave nothing out
            seen[known[0] - window : known[-1]] = True
    return seen


def masked_features(seat: AgentSpec, preprocessing: Preprocessing) -> Bools:
    """Which features of a seat read 0, shape (F,)."""
    names = [feature.name for feature in seat.features]
    hidden = np.zeros(len(names), np.bool_)
    declared = {one.column for one in seat.declared}
    if not preprocessing.regime_detection:
        hidden |= np.array([name in REGIMES - declared for name in names])
    if not preprocessing.feature_engineering:
        hidden |= np.array([name not in PLAIN | declared for name in names])
    return hidden


def _moments(rows: NDArray[np.float32], seat: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(rows):
        raise DataError(
            f"no observation of the {seat} agent lies in the training part",
            where="data.sources",
            hint="give it more bars, or lower data.split.validation and data.split.test",
        )
    values = rows.astype(np.float64)
    mean, std = values.mean(axis=0), values.std(axis=0)
    return mean, np.where(std < LEAST, 1.0, std)


def _risk_statistics(preprocessing: Preprocessing) -> Statistics:
    from training.learners.networks import Statistics  # noqa: PLC0415 - brings torch along, which takes seconds

    features = AGENTS["risk"].features
    if not preprocessing.normalize:
        return Statistics.identity(len(features))
    span = np.array([feature.high - feature.low for feature in features], np.float32)
    return Statistics(np.zeros(len(features), np.float32), span / np.float32(4.0))
