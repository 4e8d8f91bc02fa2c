"""Which column of a file of trades or quotes is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.base.errors import DataError, UsageError
from feeds.reading.columns.names import SYMBOL_NAMES, VALUE_NAMES, ColumnMap, find_columns, find_times, normalise
from feeds.reading.files.bar_file import BarFile
from feeds.reading.formats.importing import Importing

TICK_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "timestamp": (
        *("ts_event", "trade_time", "transact_time", "exchange_time", "exchange_timestamp", "event_time"),
        *("sip_timestamp", "participant_timestamp", "quote_time", "tick_time"),
    ),
    "price": ("price", "trade_price", "px", "last", "last_price", "price_last", "rate", "p"),
    "size": (
        *("size", "qty", "quantity", "amount", "trade_size", "trade_qty", "trade_volume", "last_size", "base_qty"),
        *("shares", "contracts", "volume", "vol", "q", "v"),
    ),
    "side": ("side", "aggressor_side", "aggressor", "taker_side", "trade_side", "taker", "direction", "buy_sell"),
    "is_buyer_maker": ("is_buyer_maker", "isbuyermaker", "buyer_maker", "was_the_buyer_the_maker", "m"),
    "bid": ("bid", "bid_price", "best_bid", "best_bid_price", "bid_px", "bidprice", "bid_px_00", "bid_price_1", "b"),
    "ask": ("ask", "ask_price", "best_ask", "best_ask_price", "ask_px", "askprice", "ask_px_00", "ask_price_1", "a"),
    "action": ("action",),
}
"""By our name, in order of preference; `action` says which events are trades."""
_DECLARED: Final = {"last": "price", "bid_px_00": "bid", "ask_px_00": "ask"}
_NUMBERS: Final = ("price", "size", "bid", "ask")
_TELLING: Final = ("side", "is_buyer_maker", "action")


@dataclass(frozen=True, slots=True)
class TickColumns:
    """Columns of a file of ticks.

    Attributes:
        map: Time, symbol and those of price, size, bid and ask that are there.
        telling: Positions of side, is_buyer_maker and action, as far as they are there.
    """

    map: ColumnMap
    telling: Mapping[str, int]

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of all that is read, each once."""
        symbol = [] if self.map.symbol is None else [self.map.symbol]
        return tuple(dict.fromkeys([*self.map.time, *self.map.values.values(), *symbol, *self.telling.values()]))

    @property
    def by_role(self) -> dict[str, str]:
        """Our name of each column in use to the file's."""
        return self.map.by_role | {role: self.map.names[at] for role, at in self.telling.items()}


def holds_ticks(file: BarFile, how: Importing) -> bool:
    """Whether a file holds trades or quotes rather than bars, by its format or the names of its columns."""
    if file.declared is not None and not how.pairs:
        return file.declared.format.holds in {"trades", "quotes"}
    plain = {normalise(name) for name in file.names}
    bars = [not plain.isdisjoint(VALUE_NAMES[role]) or role in how.pairs for role in ("open", "high", "low")]
    found = {role for role, names in TICK_NAMES.items() if not plain.isdisjoint(names)} | how.pairs.keys()
    return not any(bars) and ("price" in found or {"bid", "ask"} <= found)


def match_ticks(file: BarFile, how: Importing) -> TickColumns:
    """Find the columns of trades or quotes.

    Raises:
        DataError: If the time, or both a price and a quote, are missing, or one is there twice.
        UsageError: If the user names a column that is not there.
    """
    found = _found(file, how)
    time = tuple(found[name] for name in ("timestamp", "open_time", "close_time") if name in found)[:1]
    time = time or tuple(found[name] for name in ("date", "time") if name in found)
    time = time or ((file.time,) if file.time is not None else find_times(file.names, file.source))
    priced = "price" in found or {"bid", "ask"} <= found.keys()
    if not time or not priced:
        lacking = [*([] if priced else ["price (or bid and ask)"]), *([] if time else ["time"])]
        raise DataError(
            f"there is no column for {' and '.join(lacking)}",
            where=file.source,
            expected="trades (timestamp, price, size, side) or quotes (timestamp, bid, ask)",
            found="columns " + ", ".join(repr(name) for name in file.names),
            hint="say which is which: --columns price=NAME,size=NAME,timestamp=NAME",
        )
    values: dict[str, int] = {role: found[role] for role in _NUMBERS if role in found}
    telling: dict[str, int] = {role: found[role] for role in _TELLING if role in found}
    if "side" in telling:
        telling.pop("is_buyer_maker", None)
    return TickColumns(ColumnMap(file.names, time, values, found.get("symbol"), None, utc=False), telling)


def require_ticks(file: BarFile, how: Importing) -> None:
    """Refuse bars and books where trades or quotes are asked for.

    Raises:
        UsageError: If the file holds something else.
    """
    if not holds_ticks(file, how):
        holds = "bars" if file.declared is None else file.declared.format.holds
        raise UsageError(
            "only trades and quotes can be made into bars",
            where=file.source,
            expected="trades (timestamp, price, size) or quotes (timestamp, bid, ask)",
            found={"book": "an order book"}.get(holds, holds),
            hint="leave --bars (replay.bars) out; --timeframe makes larger bars of bars",
        )


def _found(file: BarFile, how: Importing) -> dict[str, int]:
    """Positions by our names: as the user says, else as the format says, else by name."""
    told: dict[str, int] = dict(how.roles(file.names, file.source))
    declared = (
        {} if file.declared is None or how.order else dict(zip(file.declared.columns, _places(file), strict=True))
    )
    declared = {_DECLARED.get(name, name): at for name, at in declared.items() if name}
    named = find_columns(file.names, file.source, {**TICK_NAMES, "symbol": SYMBOL_NAMES})
    if declared:
        known = {*TICK_NAMES, "symbol", "date", "time"}
        named = {name: at for name, at in declared.items() if name in known}
    if "timestamp" in named:
        named.pop("date", None)
        named.pop("time", None)
    taken = set(told.values())
    return {name: at for name, at in named.items() if at not in taken} | told


def _places(file: BarFile) -> range:
    assert file.declared is not None  # noqa: S101 - asked for only where it is
    return range(len(file.declared.columns))
