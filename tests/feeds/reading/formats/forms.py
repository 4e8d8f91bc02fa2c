"""Small files in the form of each vendor, written from bars of our own, so that what must be read is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Bar:
    """A bar from its open on, prices of four decimals."""

    opens: datetime
    width: timedelta
    open: float
    high: float
    low: float
    close: float
    volume: int

    def at(self, zone: str, *, close: bool = False) -> datetime:
        """Its open or close on a local clock."""
        return (self.opens + self.width * close).astimezone(ZoneInfo(zone))

    @property
    def ms(self) -> int:
        """Its open, milliseconds since 1970."""
        return int(self.opens.timestamp()) * 1000


def market(count: int, first: datetime, width: timedelta) -> list[Bar]:
    """Bars that move up and down, no two alike, each with its open inside and off its low."""
    bars, price = [], 1_000_000
    for at in range(count):
        close = price + (at * 7919) % 401 - 200
        high, low = max(price, close) + 1 + at % 13, min(price, close) - 3 - at % 7
        number = [value / 10_000 for value in (price, high, low, close)]
        bars.append(Bar(first + at * width, width, *number, volume=100 + (at * 37) % 900))
        price = close + 2
    return bars


MINUTES = market(30, datetime(2024, 3, 14, 15, 0, tzinfo=UTC), MINUTE)
DAYS = market(30, datetime(2024, 3, 14, tzinfo=UTC), DAY)
EST = "Etc/GMT+5"
NEW_YORK = "America/New_York"


@dataclass(frozen=True)
class Form:
    """A file of bars and how it must be read.

    Attributes:
        declared: Name of the format that it is in.
        file: What it is called.
        line: A bar as a line.
        head: What stands above the first.
        symbol: What its bars must be called.
        settings: Keys of `replay` without which it is not read so.
        bars: What must be read; open times of days are midnights of `zone`.
        volume: What becomes of the volume.
    """

    declared: str
    file: str
    line: Callable[[Bar], str]
    head: str = ""
    symbol: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=lambda: MINUTES)
    volume: Callable[[Bar], float] = lambda bar: bar.volume
    newest_first: bool = False

    @property
    def text(self) -> str:
        """The file."""
        lines = [self.line(bar) + "\n" for bar in self.bars]
        return self.head + "".join(reversed(lines) if self.newest_first else lines)


def prices(bar: Bar, mark: str = ",") -> str:
    """Open, high, low and close."""
    return mark.join(f"{value:.4f}" for value in (bar.open, bar.high, bar.low, bar.close))


def tenthousandths(bar: Bar) -> str:
    """Prices times 10,000."""
    return ",".join(str(round(value * 10_000)) for value in (bar.open, bar.high, bar.low, bar.close))


def _ms_of_day(bar: Bar, zone: str) -> int:
    local = bar.at(zone)
    return ((local.hour * 60 + local.minute) * 60 + local.second) * 1000


def _at_midnight(zone: str) -> list[Bar]:
    clock = ZoneInfo(zone)
    return market(20, datetime(2024, 4, 15, tzinfo=clock).astimezone(UTC), DAY)  # no clock change in these days


MT = "<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
KLINE = (
    "open_time,open,high,low,close,volume,close_time,"
    "quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
)

FORMS = (
    Form(
        "mt5",
        "EURUSD_M1_202403141500_202403141529.csv",
        lambda b: f"{b.at('UTC'):%Y.%m.%d\t%H:%M:%S}\t" + prices(b, "\t") + f"\t{b.volume}\t0\t3",
        head=f"<DATE>\t<TIME>\t{MT}",
        symbol="EURUSD",
    ),
    Form(
        "mt5-daily",
        "EURUSD_Daily_202403140000_202404120000.csv",
        lambda b: f"{b.at('UTC'):%Y.%m.%d}\t" + prices(b, "\t") + f"\t{b.volume}\t0\t3",
        head=f"<DATE>\t{MT}",
        symbol="EURUSD",
        bars=DAYS,
    ),
    Form(
        "mt4",
        "EURUSD1.csv",
        lambda b: f"{b.at('UTC'):%Y.%m.%d,%H:%M},{prices(b)},{b.volume}",
        symbol="EURUSD",
    ),
    Form(
        "histdata",
        "DAT_ASCII_EURUSD_M1_202403.csv",
        lambda b: f"{b.at(EST):%Y%m%d %H%M%S};{prices(b, ';')};0",
        symbol="EURUSD",
        volume=lambda bar: 0,
    ),
    Form(
        "histdata-mt",
        "DAT_MT_EURUSD_M1_202403.csv",
        lambda b: f"{b.at(EST):%Y.%m.%d,%H:%M},{prices(b)},0",
        symbol="EURUSD",
        volume=lambda bar: 0,
    ),
    Form(
        "dukascopy",
        "EURUSD_Candlestick_1_M_BID_14.03.2024-15.03.2024.csv",
        lambda b: f"{b.at('UTC'):%d.%m.%Y %H:%M:%S}.000,{prices(b)},{b.volume}",
        head="Gmt time,Open,High,Low,Close,Volume\n",
        symbol="EURUSD",
    ),
    Form(
        "dukascopy-local",
        "EURUSD_Candlestick_1_M_ASK_14.03.2024-15.03.2024.csv",
        lambda b: f"{b.at('Europe/Paris'):%d.%m.%Y %H:%M:%S}.000 GMT+0100,{prices(b)},{b.volume}",
        head="Local time,Open,High,Low,Close,Volume\n",
        symbol="EURUSD",
    ),
    Form(
        "dukascopy-utc",
        "EURUSD_1 Min_Bid_2024.03.14.csv",
        lambda b: f"{b.at('UTC'):%Y.%m.%d %H:%M:%S},{prices(b)},{b.volume}",
        head="Time (UTC),Open,High,Low,Close,Volume \n",
    ),
    Form(
        "dukascopy-eet",
        "EURUSD_1 Min_Bid_2024.03.14_eet.csv",
        lambda b: f"{b.at('Europe/Helsinki'):%Y.%m.%d %H:%M:%S},{prices(b)},{b.volume}",
        head="Time (EET),Open,High,Low,Close,Volume \n",
    ),
    Form(
        "dukascopy-est",
        "EURUSD_1 Min_Bid_2024.03.14_est.csv",
        lambda b: f"{b.at(NEW_YORK):%Y.%m.%d %H:%M:%S},{prices(b)},{b.volume}",
        head="Time (EST),Open,High,Low,Close,Volume \n",
    ),
    Form(
        "binance-klines",
        "BTCUSDT-1m-2024-03.csv",
        lambda b: f"{b.ms},{prices(b)},{b.volume},{b.ms + 59_999},1.5,20,0.5,0.7,0",
        symbol="BTCUSDT",
    ),
    Form(
        "binance-klines-header",
        "BTCUSDT-1m-2024-03-14.csv",
        lambda b: f"{b.ms}000,{prices(b)},{b.volume},{b.ms + 59_999}999,1.5,20,0.5,0.7,0",
        head=KLINE,
        symbol="BTCUSDT",
    ),
    Form(
        "kraken-ohlcvt",
        "XBTUSD_1.csv",
        lambda b: f"{b.ms // 1000},{prices(b)},{b.volume}.0,7",
        symbol="XBTUSD",
    ),
    Form(
        "coinbase",
        "candles.csv",
        lambda b: f"{b.ms // 1000},{b.low},{b.high},{b.open},{b.close},{b.volume}",
        newest_first=True,
    ),
    Form(
        "bitfinex",
        "candles.csv",
        lambda b: f"{b.ms},{b.open},{b.close},{b.high},{b.low},{b.volume}",
        newest_first=True,
    ),
    Form(
        "kucoin",
        "candles.csv",
        lambda b: f"{b.ms // 1000},{b.open},{b.close},{b.high},{b.low},{b.volume},99.5",
        newest_first=True,
    ),
    Form(
        "gateio",
        "candles.csv",
        lambda b: f"{b.ms // 1000},99.5,{b.close},{b.high},{b.low},{b.open},{b.volume}",
    ),
    Form(
        "cryptodatadownload",
        "Bitstamp_BTCUSD_minute.csv",
        lambda b: (
            f"{b.ms // 1000},{b.at('UTC'):%Y-%m-%d %H:%M:%S},BTC/USD,{prices(b)},{b.volume},{b.volume * b.open:.2f}"
        ),
        head="https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n",
        symbol="BTC/USD",
        newest_first=True,
    ),
    Form(
        "cryptodatadownload-old",
        "Gemini_BTCUSD_2024_1min.csv",
        lambda b: f"{b.ms},{b.at('UTC'):%Y-%m-%d %H:%M:%S},BTCUSD,{prices(b)},{b.volume}",
        head="https://www.CryptoDataDownload.com\nUnix Timestamp,Date,Symbol,Open,High,Low,Close,Volume\n",
        symbol="BTCUSD",
        newest_first=True,
    ),
    Form(
        "lean",
        "20240314_spy_minute_trade.csv",
        lambda b: f"{_ms_of_day(b, NEW_YORK)},{tenthousandths(b)},{b.volume}",
        symbol="spy",
    ),
    Form(
        "lean-plain",
        "20240314_btcusd_minute_trade.csv",
        lambda b: f"{_ms_of_day(b, 'UTC')},{prices(b)},{b.volume}",
        symbol="btcusd",
    ),
    Form(
        "lean-quotes",
        "20240314_spy_minute_quote.csv",
        lambda b: f"{_ms_of_day(b, NEW_YORK)},{tenthousandths(b)},5,{tenthousandths(b)},6",
        symbol="spy",
        volume=lambda bar: float("nan"),
    ),
    Form(
        "lean-quotes-plain",
        "20240314_eurusd_minute_quote.csv",
        lambda b: f"{_ms_of_day(b, 'UTC')},{prices(b)},0,{prices(b)},0",
        symbol="eurusd",
        volume=lambda bar: float("nan"),
    ),
    Form(
        "lean-daily",
        "spy.csv",
        lambda b: f"{b.at(NEW_YORK):%Y%m%d %H:%M},{tenthousandths(b)},{b.volume}",
        bars=_at_midnight(NEW_YORK),
    ),
    Form(
        "lean-daily-plain",
        "btcusd.csv",
        lambda b: f"{b.at('UTC'):%Y%m%d %H:%M},{prices(b)},{b.volume}",
        bars=DAYS,
    ),
    Form(
        "ninjatrader",
        "ES 06-24.Last.txt",
        lambda b: f"{b.at('UTC', close=True):%Y%m%d %H%M%S};{prices(b, ';')};{b.volume}",
        symbol="ES 06-24",
    ),
    Form(
        "ninjatrader-daily",
        "ES 06-24.Last.txt",
        lambda b: f"{b.at('UTC'):%Y%m%d};{prices(b, ';')};{b.volume}",
        symbol="ES 06-24",
        bars=DAYS,
    ),
    Form(
        "stooq",
        "eurusd.txt",
        lambda b: f"EURUSD,1,{b.at('UTC'):%Y%m%d,%H%M%S},{prices(b)},{b.volume},0",
        head="<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n",
        symbol="EURUSD",
    ),
    Form(
        "stooq-page",
        "spx_d.csv",
        lambda b: f"{b.at('UTC'):%Y-%m-%d},{prices(b)},{b.volume}",
        head="Date,Open,High,Low,Close,Volume\n",
        settings={"format": "stooq"},
        bars=DAYS,
    ),
    Form(
        "alphavantage",
        "intraday_1min_IBM.csv",
        lambda b: f"{b.at(NEW_YORK):%Y-%m-%d %H:%M:%S},{prices(b)},{b.volume}",
        head="timestamp,open,high,low,close,volume\n",
        settings={"format": "alphavantage"},
        newest_first=True,
    ),
    Form(
        "ib",
        "ES.csv",
        lambda b: f"{b.at(NEW_YORK):%Y%m%d %H:%M:%S} US/Eastern,{prices(b)},{b.volume},{b.open},12",
        head="date,open,high,low,close,volume,average,barCount\n",
    ),
    Form(
        "ib-plain",
        "ES.csv",
        lambda b: f"{b.at(NEW_YORK):%Y%m%d  %H:%M:%S},{prices(b)},{b.volume},{b.open},12",
        settings={"format": "ib", "timezone": NEW_YORK},
    ),
    Form(
        "polygon",
        "2024-03-14.csv",
        lambda b: f"AAPL,{b.volume},{b.open},{b.close},{b.high},{b.low},{b.ms}000000,17",
        head="ticker,volume,open,close,high,low,window_start,transactions\n",
        symbol="AAPL",
    ),
    Form(
        "databento",
        "glbx-mdp3-20240314.ohlcv-1m.csv",
        lambda b: (
            f"{b.ms}000000,33,1,5602,"
            + ",".join(f"{round(value * 10_000)}00000" for value in (b.open, b.high, b.low, b.close))
            + f",{b.volume},ESM4"
        ),
        head="ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n",
        symbol="ESM4",
    ),
    Form(
        "firstratedata",
        "AAPL_full_1min_adjsplitdiv.txt",
        lambda b: f"{b.at(NEW_YORK):%Y-%m-%d %H:%M:%S},{prices(b)},{b.volume}",
        settings={"format": "firstratedata"},
        symbol="AAPL",
    ),
    Form(
        "kibot",
        "IBM.txt",
        lambda b: f"{b.at(NEW_YORK):%m/%d/%Y,%H:%M},{prices(b)},{b.volume}",
        settings={"format": "kibot"},
    ),
    Form(
        "sierrachart",
        "ESM4.txt",
        lambda b: f"{b.at('UTC'):%Y/%-m/%-d, %H:%M:%S}.000000, {prices(b, ', ')}, {b.volume}, 12, 3, 4",
        head="Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume\n",
    ),
    Form(
        "tradestation",
        "ES.txt",
        lambda b: f"{b.at('UTC', close=True):%m/%d/%Y,%H:%M},{prices(b)},{b.volume - 30},30",
        head='"Date","Time","Open","High","Low","Close","Up","Down"\n',
    ),
    Form(
        "ohlcv-epoch",
        "own.csv",
        lambda b: f"{b.ms},{prices(b)},{b.volume}",
    ),
    Form(
        "ohlcv-datetime",
        "own.csv",
        lambda b: f"{b.at('UTC'):%d.%m.%Y %H:%M};{prices(b, ';')};{b.volume}".replace(".", ",").replace(",", ".", 2),
    ),
    Form(
        "ohlcv-date",
        "own.csv",
        lambda b: f"{b.at('UTC'):%d-%b-%y}|{prices(b, '|')}|{b.volume}",
        bars=DAYS,
    ),
    Form(
        "ohlcv-date-interest",
        "own.txt",
        lambda b: f"{b.at('UTC'):%Y%m%d} {prices(b, ' ')} {b.volume} 4000",
        bars=DAYS,
    ),
    Form(
        "ohlcv-date-time",
        "own.csv",
        lambda b: f"{b.at('UTC'):%m/%d/%Y\t%H%M}\t" + prices(b, "\t"),
        volume=lambda bar: float("nan"),
    ),
    Form(
        "ohlcv-symbol-datetime",
        "own.csv",
        lambda b: f"AAPL,{b.at('UTC'):%Y-%m-%d %H:%M},{prices(b)},{b.volume}",
        symbol="AAPL",
    ),
    Form(
        "ohlcv-symbol-datetime-interest",
        "own.csv",
        lambda b: f"ES=F;{b.at('UTC'):%Y-%m-%d %H:%M};{prices(b, ';')};{b.volume};7",
        symbol="ES=F",
    ),
    Form(
        "ohlcv-symbol-date",
        "own.csv",
        lambda b: f"^SPX,{b.at('UTC'):%Y%m%d},{prices(b)},{b.volume}",
        symbol="^SPX",
        bars=DAYS,
    ),
    Form(
        "ohlcv-symbol-date-interest",
        "own.csv",
        lambda b: f"C,{b.at('UTC'):%b %d %Y},{prices(b)},{b.volume},7",
        symbol="C",
        bars=DAYS,
    ),
    Form(
        "ohlcv-symbol-date-time",
        "own.csv",
        lambda b: f"EURUSD,{b.at('UTC'):%Y%m%d,%H%M%S},{prices(b)},{b.volume}",
        symbol="EURUSD",
    ),
    Form(
        "ohlcv-symbol-date-time-interest",
        "own.csv",
        lambda b: f"EURUSD,{b.at('UTC'):%Y%m%d,%H%M%S},{prices(b)},{b.volume},0",
        symbol="EURUSD",
    ),
    Form(
        "ohlcv-symbol-epoch",
        "own.csv",
        lambda b: f"BTC/USD,{b.ms},{prices(b)},{b.volume}",
        symbol="BTC/USD",
    ),
    Form(
        "ohlcv-symbol-epoch-interest",
        "own.csv",
        lambda b: f"BTC/USD,{b.ms},{prices(b)},{b.volume},8",
        symbol="BTC/USD",
    ),
    Form(
        "ohlcv-date-time-interest",
        "own.csv",
        lambda b: f"{b.at('UTC'):%m/%d/%Y,%H:%M},{prices(b)},{b.volume},4000",
    ),
    Form(
        "ohlcv-epoch-interest",
        "own.csv",
        lambda b: f"{b.ms // 1000};{prices(b, ';')};{b.volume};4000.5",
    ),
    Form(
        "ohlcv-datetime-interest",
        "own.csv",
        lambda b: f"{b.at('UTC'):%Y-%m-%dT%H:%M:%SZ},{prices(b)},{b.volume},4000",
    ),
)
"""At least one file in every declared format of bars."""

# a line of each other format, with the line of names that it may need: format, file, line of names, line
TICKS = (
    ("kraken-trades", "XBTUSD.csv", "", "{s},100.25,0.5"),
    ("binance-trades", "BTCUSDT-trades-2024-03.csv", "", "{n},100.25,0.5,50.1,{ms},True,True"),
    (
        "binance-trades-header",
        "BTCUSDT-trades-2024-03-14.csv",
        "id,price,qty,quote_qty,time,is_buyer_maker",
        "{n},100.25,0.5,50.1,{ms},true",
    ),
    ("binance-aggtrades", "BTCUSDT-aggTrades-2024-03.csv", "", "{n},100.25,0.5,{n},{n},{ms},True,True"),
    (
        "binance-aggtrades-header",
        "BTCUSDT-aggTrades-2024-03-14.csv",
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
        "{n},100.25,0.5,{n},{n},{ms},true",
    ),
    ("truefx", "EURUSD-2024-03.csv", "", "EUR/USD,20240314 15:00:{n:02}.123,1.0921,1.0922"),
    ("histdata-ticks", "DAT_ASCII_EURUSD_T_202403.csv", "", "20240314 1000{n:02}123,1.0921,1.0922,0"),
    (
        "dukascopy-ticks",
        "EURUSD_Ticks_14.03.2024.csv",
        "Gmt time,Ask,Bid,AskVolume,BidVolume",
        "14.03.2024 15:00:{n:02}.123,1.0922,1.0921,1.5,2",
    ),
    (
        "dukascopy-ticks-local",
        "EURUSD_Ticks_15.03.2024.csv",
        "Local time,Ask,Bid,AskVolume,BidVolume",
        "14.03.2024 15:00:{n:02}.123 GMT+0100,1.0922,1.0921,1.5,2",
    ),
    (
        "mt5-ticks",
        "EURUSD_202403141500_202403141600.csv",
        "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>",
        "2024.03.14\t15:00:{n:02}.123\t1.0921\t1.0922\t\t\t6",
    ),
    ("ninjatrader-ticks", "ES 06-24.Last.txt", "", "20240314 1500{n:02};5200.25;3"),
    ("ninjatrader-ticks-fraction", "ES 06-24.Last.txt", "", "20240314 1500{n:02} 1230000;5200.25;5200;5200.25;3"),
    (
        "tardis-trades",
        "deribit_trades.csv",
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
        "deribit,BTC-PERPETUAL,{ms}000,{ms}123,{n},buy,100.25,5",
    ),
    (
        "tardis-quotes",
        "deribit_quotes.csv",
        "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount",
        "deribit,BTC-PERPETUAL,{ms}000,{ms}123,5,100.5,100,6",
    ),
    (
        "tardis-book",
        "deribit_incremental_book_L2.csv",
        "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount",
        "deribit,BTC-PERPETUAL,{ms}000,{ms}123,false,bid,100,6",
    ),
    (
        "tardis-snapshots",
        "deribit_book_snapshot_5.csv",
        "exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount",
        "deribit,BTC-PERPETUAL,{ms}000,{ms}123,100.5,5,100,6",
    ),
    ("lobster", "AAPL_2012-06-21_34200000_57600000_message_5.csv", "", "342{n:02}.004241176,1,16113575,18,5853300,-1"),
    (
        "lobster-book",
        "AAPL_2012-06-21_34200000_57600000_orderbook_2.csv",
        "",
        "5859400,200,5853300,18,5859800,{n},5853000,150",
    ),
    (
        "databento-mbo",
        "x.mbo.csv",
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,price,size,channel_id,order_id,flags,ts_in_delta,sequence,symbol",
        "{ms}000000,{ms}000000,160,1,5602,A,B,100000000000,5,0,{n},130,100,7,ESM4",
    ),
    (
        "databento-mbp-10",
        "x.mbp-10.csv",
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,bid_px_09,ask_px_09,symbol",
        "{ms}000000,{ms}000000,10,1,5602,A,B,0,100000000000,5,130,100,7,1,2,3,4,5,6,ESM4",
    ),
    (
        "databento-mbp-1",
        "x.mbp-1.csv",
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,bid_ct_00,ask_ct_00,symbol",
        "{ms}000000,{ms}000000,1,1,5602,A,B,0,100000000000,5,130,100,7,1,2,3,4,5,6,ESM4",
    ),
    (
        "databento-trades",
        "x.trades.csv",
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,symbol",
        "{ms}000000,{ms}000000,0,1,5602,T,B,0,100.250000000,5,130,100,7,ESM4",
    ),
    (
        "polygon-trades",
        "2024-03-14.csv",
        "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,trf_id,trf_timestamp",
        'AAPL,"12,37",0,11,{n},{ms}000000,170.25,{n},{ms}000000,5,3,0,0',
    ),
    (
        "polygon-crypto-trades",
        "2024-03-14.csv",
        "ticker,conditions,correction,exchange,id,participant_timestamp,price,size",
        "X:BTC-USD,1,0,1,{n},{ms}000000,70000.25,0.5",
    ),
    (
        "polygon-quotes",
        "2024-03-14.csv",
        "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp",
        "AAPL,11,170.25,5,12,170.24,6,1,,{ms}000000,{n},{ms}000000,3,0",
    ),
    (
        "bybit-trades",
        "BTCUSD2024-03-14.csv",
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional",
        "{s}.123,BTCUSD,Buy,5,70000.5,PlusTick,a-{n},1,2,3",
    ),
)


def ticks(head: str, line: str, count: int = 12) -> str:
    """A file of trades, quotes or a book."""
    first = int(datetime(2024, 3, 14, 15, tzinfo=UTC).timestamp())
    rows = [line.format(n=at + 10, s=first + at, ms=(first + at) * 1000) for at in range(count)]
    return "".join(row + "\n" for row in ([head] if head else []) + rows)
