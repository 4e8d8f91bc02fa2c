"""Checking observations before a network sees them: shape, type, and that every number is finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.spec import AgentSpec
from engine.base.errors import DataError


def as_observations(observations: NDArray[Any], seat: AgentSpec) -> NDArray[np.float32]:
    """The observations as a contiguous array of shape (B, *seat.observation).

    Raises:
        DataError: If the type is not float32, the shape is another, or a number is not finite.
    """
    if observations.dtype != np.float32 or observations.shape[1:] != seat.observation or observations.ndim < 2:
        raise _misfit(observations, seat, ("B", *map(str, seat.observation)))
    rows = np.ascontiguousarray(observations)
    check_finite(rows, seat)
    return rows


def check_finite(rows: NDArray[np.float32], seat: AgentSpec) -> None:
    """Refuse NaN and infinity.

    Raises:
        DataError: Naming the row and the feature.
    """
    finite = np.isfinite(rows)
    if finite.all():
        return
    row, *place = (int(index) for index in np.argwhere(~finite)[0])
    name = seat.features[place[-1]].name
    bar = f", bar {place[0]} of its window" if len(place) > 1 else ""
    raise DataError(
        "an observation is not finite",
        where=f"{seat.name} observation, row {row}{bar}, feature {place[-1]} ({name})",
        expected="finite numbers",
        found=f"{rows[(row, *place)]}; {int((~finite).sum())} such numbers in {len(rows)} rows",
        hint="features may not be served before their warm-up is over, nor across an absent bar",
    )


def misfit_of_one(observation: NDArray[Any], seat: AgentSpec) -> DataError:
    """The error for a single observation of another shape or type."""
    return _misfit(observation, seat, tuple(map(str, seat.observation)))


def _misfit(found: NDArray[Any], seat: AgentSpec, shape: tuple[str, ...]) -> DataError:
    return DataError(
        f"the {seat.name} network cannot read this observation",
        expected=f"float32 of shape ({', '.join(shape)}{',' if len(shape) == 1 else ''})",
        found=f"{found.dtype} of shape {found.shape}",
    )
