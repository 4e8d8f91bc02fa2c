"""Declared formats of bars of crypto currencies. Sources: the documentation of exchanges and archives."""

from __future__ import annotations

from functools import partial

from feeds.reading.formats.declaration import EPOCH_MS, EPOCH_S, FileFormat

_PRICES = ("open", "high", "low", "close")
_OHLCV = ("timestamp", *_PRICES, "volume")
_bars = partial(FileFormat, holds="bars")

_KLINES = (
    "open_time",
    *_PRICES,
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_BINANCE_NAME = r"(?P<symbol>[A-Z0-9]+(?:_\d{6}|_PERP)?)-\d+(?:s|m|h|d|w|mo)-\d{4}-\d\d"
EXCHANGE_FORMATS = (
    _bars(
        name="binance-klines",
        family="binance-klines",
        title="Binance, klines",
        columns=_KLINES,
        forms={"open_time": EPOCH_MS, "close_time": EPOCH_MS},
        zone="UTC",
        labels="open",
        file_name=_BINANCE_NAME,
    ),
    _bars(
        name="binance-klines-header",
        family="binance-klines",
        title="Binance, klines with a header",
        columns=("open_time", *_PRICES, "volume", "close_time", "taker_buy_volume"),
        header=("open_time", *_PRICES, "volume", "close_time", "taker_buy_volume"),
        zone="UTC",
        labels="open",
        file_name=_BINANCE_NAME,
    ),
    _bars(
        name="kraken-ohlcvt",
        family="kraken-ohlcvt",
        title="Kraken, OHLCVT",
        columns=(*_OHLCV, "trades"),
        forms={"timestamp": r"\d{9,10}"},
        zone="UTC",
        labels="open",
        file_name=r"(?P<symbol>[A-Z0-9]+)_\d+$",
    ),
    _bars(
        name="coinbase",
        family="coinbase",
        title="Coinbase, candles as its API gives them",
        columns=("timestamp", "low", "high", "open", "close", "volume"),
        forms={"timestamp": EPOCH_S},
        zone="UTC",
        labels="open",
    ),
    _bars(
        name="bitfinex",
        family="bitfinex",
        title="Bitfinex, candles as its API gives them",
        columns=("timestamp", "open", "close", "high", "low", "volume"),
        forms={"timestamp": EPOCH_MS},
        zone="UTC",
        labels="open",
    ),
    _bars(
        name="kucoin",
        family="kucoin",
        title="KuCoin, candles as its API gives them",
        columns=("timestamp", "open", "close", "high", "low", "volume", "quote_volume"),
        forms={"timestamp": EPOCH_S},
        zone="UTC",
        labels="open",
    ),
    _bars(
        name="gateio",
        family="gateio",
        title="Gate.io, candles",
        columns=("timestamp", "quote_volume", "close", "high", "low", "open", "volume"),
        forms={"timestamp": EPOCH_S},
        optional=1,
        zone="UTC",
        labels="open",
    ),
    _bars(
        name="cryptodatadownload",
        family="cryptodatadownload",
        title="CryptoDataDownload",
        columns=("timestamp", "date", "symbol", *_PRICES),
        header=("unix", "date", "symbol", *_PRICES),
        zone="UTC",
        labels="open",
    ),
    _bars(
        name="cryptodatadownload-old",
        family="cryptodatadownload",
        title="CryptoDataDownload, older files",
        columns=("timestamp", "date", "symbol", *_PRICES),
        header=("unix_timestamp", "date", "symbol", *_PRICES),
        zone="UTC",
        labels="open",
    ),
)
