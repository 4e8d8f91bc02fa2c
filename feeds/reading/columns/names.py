"""Which column of a file is what, by name and never by position.

The names are those that freqtrade, backtesting.py, FinRL, NautilusTrader, backtrader, jesse, the Binance archive,
MetaTrader and Dukascopy write. Case, surrounding blanks and the separators between words do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.base.errors import DataError
from engine.types.blocks import BAR_COLUMNS, PRICE_COLUMNS
from feeds.reading.columns import languages
from feeds.reading.columns.closes import ADJUSTED_NAMES, SETTLEMENT_NAMES, base_volume, choose_close

SYNTHETIC = "synthetic"
"""Name of a column, 1 in every row, by which a file of made-up bars says what it is."""

EXTRA = "extra_"
"""Begins the names of extra columns of bars (`engine.types.extras`) in files that were written here: extra_spread.

Columns of other files that happen to be called spread or value may mean anything.
"""

Labels = Literal["open", "close"]

_OPEN_TIMES = (
    "open_time",
    "opentime",
    "time_open",
    "timestamp_open",
    "open_timestamp",
    "start_time",
    "time_start",
    "time_period_start",
    "period_start",
    "bar_start",
    "window_start",
    "start_at",
    "begin",
    "time_left",
    "start",
)
_CLOSE_TIMES = (
    "close_time",
    "closetime",
    "time_close",
    "timestamp_close",
    "close_timestamp",
    "end_time",
    "time_end",
    "time_period_end",
    "period_end",
    "bar_end",
    "end_at",
    "time_right",
    "end",
)
_UTC_BEHIND = tuple(f"{name}{gap}(utc)" for name in ("time", "date", "datetime", "timestamp") for gap in ("", "_"))
_UTC = ("timestamp_utc", "datetime_utc", "date_utc", "time_utc", "utc", "gmt_time", "utc_time", *_UTC_BEHIND)
_STAMPS = (
    "ts_event",
    "timestamp",
    "datetime",
    "date_time",
    "ts",
    "local_time",
    "unix",
    "unix_timestamp",
    "unixtime",
    "epoch",
    "t",
    "time_(eet)",
    "time_(est)",
)
_DATES = (
    "date",
    "day_date",
    "dt",
    "quote_date",
    "dates",
    "dtyyyymmdd",
    "trade_date",
    "trading_date",
    *languages.DATES,
)
_CLOCKS = ("time", "hour_minute", *languages.CLOCKS)
_INDEX = ("index", "", "__index_level_0__")

_TICK_VOLUMES = ("tick_volume", "tickvol", "tickvolume")
VALUE_NAMES = {
    "open": ("open", "o", "open_price", "first", "px_open", "opening_price", *languages.VALUES["open"]),
    "high": ("high", "h", "high_price", "max", "px_high", *languages.VALUES["high"]),
    "low": ("low", "l", "low_price", "min", "px_low", *languages.VALUES["low"]),
    "close": (
        "close",
        "c",
        "close_price",
        "last",
        "close_last",
        "close*",
        "last_price",
        "px_last",
        "px_close",
        "ltp",
        "closing_price",
        *languages.VALUES["close"],
    ),
    "volume": (
        "volume",
        "vol",
        "vol_",
        "v",
        "px_volume",
        "total_volume",
        "totalvolume",
        "tottrdqty",
        "ttl_trd_qnty",
        "total_traded_quantity",
        "no_of_shares",
        "shares_traded",
        *_TICK_VOLUMES,
        *languages.VALUES["volume"],
    ),
}
SYMBOL_NAMES = (
    "symbol",
    "tic",
    "ticker",
    "instrument_id",
    "instrument",
    "pair",
    "contract",
    "asset",
    "coin",
    "security",
    "sym",
)
_LAST_PRICE = ("price",)  # the close beside an open, a high and a low, as investing.com calls it
_ACCEPTED_TIMES = "timestamp, datetime, date (alone or with time), ts_event, open_time, close_time, timestamp_utc"


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Positions of the columns of a file.

    Attributes:
        names: All columns as the file names them.
        time: The time column; or the date column and the time-of-day column.
        values: open, high, low, close and perhaps volume.
        symbol: The symbol column, if there is one.
        labels: What the name of the time column says about the moment that it stamps.
        utc: Whether its name says that times without an offset are UTC.
        spare_volume: A count of ticks beside the volume, for when that holds nothing.
        settlement: The settlement price, for when the close holds nothing.
        factor: The adjusted close, by whose ratio to the close all prices are multiplied.
        more_volume: What is added to the volume: that of falling prices beside that of rising ones (TradeStation).
        remarks: Which of several closes or volumes was taken.
    """

    names: tuple[str, ...]
    time: tuple[int, ...]
    values: dict[str, int]
    symbol: int | None
    labels: Labels | None
    utc: bool
    spare_volume: int | None = None
    settlement: int | None = None
    factor: int | None = None
    more_volume: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def extra(self) -> dict[str, int]:
        """Positions of the extra columns, by name."""
        return {name.removeprefix(EXTRA): at for at, name in enumerate(self.names) if name.startswith(EXTRA)}

    @property
    def by_role(self) -> dict[str, str]:
        """Our name of each column in use to the file's."""
        found = {"timestamp": " + ".join(self.names[at] for at in self.time)}
        found |= {role: self.names[at] for role, at in self.values.items()}
        return found if self.symbol is None else found | {"symbol": self.names[self.symbol]}


