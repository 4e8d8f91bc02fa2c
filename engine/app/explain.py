"""Why a fill happened: from the fill to its order, the command behind it, and what each agent said and saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from engine.errors import DataError, UsageError

SEATS = ("strategic", "tactical", "risk")


def explain(run: Path, number: int) -> dict[str, Any]:
    """Explain a fill.

    Args:
        run: Run folder.
        number: Of the fill, counted from 1 in order of happening.

    Returns:
        `fill`, `order`, `entry` (the order that a bracket leg protects), `decision` (None where no agent asked for
        the order), `agents` (by seat) and `models`.

    Raises:
        UsageError: If the run or the fill does not exist.
        DataError: If a file of the run is damaged.
    """
    fills = _table(run, "fills")
    if not 1 <= number <= len(fills):
        raise UsageError(
            f"there is no fill {number}",
            where=str(run),
            expected=f"1 to {len(fills)}" if len(fills) else "no fill at all",
        )
    fill = fills.row(number - 1, named=True)
    orders, decisions = _table(run, "orders"), _table(run, "decisions")
    order = _by_id(orders, fill["order_id"])
    entry = _by_id(orders, order["parent"]) if order and order["parent"] else None
    asked = entry or order
    decision = _first(decisions.filter(pl.col("order_id") == asked["id"])) if asked else None
    moment = decision["ts_event"] if decision else (asked["submitted"] if asked else fill["ts_event"])
    return {
        "fill": {"number": number, **fill},
        "order": order,
        "entry": entry,
        "decision": decision,
        "agents": _agents(_table(run, "agents"), fill["symbol"], moment),
        "models": _models(run, fill["row"]),
    }


def _table(run: Path, name: str) -> pl.DataFrame:
    path = run / f"{name}.parquet"
    if not path.is_file():
        raise UsageError("this is not a run folder", where=str(run), expected=f"a file {path.name}")
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"cannot read {path.name}: {error}", where=str(path)) from error


def _first(frame: pl.DataFrame) -> dict[str, Any] | None:
    return frame.row(0, named=True) if len(frame) else None


def _by_id(orders: pl.DataFrame, order_id: int) -> dict[str, Any] | None:
    return _first(orders.filter(pl.col("id") == order_id))


def _agents(agents: pl.DataFrame, symbol: str, moment: Any) -> dict[str, dict[str, Any]]:
    """What each seat had said last when the decision was made; the risk agent speaks for the whole book."""
    known = agents.filter(pl.col("ts_event") <= moment)
    found = {}
    for seat in SEATS:
        own = known.filter(pl.col("seat").cast(pl.String) == seat)
        if seat != "risk":
            own = own.filter(pl.col("symbol").cast(pl.String) == symbol)
        if len(own):
            found[seat] = own.row(-1, named=True)
    return found


def _models(run: Path, row: int) -> dict[str, Any]:
    """The models that were active at a row: those of the manifest, or of the last take-over before it."""
    try:
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"cannot read the manifest: {error}", where=str(run / "manifest.json")) from error
    active = dict(manifest.get("models") or {})
    for activation in manifest.get("activations", []):
        if activation["seq"] <= row:
            active = {key: activation[key] for key in ("version", "sha256") if key in activation}
    return {"agent": manifest.get("agent"), **active}
