"""What stands beneath the price: what the agents of an ensemble decided, and what a strategy plotted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agents.spec import AGENT_NAMES
from engine.record.reading import read_table
from engine.report.tables import coded, column, packed, place
from engine.types.blocks import Ints

MOST_VALUES = 20_000


def said(folder: Path, symbols: list[str], chart_ts: Ints) -> list[dict[str, Any]]:
    """What each seat decided, by symbol: `at` (points of the chart), `values` and `confidence`.

    `symbol` is its number, -1 for the whole book; `values` are the side (-1 to 1), the position scale or the level
    (0 to 4); the tactical seat adds `timing` and `stop`. Of more than MOST_VALUES, evenly many are left out.
    """
    path = folder / "agents.parquet"
    table = read_table(path) if path.exists() else None
    if table is None or not table.num_rows:
        return []
    seat, seats = coded(table, "seat", "agents")
    symbol, names = coded(table, "symbol", "agents")
    ts_event = column(table, "ts_event", "agents")
    found = []
    for name in (name for name in AGENT_NAMES if name in seats):
        mine = seat == seats.index(name)
        for number in np.unique(symbol[mine]).tolist():
            rows = _some(np.flatnonzero(mine & (symbol == number)))
            where = symbols.index(names[number]) if number >= 0 else -1
            found.append({"seat": name, "symbol": where, **_said(table, name, rows, ts_event, chart_ts)})
    return found


def _said(table: pa.Table, seat: str, rows: Ints, ts_event: Ints, chart_ts: Ints) -> dict[str, Any]:
    actions = [column(table, f"action_{k}", "agents")[rows] for k in range(3)]
    more = {"timing": packed(actions[0]), "stop": packed(actions[1])} if seat == "tactical" else {}
    return {
        "at": packed(place(ts_event[rows], chart_ts), "i4"),
        "values": packed(actions[2 if seat == "tactical" else 0]),
        "confidence": packed(column(table, "confidence", "agents")[rows]),
        **more,
    }


def plotted(folder: Path, symbols: list[str], chart_ts: Ints) -> list[dict[str, Any]]:
    """The lines of `context.plot`: `name`, `panel` (None over the price), `symbol`, `at` and `values`."""
    path = folder / "plots.parquet"  # runs of earlier releases have none
    table = read_table(path) if path.exists() else None
    if table is None or not table.num_rows:
        return []
    columns = [coded(table, name, "plots") for name in ("symbol", "panel", "name")]
    keys, line = np.unique(np.column_stack([numbers for numbers, _ in columns]), axis=0, return_inverse=True)
    line = line.ravel()
    first = [int(np.argmax(line == k)) for k in range(len(keys))]
    ts_event, values = column(table, "ts_event", "plots"), column(table, "value", "plots")
    found = []
    for k in np.argsort(first, kind="stable").tolist():
        rows = _some(np.flatnonzero(line == k))
        symbol, panel, name = (
            known[number] if number >= 0 else None for number, (_, known) in zip(keys[k], columns, strict=True)
        )
        found.append(
            {
                "name": name,
                "panel": panel,
                "symbol": symbols.index(str(symbol)),
                "at": packed(place(ts_event[rows], chart_ts), "i4"),
                "values": packed(values[rows], "f8"),
            }
        )
    return found


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[:: -(-len(rows) // MOST_VALUES) or 1]