def match_columns(
    names: Sequence[str],
    where: str,
    index: int | None = None,
    roles: Mapping[str, int] | None = None,
    *,
    adjusted: bool = False,
) -> ColumnMap:
    """Find the columns that bars need.

    Args:
        names: Column names in file order.
        index: Position of the column that holds the times whatever its name, the index of a frame.
        roles: Positions of columns that the user or a declared format names, by our names.
        adjusted: Take adjusted prices.

    Raises:
        DataError: If one is missing or stands there twice; what was found and what is accepted is listed.
        UsageError: If adjusted prices are asked for and there are none.
    """
    finder, told = _Finder(names, where), roles or {}
    values = {role: told[role] for role in BAR_COLUMNS if role in told}
    values |= {
        role: at
        for role in BAR_COLUMNS
        if role not in values and (at := finder.first(VALUE_NAMES[role])) is not None and at not in told.values()
    }
    price = finder.first(_LAST_PRICE) if "close" not in values and {"open", "high", "low"} <= values.keys() else None
    values |= {} if price is None else {"close": price}
    settlement = finder.first(SETTLEMENT_NAMES)
    if "close" not in values and settlement is not None:
        values["close"] = settlement
    if "volume" not in values and (base := base_volume(names)) is not None:
        values["volume"] = base
    up, down = finder.first(("up",)), finder.first(("down",))
    parts = "volume" not in values and up is not None and down is not None
    if parts and up is not None:
        values["volume"] = up
    missing = [role for role in BAR_COLUMNS if role not in values and role != "volume"]
    told_time = tuple(told[name] for name in ("timestamp", "open_time", "close_time") if name in told)[:1]
    told_time = told_time or tuple(told[name] for name in ("date", "time") if name in told)
    time = told_time or (_time_columns(finder) if index is None else (index,))
    if missing or not time:
        raise _missing(names, where, missing, has_time=bool(time))
    others = {role: at for role, kinds in ADJUSTED_NAMES.items() if (at := finder.first(kinds)) is not None}
    values, factor, remarks = choose_close(names, values, others, settlement, where, told.values(), adjusted=adjusted)
    stamp = normalise(names[time[0]])
    labels: Labels | None = "open" if stamp in _OPEN_TIMES else "close" if stamp in _CLOSE_TIMES else None
    labels = "open" if "open_time" in told else "close" if "close_time" in told else labels
    ticks = finder.first(_TICK_VOLUMES)
    spare = ticks if ticks != values.get("volume") else None
    values = {role: values[role] for role in BAR_COLUMNS if role in values}
    symbol = told.get("symbol", finder.first(SYMBOL_NAMES))
    if parts:
        remarks.append("the volume is Up and Down together")
    return ColumnMap(
        tuple(names),
        time,
        values,
        symbol,
        labels,
        stamp in _UTC,
        spare,
        settlement=settlement if "close" not in told and not adjusted else None,
        factor=factor,
        more_volume=down if parts else None,
        remarks=tuple(remarks),
    )


