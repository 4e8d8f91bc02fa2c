"""The replay against a plain reading, for any cut of the file and of the blocks."""

from __future__ import annotations

import json
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather

from engine.base.config import parse
from engine.base.errors import ConfigError, DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
from engine.types.instruments import Instrument
from feeds.quarantine import Quarantine
from feeds.reading.files import arrow_file, csv_file
from feeds.replay import HistoricalReplay, ReplayConfig
from tests.feeds import replay_oracle as oracle

ALWAYS = Instrument(name="ANY")
HEADER = "timestamp,open,high,low,close,volume"
PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ONE_MINUTE = {"bar_width": "1min", "labels": "close"}


def minute(number: int) -> str:
    return f"2024-01-02 {number // 60:02d}:{number % 60:02d}:00"


def write(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def good_lines(count: int, first: int = 0) -> list[str]:
    return [f"{minute(first + i)},{10 + i % 3},{13 + i % 3},{9 + i % 2},{11 + i % 2},{i}" for i in range(count)]


def replay(
    path: Any, quarantine: Quarantine | None = None, symbol: str | None = None, **config: Any
) -> HistoricalReplay:
    return HistoricalReplay(path, ALWAYS, ReplayConfig(**config), quarantine or Quarantine(), symbol)


def everything(source: HistoricalReplay, rows: int = 7) -> BarBlock:
    return concat(list(source.blocks(rows)))


def bars_of(block: BarBlock) -> list[oracle.Bar]:
    out: list[oracle.Bar] = []
    for row, column in np.argwhere(block.present):
        values = [float(getattr(block, name)[row, column]) for name in BAR_COLUMNS]
        out.append((int(block.ts_event[row]), block.symbols[column], *values))  # type: ignore[arg-type]  # five of them
    return out


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert all(repr(a) == repr(b) for a, b in zip(one, other, strict=True)), (one, other)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


CELLS = st.sampled_from(["10", "11.5", "12", "9", "0", "-3", "nan", "inf", "", "abc", "1e1", " 11 "])
PRICES = st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS).map(",".join)
GOOD = st.sampled_from(["10,12,9,11,5", "11,11,11,11,0", "9.5,10.5,9.25,10,"])
TIMES = st.one_of(st.integers(0, 40).map(minute), st.sampled_from(["", "yesterday", "2024-13-01 00:00:00"]))
LINES = st.one_of(
    st.builds(lambda t, p: f"{t},{p}", TIMES, st.one_of(GOOD, PRICES)),
    st.sampled_from(["", "1,2,3", "a,b,c,d,e,f,g,h"]),
)
# mostly forward in time, with stray lines between
FILES = st.lists(st.one_of(GOOD.map(lambda p: ("next", p)), LINES.map(lambda t: ("stray", t))), max_size=40)


def to_lines(steps: list[tuple[str, str]]) -> list[str]:
    lines, clock = [], 0
    for kind, text in steps:
        clock += kind == "next"
        lines.append(f"{minute(clock)},{text}" if kind == "next" else text)
    return [f"{minute(0)},10,12,9,11,1", *lines]


@PROPERTY
@given(steps=FILES, rows=st.integers(1, 50), chunk=st.integers(1, 400), closes=st.booleans())
def test_a_messy_file_reads_as_a_plain_reading_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Any, rows: int, chunk: int, closes: bool
) -> None:
    lines = to_lines(steps)
    path = write(tmp_path / "X.csv", lines)
    expected = oracle.read(lines, shift=0 if closes else oracle.MINUTE)
    record = tmp_path / "bad.jsonl"
    record.unlink(missing_ok=True)
    monkeypatch.setattr(csv_file, "CHUNK_BYTES", chunk)
    quarantine = Quarantine(record)
    source = replay(path, quarantine, bar_width="1min", labels="close" if closes else "open")
    found = bars_of(everything(source, rows))
    assert_same(found, [(bar[0], "X", *bar[2:]) for bar in expected.bars])
    assert [(row["line"], row["reason"]) for row in records(record)] == expected.bad
    assert quarantine.total == len(expected.bad)
    assert all(row["raw"].strip() == lines[row["line"] - 2].strip() for row in records(record))


