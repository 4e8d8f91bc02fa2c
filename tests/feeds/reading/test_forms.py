"""Files as brokers, exchanges and spreadsheets write them: each is read rightly, or refused with the cure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BarBlock, concat
from engine.types.instruments import load_instrument
from feeds.quarantine import Quarantine
from feeds.reading.files import reversed_file
from feeds.replay import HistoricalReplay, ReplayConfig

ALWAYS = load_instrument("GENERIC")
MINUTE_NS = 60_000_000_000
FIRST = "2024-03-14T00:00"  # no other day of the month can be its number


def replay(path: Path, quarantine: Quarantine | None = None, **config: str) -> HistoricalReplay:
    return HistoricalReplay(path, ALWAYS, ReplayConfig(**config), quarantine or Quarantine())


def read(path: Path, content: str | bytes, **config: str) -> tuple[BarBlock, HistoricalReplay, Quarantine]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    quarantine = Quarantine()
    source = replay(path, quarantine, **config)
    return concat(list(source.blocks(7))), source, quarantine


def labels(source: HistoricalReplay, block: BarBlock) -> list[int]:
    return (block.ts_event - (source.timeframe_ns if source.labels == "open" else 0)).tolist()


def minutes(count: int, first: str = FIRST) -> list[int]:
    start = int(np.datetime64(first, "ns").astype(np.int64))
    return [start + MINUTE_NS * at for at in range(count)]


# six minutes from the 14th of March 2024 at midnight UTC, open 100, high 1250.5, low 99.25, close 101, volume 1000
MINUTES = range(6)
READ_RIGHTLY = {
    "plain": "timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "byte order mark": "\ufefftimestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "blank lines and CRLF": "timestamp,open,high,low,close,volume\r\n\r\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000\r\n\r\n" for m in MINUTES),
    "quoted": '"timestamp","open","high","low","close","volume"\n'
    + "".join(f'"2024-03-14 00:0{m}","100","1250.5","99.25","101","1000"\n' for m in MINUTES),
    "thousands, quoted": "timestamp,open,high,low,close,volume\n"
    + "".join(f'2024-03-14 00:0{m},100,"1,250.50",99.25,101,"1,000"\n' for m in MINUTES),
    "semicolons and decimal commas": "timestamp;open;high;low;close;volume\n"
    + "".join(f"2024-03-14 00:0{m};100,0;1.250,5;99,25;101;1.000,0\n" for m in MINUTES),
    "decimal commas and spaced thousands": "timestamp;open;high;low;close;volume\n"
    + "".join(f"2024-03-14 00:0{m};100,00;1 250,50;99,25;101,00;1\u202f000\n" for m in MINUTES),
    "tabs, MetaTrader": "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    + "".join(f"2024.03.14\t00:0{m}:00\t100\t1250.5\t99.25\t101\t1000\t0\t3\n" for m in MINUTES),
    "slashes, month first": "timestamp,open,high,low,close,volume\n"
    + "".join(f"3/14/2024 0:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "slashes, day first": "timestamp,open,high,low,close,volume\n"
    + "".join(f"14/03/2024 00:0{m}:00,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "dashes, day first": "timestamp,open,high,low,close,volume\n"
    + "".join(f"14-03-2024 00:0{m}:00,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "12-hour clock": "timestamp,open,high,low,close,volume\n"
    + "".join(f"03/14/2024 12:0{m} AM,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "date with comma": "timestamp,open,high,low,close,volume\n"
    + "".join(f'"14/03/2024, 00:0{m}:00",100,1250.5,99.25,101,1000\n' for m in MINUTES),
    "single digits": "timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-3-14 0:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "Z": "timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14T00:0{m}:00Z,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "offset": "timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-13 19:0{m}:00-05:00,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "date and clock of 12 hours": "Date,Time,Open,High,Low,Close,Volume\n"
    + "".join(f"03/14/2024,12:0{m} am,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "sep= and blank line": "sep=;\n\ntimestamp;open;high;low;close;volume\n"
    + "".join(f"2024-03-14 00:0{m};100;1250.5;99.25;101;1000\n" for m in MINUTES),
    "title above": "# from a broker\nCreated, 2024-03-15\ntimestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "two blanks": "date,open,high,low,close,volume,average\n"
    + "".join(f"20240314  00:0{m}:00,100,1250.5,99.25,101,1000,5\n" for m in MINUTES),
    "price is the close": '"Date","Price","Open","High","Low","Volume"\n'
    + "".join(f'"03/14/2024 00:0{m}","101","100","1,250.50","99.25","1,000"\n' for m in MINUTES),
    "month names": "Date,Open,High,Low,Close,Volume\n"
    + "".join(f"14-Mar-2024 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "month names, two-digit years": "Date,Open,High,Low,Close,Volume\n"
    + "".join(f"14-Mar-24 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "month first by name": "Date,Open,High,Low,Close,Volume\n"
    + "".join(f'"March 14, 2024 00:0{m}",100,1250.5,99.25,101,1000\n' for m in MINUTES),
    "weekday and month by name": "Date,Open,High,Low,Close,Volume\n"
    + "".join(f'"Thu, 14 Mar 2024 00:0{m}",100,1250.5,99.25,101,1000\n' for m in MINUTES),
    "two-digit years": "Date,Time,Open,High,Low,Close,Volume\n"
    + "".join(f"03/14/24,00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "two-digit years with points": "Date;Time;Open;High;Low;Close;Volume\n"
    + "".join(f"14.03.24;00:0{m};100;1250,5;99,25;101;1000\n" for m in MINUTES),
    "digits alone": "time,open,high,low,close,volume\n"
    + "".join(f"2024031400{m:02}00000,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "time of day in digits": "date,time,open,high,low,close,volume\n"
    + "".join(f"20240314,000{m}00,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "time of day with fractions": "date,time,open,high,low,close,volume\n"
    + "".join(f"2024/3/14, 00:0{m}:00.000, 100, 1250.5, 99.25, 101, 1000\n" for m in MINUTES),
    "two blanks in the time": "date,open,high,low,close,volume\n"
    + "".join(f"20240314  00:0{m}:00,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "a zone behind each time": "date,open,high,low,close,volume\n"
    + "".join(f"20240313 20:0{m}:00 US/Eastern,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "a D before the time": "timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14D00:0{m}:00.000000000,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "units of volumes": "Date,Price,Open,High,Low,Vol.,Change %\n"
    + "".join(f'"03/14/2024 00:0{m}","101","100","1,250.50","99.25","1.00K","0.1%"\n' for m in MINUTES),
    "currency signs": "Date,Close/Last,Volume,Open,High,Low\n"
    + "".join(f"03/14/2024 00:0{m},$101,1000,$100,$1250.50,$99.25\n" for m in MINUTES),
    "German names": "Datum;Eröffnung;Hoch;Tief;Schlusskurs;Volumen\n"
    + "".join(f"14.03.2024 00:0{m};100;1.250,5;99,25;101;1.000\n" for m in MINUTES),
    "Russian names": "Дата;Цена;Откр.;Макс.;Мин.;Объём\n"
    + "".join(f"14.03.2024 00:0{m};101;100;1250,5;99,25;1,00K\n" for m in MINUTES),
    "Chinese names": "日期,开盘,最高,最低,收盘,成交量\n"
    + "".join(f"2024/03/14 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "year at the end": "Date,Open,High,Low,Close,Volume\n"
    + "".join(f"Thu Mar 14 00:0{m}:00 2024,100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "left and right edges": "Time left;Time right;Open;High;Low;Close;Volume\n"
    + "".join(f"14.03.2024 00:0{m};14.03.2024 00:0{m + 1};100;1250.5;99.25;101;1000\n" for m in MINUTES),
    "numbered names": "date,1. open,2. high,3. low,4. close,5. volume\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "lines quoted whole": '"timestamp,open,high,low,close,volume"\n'
    + "".join(f'"2024-03-14 00:0{m},100,1250.5,99.25,101,1000"\n' for m in MINUTES),
    "lines quoted whole with quoted cells": "timestamp,open,high,low,close,volume\n"
    + "".join(f'"2024-03-14 00:0{m},""100"",""1250.5"",99.25,101,1000"\n' for m in MINUTES),
    "two blanks between": "Time              Open    High    Low    Close  Volume\n"
    + "".join(f"2024-03-14 00:0{m}  100.00  1250.5  99.25  101    1000\n" for m in MINUTES),
    "one blank between": "Date Time Open High Low Close Volume\n"
    + "".join(f"2024-03-14 00:0{m} 100.00 1250.5 99.25 101 1000\n" for m in MINUTES),
    "names in a comment": "# exported\n#timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000\n// 1,2,3,4,5,6\n" for m in MINUTES),
    "a delimiter at the end of the rows": "timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000,\n" for m in MINUTES),
    "a title of many lines": "A title\n" * 20
    + "date,open,high,low,close,volume\n"
    + "".join(f"2024-03-14 00:0{m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
    "base and quote volume": "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n"
    + "".join(f"{1710374400 + 60 * m},2024,X,100,1250.5,99.25,101,1000,99999\n" for m in MINUTES),
    "rising and falling volume": "Date,Time,Open,High,Low,Close,Up,Down\n"
    + "".join(f"03/14/2024,00:0{m},100,1250.5,99.25,101,400,600\n" for m in MINUTES),
    "newest first": "timestamp,open,high,low,close,volume\n"
    + "".join(f"2024-03-14 00:0{5 - m},100,1250.5,99.25,101,1000\n" for m in MINUTES),
}


@pytest.mark.parametrize("form", READ_RIGHTLY)
def test_the_same_bars_in_every_form(form: str, tmp_path: Path) -> None:
    block, source, quarantine = read(tmp_path / "X.csv", READ_RIGHTLY[form])
    assert quarantine.total == 0
    assert labels(source, block) == minutes(6)
    for name, value in {"open": 100, "high": 1250.5, "low": 99.25, "close": 101, "volume": 1000}.items():
        assert getattr(block, name)[:, 0].tolist() == [value] * 6, name


def rows(*stamps: str, mark: str = ",") -> str:
    lines = [mark.join(("timestamp", "open", "high", "low", "close", "volume"))]
    return "\n".join(lines + [mark.join((stamp, "100", "101", "99", "100", "5")) for stamp in stamps]) + "\n"


REFUSED = {
    "day or month": (rows("03/04/2024 00:00", "03/04/2024 00:01"), "cannot tell the day from the month", "date_order"),
    "both orders": (rows("14/03/2024", "03/15/2024", "03/18/2024"), "can only be day first", "date_order"),
    "two-digit year first": (rows("24-03-14", "24-03-15"), "begin with a year of two digits", "year-month-day"),
    "unknown month": (rows("14 Foo 2024", "15 Foo 2024"), "the time column cannot be read", "year-month-day"),
    "hour 13 PM": (rows("2024-03-14 13:00 PM", "2024-03-14 13:01 PM"), "the time column cannot be read", ""),
    "hour 25": (rows("2024-03-14 25:00", "2024-03-14 25:01"), "the time column cannot be read", ""),
    "spreadsheet days": (rows("45365.0", "45365.5"), "the time column cannot be read", "spreadsheet"),
    "counter": (rows("1", "2", "3"), "the time column cannot be read", "too small for an epoch"),
    "times of day": (rows("00:00", "00:01"), "the time column cannot be read", "a date beside it"),
    "months": (rows("202001", "202002"), "the time column cannot be read", "needs a day"),
    "name of a zone": (rows("2024-03-14 00:00 EST", "2024-03-14 00:01 EST"), "the time column cannot", "--timezone"),
    "bid and ask bars": (
        "time,BidOpen,BidHigh,BidLow,BidClose,AskOpen\n2024-03-14,1,1,1,1,1\n",
        "there is no column for open, high, low, close",
        "--columns open=BidOpen,high=BidHigh,low=BidLow,close=BidClose",
    ),
    "one time": (rows("2024-03-14", "2024-03-14"), "cannot tell how long the bars are", "bar_width"),
    "comma of three": (
        "timestamp;open;high;low;close\n2024-03-14;1,100;1,101;1,099;1,100\n2024-03-15;1,100;1,101;1,099;1,100\n",
        "cannot tell whether commas are decimal",
        "decimal point",
    ),
    "comma and point": (
        "timestamp;open;high;low;close\n2024-03-14;1,1;1.2;1,09;1,1\n2024-03-15;1,1;1,2;1,09;1,1\n",
        "some numbers have a decimal comma",
        "decimal point",
    ),
    "yfinance, two symbols": (
        "Price,Close,Close,High,High,Low,Low,Open,Open\nTicker,A,B,A,B,A,B,A,B\nDate,,,,,,,,\n2024-01-02,1,2,1,2,1,2,1,2\n",
        "side by side",
        "one file for each symbol",
    ),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_read_names_the_cure(form: str, tmp_path: Path) -> None:
    content, what, cure = REFUSED[form]
    with pytest.raises(DataError) as caught:
        read(tmp_path / "X.csv", content)
    assert what in caught.value.what
    assert cure in (caught.value.hint or "")


ADJUSTED = "Date,Open,High,Low,Close,Adj Close,Volume\n" + "".join(
    f"2024-03-{14 + day},100,104,96,98,{49 + day},1000\n" for day in range(4)
)


def test_prices_are_unadjusted_unless_asked(tmp_path: Path) -> None:
    block, source, _ = read(tmp_path / "X.csv", ADJUSTED)
    assert block.close[:, 0].tolist() == [98] * 4
    assert source.remarks == ("X.csv: prices are unadjusted, the close is Close; --adjusted takes those of Adj Close",)
    block, source, _ = read(tmp_path / "X.csv", ADJUSTED, adjusted=True)
    factors = np.array([49, 50, 51, 52]) / 98
    for name, price in {"open": 100, "high": 104, "low": 96, "close": 98}.items():
        np.testing.assert_array_equal(getattr(block, name)[:, 0], price * factors)
    assert block.volume[:, 0].tolist() == [1000] * 4
    assert source.remarks == ("X.csv: prices are adjusted, as asked: each times Adj Close / Close",)


def test_adjusted_columns_are_taken_whole(tmp_path: Path) -> None:
    names = "date,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume\n"
    content = names + "".join(f"2024-03-{14 + day},98,104,96,100,10,49,52,48,50,20\n" for day in range(3))
    block, _, _ = read(tmp_path / "X.csv", content, adjusted=True)
    assert [getattr(block, name)[0, 0] for name in ("open", "high", "low", "close", "volume")] == [50, 52, 48, 49, 20]
    block, _, _ = read(tmp_path / "X.csv", content)
    assert [getattr(block, name)[0, 0] for name in ("open", "high", "low", "close", "volume")] == [100, 104, 96, 98, 10]


def test_a_settlement_price_is_the_close_only_alone_or_asked(tmp_path: Path) -> None:
    both = "Date,Open,High,Low,Last,Settle\n" + "".join(f"2024-03-{14 + day},100,104,96,98,99\n" for day in range(3))
    block, source, _ = read(tmp_path / "X.csv", both)
    assert block.close[0, 0] == 98
    assert "--columns close=Settle takes the settlement price" in source.remarks[0]
    block, source, _ = read(tmp_path / "X.csv", both, columns="close=Settle")
    assert block.close[0, 0] == 99
    assert source.remarks == ("X.csv: the close is the settlement price Settle, as asked",)
    block, source, _ = read(tmp_path / "X.csv", both.replace("Last", "Change"))
    assert block.close[0, 0] == 99
    with pytest.raises(UsageError, match="no adjusted prices") as caught:
        read(tmp_path / "X.csv", both, adjusted=True)
    assert "--columns close=Settle" in str(caught.value.hint)


def test_a_setting_tells_the_day_from_the_month(tmp_path: Path) -> None:
    content = rows("03/04/2024 00:00", "03/04/2024 00:01")
    for order, first in (("day_first", "2024-04-03"), ("month_first", "2024-03-04")):
        block, source, _ = read(tmp_path / "X.csv", content, date_order=order)
        assert labels(source, block) == minutes(2, f"{first}T00:00")


def test_twelve_hours_twice_a_day(tmp_path: Path) -> None:
    stamps = [f"2024-03-14 {hour % 12 or 12}:30 {'AM' if hour < 12 else 'p.m.'}" for hour in range(24)]
    block, source, quarantine = read(tmp_path / "X.csv", rows(*stamps, "2024-03-15 0:30 AM", "2024-03-15 13:30 PM"))
    assert labels(source, block) == minutes(24 * 60, "2024-03-14T00:30")[::60]
    assert quarantine.counts == {"unreadable time": 2}


def test_an_epoch_may_change_its_unit_within_a_file(tmp_path: Path) -> None:
    times = minutes(40, "2024-12-31T23:40")
    block, source, quarantine = read(
        tmp_path / "X.csv", rows(*(str(t // (10**6 if at < 20 else 10**3)) for at, t in enumerate(times)), "7")
    )
    assert labels(source, block) == times
    assert source.format == "CSV, epoch milliseconds and microseconds"
    assert quarantine.counts == {"unreadable time": 1}


@pytest.mark.parametrize("stamp", ["{day} {clock}", "{day}T{clock}:00", "{day} {clock}:00.000Z", "{date} {digits}"])
def test_24_00_is_midnight_of_the_next_day(stamp: str, tmp_path: Path) -> None:
    clocks = [("2024-02-29", "23:59"), ("2024-02-29", "24:00"), ("2024-03-01", "00:01")]
    stamps = [
        stamp.format(day=day, clock=clock, date=day.replace("-", ""), digits=clock.replace(":", ""))
        for day, clock in clocks
    ]
    block, source, quarantine = read(tmp_path / "X.csv", rows(*stamps))
    assert block.ts_event.tolist() == minutes(3, "2024-02-29T23:59")
    assert (source.labels, quarantine.total) == ("close", 0)
    assert "24:00" in source.labels_reason


def test_2400_in_a_column_of_its_own(tmp_path: Path) -> None:
    content = "date,time,open,high,low,close\n" + "".join(
        f"{day},{clock},1,1,1,1\n" for day, clock in ((20240229, 2359), (20240229, 2400), (20240301, 1))
    )
    block, _, _ = read(tmp_path / "X.csv", content)
    assert block.ts_event.tolist() == minutes(3, "2024-02-29T23:59")


@pytest.mark.parametrize(("unit", "before"), [(10**6, 10**6), (10**3, 10**3), (1, 1), (10**9, 10**9)])
@pytest.mark.parametrize("name", ["close_time", "timestamp"])
def test_a_last_instant_is_the_end_of_its_bar(name: str, unit: int, before: int, tmp_path: Path) -> None:
    stamps = [str((t + MINUTE_NS - before) // unit) for t in minutes(20)]
    content = rows(*stamps).replace("timestamp", name)
    block, source, _ = read(tmp_path / "X.csv", content, timeframe="5min")
    assert source.labels == "close"
    assert block.ts_event.tolist() == [t + 5 * MINUTE_NS for t in minutes(20)[::5]]


def test_bars_of_a_second_keep_their_seconds(tmp_path: Path) -> None:
    stamps = [f"2024-03-14 00:{second // 60:02}:{second % 60:02}" for second in range(300)]
    block, source, _ = read(tmp_path / "X.csv", rows(*stamps))
    assert labels(source, block) == [minutes(1)[0] + 10**9 * second for second in range(300)]


def test_newest_first_is_reported_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [f"2024-03-14 {m // 60:02}:{m % 60:02}" for m in range(600)]
    lines = rows(*reversed(times)).splitlines()
    lines[3] = lines[3].replace("101", "1")
    lines.insert(7, "2024-03-14 23:59")
    block, source, quarantine = read(tmp_path / "X.csv", "\n".join(lines))
    assert len(block) == 599
    assert (np.diff(block.ts_event) >= MINUTE_NS).all()
    assert source.remarks == ("X.csv: it runs from the newest bar to the oldest, and is read in reverse",)
    assert {reason: row.line for reason, row in quarantine.first.items()} == {
        "high below low": 4,
        "wrong number of fields": 8,
    }
    assert concat(list(source.blocks(599))).ts_event.tolist() == block.ts_event.tolist()
    assert quarantine.total == 2
    monkeypatch.setattr(reversed_file, "MOST_ROWS", 500)
    with pytest.raises(DataError, match="the file runs backwards") as caught:
        list(replay(tmp_path / "X.csv").blocks(10))
    assert caught.value.hint == "sort the file by time"


def test_three_header_lines_of_yfinance(tmp_path: Path) -> None:
    content = "Price,Close,High,Low,Open,Volume\nTicker,ABC,ABC,ABC,ABC,ABC\nDate,,,,,\n"
    content += "".join(f"2024-01-{day:02},101,102,99,100,{day}\n" for day in range(2, 12))
    block, source, quarantine = read(tmp_path / "prices.csv", content + "2024-01-12,1\n")
    assert source.symbols == ("ABC",)
    assert block.close[:, 0].tolist() == [101.0] * 10
    assert block.volume[:, 0].tolist() == list(map(float, range(2, 12)))
    assert quarantine.first["wrong number of fields"].line == 14


@pytest.mark.parametrize("rest", [b"100,5,caf\xe9,x", b"f\xfcnf"], ids=["one field more", "two fields fewer"])
def test_a_ragged_row_that_is_not_utf8_is_quarantined(
    rest: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    row = b"2024-03-14 00:03,100,101,99," + rest
    good = [f"2024-03-14 00:0{m},100,101,99,100,5,caf\xe9".encode("latin-1") for m in (0, 1, 2, 4)]
    lines = [b"timestamp,open,high,low,close,volume,note", *good[:3], row, good[3]]
    block, _, quarantine = read(tmp_path / "X.csv", b"\n".join(lines) + b"\n")
    assert len(block) == 4
    assert quarantine.counts == {"wrong number of fields": 1}
    assert quarantine.first["wrong number of fields"].line == 5
    assert capfd.readouterr().err == ""


def test_an_unknown_volume_and_the_ticks_in_place_of_zeros(tmp_path: Path) -> None:
    head = "timestamp,open,high,low,close,{}\n"
    lines = [f"2024-03-14 00:0{m},1,1,1,1" for m in MINUTES]
    block, _, quarantine = read(tmp_path / "A.csv", head.format("volume") + "".join(f"{line},-1\n" for line in lines))
    assert np.isnan(block.volume).all()
    assert quarantine.total == 0
    mixed = head.format("vol,tickvol") + "".join(f"{line},{m},9\n" for m, line in enumerate(lines))
    assert read(tmp_path / "B.csv", mixed)[0].volume[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    block, source, _ = read(tmp_path / "C.csv", head.format("vol,tickvol") + "".join(f"{line},0,9\n" for line in lines))
    assert block.volume[:, 0].tolist() == [9.0] * 6
    assert source.remarks == ("C.csv: the volume is that of tickvol, because vol is nothing but zeros",)
