"""What the page draws: a run's tables as compact typed columns."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import DataError, UsageError
from engine.files import read_json as read_json_file
from engine.nearest import nearest_folder
from engine.recording.reading import read_table

MOST_FILLS = 20_000
MOST_TRADES = 5_000
PRICES = ("open", "high", "low", "close")
MILLION = 1_000_000


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a run folder.

    Raises:
        UsageError: If the file is missing.
        DataError: If it holds something else.
    """
    try:
        tree = read_json_file(path)
    except OSError as error:
        raise UsageError(
            f"{path.parent} is not a run folder: it has no {path.name}",
            where=str(path.parent),
            expected="a folder that `grandmodel backtest` wrote",
            hint=nearest_folder(path.parent, path.name) or "give the folder that the backtest named when it ended",
        ) from error
    except ValueError as error:
        raise DataError(f"not valid JSON: {error}", where=str(path)) from error
    if not isinstance(tree, dict):
        raise DataError("expected a JSON object", where=str(path), found=type(tree).__name__)
    return tree


def packed(values: Any, dtype: str = "f4") -> dict[str, str]:
    """Numbers as base64 of little-endian bytes, with the name of their type (f8, f4 or i4)."""
    array = np.ascontiguousarray(values, dtype=f"<{dtype}")
    return {"type": dtype, "bytes": base64.b64encode(array.tobytes()).decode("ascii")}


def _column(table: pa.Table, name: str, where: str) -> Any:
    if name not in table.column_names:
        raise DataError(f"the table has no column {name!r}", where=where, found=", ".join(table.column_names))
    column = table.column(name).combine_chunks()
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).to_numpy(zero_copy_only=False) / MILLION
    if pa.types.is_dictionary(column.type) or pa.types.is_boolean(column.type):
        return column.to_pylist()
    return column.to_numpy(zero_copy_only=False)


def payload(folder: Path, manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the page's scripts need, JSON-able.

    Args:
        folder: The run folder.
        manifest: Its manifest.
        metrics: Its metrics.

    Raises:
        UsageError: If a table is missing.
        DataError: If a table does not hold what it should.
    """
    chart = read_table(folder / "chart.parquet")
    symbols = [name.removeprefix("open.") for name in chart.column_names if name.startswith("open.")]
    sessions = read_table(folder / "sessions.parquet")
    fills, note = _fills(read_table(folder / "fills.parquet"), symbols)
    return {
        "chart": _chart(chart),
        "symbols": [
            {"name": symbol} | {p: packed(_column(chart, f"{p}.{symbol}", "chart"), "f8") for p in PRICES}
            for symbol in symbols
        ],
        "sessions": {
            "ts": packed(_column(sessions, "ts_event", "sessions"), "f8"),
            "equity": packed(_column(sessions, "equity", "sessions"), "f8"),
        },
        "fills": fills[0],
        "roles": fills[1],
        "fills_note": note,
        "trades": _trades(read_table(folder / "trades.parquet")),
        "benchmark": str(metrics.get("benchmark") or "buy and hold"),
        "initial_capital": metrics.get("initial_capital") or 1.0,
        "periods_per_year": metrics.get("periods_per_year") or 252,
        "var_95": metrics.get("var_95"),
    }


def _chart(chart: pa.Table) -> dict[str, Any]:
    held = "benchmark" if "benchmark" in chart.column_names else "buy_and_hold"
    columns = {"equity": "equity", "buy_and_hold": held}
    lines = {name: packed(_column(chart, column, "chart"), "f8") for name, column in columns.items()}
    lines |= {name: packed(_column(chart, name, "chart")) for name in ("drawdown", "exposure")}
    return {"ts": packed(_column(chart, "ts_event", "chart"), "f8")} | lines


def _codes(words: Sequence[str], known: list[str]) -> dict[str, str]:
    return packed([known.index(word) for word in words], "i4")


def _fills(fills: pa.Table, symbols: list[str]) -> tuple[tuple[dict[str, Any], list[str]], str]:
    note = ""
    if fills.num_rows > MOST_FILLS:
        shown = f"Only the first {MOST_FILLS:,} of {fills.num_rows:,} fills are in this page"
        note = f" {shown}; fills.parquet has all."
        fills = fills.slice(0, MOST_FILLS)
    role = _column(fills, "role", "fills")
    roles = sorted(set(role))
    columns = {
        "ts": packed(_column(fills, "ts_event", "fills"), "f8"),
        "price": packed(_column(fills, "price", "fills"), "f8"),
        "symbol": _codes(_column(fills, "symbol", "fills"), symbols),
        "side": packed([1 if side == "buy" else -1 for side in _column(fills, "side", "fills")], "i4"),
        "role": _codes(role, roles),
    }
    for name in ("quantity", "position", "realized"):
        columns[name] = packed(_column(fills, name, "fills"), "f8")
    return (columns, roles), note


def _trades(trades: pa.Table) -> dict[str, Any]:
    trades = trades.slice(0, MOST_TRADES)
    closed_by = [
        "still open" if is_open else role if reason == "none" else f"{role}, {reason}"
        for is_open, role, reason in zip(
            _column(trades, "open", "trades"),
            _column(trades, "exit_role", "trades"),
            _column(trades, "exit_reason", "trades"),
            strict=True,
        )
    ]
    columns: dict[str, Any] = {
        "symbol": _column(trades, "symbol", "trades"),
        "side": _column(trades, "side", "trades"),
        "entry": packed(_column(trades, "entry_time", "trades"), "f8"),
        "exit": packed(_column(trades, "exit_time", "trades"), "f8"),
        "closed_by": ["order" if text == "entry" else text for text in closed_by],
    }
    names = ("quantity", "entry_price", "exit_price", "profit", "return", "fees", "bars")
    return columns | {name: packed(_column(trades, name, "trades"), "f8") for name in names}