@PROPERTY
@given(steps=FILES, sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_blocks_mean_nothing(tmp_path: Path, steps: Any, sizes: tuple[int, int]) -> None:
    path = write(tmp_path / "X.csv", [*to_lines(steps), f"{minute(60)},10,12,9,11,1"])
    outcomes = []
    for rows in sizes:
        record = tmp_path / f"bad{rows}.jsonl"
        record.unlink(missing_ok=True)
        quarantine = Quarantine(record)
        blocks = list(replay(path, quarantine, timeframe="5min", **ONE_MINUTE).blocks(rows))
        assert all(len(block) == rows for block in blocks[:-1])
        assert [block.seq for block in blocks] == [rows * i for i in range(len(blocks))]
        whole = concat(blocks)
        columns = [getattr(whole, name).tobytes() for name in ("ts_event", *BAR_COLUMNS, "present")]
        outcomes.append((columns, quarantine.counts, quarantine.gaps, records(record)))
    assert outcomes[0] == outcomes[1]


@PROPERTY
@given(steps=FILES, length=st.sampled_from([2, 5, 30]), rows=st.integers(1, 20))
def test_aggregates_are_those_of_a_plain_reading(tmp_path: Path, steps: Any, length: int, rows: int) -> None:
    lines = to_lines(steps)
    path = write(tmp_path / "X.csv", lines)
    bars = oracle.read(lines, shift=0).bars
    # a bar that the file does not complete is not known at its end
    expected = [bar for bar in oracle.aggregate(bars, length * oracle.MINUTE) if bar[0] <= bars[-1][0]]
    blocks = replay(path, timeframe=f"{length}min", **ONE_MINUTE).blocks(rows)
    if expected:
        assert_same([(bar[0], *bar[2:]) for bar in bars_of(concat(list(blocks)))], expected)
    else:
        with pytest.raises(DataError, match="no bar"):
            list(blocks)


@PROPERTY
@given(steps=FILES, poison=st.lists(LINES, max_size=10), chunk=st.integers(1, 300), keep=st.integers(1, 40))
def test_the_future_changes_nothing_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Any, poison: list[str], chunk: int, keep: int
) -> None:
    monkeypatch.setattr(csv_file, "CHUNK_BYTES", chunk)
    lines = to_lines(steps)
    past = lines[:keep]
    known = len(oracle.read(past, shift=0).bars)
    one = bars_of(everything(replay(write(tmp_path / "X.csv", lines), **ONE_MINUTE)))
    two = bars_of(everything(replay(write(tmp_path / "X.csv", past + poison), **ONE_MINUTE)))
    assert_same(one[:known], two[:known])


SYMBOL_LINES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["A", "B", "C", ""]), st.one_of(GOOD, PRICES)), min_size=1, max_size=40
)


@PROPERTY
@given(steps=SYMBOL_LINES, rows=st.integers(1, 20), chunk=st.integers(1, 300), by_symbol=st.booleans())
def test_symbols_of_one_file_lie_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Any, rows: int, chunk: int, by_symbol: bool
) -> None:
    monkeypatch.setattr(csv_file, "CHUNK_BYTES", chunk)
    clock, entries = 0, [(0, "A", "10,12,9,11,5"), (1, "B", "10,12,9,11,5")]
    for step, symbol, prices in steps:
        clock += step
        entries.append((clock + 1, symbol, prices))
    # C comes last by name, so that a file sorted by symbol goes back in time wherever it holds two of them
    ordered = sorted(entries, key=lambda entry: entry[1]) if by_symbol else entries
    lines = [f"{minute(time)},{symbol},{prices}" for time, symbol, prices in ordered]
    path = write(tmp_path / "many.csv", lines, "timestamp,tic,open,high,low,close,volume")
    record = tmp_path / "bad.jsonl"
    record.unlink(missing_ok=True)
    source = replay(path, Quarantine(record), **ONE_MINUTE)
    times = [time for time, symbol, _ in ordered if symbol]
    together = all(a <= b for a, b in pairwise(times))
    expected = oracle.read(lines, shift=0, symbols=True, together=together)
    order = {symbol: place for place, symbol in enumerate(source.symbols)}
    assert set(order) == {symbol for _, symbol, _ in ordered if symbol}
    wanted = sorted(expected.bars, key=lambda bar: (bar[0], order[bar[1]]))
    assert_same(bars_of(everything(source, rows)), wanted)
    assert [(row["line"], row["reason"]) for row in records(record)] == expected.bad


