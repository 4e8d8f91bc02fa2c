"""Declared formats of trades, quotes and order books. Sources: the vendors' documentation of their files."""

from __future__ import annotations

from functools import partial

from feeds.reading.formats.bars import EST, NEW_YORK
from feeds.reading.formats.declaration import EPOCH_MS, EPOCH_S, INTEGER, NUMBER, OF_DAY_S, YMD, FileFormat

_trades = partial(FileFormat, holds="trades")
_quotes = partial(FileFormat, holds="quotes")
_book = partial(FileFormat, holds="book")
_FLAG = r"(?i:true|false|[01])"
_BINANCE_NAME = r"(?P<symbol>[A-Z0-9]+(?:_\d{6}|_PERP)?)-"

_KRAKEN = (
    _trades(
        name="kraken-trades",
        family="kraken-trades",
        title="Kraken, trades",
        columns=("timestamp", "price", "size"),
        forms={"timestamp": EPOCH_S},
        zone="UTC",
        file_name=r"(?P<symbol>[A-Z0-9]+)$",
    ),
)
_BINANCE = (
    _trades(
        name="binance-trades",
        family="binance-trades",
        title="Binance, trades",
        columns=("id", "price", "size", "quote_size", "timestamp", "is_buyer_maker", "is_best_match"),
        forms={"id": INTEGER, "timestamp": EPOCH_MS, "is_buyer_maker": _FLAG, "is_best_match": _FLAG},
        optional=1,
        zone="UTC",
        file_name=_BINANCE_NAME + "trades-",
    ),
    _trades(
        name="binance-trades-header",
        family="binance-trades",
        title="Binance, trades with a header",
        columns=("id", "price", "size", "quote_size", "timestamp", "is_buyer_maker"),
        header=("id", "price", "qty", "quote_qty", "time", "is_buyer_maker"),
        zone="UTC",
        file_name=_BINANCE_NAME + "trades-",
    ),
    _trades(
        name="binance-aggtrades",
        family="binance-trades",
        title="Binance, aggregated trades",
        columns=("id", "price", "size", "first_id", "last_id", "timestamp", "is_buyer_maker", "is_best_match"),
        forms={
            **dict.fromkeys(("id", "first_id", "last_id"), INTEGER),
            "timestamp": EPOCH_MS,
            "is_buyer_maker": _FLAG,
            "is_best_match": _FLAG,
        },
        optional=1,
        zone="UTC",
        file_name=_BINANCE_NAME + "aggTrades-",
    ),
    _trades(
        name="binance-aggtrades-header",
        family="binance-trades",
        title="Binance, aggregated trades with a header",
        columns=("id", "price", "size", "first_id", "last_id", "timestamp", "is_buyer_maker"),
        header=(
            "agg_trade_id",
            "price",
            "quantity",
            "first_trade_id",
            "last_trade_id",
            "transact_time",
            "is_buyer_maker",
        ),
        zone="UTC",
        file_name=_BINANCE_NAME + "aggTrades-",
    ),
)
_SPOT_FX = (
    _quotes(
        name="truefx",
        family="truefx",
        title="TrueFX, quotes",
        columns=("symbol", "timestamp", "bid", "ask"),
        forms={"symbol": r"[A-Z]{3}/[A-Z]{3}", "timestamp": rf"{YMD} \d\d:\d\d:\d\d(?:\.\d+)?"},
        zone="UTC",
    ),
    _quotes(
        name="histdata-ticks",
        family="histdata",
        title="HistData, ASCII, quotes",
        columns=("timestamp", "bid", "ask", "volume"),
        forms={"timestamp": rf"{YMD} \d{{9}}"},
        zone=EST,
        file_name=r"DAT_ASCII_(?P<symbol>[A-Z0-9]+)_T_\d{4,6}",
    ),
    _quotes(
        name="dukascopy-ticks",
        family="dukascopy",
        title="Dukascopy, quotes",
        columns=("timestamp", "ask", "bid", "ask_size", "bid_size"),
        header=("gmt_time", "ask", "bid", "askvolume", "bidvolume"),
        zone="UTC",
        file_name=r"(?P<symbol>.+?)_Ticks_",
    ),
    _quotes(
        name="dukascopy-ticks-local",
        family="dukascopy",
        title="Dukascopy, quotes in local time with its offset",
        columns=("timestamp", "ask", "bid", "ask_size", "bid_size"),
        header=("local_time", "ask", "bid", "askvolume", "bidvolume"),
        file_name=r"(?P<symbol>.+?)_Ticks_",
    ),
    _quotes(
        name="mt5-ticks",
        family="mt5",
        title="MetaTrader 5, exported ticks",
        columns=("date", "time", "bid", "ask", "last", "size"),
        header=("date", "time", "bid", "ask", "last", "volume"),
        file_name=r"(?P<symbol>[A-Za-z0-9.#&!]+?)_\d{12}_\d{12}$",
    ),
)
_NINJATRADER = (
    _trades(
        name="ninjatrader-ticks",
        family="ninjatrader",
        title="NinjaTrader, ticks of whole seconds",
        columns=("timestamp", "price", "size"),
        delimiter=";",
        forms={"timestamp": rf"{YMD} \d{{6}}"},
        zone="UTC",
        file_name=r"(?P<symbol>.+?)\.(?:Last|Bid|Ask)$",
    ),
    _trades(
        name="ninjatrader-ticks-fraction",
        family="ninjatrader",
        title="NinjaTrader, ticks with bid and ask",
        columns=("timestamp", "price", "bid", "ask", "size"),
        delimiter=";",
        forms={"timestamp": rf"{YMD} \d{{6}} \d{{7}}"},
        zone="UTC",
        file_name=r"(?P<symbol>.+?)\.(?:Last|Bid|Ask)$",
    ),
)
_TARDIS_START = ("exchange", "symbol", "timestamp", "local_timestamp")
_TARDIS = (
    _trades(
        name="tardis-trades",
        family="tardis",
        title="Tardis, trades",
        columns=(*_TARDIS_START, "id", "side", "price", "size"),
        header=(*_TARDIS_START, "id", "side", "price", "amount"),
        zone="UTC",
    ),
    _quotes(
        name="tardis-quotes",
        family="tardis",
        title="Tardis, quotes",
        columns=(*_TARDIS_START, "ask_size", "ask", "bid", "bid_size"),
        header=(*_TARDIS_START, "ask_amount", "ask_price", "bid_price", "bid_amount"),
        zone="UTC",
    ),
    _book(
        name="tardis-book",
        family="tardis",
        title="Tardis, incremental_book_L2",
        columns=(*_TARDIS_START, "is_snapshot", "side", "price", "size"),
        header=(*_TARDIS_START, "is_snapshot", "side", "price", "amount"),
        zone="UTC",
    ),
    _book(
        name="tardis-snapshots",
        family="tardis",
        title="Tardis, book_snapshot_5 or _25",
        columns=(*_TARDIS_START, "asks[0]_price", "asks[0]_amount", "bids[0]_price", "bids[0]_amount"),
        header=(*_TARDIS_START, "asks[0]_price", "asks[0]_amount", "bids[0]_price", "bids[0]_amount"),
        zone="UTC",
    ),
)
_LOBSTER_NAME = r"(?P<symbol>[A-Z.]+)_(?P<date>\d{4}-\d\d-\d\d)_\d+_\d+_"
_LOBSTER = (
    _book(
        name="lobster",
        family="lobster",
        title="LOBSTER, messages",
        columns=("timestamp", "action", "order_id", "size", "price", "side"),
        forms={
            "timestamp": OF_DAY_S,
            "action": "[1-7]",
            **dict.fromkeys(("order_id", "size", "price"), INTEGER),
            "side": "-1|1",
        },
        time="s",
        zone=NEW_YORK,
        divisor=10_000.0,
        file_name=_LOBSTER_NAME + "message",
    ),
    _book(
        name="lobster-book",
        family="lobster",
        title="LOBSTER, states of the book beside a file of messages",
        columns=("ask", "ask_size", "bid", "bid_size"),
        repeats=True,
        zone=NEW_YORK,
        divisor=10_000.0,
        file_name=_LOBSTER_NAME + "orderbook",
        by_name=True,
    ),
)
_DBN = ("timestamp", "rtype", "publisher_id", "instrument_id")
_DBN_HEADER = ("ts_event", "rtype", "publisher_id", "instrument_id")
_TOP = ("bid_px_00", "ask_px_00", "bid_sz_00", "ask_sz_00")
_databento = partial(FileFormat, family="databento", zone="UTC", divisor=1e9, divides="whole")
_EVENT = ("action", "side", "depth", "price", "size", "flags")
_DATABENTO = (
    _databento(
        name="databento-mbo",
        title="Databento, MBO",
        holds="book",
        columns=(*_DBN, "action", "side", "price", "size", "order_id", "flags", "sequence"),
        header=(*_DBN_HEADER, "action", "side", "price", "size", "order_id", "flags", "sequence"),
    ),
    _databento(
        name="databento-mbp-10",
        title="Databento, MBP-10",
        holds="book",
        columns=(*_DBN, *_EVENT, "sequence", *_TOP, "bid_px_09"),
        header=(*_DBN_HEADER, *_EVENT, "sequence", *_TOP, "bid_px_09"),
    ),
    _databento(
        name="databento-mbp-1",
        title="Databento, MBP-1 or TBBO",
        holds="quotes",
        columns=(*_DBN, *_EVENT, "sequence", "bid", "ask", "bid_size", "ask_size"),
        header=(*_DBN_HEADER, *_EVENT, "sequence", *_TOP),
    ),
    _databento(
        name="databento-trades",
        title="Databento, trades",
        holds="trades",
        columns=(*_DBN, *_EVENT, "sequence"),
        header=(*_DBN_HEADER, *_EVENT, "sequence"),
    ),
)
_POLYGON = (
    _trades(
        name="polygon-trades",
        family="polygon",
        title="Polygon, trades of stocks",
        columns=("symbol", "id", "price", "sequence", "timestamp", "size"),
        header=("ticker", "id", "price", "sequence_number", "sip_timestamp", "size"),
        zone="UTC",
    ),
    _trades(
        name="polygon-crypto-trades",
        family="polygon",
        title="Polygon, trades of crypto currencies",
        columns=("symbol", "id", "price", "timestamp", "size"),
        header=("ticker", "id", "price", "participant_timestamp", "size"),
        zone="UTC",
    ),
    _quotes(
        name="polygon-quotes",
        family="polygon",
        title="Polygon, quotes",
        columns=("symbol", "ask", "ask_size", "bid", "bid_size", "timestamp"),
        header=("ticker", "ask_price", "ask_size", "bid_price", "bid_size", "sip_timestamp"),
        zone="UTC",
    ),
)
_OTHER = (
    _trades(
        name="bybit-trades",
        family="bybit",
        title="Bybit or BitMEX, trades",
        columns=("timestamp", "symbol", "side", "size", "price", "tick_direction", "id"),
        header=("timestamp", "symbol", "side", "size", "price", "tickdirection", "trdmatchid"),
        zone="UTC",
    ),
    _quotes(
        name="quotes",
        family="quotes",
        title="quotes with names of their columns",
        columns=("timestamp", "bid", "ask"),
        header=("timestamp", "bid", "ask"),
        automatic=False,
    ),
    _trades(
        name="trades",
        family="trades",
        title="trades with names of their columns",
        columns=("timestamp", "price", "size"),
        header=("timestamp", "price", "size"),
        forms={"size": NUMBER},
        automatic=False,
    ),
)
TICK_FORMATS = (
    *_KRAKEN,
    *_BINANCE,
    *_SPOT_FX,
    *_NINJATRADER,
    *_TARDIS,
    *_LOBSTER,
    *_DATABENTO,
    *_POLYGON,
    *_OTHER,
)
