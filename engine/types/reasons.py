"""The reasons for which orders end as they do, in the words that users read; tables and metrics keep their names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.types.records import Reason

PHRASES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NONE: "no reason",
        Reason.BY_AGENT: "withdrawn by the strategy",
        Reason.BELOW_MIN_SIZE: "below the instrument's smallest size",
        Reason.INSUFFICIENT_MARGIN: "not enough margin",
        Reason.MAX_POSITION: "above limits.max_position",
        Reason.MAX_LEVERAGE: "above limits.max_leverage",
        Reason.MAX_DAILY_LOSS: "max daily loss",
        Reason.MAX_DRAWDOWN: "max drawdown",
        Reason.HALTED: "while trading was halted",
        Reason.REDUCE_ONLY: "reduce-only, with no position to reduce",
        Reason.POSITION_CLOSED: "its position was closed",
        Reason.OCO: "the other order of its pair was filled",
        Reason.TIME_IN_FORCE: "its time in force ended",
        Reason.SESSION_END: "the session ended",
        Reason.MARGIN_CALL: "margin call",
        Reason.BANKRUPT: "the account was bankrupt",
        Reason.TOO_MANY_ORDERS: "more working orders of the symbol than execution.max_open_orders",
        Reason.BAD_PRICE: "impossible price, or a stop on the wrong side",
        Reason.REPLACED: "replaced by a newer order",
        Reason.NO_SUCH_ORDER: "no such order",
        Reason.NO_MARKET: "no price of the symbol yet",
        Reason.PAUSED: "while trading was paused",
        Reason.BY_OPERATOR: "by the operator",
    }
)


def phrase(reason: int | str) -> str:
    """A reason for reading.

    Args:
        reason: Its code, or its name as tables and metrics have it: `below_min_size`. One that is not known, of a file
            of another version, is given back readable.
    """
    try:
        return PHRASES[Reason[reason.upper()] if isinstance(reason, str) else Reason(reason)]
    except (KeyError, ValueError):
        return str(reason).replace("_", " ")