@PROPERTY
@given(
    held=st.lists(st.lists(st.integers(0, 100), min_size=2, max_size=30, unique=True), min_size=2, max_size=4),
    rows=st.integers(1, 20),
    chunk=st.integers(1, 200),
)
def test_files_are_merged_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: list[list[int]], rows: int, chunk: int
) -> None:
    monkeypatch.setattr(csv_file, "CHUNK_BYTES", chunk)
    paths, expected = [], []
    for number, times in enumerate(held):
        lines = [f"{minute(time)},10,12,9,{10 + time / 100},{number}" for time in sorted(times)]
        paths.append(write(tmp_path / f"S{number}.csv", lines))
        expected += [(bar[0], f"S{number}", *bar[2:]) for bar in oracle.read(lines, shift=0).bars]
    block = everything(replay(paths, **ONE_MINUTE), rows)
    assert block.symbols == tuple(f"S{number}" for number in range(len(held)))
    assert (np.diff(block.ts_event) > 0).all()
    assert block.present.any(axis=1).all()
    assert np.isnan(block.open[~block.present]).all()
    assert_same(bars_of(block), sorted(expected, key=lambda bar: bar[:2]))


def test_a_stray_row_of_a_file_sorted_by_time_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{minute(i // 2)},{'AB'[i % 2]},10,12,9,11,1" for i in range(400)]
    lines.insert(300, f"{minute(3)},A,10,12,9,11,1")  # long past
    lines.insert(251, lines[250])  # the same once more
    path = write(tmp_path / "many.csv", lines, "date,symbol,open,high,low,close,volume")
    expected = oracle.read(lines, shift=0, symbols=True)
    assert [reason for _, reason in expected.bad] == ["duplicate time", "time goes back"]
    for chunk in (90, 1 << 20):
        monkeypatch.setattr(csv_file, "CHUNK_BYTES", chunk)
        record = tmp_path / f"{chunk}.jsonl"
        block = everything(replay(path, Quarantine(record), **ONE_MINUTE))
        assert block.present.all()
        assert_same(bars_of(block), expected.bars)
        assert [(row["line"], row["reason"]) for row in records(record)] == expected.bad


def arrow_table(count: int = 50) -> pa.Table:
    index = np.arange(count)
    return pa.table(
        {
            "timestamp": pa.array(1_704_153_600_000 + index * 60_000, pa.timestamp("ms", "UTC")),
            "open": 10.0 + index,
            "high": 12.0 + index,
            "low": 9.0 + index,
            "close": 11.0 + index,
            "volume": index,
        }
    )


def write_table(path: Path, table: pa.Table) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=13)
    elif path.suffix == ".feather":
        feather.write_feather(table, path, chunksize=13)
    elif path.suffix == ".arrow":
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow"])
@pytest.mark.parametrize("batch", [1, 7, 1 << 14])
def test_tables_read_alike_whatever_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, batch: int
) -> None:
    monkeypatch.setattr(arrow_file, "ROWS", batch)
    path = write_table(tmp_path / f"T{suffix}", arrow_table())
    block = everything(replay(path, labels="close"))
    assert block.ts_event.tolist() == [1_704_153_600_000_000_000 + i * oracle.MINUTE for i in range(50)]
    assert block.close.ravel().tolist() == [11.0 + i for i in range(50)]
    assert block.volume.ravel().tolist() == list(range(50))
    assert block.open.flags.writeable
    assert block.open.flags.c_contiguous


def test_a_bad_row_of_a_table_is_named_by_its_number(tmp_path: Path) -> None:
    table = arrow_table(5).set_column(2, "high", pa.array([12.0, 13.0, 1.0, 15.0, None]))
    quarantine = Quarantine(tmp_path / "bad.jsonl")
    block = everything(replay(write_table(tmp_path / "T.parquet", table), quarantine))
    assert len(block) == 3
    found = records(tmp_path / "bad.jsonl")
    assert [(row["line"], row["reason"]) for row in found] == [
        (3, "high below low"),
        (5, "price missing or not finite"),
    ]
    assert json.loads(found[0]["raw"])["high"] == 1.0


