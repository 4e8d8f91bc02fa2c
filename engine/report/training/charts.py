"""Charts as data; the page's script `charts.js` draws them with Plotly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Number = float | None


@dataclass(frozen=True)
class ChartSeries:
    """One line, or one set of bars.

    Attributes:
        name: For the legend; empty for none.
        y: Values; None where there is none.
        low, high: A band around a line, or the interval of a bar; empty for none.
        color: Number of the colour, 0 to 5; 5 is the quiet one.
        thin: A line that stands behind the others.
    """

    name: str
    y: Sequence[Number]
    low: Sequence[Number] = ()
    high: Sequence[Number] = ()
    color: int = 0
    thin: bool = False


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        name: Its element's id.
        title: Above it.
        kind: Lines over numbers, or bars over categories.
        x: Numbers or categories; shared by every series.
        series: At least one.
        x_label: Of the axis across.
        percent: Whether values are fractions to be written as percentages.
    """

    name: str
    title: str
    kind: Literal["lines", "bars"]
    x: Sequence[float] | Sequence[str]
    series: Sequence[ChartSeries]
    x_label: str = ""
    percent: bool = False


@dataclass(frozen=True)
class Panel:
    """Charts under one heading.

    Attributes:
        title: The heading.
        note: What a reader needs to know to read them.
        charts: One, or several small ones.
    """

    title: str
    note: str
    charts: Sequence[Chart]
