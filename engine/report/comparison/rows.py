"""The rows of a comparison: one a variant, flat, sorted; what the table, the CSV, the frame and the page show."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from engine.report.presentation import Kind

COLUMNS = {
    "total_return": "return",
    "sharpe": "sharpe",
    "max_drawdown": "drawdown",
    "mean_leverage": "leverage",
    "trades": "trades",
    "excess_at_equal_risk": "excess",
    "annual_volatility": "volatility",
    "sortino": "sortino",
    "max_leverage": "max_leverage",
    "exposure": "exposure",
    "cagr": "cagr",
    "alpha": "alpha",
    "beta": "beta",
    "information_ratio": "information_ratio",
    "benchmark_return": "benchmark",
    "benchmark_at_exposure_return": "benchmark_at_exposure",
    "equal_risk_return": "benchmark_at_equal_risk",
}
"""Metrics of a part and what their columns are called. `excess` is the return less that of the benchmark at equal
risk."""
SHOWN: dict[str, tuple[str, Kind, bool]] = {
    "return": ("return", "percent", True),
    "sharpe": ("Sharpe", "ratio", True),
    "drawdown": ("max DD", "percent", False),
    "leverage": ("leverage", "ratio", False),
    "trades": ("trades", "count", False),
    "excess": ("vs bench", "percent", True),
}
"""Columns of a part that tables show: heading, how they are written, and whether their sign is good or bad news."""


def shown_parts(tree: Mapping[str, Any]) -> list[str]:
    """The parts that a table shows: in-sample and out-of-sample, or all bars where they were not divided."""
    names = [part["name"] for part in tree["parts"]]
    return ["in", "out"] if "out" in names else ["all"]


def rows_of(tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One flat mapping a variant, in their order: number, variant, agent, parameters, columns of each part, status."""
    names = list(dict.fromkeys(name for variant in tree["variants"] for name in variant["parameters"]))
    parts = [part["name"] for part in tree["parts"] if not part["name"].startswith("before")]
    return [_row(variant, names, parts) for variant in tree["variants"]]


def _row(variant: Mapping[str, Any], names: Sequence[str], parts: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"number": variant["number"], "variant": variant["variant"], "agent": variant["agent"]}
    taken = {*row, "status", "error", "run", "ledger_sha256"}
    parameters = variant["parameters"]
    row |= {f"parameter.{name}" if name in taken else name: parameters.get(name) for name in names}
    row["status"], row["error"] = variant["status"], variant["error"]
    for part in parts:
        metrics = (variant["parts"] or {}).get(part) or {}
        row |= {f"{part}.{column}": metrics.get(name) for name, column in COLUMNS.items()}
    return row | {"ledger_sha256": variant["ledger_sha256"], "run": variant["run"]}


def sorted_rows(rows: Sequence[dict[str, Any]], key: str | None, parts: Sequence[str]) -> list[dict[str, Any]]:
    """Rows by a column, largest first (by name: A first); what has no value comes last, equals in their order.

    Args:
        rows: From `rows_of`.
        key: A column such as `out.sharpe`; `sharpe` alone is that of the first part shown; None is that, or
            the return where no variant has a Sharpe ratio.
        parts: From `shown_parts`.

    Raises:
        UsageError: If there is no such column.
    """
    if not rows:
        return []
    rated = any(row.get(f"{parts[0]}.sharpe") is not None for row in rows)
    wanted = key or ("sharpe" if rated else "return")
    column = next((name for name in (wanted, f"{parts[0]}.{wanted}") if name in rows[0]), None)
    if column is None:
        known = [name for name in rows[0] if "." in name and not name.startswith("fold")]
        raise UsageError(
            f"no column {wanted!r} to sort by",
            expected=", ".join([*COLUMNS.values(), "variant"])
            + f", of one part: {', '.join(f'{p}.sharpe' for p in parts)}",
            hint=did_you_mean(wanted, [*known, *COLUMNS.values()]),
        )
    with_value = [row for row in rows if row[column] is not None]
    without = [row for row in rows if row[column] is None]
    words = any(isinstance(row[column], str) for row in with_value)
    order = sorted(with_value, key=(lambda row: str(row[column])) if words else (lambda row: -row[column]))
    return order + without


def write_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, full precision, an empty field where there is no value."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def short_name(variant: str) -> str:
    """A specification without the folders of its file."""
    head, separator, tail = variant.partition(".py:")
    return f"{Path(head).name}.py:{tail}" if separator else variant