def test_text_and_decimals_in_a_table_are_numbers(tmp_path: Path) -> None:
    table = arrow_table(4)
    table = table.set_column(1, "open", pa.array(["10", "11.5", "x", " 12 "]))
    table = table.set_column(5, "volume", table.column("volume").cast(pa.decimal128(25, 3)))
    quarantine = Quarantine()
    block = everything(replay(write_table(tmp_path / "T.parquet", table), quarantine))
    assert block.open.ravel().tolist() == [10, 11.5, 12]
    assert block.volume.ravel().tolist() == [0, 1, 3]
    assert quarantine.first["unreadable number"].found == "open 'x'"


def test_strict_names_the_first_bad_row_of_the_file(tmp_path: Path) -> None:
    lines = good_lines(20)
    lines[12] = "1,2,3"
    lines[9] = lines[8]
    lines[15] = lines[15].replace(",", ",-", 1)
    path = write(tmp_path / "X.csv", lines)
    for source in (replay(path, strict=True), replay(path, Quarantine(strict=True))):
        for _ in range(2):  # a second pass stops there too
            with pytest.raises(DataError) as caught:
                list(source.blocks(4))
            assert caught.value.what == "bad row: duplicate time"
            assert caught.value.where == f"{path}, line 11: {lines[9]}"
            assert caught.value.expected == "a time after 2024-01-02 00:08:00Z"


def test_a_second_pass_gives_the_same_and_records_nothing_twice(tmp_path: Path) -> None:
    lines = good_lines(30)
    lines[5] = "oops"
    del lines[20:23]
    quarantine = Quarantine(tmp_path / "bad.jsonl")
    source = replay(write(tmp_path / "X.csv", lines), quarantine)
    next(source.blocks(2))  # given up halfway
    first, second = everything(source), everything(source, 11)
    assert first.close.tobytes() == second.close.tobytes()
    assert quarantine.counts == {"wrong number of fields": 1}
    assert len(records(tmp_path / "bad.jsonl")) == 1
    assert (quarantine.gaps, quarantine.missing) == (2, 4)


def test_gaps_are_counted_and_nothing_is_invented(tmp_path: Path) -> None:
    lines = good_lines(10)
    quarantine = Quarantine(tmp_path / "bad.jsonl")
    block = everything(replay(write(tmp_path / "X.csv", lines[:3] + lines[6:]), quarantine))
    assert len(block) == 7
    assert (quarantine.gaps, quarantine.missing, quarantine.total) == (1, 3, 0)
    assert quarantine.first_gap is not None
    assert quarantine.first_gap.line == 5
    assert not (tmp_path / "bad.jsonl").exists()


def test_prices_and_times_do_not_depend_on_line_ends_or_delimiter(tmp_path: Path) -> None:
    text = "\n".join([HEADER, *good_lines(9)]) + "\n"
    plain = tmp_path / "plain.csv"
    plain.write_text(text)
    expected = everything(replay(plain))
    variants = {
        "crlf.csv": text.replace("\n", "\r\n"),
        "bom.csv": "\ufeff" + text,
        "unended.csv": text.rstrip("\n"),
        "blank.csv": text.replace("\n", "\n\n"),
        "semicolon.csv": text.replace(",", ";"),
        "tab.tsv": text.replace(",", "\t"),
        "quoted.csv": "\n".join(",".join(f'"{cell}"' for cell in row.split(",")) for row in text.split("\n")[:-1]),
    }
    for name, variant in variants.items():
        path = tmp_path / name
        path.write_bytes(variant.encode())
        quarantine = Quarantine()
        found = everything(replay(path, quarantine))
        assert found.ts_event.tolist() == expected.ts_event.tolist(), name
        assert found.close.tobytes() == expected.close.tobytes(), name
        assert quarantine.total == 0, name


