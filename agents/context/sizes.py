"""How large an order is: so many contracts, or by equity, by notional, or by the risk to its stop."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.base.errors import UsageError

HIGHEST_FRACTION = 100.0
WAYS = ("quantity", "fraction", "notional", "risk")


@dataclass(frozen=True, slots=True)
class Asked:
    """The size of an order as a strategy gives it: exactly one of the four.

    Attributes:
        quantity: Contracts.
        fraction: Notional as a fraction of equity.
        notional: Account currency.
        risk: Loss at the protective stop as a fraction of equity.
    """

    quantity: float | None = None
    fraction: float | None = None
    notional: float | None = None
    risk: float | None = None

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: If there is not exactly one size, it is no number, or a fraction looks like a percentage.
        """
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                "an order needs one size",
                expected="one of quantity (contracts), fraction and risk (of equity) and notional (account currency)",
                found=" and ".join(given) or "none",
                hint="the first argument is contracts; fraction=0.5 orders for half the equity",
            )
        value = getattr(self, given[0])
        if isinstance(value, bool | str) or not hasattr(value, "__float__"):
            raise UsageError(f"{given[0]} must be a number", found=repr(value))
        if not value >= 0.0:
            raise UsageError(
                f"{given[0]} of buy() and sell() is a size, without a sign",
                expected="0 or more",
                found=repr(value),
                hint="order(quantity) takes signed contracts; an indicator is NaN until it has enough bars",
            )
        most = {"fraction": HIGHEST_FRACTION, "risk": 1.0}.get(given[0], math.inf)
        if value > most:
            raise UsageError(
                f"{given[0]} is a fraction of equity, not a percentage",
                expected=f"at most {most:g}; 0.01 is 1 %",
                found=f"{value:g}",
            )


def contracts_for(asked: Asked, equity: float, price: float, point: float, distance: float) -> float:
    """Contracts of an order, not yet rounded; 0 where there is no price or no equity yet.

    Args:
        asked: Fraction, notional or risk.
        equity: Account currency.
        price: What one unit of the instrument costs, quote currency.
        point: Account value of one contract per unit of price.
        distance: From the price to the protective stop, quote currency.
    """
    if asked.risk is not None:
        # two prices leave their rounding in the distance: what it takes from a whole number of steps is given back
        distance -= 2.0 * sys.float_info.epsilon * price if distance > 0.0 else 0.0
        money, per_contract = asked.risk * equity, distance * point
    else:
        money = asked.fraction * equity if asked.fraction is not None else float(asked.notional or 0.0)
        per_contract = price * point
    return max(money / per_contract, 0.0) if per_contract > 0.0 else 0.0


def stop_distance(side: int, price: float, fields: Mapping[str, Any]) -> float:
    """How far the protective stop lies on the losing side of the price, quote currency; 0 or below: it does not.

    Raises:
        UsageError: If the order has no protective stop.
    """
    loss, fraction, trail = (
        float(fields.get(name) or 0.0) for name in ("stop_loss", "stop_distance", "trail_distance")
    )
    distances = []
    if loss:
        distances.append(side * (price - loss))
    elif fraction:
        distances.append(price * fraction)
    if trail:
        distances.append(price * trail)
    if not distances:
        raise UsageError(
            "risk needs the stop at which it is counted",
            expected="stop_loss (a price), stop_distance or trail_distance (fractions of the price)",
            hint="fraction or notional size an order without a stop",
        )
    return min(distances)
