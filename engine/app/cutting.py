"""Which hard limit made an order smaller than the position that was asked for, from what a run has recorded.

An order shows what it was cut to, not by what. A target is cut by `limits.max_position` and `limits.max_leverage` only,
before it becomes an order (`portfolio.kernels.commands.target_contracts`), so the configuration and the ledger tell.
What is cut when it fills is recorded with the fill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NEAR = 1e-9


def cut_by(
    config: Mapping[str, Any],
    step: float,
    decision: Mapping[str, Any],
    order: Mapping[str, Any],
    held: float,
    gross: float | None,
) -> dict[str, Any] | None:
    """The limit that cut a target to the order's size; None if none did, or if the records do not tell.

    Args:
        config: Of the run, `sizing` and `limits`.
        step: Of the instrument's sizes, contracts.
        decision: Row of the decisions.
        order: Row of the orders, the one that the decision led to.
        held: Position when it was decided, signed contracts.
        gross: Exposure of the other symbols over equity then; None if unknown.

    Returns:
        `limit`, its key; `value`, as configured; `wanted`, contracts, None where that depends on prices; `allowed`,
        contracts.
    """
    units = float(decision["quantity"])
    if decision["kind"] != "target" or not units:
        return None
    allowed = (held + (1.0 if order["side"] == "buy" else -1.0) * order["quantity"]) * math.copysign(1.0, units)
    sizing, limits = config.get("sizing") or {}, config.get("limits") or {}
    most, leverage = limits.get("max_position"), limits.get("max_leverage")
    mode, value = sizing.get("mode", "fixed"), float(sizing.get("value", 1.0))
    wanted = _whole(abs(units) * value, step) if mode == "fixed" else None
    if allowed < -NEAR or (wanted is not None and wanted <= allowed + NEAR):
        return None
    found = {"wanted": wanted, "allowed": allowed}
    if most is not None and abs(_whole(most, step) - allowed) < NEAR:
        return {"limit": "limits.max_position", "value": most, **found}
    over = wanted is not None or (mode == "equity_fraction" and gross is not None)
    if leverage is None or not over:
        return None
    if wanted is None and abs(units) * value <= leverage - (gross or 0.0) + NEAR:
        return None
    return {"limit": "limits.max_leverage", "value": leverage, **found}


def _whole(quantity: float, step: float) -> float:
    """The largest multiple of the step not above a quantity, as the simulator rounds."""
    return math.floor(quantity / step + NEAR) * step
