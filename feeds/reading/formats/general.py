"""The usual orders of columns, whoever wrote them."""

from __future__ import annotations

from functools import partial

from feeds.reading.formats.declaration import EPOCH_MS, EPOCH_S, YMD, FileFormat

_PRICES = ("open", "high", "low", "close")
_OHLCV = ("timestamp", *_PRICES, "volume")
_HMS = r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?"
_ISO = rf"\d{{4}}-\d\d?-\d\d?[T ]+{_HMS}\S*"
_bars = partial(FileFormat, holds="bars")

_ANY_TIME = rf"{_ISO}|{YMD}[T ]*\d\d:?\d\d(?::?\d\d)?(?:\.\d+)?|\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}[T ]+{_HMS}.*"
_ANY_DATE = (
    rf"{YMD}|\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}|\d{{1,2}}[- ]?[A-Za-z]{{3,9}}[- ]?\d{{2,4}}"
    r"|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}"
)
ANY_TIME = rf"{_ANY_TIME}|{_ANY_DATE}|{EPOCH_S}|{EPOCH_MS}|\d{{18,19}}"
"""What a cell that holds a date, a moment or an epoch looks like."""
_SYMBOL = r"[A-Za-z^][\w.^=/&-]*"
_GENERAL_TIMES = (
    ("epoch", "an epoch", {"timestamp": rf"{EPOCH_S}|{EPOCH_MS}|\d{{18,19}}"}, ("timestamp",)),
    ("datetime", "a date with a time", {"timestamp": _ANY_TIME}, ("timestamp",)),
    ("date", "a date", {"timestamp": _ANY_DATE}, ("timestamp",)),
    ("date-time", "a date, a time", {"date": _ANY_DATE, "time": rf"{_HMS}|\d{{1,6}}"}, ("date", "time")),
)
GENERAL = tuple(
    _bars(
        name=f"ohlcv{'-symbol' * named}-{name}" + "-interest" * extra,
        family="ohlcv",
        title=f"{'a symbol, ' * named}{title}, open, high, low, close, volume" + ", open interest" * extra,
        columns=(*("symbol",) * named, *times, *_PRICES, "volume", *("open_interest",) * extra),
        optional=0 if extra else 1,
        forms={**forms, **({"symbol": _SYMBOL} if named else {})},
    )
    for named in (0, 1)
    for name, title, forms, times in _GENERAL_TIMES
    for extra in (0, 1)
)
"""The usual order of columns, whoever wrote it; taken only where no other format fits."""