def test_cells_that_are_not_utf8_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    lines = good_lines(6)
    path.write_bytes("\n".join([HEADER, *lines]).encode().replace(b"00:03:00,10", b"00:03:00,\xff1"))
    quarantine = Quarantine(tmp_path / "bad.jsonl")
    assert len(everything(replay(path, quarantine))) == 5
    assert quarantine.counts == {"unreadable number": 1}


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zst"])
def test_compressed_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"X{suffix}"
    with pa.output_stream(str(path), compression={"z": "gzip", "t": "zstd"}[suffix[-1]]) as stream:
        stream.write("\n".join([HEADER, *good_lines(9)]).encode())
    source = replay(path)
    assert source.symbols == ("X",)
    assert len(everything(source)) == 9


def test_the_period_is_the_bars_inside_it(tmp_path: Path) -> None:
    start = np.datetime64("2024-01-01T23:50:00")
    stamps = start + np.arange(2000) * np.timedelta64(1, "m")
    lines = [f"{str(stamp).replace('T', ' ')},10,12,9,11,1" for stamp in stamps]
    path = write(tmp_path / "X.csv", lines)
    day = everything(replay(path, labels="open", start="2024-01-02", end="2024-01-02"))
    assert len(day) == 1440
    assert day.ts_event[0] == np.datetime64("2024-01-02T00:01:00", "ns").astype(np.int64)
    assert day.ts_event[-1] == np.datetime64("2024-01-03T00:00:00", "ns").astype(np.int64)
    later = everything(replay(path, labels="close", start="2024-01-02 10:00", end="2024-01-02 12:00"))
    assert len(later) == 120
    local = everything(replay(path, labels="open", start="2024-01-02T03:00+01:00", end="2024-01-02 02:30"))
    assert len(local) == 30


def test_rows_outside_the_period_are_not_judged(tmp_path: Path) -> None:
    lines = good_lines(30)
    lines[3] = lines[3].replace(",10,", ",-10,")
    quarantine = Quarantine()
    block = everything(replay(write(tmp_path / "X.csv", lines), quarantine, labels="open", start="2024-01-02 00:10"))
    assert (len(block), quarantine.total) == (20, 0)


def test_reading_stops_once_the_period_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "CHUNK_BYTES", 200)
    lines = [*good_lines(100), "broken"]
    quarantine = Quarantine()
    everything(replay(write(tmp_path / "X.csv", lines), quarantine, end="2024-01-02 00:10"))
    assert quarantine.total == 0


def test_parts_of_one_symbol_follow_each_other(tmp_path: Path) -> None:
    later = write(tmp_path / "a.csv", good_lines(10, first=10))
    earlier = write(tmp_path / "b.csv", good_lines(10))
    source = replay([later, earlier], symbol="BTC", labels="close")
    block = everything(source)
    assert source.symbols == ("BTC",)
    assert len(block) == 20


def test_one_symbol_of_many(tmp_path: Path) -> None:
    lines = [f"{minute(i // 2)},{'AB'[i % 2]},10,12,9,{10 + i % 2},1" for i in range(20)]
    path = write(tmp_path / "many.csv", lines, "date,symbol,open,high,low,close,volume")
    source = replay(path, symbol="B")
    assert source.symbols == ("B",)
    assert everything(source).close.ravel().tolist() == [11.0] * 10
    with pytest.raises(UsageError, match="no symbol 'Z'"):
        replay(path, symbol="Z")


def test_one_symbol_of_a_file_sorted_by_symbol_up_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "CHUNK_BYTES", 300)
    lines = [f"{minute(i)},{symbol},10,12,9,11,1" for symbol in "AB" for i in range(100)]
    path = write(tmp_path / "many.csv", lines, "date,symbol,open,high,low,close,volume")
    # whole batches of A lie past the end before B begins
    block = everything(replay(path, symbol="B", labels="open", end="2024-01-02 00:10"))
    assert len(block) == 10


def test_instruments_by_symbol(tmp_path: Path) -> None:
    path = write(tmp_path / "X.csv", good_lines(5))
    assert HistoricalReplay(path, {"X": ALWAYS}).symbols == ("X",)
    with pytest.raises(UsageError, match="no instrument is given for the symbol 'X'"):
        HistoricalReplay(path, {"Y": ALWAYS})