def find_columns(names: Sequence[str], where: str, wanted: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Positions of columns by the names that are accepted for each, by our name; those that are not there are left out.

    Raises:
        DataError: If a file has one of them twice.
    """
    finder = _Finder(names, where)
    return {role: at for role, accepted in wanted.items() if (at := finder.first(accepted)) is not None}


def find_times(names: Sequence[str], where: str) -> tuple[int, ...]:
    """The time column, or those of date and time of day; empty if there is none.

    Raises:
        DataError: If a file has it twice.
    """
    return _time_columns(_Finder(names, where))


def looks_like_header(names: Sequence[str]) -> bool:
    """Whether a line names at least three of open, high, low and close."""
    found = {normalise(name) for name in names}
    return sum(not found.isdisjoint(VALUE_NAMES[role]) for role in PRICE_COLUMNS) >= 3


class _Finder:
    def __init__(self, names: Sequence[str], where: str) -> None:
        self._names = names
        self._where = where
        self._at: dict[str, list[int]] = {}
        for position, name in enumerate(names):
            self._at.setdefault(normalise(name), []).append(position)

    def first(self, accepted: Sequence[str]) -> int | None:
        """Position of the first accepted name that the file has."""
        name = next((name for name in accepted if name in self._at), None)
        if name is None:
            return None
        if len(self._at[name]) > 1:
            twice = ", ".join(repr(self._names[at]) for at in self._at[name])
            raise DataError(
                f"the column {name!r} is there {len(self._at[name])} times",
                where=self._where,
                expected="one column of that name, whatever its case",
                found=twice,
                hint="rename or remove all but one",
            )
        return self._at[name][0]


def _time_columns(finder: _Finder) -> tuple[int, ...]:
    stamp = finder.first((*_OPEN_TIMES, *_CLOSE_TIMES, *_UTC, *_STAMPS))
    if stamp is not None:
        return (stamp,)
    date, clock = finder.first(_DATES), finder.first(_CLOCKS)
    found = tuple(at for at in (date, clock) if at is not None)
    if found:
        return found
    index = finder.first(_INDEX)
    return () if index is None else (index,)


def normalise(name: str) -> str:
    """A column name without case, separators and surrounding marks; an unnamed column is empty."""
    plain = re.sub(r"[\s\-./]+", "_", name.strip().strip("<>[]").strip().casefold())
    plain = re.sub(r"^\d_(?=[a-z])", "", plain)  # Alpha Vantage numbers its columns: 1. open
    return "" if plain.startswith("unnamed:") else plain


def _missing(names: Sequence[str], where: str, missing: Sequence[str], has_time: bool) -> DataError:
    accepted = [f"{role} ({', '.join(VALUE_NAMES[role][:4])})" for role in missing]
    accepted += [] if has_time else [f"a time ({_ACCEPTED_TIMES})"]
    lacking = [*missing, *([] if has_time else ["time"])]
    roles = [*missing, *([] if has_time else ["timestamp"])]
    header = not any(_is_value(name) for name in names)
    hint = "rename the columns, or say which is which: --columns " + ",".join(f"{role}=NAME" for role in roles)
    hint = hint if header else "put the names of the columns into the first line, or say them: --columns"
    bids = {normalise(name).replace("_", ""): name for name in names}
    if {"bidopen", "bidhigh", "bidlow", "bidclose"} <= bids.keys():
        pairs = ",".join(f"{role}={bids['bid' + role]}" for role in PRICE_COLUMNS)
        hint = f"these are bars of the bid and the ask; say which to read: --columns {pairs}"
    elif header and {"price", "bid", "ask"} & {normalise(name) for name in names}:
        hint = "these look like trades or quotes; make bars of them first"
    return DataError(
        f"there is no column for {', '.join(lacking)}" if header else "the file has no header line",
        where=where,
        expected="; ".join(accepted),
        found="columns " + ", ".join(repr(name) for name in names),
        hint=hint,
    )


def _is_value(name: str) -> bool:
    return bool(re.match(r"\s*[-+]?\d", name)) and not re.search(r"[A-Za-df-z]{2}", name)
