"""What a strategy plots: values by name, kept beside the run and drawn over its prices."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.base.errors import UsageError
from engine.types.step import Plots

MOST_SERIES = 256
LONGEST_NAME = 100


class PlotPad:
    """Collects what is plotted in the rows of one block.

    A series is known by name, panel and symbol. Series are numbered in the order in which they first appear.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str | None, int], int] = {}
        self._points: list[tuple[int, int, float]] = []

    def add(self, seq: int, symbol: int, name: str, value: Any, panel: str | None) -> None:
        """Plot one value.

        Args:
            seq: Number of the row.
            symbol: Number of the symbol.
            name: Of the series.
            value: A number; NaN leaves a gap in the line.
            panel: Name of a panel below the price; None draws over the price.

        Raises:
            UsageError: If the value is no number, a name is unusable, or there are too many series.
        """
        number = self._series.get((name, panel, symbol))
        if number is None:
            number = self._new(name, panel, symbol)
        try:
            self._points.append((seq, number, float(value)))
        except (TypeError, ValueError):
            raise UsageError(f"plot {name!r} needs a number", found=repr(value)[:80]) from None

    def take(self) -> Plots | None:
        """What was plotted since the last call; None if nothing was."""
        if not self._points:
            return None
        rows, series, values = zip(*self._points, strict=True)
        self._points = []
        return Plots(
            names=tuple(name for name, _, _ in self._series),
            panels=tuple(panel for _, panel, _ in self._series),
            symbols=tuple(symbol for _, _, symbol in self._series),
            seq=np.array(rows, np.int64),
            series=np.array(series, np.int64),
            values=np.array(values, np.float64),
        )

    def _new(self, name: str, panel: str | None, symbol: int) -> int:
        texts: tuple[object, ...] = (name,) if panel is None else (name, panel)
        for text in texts:
            if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= LONGEST_NAME:
                raise UsageError(
                    "this cannot name a plot",
                    expected=f"1 to {LONGEST_NAME} printable characters",
                    found=repr(text)[:80],
                )
        if len(self._series) >= MOST_SERIES:
            raise UsageError(
                f"the strategy plots more than {MOST_SERIES} series",
                expected="the same few names in every row",
                found=f"{name!r} is one more",
            )
        return self._series.setdefault((name, panel, symbol), len(self._series))