def test_the_session_tells_what_labels_mean(tmp_path: Path) -> None:
    euro = Instrument(
        name="E",
        calendar="CMES",
        daily_halt={"start": "16:00", "end": "17:00", "timezone": "America/Chicago"},  # type: ignore[arg-type]
    )
    opens = np.arange(np.datetime64("2024-01-02T23:00"), np.datetime64("2024-01-03T22:00"), np.timedelta64(1, "m"))
    for shift, labels in ((0, "open"), (1, "close")):
        lines = [f"{stamp + np.timedelta64(shift, 'm')},10,12,9,11,1" for stamp in opens]
        source = HistoricalReplay(write(tmp_path / "E.csv", lines), euro)
        assert source.labels == labels
        assert "CMES" in source.labels_reason
        block = everything(source, 1000)
        assert block.ts_event[0] == np.datetime64("2024-01-02T23:01", "ns").astype(np.int64)
        assert block.ts_event[-1] == np.datetime64("2024-01-03T22:00", "ns").astype(np.int64)


def test_labels_by_column_name_and_by_setting(tmp_path: Path) -> None:
    lines = good_lines(5)
    by_close = replay(write(tmp_path / "c.csv", lines, HEADER.replace("timestamp", "Close Time")))
    assert (by_close.labels, by_close.labels_reason) == ("close", "close times, by the column name 'Close Time'")
    told = replay(tmp_path / "c.csv", labels="open")
    assert (told.labels, told.labels_reason) == ("open", "open times, as the settings say")
    assumed = replay(write(tmp_path / "a.csv", lines))
    assert assumed.labels == "open"
    assert "assumed" in assumed.labels_reason


