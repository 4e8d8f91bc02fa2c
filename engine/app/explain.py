"""Why a fill happened: from the fill to its order, the command behind it, and what each agent decided and saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from agents.spec import AGENT_NAMES
from engine.app.cutting import cut_by
from engine.base.errors import DataError, UsageError
from engine.base.files import read_json
from engine.base.nearest import nearest_folder
from engine.record.reading import read_table

MANIFEST = "manifest.json"
DECIDES = {"tactical": "action_2", "risk": "action_0"}
"""Columns of the decisions that are not always traded at once: position scale and risk level."""


def explain(run: Path, number: int) -> dict[str, Any]:
    """Explain a fill.

    Args:
        number: Of the fill, counted from 1 in order of happening.

    Returns:
        `fill`, `order`, `entry` (the order that a bracket leg protects), `decision` (None where no agent asked for
        the order), `cut` (the hard limit that cut the order when it was given, as `engine.app.cutting.cut_by` has it;
        None where none did), `agents` (by seat, the last decision of each at that moment; `in_force`, where it
        differs, is the position scale or the risk level that was traded by then) and `models`, those active then.

    Raises:
        UsageError: If the run or the fill does not exist.
        DataError: If a file of the run is damaged.
    """
    try:
        return _explain(run, number)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the tables of the run do not fit: {error}",
            where=str(run),
            hint="the run is damaged, or was made by another release: run it again",
        ) from error


def _explain(run: Path, number: int) -> dict[str, Any]:
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
        "cut": _cut(run, fills, decision, asked) if decision and asked else None,
        "agents": _agents(_table(run, "agents"), fills, fill["symbol"], moment),
        "models": _models(run, moment),
    }


def _cut(run: Path, fills: pl.DataFrame, decision: dict[str, Any], order: dict[str, Any]) -> dict[str, Any] | None:
    symbol, moment = order["symbol"], decision["ts_event"]
    try:
        manifest = read_json(run / MANIFEST)
        config, instruments = dict(manifest.get("config") or {}), dict(manifest.get("instruments") or {})
        if symbol not in instruments:
            return None
        step = float(instruments[symbol]["size_step"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"cannot read the manifest: {error}", where=str(run / MANIFEST)) from error
    before = fills.filter((pl.col("symbol").cast(pl.String) == symbol) & (pl.col("ts_event") <= moment))
    held = float(before["position"][-1]) if len(before) else 0.0
    others = None
    if not held:  # all exposure is that of the others
        row = _first(
            _table(run, "ledger", ["ts_event", "gross_exposure", "equity"]).filter(pl.col("ts_event") == moment)
        )
        others = row["gross_exposure"] / row["equity"] if row and row["equity"] > 0.0 else None
    elif len(instruments) == 1:
        others = 0.0
    return cut_by(config, step, decision, order, held, others)


def _table(run: Path, name: str, columns: list[str] | None = None) -> pl.DataFrame:
    path = run / f"{name}.parquet"
    if not path.is_file():
        raise UsageError(
            "this is not a run folder",
            where=str(run),
            expected=f"a folder that `grandmodel backtest` wrote, with {path.name}",
            hint=nearest_folder(run, path.name) or "`grandmodel runs` lists the runs that there are",
        )
    frame = pl.from_arrow(read_table(path, columns))
    if not isinstance(frame, pl.DataFrame):
        raise TypeError("a table makes a frame")
    return frame


def _first(frame: pl.DataFrame) -> dict[str, Any] | None:
    return frame.row(0, named=True) if len(frame) else None


def _by_id(orders: pl.DataFrame, order_id: int) -> dict[str, Any] | None:
    return _first(orders.filter(pl.col("id") == order_id))


def _agents(agents: pl.DataFrame, fills: pl.DataFrame, symbol: str, moment: Any) -> dict[str, dict[str, Any]]:
    """The last decision of each seat when the command was given; the risk agent's holds for the whole book."""
    known = agents.filter(pl.col("ts_event") <= moment)
    own = {
        seat: known.filter(
            (pl.col("seat").cast(pl.String) == seat)
            & ((pl.col("symbol").cast(pl.String) == symbol) if seat != "risk" else pl.lit(value=True))
        )
        for seat in AGENT_NAMES
    }
    found = {seat: decisions.row(-1, named=True) for seat, decisions in own.items() if len(decisions)}
    if len(found) == len(AGENT_NAMES):
        opened = _opened(fills.filter((pl.col("symbol").cast(pl.String) == symbol) & (pl.col("ts_event") <= moment)))
        in_force = {"tactical": _scale(own, opened), "risk": _level(own)}
        for seat, value in in_force.items():
            if value != found[seat][DECIDES[seat]]:
                found[seat]["in_force"] = value
    return found


def _opened(fills: pl.DataFrame) -> Any:
    """When the position was opened that is held after the last of one symbol's fills; None where nothing is held."""
    held = fills["position"].to_list()
    opened = None
    for at, position in enumerate(held):
        if position == 0.0:
            opened = None
        elif opened is None:
            opened = fills["ts_event"][at]
    return opened


def _scale(own: dict[str, pl.DataFrame], opened: Any) -> float:
    """The position scale that counts: the latest while flat, later that of the strategic agent's last decision."""
    tactical = own["tactical"]
    if opened is not None:
        decided = own["strategic"]["ts_event"][-1]
        read = tactical.filter((pl.col("ts_event") <= decided) | (pl.col("ts_event") < opened))
        tactical = read if len(read) else tactical
    return float(tactical[DECIDES["tactical"]][-1])


def _level(own: dict[str, pl.DataFrame]) -> float:
    """The risk level that counts: lower ones at once, higher ones with the strategic agent's next decision."""
    risk, decided = own["risk"], own["strategic"]["ts_event"][-1]
    since = risk.filter(pl.col("ts_event") > decided)["action_0"].to_list()
    before = risk.filter(pl.col("ts_event") <= decided)["action_0"].to_list()[-1:]
    return float(min(before + since))


def _models(run: Path, moment: Any) -> dict[str, Any]:
    """The models that were active at a moment: those of the manifest, or of the last take-over before it.

    A fill follows its decision by a row or more, and a take-over may lie between them.
    """
    path = run / MANIFEST
    try:
        manifest = read_json(path)
        active, activations = dict(manifest.get("models") or {}), list(manifest.get("activations") or [])
        if activations:
            row = int((_table(run, "ledger", ["ts_event"])["ts_event"] < moment).sum())
            for activation in activations:
                if activation["seq"] <= row:
                    active = {key: value for key, value in activation.items() if key != "seq"}
        return {"agent": manifest.get("agent"), **active}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"cannot read the manifest: {error}", where=str(path)) from error
