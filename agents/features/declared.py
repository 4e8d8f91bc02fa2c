"""Declared features: extra columns of the bars that an agent sees beside its own, such as economic indicators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from agents.features.definitions import Feature
from engine.base.config import Config
from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Floats

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class DeclaredFeature(Config):
    """One extra column as a feature: its value over `scale`, within -`limit` and `limit`; 0 where it is not known.

    Attributes:
        column: An extra column of the bars: an economic indicator, or what a file, ticks or an order book add.
        scale: About the size of its usual values.
        limit: Where it is cut off, in units of `scale`.
    """

    column: Annotated[str, Field(min_length=1)]
    scale: Positive = 1.0
    limit: Positive = 10.0

    @property
    def feature(self) -> Feature:
        """As schemas, spaces and messages describe it."""
        formula = f"{self.column} / {self.scale:g}; 0 where not known"
        return Feature(self.column, formula, "scaled", -self.limit, self.limit, "bars", "NumPy")


class FeaturesConfig(Config):
    """Declared features, by agent; they come after its own, in this order.

    Attributes:
        strategic, tactical: Of these agents.
    """

    strategic: tuple[DeclaredFeature, ...] = ()
    tactical: tuple[DeclaredFeature, ...] = ()

    @field_validator("strategic", "tactical")
    @classmethod
    def _columns_differ(cls, value: tuple[DeclaredFeature, ...]) -> tuple[DeclaredFeature, ...]:
        names = [one.column for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the column {twice[0]} is declared twice")
        return value


def declared_in(content: Mapping[str, Any], where: str) -> tuple[DeclaredFeature, ...]:
    """The declared features of a schema that a file holds.

    Raises:
        DataError: If they are none.
    """
    found = content.get("declared", [])
    try:
        if not isinstance(found, list):
            raise TypeError
        return tuple(DeclaredFeature.model_validate(one) for one in found)
    except (TypeError, ValidationError) as error:
        raise DataError(
            "the declared features of a model cannot be read",
            where=where,
            expected="a list of mappings with column, scale and limit",
            found=str(found)[:80],
        ) from error


def check_columns(seat: str, declared: Sequence[DeclaredFeature], bars: BarBlock) -> None:
    """Refuse bars that lack a column that an agent is to see.

    Raises:
        DataError: If they do.
    """
    for one in declared:
        if one.column not in bars.extra:
            raise DataError(
                f"the {seat} agent needs a column {one.column!r}, which the bars lack",
                where=f"the declared features of its network, row {bars.seq}",
                expected=f"bars with the columns {', '.join(each.column for each in declared)}",
                found=", ".join(bars.extra) or "no extra column",
                hint=f"declare an economic indicator of that name (indicators: [{{name: {one.column}, path: FILE}}]), "
                "or give bars that have the column",
            )


def declared_values(declared: Sequence[DeclaredFeature], bars: BarBlock) -> NDArray[np.float32]:
    """What an agent sees of the columns, float32, shape (n, S, K)."""
    found = np.empty((*bars.close.shape, len(declared)), np.float32)
    for place, one in enumerate(declared):
        values: Floats = bars.extra[one.column] / one.scale
        found[:, :, place] = np.where(np.isnan(values), 0.0, np.clip(values, -one.limit, one.limit))
    return found
