"""Each declared format is recognised and read bar for bar; what is no bar, or could be two things, is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.config import parse
from engine.base.errors import ConfigError, DataError, GrandModelError, UsageError
from engine.types.blocks import BarBlock, concat
from engine.types.instruments import load_instrument
from feeds.quarantine import Quarantine
from feeds.reading.files import csv_file
from feeds.reading.files.open_file import open_file
from feeds.reading.formats.table import ALL, families, named
from feeds.replay import HistoricalReplay, ReplayConfig
from tests.feeds.reading.formats.forms import FORMS, MINUTES, TICKS, Form, market, prices, ticks

ALWAYS = load_instrument("GENERIC")
BY_NAME = {f"{form.declared} {number}": form for number, form in enumerate(FORMS)}


def read(path: Path, text: str | bytes, **config: Any) -> tuple[BarBlock, HistoricalReplay]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    quarantine = Quarantine()
    source = HistoricalReplay(path, ALWAYS, ReplayConfig(**config), quarantine)
    block = concat(list(source.blocks(7)))
    assert quarantine.counts == {}
    return block, source


def check(block: BarBlock, form: Form) -> None:
    closes = [round((bar.opens + bar.width).timestamp()) * 10**9 for bar in form.bars]
    assert block.ts_event.tolist() == closes
    for name in ("open", "high", "low", "close"):
        assert getattr(block, name)[:, 0].tolist() == [getattr(bar, name) for bar in form.bars], name
    np.testing.assert_array_equal(block.volume[:, 0], [form.volume(bar) for bar in form.bars])


@pytest.mark.parametrize("name", BY_NAME)
def test_each_format_is_read_bar_for_bar(name: str, tmp_path: Path) -> None:
    form = BY_NAME[name]
    block, source = read(tmp_path / form.file, form.text, **form.settings)
    check(block, form)
    told = f"{form.file}: the format is {form.declared} "
    assert any(remark.startswith(told) for remark in source.remarks)
    assert source.symbols == (form.symbol or form.file.rpartition(".")[0],)


@pytest.mark.parametrize("name", [name for name, form in BY_NAME.items() if not form.settings])
def test_a_format_may_be_named_by_its_vendor(name: str, tmp_path: Path) -> None:
    form = BY_NAME[name]
    family = next(one.family for one in ALL if one.name == form.declared)
    block, _ = read(tmp_path / form.file, form.text, format=family)
    check(block, form)


def test_every_declared_format_has_a_file() -> None:
    general = {"quotes", "trades"}  # of any vendor, by the names of their columns
    assert {one.name for one in ALL} == {form.declared for form in FORMS} | {name for name, *_ in TICKS} | general


def test_declarations_are_consistent() -> None:
    for one in ALL:
        assert not one.header or len(one.header) == len(one.columns), one.name
        assert set(one.forms) <= set(one.columns), one.name
        assert one.holds == "bars" or one.labels is None, one.name
        assert one.time == "" or "date" in one.file_name, one.name
    assert len({one.name for one in ALL}) == len(ALL)


@pytest.mark.parametrize(("name", "file", "head", "line"), TICKS, ids=[name for name, *_ in TICKS])
def test_what_holds_no_bars_is_recognised_and_refused_as_bars(
    name: str, file: str, head: str, line: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.write_text(ticks(head, line))
    opened = open_file(path)
    assert opened.declared is not None
    one = opened.declared.format
    assert one.name == name
    for column in one.columns if not one.repeats else ():
        if column in opened.declared.columns:
            opened.declared.position(column)
    with pytest.raises(DataError, match="not bars") as caught:
        HistoricalReplay(path, ALWAYS)
    assert name in str(caught.value.found)
    assert "--columns" in str(caught.value.hint)


def test_a_lobster_file_tells_symbol_day_and_levels(tmp_path: Path) -> None:
    _, file, head, line = next(entry for entry in TICKS if entry[0] == "lobster-book")
    path = tmp_path / file
    path.write_text(ticks(head, line))
    declared = open_file(path).declared
    assert declared is not None
    assert declared.symbol == "AAPL"
    assert declared.day == int(np.datetime64("2012-06-21", "ns").astype(np.int64))
    assert declared.columns[:5] == ("ask_1", "ask_size_1", "bid_1", "bid_size_1", "ask_2")


REWRITTEN = {
    "quoted whole": lambda line: f'"{line}"',
    "trailing blanks": lambda line: f"{line}  ",
    "carriage returns": lambda line: f"{line}\r",
    "comments between": lambda line: f"{line}\n# {line}\n// note",
    "blank lines": lambda line: f"\n{line}\n",
}


@pytest.mark.parametrize("way", REWRITTEN)
@pytest.mark.parametrize("declared", ["mt4", "histdata", "kraken-ohlcvt", "ohlcv-datetime", "lean"])
def test_a_headerless_file_written_in_another_way(way: str, declared: str, tmp_path: Path) -> None:
    form = next(form for form in FORMS if form.declared == declared)
    text = "".join(REWRITTEN[way](line) + "\n" for line in form.text.splitlines())
    block, _ = read(tmp_path / form.file, text)
    check(block, form)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(encoding: str, tmp_path: Path) -> None:
    for declared in ("mt5", "mt4"):
        form = next(form for form in FORMS if form.declared == declared)
        block, _ = read(tmp_path / form.file, form.text.encode(encoding))
        check(block, form)


@given(chunk=st.integers(1, 700), declared=st.sampled_from(["mt4", "lean", "ohlcv-datetime", "cryptodatadownload"]))
@settings(max_examples=25)
def test_any_cut_of_the_bytes_gives_the_same_bars(
    chunk: int, declared: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    form = next(form for form in FORMS if form.declared == declared)
    text = "# made by hand\n" + "".join(f'"{line}"\n' for line in form.text.splitlines())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "CHUNK_BYTES", chunk)
        block, _ = read(tmp_path_factory.mktemp("cut") / form.file, text)
    check(block, form)


def test_a_few_bad_rows_hide_no_format(tmp_path: Path) -> None:
    form = next(form for form in FORMS if form.declared == "mt4")
    lines = form.text.splitlines()
    lines[4] = lines[4].replace(":", ";", 1)
    (tmp_path / form.file).write_text("\n".join(lines) + "\n")
    quarantine = Quarantine()
    source = HistoricalReplay(tmp_path / form.file, ALWAYS, None, quarantine)
    assert len(concat(list(source.blocks(100)))) == len(lines) - 1
    assert quarantine.counts == {"unreadable time": 1}


def flat() -> str:
    """Bars whose four prices are one, so that nothing tells which is which."""
    return "".join(f"{bar.ms // 1000},{bar.open},{bar.open},{bar.open},{bar.open},5\n" for bar in MINUTES)


def test_rows_that_two_formats_fit_are_refused_with_both(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    with pytest.raises(DataError, match="several formats fit") as caught:
        read(path, flat())
    assert "coinbase" in str(caught.value.expected)
    assert "ohlcv-epoch" in str(caught.value.expected)
    assert "--format coinbase" in str(caught.value.hint)
    for wanted in ("coinbase", "ohlcv"):
        block, _ = read(path, flat(), format=wanted)
        assert block.open[:, 0].tolist() == [bar.open for bar in MINUTES]


def test_closes_before_opens_are_noticed(tmp_path: Path) -> None:
    rows = [f"{b.at('UTC'):%Y-%m-%d %H:%M},{b.close},{b.high},{b.low},{b.open},{b.volume}\n" for b in MINUTES]
    for lines in (rows, rows[::-1]):
        with pytest.raises(DataError, match="closes seem to come before its opens") as caught:
            read(tmp_path / "own.csv", "".join(lines))
        assert "--columns timestamp,close,high,low,open,volume" in str(caught.value.hint)
        block, _ = read(tmp_path / "own.csv", "".join(lines), columns="timestamp,close,high,low,open,volume")
        check(block, Form("", "own.csv", lambda bar: ""))


def test_an_example_of_names_is_guessed_from_the_cells(tmp_path: Path) -> None:
    text = "".join(f"{at},x,{b.at('UTC'):%Y-%m-%d,%H:%M},{prices(b)},{b.volume}\n" for at, b in enumerate(MINUTES))
    with pytest.raises(DataError) as caught:
        read(tmp_path / "own.csv", text)
    assert "--columns number,symbol,date,time,open,high,low,close,volume (" in str(caught.value.hint)
    names = str(caught.value.hint).partition("--columns ")[2].partition(" ")[0]
    block, _ = read(tmp_path / "own.csv", text, columns=names)
    check(block, Form("", "own.csv", lambda bar: ""))


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    for text, what in (("<!DOCTYPE html>\n<p>a,b,c", "a web page"), ('[{"t": 1}]\n', "is JSON")):
        with pytest.raises(DataError, match=what):
            read(tmp_path / "own.csv", text)


def test_columns_name_what_no_format_knows(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    text = "".join(f"a;{b.volume};{b.close};{b.low};{b.high};{b.open};{b.at('UTC'):%Y-%m-%d %H:%M}\n" for b in MINUTES)
    with pytest.raises(DataError, match="no header line") as caught:
        read(path, text)
    assert "--columns symbol,open,high,low,close,volume,timestamp" in str(caught.value.hint)
    block, source = read(path, text, columns="x, volume, close, low, high, open, timestamp")
    check(block, Form("", "own.csv", lambda bar: ""))
    assert [use.role for use in source.columns_used] == ["", "volume", "close", "low", "high", "open", "time"]
    with pytest.raises(DataError, match="--columns names 2 columns") as caught:
        read(path, text, columns=("open", "close"))
    assert "7 names" in str(caught.value.expected)


def test_single_columns_by_the_names_of_the_file(tmp_path: Path) -> None:
    text = "Moment,Erste,Hi,Lo,Mid,Ende\n" + "".join(
        f"{b.at('UTC'):%Y-%m-%d %H:%M},{b.open},{b.high},{b.low},1,{b.close}\n" for b in MINUTES
    )
    with pytest.raises(DataError, match="there is no column for") as caught:
        read(tmp_path / "own.csv", text)
    assert "--columns open=NAME" in str(caught.value.hint)
    pairs = "timestamp=Moment,open=Erste,high=hi,low=Lo,close=Ende"
    block, source = read(tmp_path / "own.csv", text, columns=pairs)
    check(block, Form("", "own.csv", lambda bar: "", volume=lambda bar: float("nan")))
    assert source.columns_used[0].why == "as --columns says"
    with pytest.raises(UsageError, match="no column 'Last'"):
        read(tmp_path / "own.csv", text, columns="close=Last")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"format": "mt6"}, "there is no format 'mt6'"),
        ({"format": "mt5", "columns": "date,open,high,low,close"}, "a format already names the columns"),
        ({"columns": "date,close=Settle"}, "either names all columns"),
        ({"columns": "klose=Settle"}, "unknown column"),
    ],
)
def test_settings_that_cannot_be_meant(given_: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(ReplayConfig, given_, where="test")


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        named("histdta")
    assert "did you mean histdata" in str(caught.value.hint)
    assert all(family in str(caught.value.expected) for family in families())


def test_a_format_that_does_not_fit_names_those_that_do(tmp_path: Path) -> None:
    form = next(form for form in FORMS if form.declared == "ohlcv-epoch")
    with pytest.raises(DataError, match="not in the format mt5") as caught:
        read(tmp_path / "own.csv", form.text, format="mt5")
    assert "ohlcv-epoch" in str(caught.value.hint)
    headed = next(form for form in FORMS if form.declared == "ib")
    with pytest.raises(DataError, match="not in the format lean"):
        read(tmp_path / "own.csv", headed.text, format="lean")


def test_times_of_day_need_a_name_with_a_date(tmp_path: Path) -> None:
    form = next(form for form in FORMS if form.declared == "lean")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "own.csv", form.text)
    assert "if it is lean" in str(caught.value.hint)
    with pytest.raises(UsageError, match="tells no date"):
        read(tmp_path / "own.csv", form.text, format="lean")


@pytest.mark.parametrize("zone", ["Europe/Athens", "UTC"])
def test_a_zone_that_the_user_names_goes_before_the_formats(zone: str, tmp_path: Path) -> None:
    form = next(form for form in FORMS if form.declared == "histdata")
    text = "".join(f"{b.at(zone):%Y%m%d %H%M%S};{prices(b, ';')};0\n" for b in MINUTES)
    block, source = read(tmp_path / form.file, text, timezone=zone)
    check(block, form)
    assert zone in source.columns_used[0].how


def test_labels_of_a_format_give_way_to_settings(tmp_path: Path) -> None:
    form = next(form for form in FORMS if form.declared == "ninjatrader")
    block, source = read(tmp_path / form.file, form.text, labels="open")
    late = [round((bar.opens + 2 * bar.width).timestamp()) * 10**9 for bar in form.bars]
    assert block.ts_event.tolist() == late
    assert source.labels_reason == "open times, as the settings say"


def test_a_format_makes_nothing_known_early(tmp_path: Path) -> None:
    """Whatever a file is taken for without being named, no bar closes before it ends in the zone of its format."""
    for form in FORMS:
        if form.settings or form.bars is not MINUTES:
            continue
        block, _ = read(tmp_path / form.declared / form.file, form.text)
        ends = [round((bar.opens + bar.width).timestamp()) * 10**9 for bar in form.bars]
        assert (block.ts_event >= np.array(ends)).all(), form.declared


def test_formats_of_frames(tmp_path: Path) -> None:
    import polars as pl

    from feeds.reading.files.frames import frame_files

    form = next(form for form in FORMS if form.declared == "polygon")
    path = tmp_path / "x.parquet"
    frame = pl.read_csv(form.text.encode())
    frame.write_parquet(path)
    for source in (
        HistoricalReplay(path, ALWAYS),
        HistoricalReplay(list(frame_files(frame, "X")), ALWAYS, ReplayConfig(format="polygon")),
        HistoricalReplay(
            list(frame_files(frame, "X")),
            ALWAYS,
            ReplayConfig(columns=("symbol", "volume", "open", "close", "high", "low", "open_time", "trades")),
        ),
    ):
        check(concat(list(source.blocks(9))), form)
        assert source.labels == "open"


JUNK = (*'",;|#', "\t", "  ", "//", "-", "\n", "\r", "1e400", "NaN", "é", "24:00", "12/31/99", "\0", "Close", "")


@given(
    form=st.sampled_from(FORMS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(JUNK), st.integers(0, 20)), max_size=8),
    adjusted=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_a_damaged_file_is_read_or_explained(
    form: Form, edits: list[tuple[float, str, int]], adjusted: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever happens to a file, it is read, its bad rows set aside, or it is refused with an error for people."""
    text = form.text
    for place, junk, drop in edits:
        at = int(place * len(text))
        text = text[:at] + junk + text[at + drop :]
    path = tmp_path_factory.mktemp("damaged") / form.file
    path.write_text(text)
    try:
        source = HistoricalReplay(path, ALWAYS, ReplayConfig(adjusted=adjusted), Quarantine())
        for block in source.blocks(50):
            assert (np.diff(block.ts_event) > 0).all()
        assert {use.role for use in source.columns_used} >= {"open", "high", "low", "close"}
    except GrandModelError as error:
        assert error.what
        assert error.where


def test_minutes_that_no_market_had_are_unlike() -> None:
    """The oracle itself: opens lie strictly inside, so that no other order of the prices fits."""
    for bar in market(50, MINUTES[0].opens, timedelta(minutes=1)):
        assert bar.low < min(bar.open, bar.close) <= max(bar.open, bar.close) < bar.high
