"""Which close and which volume a file with several of them is read by: as traded, adjusted or settled."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from engine.base.errors import UsageError

ADJUSTED_NAMES = {
    "open": ("adj_open", "adjopen", "adjusted_open"),
    "high": ("adj_high", "adjhigh", "adjusted_high"),
    "low": ("adj_low", "adjlow", "adjusted_low"),
    "close": ("adj_close", "adjclose", "adjusted_close", "close_adj", "adj_close*", "adj_close**"),
    "volume": ("adj_volume", "adjvolume", "adjusted_volume"),
}
"""Prices in which splits and dividends are worked in; they are read where the user asks for them."""
SETTLEMENT_NAMES = ("settle", "settlement", "settle_price", "settlement_price", "sett_price", "px_settle")
_NO_UNITS = (
    "ma",
    "sma",
    "ema",
    "avg",
    "average",
    "change",
    "chg",
    "ratio",
    "osc",
    "weighted",
    "delta",
    "oi",
    "ume",
    "umes",
)


def choose_close(
    names: Sequence[str],
    values: dict[str, int],
    others: Mapping[str, int],
    settlement: int | None,
    where: str,
    told: Collection[int],
    *,
    adjusted: bool,
) -> tuple[dict[str, int], int | None, list[str]]:
    """Prices as traded or adjusted.

    Args:
        values: Positions of open, high, low, close and perhaps volume.
        others: Positions of adjusted ones.
        settlement: Position of a settlement price.
        told: Positions of columns that the user or a format names.
        adjusted: Take adjusted prices.

    Returns:
        Positions of what is taken; the adjusted close to scale by, if only that is there; and remarks.

    Raises:
        UsageError: If adjusted prices are asked for and there are none.
    """
    close, remarks = values["close"], []
    if adjusted:
        if "close" not in others:
            raise UsageError(
                "the file has no adjusted prices",
                where=where,
                expected="a column such as Adj Close",
                found="columns " + ", ".join(repr(name) for name in names),
                hint="leave --adjusted out; for a settlement price name it: --columns close=Settle",
            )
        if {"open", "high", "low", "close"} <= others.keys():
            kept = {"volume": values["volume"]} if "volume" in values and "volume" not in others else {}
            return {**others, **kept}, None, ["prices are the adjusted ones, as asked"]
        adjusted_close = names[others["close"]]
        remark = f"prices are adjusted, as asked: each times {adjusted_close} / {names[close]}"
        return values, others["close"], [remark]
    if "close" in others and others["close"] != close:
        remarks.append(
            f"prices are unadjusted, the close is {names[close]}; --adjusted takes those of {names[others['close']]}"
        )
    if settlement == close and settlement in told:
        remarks.append(f"the close is the settlement price {names[close]}, as asked")
    elif settlement == close:
        remarks.append(f"the close is the settlement price {names[close]}, since the file has no other")
    elif settlement is not None:
        remarks.append(f"the close is {names[close]}; --columns close={names[settlement]} takes the settlement price")
    several = named_volumes(names)
    if values.get("volume") in several:
        taken = names[values["volume"]]
        rest = ", ".join(names[at] for at in several if at != values["volume"])
        remarks.append(f"the volume is {taken}" + (f"; {rest} is not read" if rest else ""))
    return values, None, remarks


def named_volumes(names: Sequence[str]) -> list[int]:
    """Columns that name what their volume is counted in: Volume BTC, Volume_(Currency)."""
    found = [re.fullmatch(r"(?i)\s*vol(?:ume)?[ _.]*\(?\s*([a-z]{2,8})\s*\)?\s*", name) for name in names]
    return [at for at, match in enumerate(found) if match and match[1].casefold() not in _NO_UNITS]


def base_volume(names: Sequence[str]) -> int | None:
    """Of volumes counted in several units, the one in units of what is traded, which comes first."""
    found = [at for at in named_volumes(names) if not re.search(r"(?i)currency|quote", names[at])]
    return found[0] if found else None
