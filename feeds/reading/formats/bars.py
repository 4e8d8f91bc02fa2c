"""Declared formats of bars. Sources: the vendors' documentation, and the exports that their programs write."""

from __future__ import annotations

from functools import partial

from feeds.reading.formats.declaration import OF_DAY_MS, YMD, FileFormat
from feeds.reading.formats.exchanges import EXCHANGE_FORMATS

NEW_YORK = "America/New_York"
EST = "Etc/GMT+5"  # five hours behind UTC all year
_PRICES = ("open", "high", "low", "close")
_OHLCV = ("timestamp", *_PRICES, "volume")
_HMS = r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?"
_ISO = rf"\d{{4}}-\d\d?-\d\d?[T ]+{_HMS}\S*"
_YMD_HMS = rf"{YMD} \d{{6}}"
_DOTTED = r"(?:19|20)\d\d\.\d\d\.\d\d"
_MDY = r"\d{1,2}/\d{1,2}/(?:19|20)\d\d"
_bars = partial(FileFormat, holds="bars")

_METATRADER = (
    _bars(
        name="mt5",
        family="mt5",
        title="MetaTrader 5, exported bars",
        columns=("date", "time", *_PRICES, "tick_volume", "volume", "spread"),
        header=("date", "time", "open", "high", "low", "close", "tickvol", "vol", "spread"),
        labels="open",
        file_name=r"(?P<symbol>[A-Za-z0-9.#&!]+?)_(?:M|H|D|W|MN|Daily|Weekly|Monthly)\d*(?:_\d{12}_\d{12})?$",
    ),
    _bars(
        name="mt5-daily",
        family="mt5",
        title="MetaTrader 5, exported daily bars",
        columns=("date", *_PRICES, "tick_volume", "volume", "spread"),
        header=("date", "open", "high", "low", "close", "tickvol", "vol", "spread"),
        labels="open",
        file_name=r"(?P<symbol>[A-Za-z0-9.#&!]+?)_(?:Daily|Weekly|Monthly)(?:_\d{12}_\d{12})?$",
    ),
    _bars(
        name="mt4",
        family="mt5",
        title="MetaTrader 4, exported bars",
        columns=("date", "time", *_PRICES, "volume"),
        forms={"date": _DOTTED, "time": r"\d\d:\d\d"},
        labels="open",
        file_name=r"(?P<symbol>[A-Za-z]{6}[A-Za-z0-9.#]*?)_?(?:M|H)?\d+$",
        volumes="some",
    ),
)
_HISTDATA = (
    _bars(
        name="histdata",
        family="histdata",
        title="HistData, ASCII or NinjaTrader, 1-minute bars",
        columns=_OHLCV,
        delimiter=";",
        forms={"timestamp": _YMD_HMS},
        zone=EST,
        labels="open",
        file_name=r"DAT_(?:ASCII|NT)_(?P<symbol>[A-Z0-9]+)_M1_\d{4,6}",
    ),
    _bars(
        name="histdata-mt",
        family="histdata",
        title="HistData, MetaTrader, 1-minute bars",
        columns=("date", "time", *_PRICES, "volume"),
        forms={"date": _DOTTED, "time": r"\d\d:\d\d"},
        zone=EST,
        labels="open",
        file_name=r"DAT_MT_(?P<symbol>[A-Z0-9]+)_M1_\d{4,6}",
        volumes="zero",
    ),
)
_DUKASCOPY_NAME = r"(?P<symbol>.+?)_Candlestick_"
_DUKASCOPY = tuple(
    _bars(
        name=f"dukascopy{suffix}",
        family="dukascopy",
        title=f"Dukascopy, {title}",
        columns=_OHLCV,
        header=(time, *_PRICES, "volume"),
        zone=zone,
        labels="open",
        file_name=_DUKASCOPY_NAME,
    )
    for suffix, title, time, zone in (
        ("", "GMT", "gmt_time", "UTC"),
        ("-local", "local time with its offset", "local_time", ""),
        ("-utc", "UTC", "time_(utc)", "UTC"),
        ("-eet", "Eastern European time", "time_(eet)", "Europe/Helsinki"),
        ("-est", "New York time", "time_(est)", NEW_YORK),
    )
)
_LEAN_NAME = r"(?P<date>\d{8})_(?:(?P<symbol>[a-z0-9.]+)_(?:minute|second)_)?trade"
_LEAN_QUOTES = r"(?P<date>\d{8})_(?:(?P<symbol>[a-z0-9.]+)_(?:minute|second)_)?quote"
_BID_AND_ASK = ("timestamp", *_PRICES, "bid_size", "ask_open", "ask_high", "ask_low", "ask_close", "ask_size")
_LEAN = (
    _bars(
        name="lean",
        family="lean",
        title="LEAN, minutes or seconds of an equity",
        columns=_OHLCV,
        forms={"timestamp": OF_DAY_MS},
        time="ms",
        zone=NEW_YORK,
        labels="open",
        divisor=10_000.0,
        file_name=_LEAN_NAME,
        prices="whole",
    ),
    _bars(
        name="lean-plain",
        family="lean",
        title="LEAN, minutes or seconds of a future or a crypto currency",
        columns=_OHLCV,
        forms={"timestamp": OF_DAY_MS},
        time="ms",
        labels="open",
        file_name=_LEAN_NAME,
        prices="point",
    ),
    _bars(
        name="lean-quotes",
        family="lean",
        title="LEAN, minutes or seconds of the bid and the ask of an equity; the bid is read",
        columns=_BID_AND_ASK,
        forms={"timestamp": OF_DAY_MS},
        time="ms",
        zone=NEW_YORK,
        labels="open",
        divisor=10_000.0,
        file_name=_LEAN_QUOTES,
        prices="whole",
    ),
    _bars(
        name="lean-quotes-plain",
        family="lean",
        title="LEAN, minutes or seconds of the bid and the ask; the bid is read",
        columns=_BID_AND_ASK,
        forms={"timestamp": OF_DAY_MS},
        time="ms",
        labels="open",
        file_name=_LEAN_QUOTES,
        prices="point",
    ),
    _bars(
        name="lean-daily",
        family="lean",
        title="LEAN, hours or days of an equity",
        columns=_OHLCV,
        forms={"timestamp": rf"{YMD} \d\d:\d\d"},
        zone=NEW_YORK,
        labels="open",
        divisor=10_000.0,
        prices="whole",
    ),
    _bars(
        name="lean-daily-plain",
        family="lean",
        title="LEAN, hours or days of a future or a crypto currency",
        columns=_OHLCV,
        forms={"timestamp": rf"{YMD} \d\d:\d\d"},
        labels="open",
        prices="point",
    ),
)
_NINJATRADER = (
    _bars(
        name="ninjatrader",
        family="ninjatrader",
        title="NinjaTrader, minutes",
        columns=_OHLCV,
        delimiter=";",
        forms={"timestamp": _YMD_HMS},
        zone="UTC",
        labels="close",
        file_name=r"(?P<symbol>.+?)\.(?:Last|Bid|Ask)$",
        volumes="some",
    ),
    _bars(
        name="ninjatrader-daily",
        family="ninjatrader",
        title="NinjaTrader, days",
        columns=_OHLCV,
        delimiter=";",
        forms={"timestamp": YMD},
        file_name=r"(?P<symbol>.+?)\.(?:Last|Bid|Ask)$",
    ),
)
_STOCKS = (
    _bars(
        name="stooq",
        family="stooq",
        title="Stooq, files of its database",
        columns=("symbol", "per", "date", "time", *_PRICES, "volume", "openint"),
        header=("ticker", "per", "date", "time", *_PRICES, "vol", "openint"),
    ),
    _bars(
        name="stooq-page",
        family="stooq",
        title="Stooq, downloaded from its pages",
        columns=("date", *_PRICES, "volume"),
        header=("date", *_PRICES, "volume"),
        optional=1,
        automatic=False,
    ),
    _bars(
        name="alphavantage",
        family="alphavantage",
        title="Alpha Vantage",
        columns=_OHLCV,
        header=_OHLCV,
        zone=NEW_YORK,
        automatic=False,
    ),
    _bars(
        name="ib",
        family="ib",
        title="Interactive Brokers, historical bars",
        columns=(*_OHLCV, "average", "trades"),
        header=("date", *_PRICES, "volume", "average", "barcount"),
        labels="open",
    ),
    _bars(
        name="ib-plain",
        family="ib",
        title="Interactive Brokers, historical bars without a header",
        columns=(*_OHLCV, "average", "trades"),
        forms={"timestamp": rf"{YMD}(?: +{_HMS}(?: +[A-Za-z/_]+)?)?"},
        optional=2,
        labels="open",
        automatic=False,
    ),
    _bars(
        name="polygon",
        family="polygon",
        title="Polygon, aggregates",
        columns=("symbol", "volume", "open", "close", "high", "low", "window_start", "trades"),
        header=("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"),
        zone="UTC",
        labels="open",
    ),
    _bars(
        name="databento",
        family="databento",
        title="Databento, OHLCV",
        columns=("timestamp", "rtype", "publisher_id", "instrument_id", *_PRICES, "volume"),
        header=("ts_event", "rtype", "publisher_id", "instrument_id", *_PRICES, "volume"),
        zone="UTC",
        labels="open",
        divisor=1e9,
        divides="whole",
    ),
    _bars(
        name="firstratedata",
        family="firstratedata",
        title="FirstRate Data",
        columns=_OHLCV,
        forms={"timestamp": _ISO},
        optional=1,
        zone=NEW_YORK,
        labels="open",
        file_name=r"(?P<symbol>[A-Za-z0-9.]+)_(?:full_)?(?:\d+(?:min|hour)|1day)",
        automatic=False,
    ),
    _bars(
        name="kibot",
        family="kibot",
        title="Kibot, minutes",
        columns=("date", "time", *_PRICES, "volume"),
        forms={"date": _MDY, "time": r"\d\d:\d\d"},
        zone=NEW_YORK,
        date_order="month_first",
        labels="open",
        automatic=False,
    ),
    _bars(
        name="sierrachart",
        family="sierrachart",
        title="Sierra Chart, exported bars",
        columns=("date", "time", "open", "high", "low", "close", "volume", "trades", "bid_volume", "ask_volume"),
        header=("date", "time", "open", "high", "low", "last", "volume", "numberoftrades", "bidvolume", "askvolume"),
        labels="open",
    ),
    _bars(
        name="tradestation",
        family="tradestation",
        title="TradeStation, exported bars",
        columns=("date", "time", *_PRICES, "up", "down"),
        header=("date", "time", *_PRICES, "up", "down"),
        date_order="month_first",
        labels="close",
    ),
)
BAR_FORMATS = (*_METATRADER, *_HISTDATA, *_DUKASCOPY, *EXCHANGE_FORMATS, *_LEAN, *_NINJATRADER, *_STOCKS)
