"""The frame of a comparison: a pandas frame that prints the columns by which variants are judged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pandas as pd

from engine.api.printing import NARROWEST
from engine.report.comparison.rows import SHOWN
from engine.report.presentation import UNDEFINED, write

PRINTED = ("return", "sharpe", "drawdown", "trades", "excess")
"""Columns of a part that are printed."""
MOST_ROWS = 60


class ComparisonFrame(pd.DataFrame):
    """A pandas frame in every respect but its text, which pandas would cut in the middle of its many columns.

    `print(frame)` shows return, Sharpe ratio, drawdown, trades and the return over the benchmark of each part, in as
    many lines as the terminal needs; a notebook likewise. Without those columns it prints as any frame.
    """

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return ComparisonFrame

    def __repr__(self) -> str:
        shown = self._judged()
        if shown is None:
            return super().__repr__()
        width = max(shutil.get_terminal_size((NARROWEST, 24)).columns, NARROWEST)
        text = shown.to_string(line_width=width, max_rows=MOST_ROWS)
        rest = f"[{len(self)} rows, {len(self.columns)} columns; frame.columns names them all]"
        return f"{text}\n\n{rest}"

    def _repr_html_(self) -> str:
        shown = self._judged()
        return (pd.DataFrame(self) if shown is None else shown).to_html(max_rows=MOST_ROWS)

    def _judged(self) -> pd.DataFrame | None:
        """The columns that are printed, as text; None if the frame has them no more."""
        present = set(map(str, self.columns))
        parts = ("in", "out") if "out.return" in present else ("all",)
        columns = [(f"{part}.{name}", SHOWN[name][1]) for part in parts for name in PRINTED]
        columns = [(name, kind) for name, kind in columns if name in present]
        if not columns:
            return None
        texts: dict[str, list[Any]] = {
            name: [UNDEFINED if pd.isna(value) else write(value, kind) for value in self[name].tolist()]
            for name, kind in columns
        }
        if "status" in present and (self["status"] != "done").any():
            texts["status"] = self["status"].tolist()
        return pd.DataFrame(texts, index=self.index)