CONVENTIONS = {
    "freqtrade": ("date,open,high,low,close,volume", "2024-01-02 00:0{i}:00+00:00,10,12,9,11,1"),
    "backtesting.py": (",Open,High,Low,Close,Volume", "2024-01-02 00:0{i}:00,10,12,9,11,1"),
    "backtesting.py dated": ("Date,Open,High,Low,Close,Volume", "2024-01-02 00:0{i}:00,10,12,9,11,1"),
    "FinRL": (",date,open,high,low,close,volume,tic,day", "{i},2024-01-02 00:0{i}:00,10,12,9,11,1,X,1"),
    "NautilusTrader": ("ts_event,ts_init,open,high,low,close,volume", "{ns},{ns},10,12,9,11,1"),
    "NautilusTrader CSV": ("timestamp_utc,open,high,low,close,volume", "2024-01-02 00:0{i}:00,10,12,9,11,1"),
    "backtrader": ("datetime,open,high,low,close,volume,openinterest", "2024-01-02 00:0{i}:00,10,12,9,11,1,0"),
    "jesse": ("timestamp,open,close,high,low,volume", "{ms},10,11,12,9,1"),
    "Binance": (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count",
        "{ms},10,12,9,11,1,{ms},1,1",
    ),
    "MetaTrader": (
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
        "2024.01.02\t00:0{i}:00\t10\t12\t9\t11\t1\t1\t0",
    ),
    "Dukascopy": ("Gmt time,Open,High,Low,Close,Volume", "02.01.2024 00:0{i}:00.000,10,12,9,11,1"),
    "stooq": (
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
        "X,1,20240102,00{i:02d}00,10,12,9,11,1",
    ),
    "epoch seconds": ("time,open,high,low,close,volume", "{s},10,12,9,11,1"),
    "digits": ("date,open,high,low,close,vol", "202401020{i:03d},10,12,9,11,1"),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_usual_conventions(tmp_path: Path, name: str) -> None:
    header, row = CONVENTIONS[name]
    first = 1_704_153_600
    lines = []
    for i in range(6):
        s = first + 60 * i
        lines.append(row.format(i=i, s=s, ms=s * 1000, ns=s * 10**9))
    quarantine = Quarantine()
    source = replay(write(tmp_path / "X.csv", lines, header), quarantine)
    assert source.labels == "open"
    block = everything(source)
    assert source.symbols == ("X",)
    assert source.timeframe_ns == oracle.MINUTE
    assert quarantine.total == 0
    assert block.ts_event.tolist() == [(first + 60 * (i + 1)) * 10**9 for i in range(6)]
    for column, value in zip(BAR_COLUMNS, (10, 12, 9, 11, 1), strict=True):
        assert getattr(block, column).ravel().tolist() == [value] * 6


def test_no_volume_column(tmp_path: Path) -> None:
    lines = [line.rsplit(",", 1)[0] for line in good_lines(5)]
    source = replay(write(tmp_path / "X.csv", lines, "timestamp,open,high,low,close"))
    assert "volume" not in source.column_map
    assert np.isnan(everything(source).volume).all()


def test_local_times_through_both_clock_changes(tmp_path: Path) -> None:
    utc = np.arange(np.datetime64("2024-11-03T04:00"), np.datetime64("2024-11-03T09:00"), np.timedelta64(5, "m"))
    offset = np.where(utc < np.datetime64("2024-11-03T07:00"), 5, 6)  # Chicago
    lines = [
        f"{stamp - np.timedelta64(int(hours), 'h')},10,12,9,11,1" for stamp, hours in zip(utc, offset, strict=True)
    ]
    path = write(tmp_path / "X.csv", lines)
    quarantine = Quarantine()
    for rows in (1, 7, 100):
        block = everything(replay(path, quarantine, timezone="America/Chicago", labels="close"), rows)
        assert block.ts_event.tolist() == utc.astype("datetime64[ns]").astype(np.int64).tolist()
    assert quarantine.total == 0
    spring = [f"2024-03-10 {time}:00,10,12,9,11,1" for time in ("01:58", "01:59", "02:30", "03:00")]
    everything(replay(write(tmp_path / "Y.csv", spring), quarantine, timezone="America/Chicago"))
    assert quarantine.counts == {"unreadable time": 1}
    assert "America/Chicago" in quarantine.first["unreadable time"].expected


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("X.csv", b"", "the file is empty"),
    "header only": ("X.csv", f"{HEADER}\n".encode(), "the file holds no rows"),
    "no header": ("X.csv", b"2024-01-31 10:00,1,a,2,3\n" * 5, "the file has no header line"),
    "column missing": ("X.csv", b"timestamp,open,high,low\n1,2,3,4\n", "there is no column for close"),
    "no time": ("X.csv", b"open,high,low,close\n1,2,3,4\n", "there is no column for time"),
    "twice": ("X.csv", b"timestamp,open,Open,high,low,close\n1,2,3,4,5,6\n", "the column 'open' is there 2 times"),
    "no times": ("X.csv", f"{HEADER}\nsoon,1,1,1,1,1\nlater,1,1,1,1,1\n".encode(), "the time column cannot be read"),
    "row numbers": ("X.csv", b",open,high,low,close\n0,1,1,1,1\n1,1,1,1,1\n", "the time column cannot be read"),
    "one bar": ("X.csv", f"{HEADER}\n{good_lines(1)[0]}\n".encode(), "cannot tell how long the bars are"),
    "utf-16 without a mark": ("X.csv", HEADER.encode("utf-16-le"), "the file is not text in UTF-8"),
    "only short lines": ("X.csv", f"{HEADER}\n1,2\n3,4\n".encode(), "the file holds no rows"),
    "old line ends": ("X.csv", "\r".join([HEADER, *good_lines(5)]).encode(), "the lines have no end"),
    "no line ends": ("X.csv", b"x" * (1 << 24) + b"xx", "the lines have no end"),
    "day or month": ("X.csv", b"Date,open,high,low,close\n01/02/2024,1,1,1,1\n", "cannot tell the day from"),
    "not gzip": ("X.csv.gz", b"timestamp,open\n", "the file is damaged"),
    "not parquet": ("X.parquet", b"PAR1 nothing of the kind", "the file is damaged"),
    "not arrow": ("X.feather", b"ARROW1 nothing of the kind", "the file is damaged"),
    "feather 1": ("X.feather", b"FEA1 of old", "Feather version 1"),
    "unknown": ("X.xlsx", b"PK", "cannot tell the format"),
    "no suffix": ("X", b"PK", "cannot tell the format"),
    "zipped parquet": ("X.parquet.gz", b"PK", "cannot tell the format"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_read_is_explained(tmp_path: Path, name: str) -> None:
    file, content, message = BAD_FILES[name]
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises((DataError, UsageError)) as caught:
        replay(path)
    assert caught.value.what.startswith(message)
    assert str(path) in str(caught.value.where)
    assert caught.value.expected


def test_a_folder_a_missing_file_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a folder"):
        replay(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        replay(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="nothing to replay"):
        replay([])


def test_a_file_that_breaks_off_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "X.csv.gz"
    with pa.output_stream(str(path), compression="gzip") as stream:
        stream.write("\n".join([HEADER, *good_lines(1000)]).encode())
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(DataError, match="damaged"):
        everything(replay(path))
    whole = write_table(tmp_path / "T.parquet", arrow_table(1000))
    data = bytearray(whole.read_bytes())
    data[300:900] = bytes(600)
    whole.write_bytes(bytes(data))
    with pytest.raises(DataError, match="damaged"):
        everything(replay(whole))


def test_columns_of_a_table_that_cannot_be_prices(tmp_path: Path) -> None:
    table = arrow_table(4).set_column(1, "open", pa.array([[1.0]] * 4))
    with pytest.raises(DataError, match="cannot be the open"):
        replay(write_table(tmp_path / "T.parquet", table))
    table = arrow_table(4).set_column(0, "timestamp", pa.array([True] * 4))
    with pytest.raises(DataError, match="holds no times"):
        replay(write_table(tmp_path / "T.parquet", table))


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    one = write(tmp_path / "X.csv", good_lines(10))
    twin = write(tmp_path / "d" / "X.csv", good_lines(10))
    coarse = write(tmp_path / "Y.csv", good_lines(20)[::5])
    with pytest.raises(UsageError, match="two files hold the symbol 'X'"):
        replay([one, twin])
    with pytest.raises(DataError, match="different lengths"):
        replay([one, coarse])
    with pytest.raises(UsageError, match="does not fit"):
        replay(coarse, timeframe="7min")


def test_each_file_is_read_by_its_own_labels(tmp_path: Path) -> None:
    by_open = write(tmp_path / "O.csv", good_lines(10), HEADER.replace("timestamp", "open_time"))
    by_close = write(tmp_path / "C.csv", good_lines(10), HEADER.replace("timestamp", "close_time"))
    unknown = write(tmp_path / "U.csv", good_lines(10))
    both = replay([by_close, by_open, unknown])
    assert (both.labels, [decision.labels for decision in both.label_decisions.values()]) == (
        "mixed",
        ["close", "open", "open"],
    )
    assert "C.csv: close times, by the column name 'close_time'; O.csv: open times" in both.labels_reason
    assert "U.csv: open times, assumed" in both.labels_reason
    merged, alone = everything(both), everything(replay(by_close))
    assert len(merged) == 11
    assert merged.ts_event[merged.present[:, 0]].tolist() == alone.ts_event.tolist()
    minute_later = (alone.ts_event + 60_000_000_000).tolist()
    assert merged.ts_event[merged.present[:, 1]].tolist() == minute_later
    assert merged.ts_event[merged.present[:, 2]].tolist() == minute_later


def test_nothing_left_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "X.csv", good_lines(5))
    with pytest.raises(DataError, match="no bar lies in the period"):
        list(replay(path, start="2030-01-01").blocks(10))
    bad = write(tmp_path / "Y.csv", [line.replace(",1", ",-1") for line in good_lines(5)])
    with pytest.raises(DataError, match="no bar is left"):
        list(replay(bad).blocks(10))
    with pytest.raises(UsageError, match="at least one row"):
        list(replay(path).blocks(0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"timezone": "Mars/Base"}, "no time zone is called 'Mars/Base'"),
        ({"timezone": "America"}, "no time zone is called 'America'"),
        ({"start": "soon"}, "found 'soon'"),
        ({"start": "2024-01-02", "end": "2024-01-01"}, "must come after the start"),
        ({"timeframe": "5 parsecs"}, "cannot read the timeframe"),
        ({"label": "open"}, "did you mean 'labels'"),
    ],
)
def test_a_wrong_setting_is_explained(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(ReplayConfig, setting, where="test")
    assert message in str(caught.value)


def test_dates_that_yaml_made_dates_of(tmp_path: Path) -> None:
    config = parse(ReplayConfig, {"start": date(2024, 1, 2), "end": "2024-01-03"}, where="test")
    assert config.start == "2024-01-02"
    source = HistoricalReplay(write(tmp_path / "X.csv", good_lines(5)), ALWAYS, config)
    assert len(everything(source)) == 5
