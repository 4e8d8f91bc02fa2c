"""The history of trainings: records of a file, and learning curves over one or several runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.base.files import read_file
from engine.base.nearest import nearest_path
from engine.report.training.charts import ChartSeries
from engine.types.blocks import Floats

MOST_BYTES = 1 << 30  # of a history; a long training writes some megabytes
HISTORY_FILE = "history.jsonl"
Record = Mapping[str, Any]
History = Sequence[Record]
Pick = Callable[[Record], Any]
MOST_POINTS = 400
SMOOTHED = 50
"""Smoothing takes the mean over this fraction of the episodes: one in `SMOOTHED`."""


def read_history(path: Path) -> list[dict[str, Any]]:
    """Records of a training.

    A last line without an end is what a running or killed training has not finished; it is left out.

    Args:
        path: `history.jsonl`, or a folder that holds it.

    Raises:
        UsageError: If there is no such file.
        DataError: If a line is no JSON object.
    """
    path = path / HISTORY_FILE if path.is_dir() else path
    try:
        lines = read_file(path, MOST_BYTES).decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read the history of the training: {error}",
            where=str(path),
            hint=nearest_path(path, lambda entry: entry.suffix == path.suffix or entry.is_dir())
            or f"give a {HISTORY_FILE} that a training wrote, or its folder",
        ) from error
    return [_record(line, path, number) for number, line in enumerate(lines[:-1], 1) if line.strip()]


def _record(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON: {error}", where=f"{path}, line {number}") from error
    if not isinstance(found, dict):
        raise DataError("expected a JSON object", where=f"{path}, line {number}", found=type(found).__name__)
    return found


def of_kind(history: History, kind: str) -> list[Record]:
    """Records of one kind, in order of their episodes; an episode that was done again after a resume counts once."""
    found: dict[Any, Record] = {}
    for record in history:
        if record.get("kind") == kind and isinstance(record.get("episode"), int):
            found[record["episode"]] = record
    return [found[episode] for episode in sorted(found)]


def points(records: Iterable[Record], pick: Pick) -> tuple[Floats, Floats]:
    """Episodes and values of a curve; records without a finite value are left out."""
    pairs = [(record["episode"], value) for record in records if (value := _number(pick(record))) is not None]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def smoothed(values: Floats, window: int) -> Floats:
    """Mean over the last `window` values, of as many as there are at the start."""
    if window < 2 or not len(values):
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def grid(curves: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Episodes at which curves are drawn together: all of them, or `MOST_POINTS` of them."""
    every = np.unique(np.concatenate([x for x, _ in curves])) if curves else np.empty(0)
    if len(every) <= MOST_POINTS:
        return every
    return every[np.linspace(0, len(every) - 1, MOST_POINTS).round().astype(np.int64)]


def across(curves: Sequence[tuple[Floats, Floats]], at: Floats, name: str, color: int) -> ChartSeries:
    """One line for several runs: their mean, with a band from the lowest to the highest of them.

    Args:
        curves: Episodes and values of each run; linear between its own episodes, nothing before or after.
        at: Episodes at which to draw.
    """
    found = np.array([np.interp(at, x, y, left=np.nan, right=np.nan) for x, y in curves if len(x)])
    if not len(found):
        return ChartSeries(name, [None] * len(at), color=color)
    known = np.isfinite(found)
    counts = known.sum(axis=0)
    mean = np.where(counts > 0, np.where(known, found, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    if len(found) == 1:
        return ChartSeries(name, listed(mean), color=color)
    low = np.where(counts > 0, np.where(known, found, np.inf).min(axis=0), np.nan)
    high = np.where(counts > 0, np.where(known, found, -np.inf).max(axis=0), np.nan)
    return ChartSeries(name, listed(mean), listed(low), listed(high), color)


def listed(values: Floats) -> list[float | None]:
    """Numbers to six digits; None for what is not finite."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
