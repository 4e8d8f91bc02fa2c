"""What the page draws: a run's tables as compact typed columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.base.errors import DataError, UsageError
from engine.base.files import read_json as read_json_file
from engine.base.nearest import nearest_folder
from engine.record.reading import read_table
from engine.report.challengers_panel import takeovers_of
from engine.report.drawdowns import Drawdown, worst_drawdowns
from engine.report.presentation import currency, spaced
from engine.report.signals import plotted, said
from engine.report.tables import column, packed, place, text_column, times
from engine.report.trades import Breakdown, Trades, breakdowns, fill_numbers
from engine.types.blocks import Floats, Ints
from engine.types.reasons import phrase

MOST_FILLS = 20_000
MOST_TRADES = 5_000
PRICES = ("open", "high", "low", "close")


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
            hint=_instead(path.parent)
            or nearest_folder(path.parent, path.name)
            or "`grandmodel runs` lists the runs that there are",
        ) from error
    except ValueError as error:
        raise DataError(f"not valid JSON: {error}", where=str(path)) from error
    if not isinstance(tree, dict):
        raise DataError("expected a JSON object", where=str(path), found=type(tree).__name__)
    return tree


def _instead(folder: Path) -> str | None:
    """What can be done with the folder of a training, an evaluation or a comparison."""
    if (folder / "history.jsonl").is_file():
        return (
            f"it is the folder of a training: `grandmodel backtest --agent ensemble:{folder / 'models'}` trades its "
            f"networks, gm.EvaluationResult.load({str(folder / 'evaluation')!r}) loads its evaluation, and "
            f"`grandmodel train --resume {folder}` continues it"
        )
    if (folder / "evaluation.json").is_file():
        return f"it is the folder of an evaluation: gm.EvaluationResult.load({str(folder)!r}) loads it"
    if (folder / "comparison.json").is_file():
        return f"it is the folder of a comparison: the runs that it kept are in {folder / 'variants'}"
    return None


class Contents(NamedTuple):
    """What a run folder holds for its report.

    Attributes:
        data: What the scripts of the page draw, JSON-able.
        drawdowns: The worst, deepest first.
        breakdowns: Closed trades by what they have in common.
    """

    data: dict[str, Any]
    drawdowns: list[Drawdown]
    breakdowns: list[Breakdown]


def contents(folder: Path, manifest: Mapping[str, Any], metrics: Mapping[str, Any]) -> Contents:
    """Read a run folder for its report.

    Raises:
        UsageError: If a table is missing.
        DataError: If a table does not hold what it should.
    """
    chart, sessions = read_table(folder / "chart.parquet"), read_table(folder / "sessions.parquet")
    fills, table = read_table(folder / "fills.parquet"), read_table(folder / "trades.parquet")
    symbols = [name.removeprefix("open.") for name in chart.column_names if name.startswith("open.")]
    ts_event = column(chart, "ts_event", "chart")
    trades = _trades(table)
    drawn, note = _fills(fills, symbols, ts_event)
    initial = metrics.get("initial_capital") or 1.0
    data = {
        "chart": _chart(chart),
        "symbols": [_symbol(chart, symbol) for symbol in symbols],
        "sessions": {
            "ts": times(column(sessions, "ts_event", "sessions")),
            "equity": packed(column(sessions, "equity", "sessions"), "f8"),
        },
        "fills": drawn,
        "fills_note": note,
        "trades": _drawn_trades(table, trades, fills, ts_event),
        "takeovers": _takeovers(folder, manifest, ts_event),
        "agents": said(folder, symbols, ts_event),
        "plots": plotted(folder, symbols, ts_event),
        "initial_capital": initial,
        "currency": currency(manifest),
        "benchmark": str(metrics.get("benchmark") or "buy and hold"),
        "periods_per_year": metrics.get("periods_per_year") or 252,
        "var_95": metrics.get("var_95"),
    }
    return Contents(data, worst_drawdowns(*_equity(folder, chart), initial), breakdowns(trades))


def _equity(folder: Path, chart: pa.Table) -> tuple[Ints, Floats]:
    """Times and equity of every row; at the points of the chart where the ledger does not reach back as far.

    The ledger of a live session begins where its retention does; its chart covers all of it.
    """
    path = folder / "ledger.parquet"
    first = column(chart, "ts_event", "chart")[:1]
    if path.exists():
        ledger = read_table(path, ["ts_event", "equity"])
        ts_event = column(ledger, "ts_event", "ledger")
        if len(ts_event) and len(first) and ts_event[0] <= first[0]:
            return ts_event, column(ledger, "equity", "ledger")
    return column(chart, "ts_event", "chart"), column(chart, "equity", "chart")


def _takeovers(folder: Path, manifest: Mapping[str, Any], chart_ts: Ints) -> list[dict[str, Any]]:
    """Where on the charts others decided from there on, and their names; rows that left the ledger are passed over."""
    found = takeovers_of(manifest)
    path = folder / "ledger.parquet"
    if not found or not path.exists() or not len(chart_ts):
        return []
    ts_event = column(read_table(path, ["ts_event"]), "ts_event", "ledger")
    first = manifest.get("first_row") or 0
    held = [one for one in found if 0 <= one.seq - first < len(ts_event)]
    at = place(np.array([ts_event[one.seq - first] for one in held], np.int64), chart_ts)
    return [{"at": int(row), "name": one.name} for row, one in zip(at, held, strict=True)]


def _chart(chart: pa.Table) -> dict[str, Any]:
    held = "benchmark" if "benchmark" in chart.column_names else "buy_and_hold"
    columns = {"equity": "equity", "buy_and_hold": held}
    lines = {name: packed(column(chart, found, "chart"), "f8") for name, found in columns.items()}
    lines |= {name: packed(column(chart, name, "chart")) for name in ("drawdown", "exposure")}
    return {"ts": times(column(chart, "ts_event", "chart"))} | lines


def _symbol(chart: pa.Table, symbol: str) -> dict[str, Any]:
    """Prices of a symbol, and its volume where the data have one."""
    found: dict[str, Any] = {"name": symbol}
    found |= {name: packed(column(chart, f"{name}.{symbol}", "chart"), "f8") for name in PRICES}
    if f"volume.{symbol}" in chart.column_names:  # runs of earlier releases have none
        volume = np.nan_to_num(column(chart, f"volume.{symbol}", "chart"))
        if (volume > 0.0).any():
            found["volume"] = packed(volume)
    return found


def _fills(fills: pa.Table, symbols: list[str], chart_ts: Ints) -> tuple[dict[str, Any], str]:
    note = ""
    if fills.num_rows > MOST_FILLS:
        shown = f"Only the first {MOST_FILLS:,} of {fills.num_rows:,} fills are in this page"
        note = f" {shown}; fills.parquet has all."
        fills = fills.slice(0, MOST_FILLS)
    role = column(fills, "role", "fills")
    roles = sorted(set(role))
    ts_event = column(fills, "ts_event", "fills")
    columns: dict[str, Any] = {
        "at": packed(place(ts_event, chart_ts), "i4"),
        "ts": times(ts_event),
        "price": packed(column(fills, "price", "fills"), "f8"),
        "symbol": packed([symbols.index(name) for name in column(fills, "symbol", "fills")], "i4"),
        "side": packed([1 if side == "buy" else -1 for side in column(fills, "side", "fills")], "i4"),
        "role": packed([roles.index(name) for name in role], "i4"),
        "roles": roles,
    }
    for name in ("quantity", "position", "realized"):
        columns[name] = packed(column(fills, name, "fills"), "f8")
    return columns, note


def _trades(table: pa.Table) -> Trades:
    still = np.array(column(table, "open", "trades"), dtype=np.bool_)
    role, reason = text_column(table, "exit_role", "trades"), text_column(table, "exit_reason", "trades")
    role = np.where(role == "entry", "order", role)
    by = _each(spaced, role)
    both = np.char.add(np.char.add(by, ", "), _each(phrase, reason))
    closed_by = np.where(still, "still open", np.where((reason == "none") | (reason == ""), by, both))
    return Trades(
        text_column(table, "symbol", "trades"),
        text_column(table, "side", "trades"),
        closed_by,
        column(table, "entry_time", "trades"),
        column(table, "exit_time", "trades"),
        column(table, "profit", "trades"),
        still,
    )


def _each(words_of: Callable[[str], str], names: NDArray[np.str_]) -> NDArray[np.str_]:
    """The words of every name; there are few different ones."""
    known, at = np.unique(names, return_inverse=True)
    return np.array([words_of(name) for name in known.tolist()], dtype=np.str_)[at]


def _drawn_trades(table: pa.Table, trades: Trades, fills: pa.Table, chart_ts: Ints) -> dict[str, Any]:
    first, last = fill_numbers(
        trades,
        text_column(fills, "symbol", "fills"),
        column(fills, "position", "fills"),
        column(fills, "ts_event", "fills"),
    )
    some = slice(0, MOST_TRADES)
    columns: dict[str, Any] = {
        "symbol": trades.symbol[some].tolist(),
        "side": trades.side[some].tolist(),
        "closed_by": trades.closed_by[some].tolist(),
        "entry": times(trades.entry[some]),
        "exit": times(trades.exit[some]),
        "entry_at": packed(place(trades.entry[some], chart_ts), "i4"),
        "exit_at": packed(place(trades.exit[some], chart_ts), "i4"),
        "entry_fill": packed(first[some], "i4"),
        "exit_fill": packed(last[some], "i4"),
    }
    names = ("quantity", "entry_price", "exit_price", "profit", "return", "fees", "bars")
    table = table.slice(0, MOST_TRADES)
    return columns | {name: packed(column(table, name, "trades"), "f8") for name in names}
