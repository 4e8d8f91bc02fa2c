from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from engine.cli.main import main
from engine.types.blocks import concat
from engine.types.instruments import load_instrument
from engine.types.timeframe import MINUTE_NS
from feeds.synthetic import SyntheticBars

DATA = Path(__file__).parents[4] / "shared" / "data"
EURO = DATA / "6EH4.XCME_1min_bars_20240101_20240131.csv.gz"
BITCOIN = DATA / "btc-perp-20211231-20220201_1m.csv"
POUND = DATA / "gbpusd-m1-bid-2012.csv"
real_data = pytest.mark.skipif(not EURO.exists(), reason="the market data are not here")


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def flat(self) -> str:
        """Output without the line breaks of tables and messages."""
        return " ".join((self.out + self.err).split())


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `grandmodel data ...` in this process, as a user would."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["grandmodel", "data", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def bars_csv(run: Run, tmp_path: Path) -> Path:
    """2,000 clean synthetic bars of 6E."""
    path = tmp_path / "bars.csv"
    assert run("synthesize", "--bars", 2000, "--seed", 3, "--instrument", "6E", "--out", path).code == 0
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rewrite(path: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")


# synthesize


def test_the_same_seed_writes_the_same_bytes(run: Run, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        result = run("synthesize", "--bars", 5000, "--seed", seed, "--instrument", "ES", "--out", path)
        assert result.code == 0
        assert result.out == ""
        assert "wrote 5,000 bars" in result.err
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again
    assert first != other


def test_the_file_holds_what_the_generator_makes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    assert run(
        "synthesize", "--bars", 500, "--seed", 5, "--instrument", "6E", "--start", "2024-01-03T10:00", "--out", path
    )
    frame = pl.read_parquet(path)
    start = 1704276000 * 1_000_000_000
    bars = concat(list(SyntheticBars(load_instrument("6E"), 500, start, 5).blocks(100)))
    assert frame["close_time"].to_physical().to_list() == bars.ts_event.tolist()
    assert frame["close"].to_list() == bars.close[:, 0].tolist()
    assert int(bars.ts_event[0]) == start + MINUTE_NS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bars", "0"], "needs bars"),
        (["--seed", "-1"], "seed cannot be negative"),
        (["--start", "yesterday"], "cannot read the date"),
        (["--start", "1950-01-01"], "out of range"),
        (["--instrument", "ESS"], "did you mean ES"),
        (["--price", "-3"], "price"),
        (["--volatility", "nan"], "volatility"),
        (["--missing", "0.9"], "missing"),
        (["--out", "bars.xlsx"], "cannot tell the format"),
        (["--out", "nowhere/bars.csv"], "cannot write"),
    ],
)
def test_synthesize_refuses_nonsense(run: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    result = run("synthesize", "--bars", 10, "--out", tmp_path / "bars.csv", *arguments)
    assert result.code == 2
    assert says in result.flat
    assert not list(tmp_path.iterdir())


# inspect


def test_inspect_tells_what_was_synthesized(run: Run, bars_csv: Path) -> None:
    facts = run("inspect", bars_csv, "--instrument", "6E", "--labels", "close", "--json").json
    rows = rows_of(bars_csv)
    assert facts["rows"] == len(rows) == 2000
    assert (facts["first"], facts["last"]) == (rows[0]["close_time"], rows[-1]["close_time"])
    assert (facts["timeframe"], facts["labels"], facts["outside_sessions"]) == ("1min", "close", 0)
    assert facts["columns"] == {
        "timestamp" if name == "close_time" else name: name for name in rows[0] if name != "synthetic"
    }
    (name,) = facts["symbols"]
    prices = facts["prices"][name]
    assert prices["first_open"] == float(rows[0]["open"])
    assert prices["high"] == max(float(row["high"]) for row in rows)
    assert prices["low"] == min(float(row["low"]) for row in rows)
    assert prices["last_close"] == float(rows[-1]["close"])
    assert prices["volume"] == sum(float(row["volume"]) for row in rows)
    assert facts["bad_rows"] == 0
    table = run("inspect", bars_csv, "--instrument", "6E", "--labels", "close")
    assert "2,000 of 1min" in table.flat
    assert "No bad rows." in table.flat
    assert max(map(len, table.out.splitlines())) <= 80


def test_inspect_counts_what_is_cut_out(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    assert run("synthesize", "--bars", 500, "--missing", 0, "--out", path).code == 0
    rewrite(path, lambda lines: [line for row, line in enumerate(lines) if row not in {10, 100, 101, 102}])
    facts = run("inspect", path, "--labels", "close", "--json").json
    assert (facts["rows"], facts["missing_bars"], facts["gaps"]) == (496, 4, 2)
    assert facts["longest_gaps"][0]["bars"] == 3
    assert "4 bars in 2 gaps inside sessions (0.80%)" in run("inspect", path).flat


def test_inspect_warns_of_the_wrong_instrument(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    assert run("synthesize", "--bars", 3000, "--out", path).code == 0  # never closes
    assert "outside every session" in run("inspect", path, "--instrument", "6E", "--labels", "close").flat
    assert run("synthesize", "--bars", 8000, "--instrument", "6E", "--out", path, "--overwrite").code == 0  # does close
    assert "say which it is with --instrument" in run("inspect", path, "--labels", "close").flat


@real_data
def test_the_euro_future_is_found_to_be_close_labelled(run: Run) -> None:
    facts = run("inspect", EURO, "--instrument", "6E", "--json").json
    assert facts["labels"] == "close"
    assert (facts["rows"], facts["bad_rows"]) == (29_996, 0)
    assert facts["first"] == "2024-01-01T23:01:00Z"
    assert facts["columns"]["timestamp"] == "timestamp_utc"
    assert facts["first_outside"] is None
    assert 400 <= facts["missing_bars"] <= 440


@real_data
def test_other_real_files(run: Run) -> None:
    facts = run("inspect", BITCOIN, "--instrument", "BTC-PERP", "--json").json
    assert (facts["rows"], facts["missing_bars"], facts["outside_sessions"]) == (45_031, 0, 0)
    facts = run("inspect", POUND, "--json").json
    (prices,) = facts["prices"].values()
    assert facts["rows"] == prices["without_volume"] == 30_117
    assert "volume" not in facts["columns"]
    assert "unknown" in run("inspect", POUND).out


# validate


def test_a_clean_file_passes(run: Run, bars_csv: Path) -> None:
    result = run("validate", bars_csv, "--instrument", "6E")
    assert result.code == 0
    assert "No bad rows." in result.out
    assert run("validate", bars_csv, "--instrument", "6E", "--json").json["clean"] is True


def spoil(path: Path) -> None:
    """High below low in line 12, a price that is none in line 21, line 30 again after itself."""

    def edit(lines: list[str]) -> list[str]:
        stamp, open_, _, *rest = lines[11].split(",")
        lines[11] = ",".join([stamp, open_, "0.0001", *rest])
        stamp, _, *rest = lines[20].split(",")
        lines[20] = ",".join([stamp, "n/a!", *rest])
        return [*lines[:30], lines[29], *lines[30:]]

    rewrite(path, edit)


def test_bad_rows_are_named_counted_and_kept(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    spoil(bars_csv)
    kept = tmp_path / "bad.jsonl"
    result = run("validate", bars_csv, "--instrument", "6E", "--json", "--quarantine", kept)
    assert result.code == 1
    facts = result.json
    assert (facts["clean"], facts["bad_rows"], facts["rows"]) == (False, 3, 1998)
    lines = sorted(problem["first"]["line"] for problem in facts["reasons"].values())
    assert lines == [12, 21, 31]
    assert sorted(json.loads(line)["line"] for line in kept.read_text().splitlines()) == lines
    table = run("validate", bars_csv, "--instrument", "6E")
    assert table.code == 1
    for reason in facts["reasons"]:
        assert reason.split()[0] in table.out
    assert max(map(len, table.out.splitlines())) <= 80


def test_strict_stops_at_the_first(run: Run, bars_csv: Path) -> None:
    spoil(bars_csv)
    result = run("validate", bars_csv, "--instrument", "6E", "--strict", "--json")
    assert result.code == 1
    assert [problem["first"]["line"] for problem in result.json["reasons"].values()] == [12]
    assert result.json["stopped"] is True
    assert "Stopped at the first bad row" in run("validate", bars_csv, "--strict").out


def test_a_file_of_bad_rows_only_is_not_unreadable(run: Run, bars_csv: Path) -> None:
    def negate(lines: list[str]) -> list[str]:
        return [lines[0]] + [line.replace(",", ",-", 1) for line in lines[1:]]

    rewrite(bars_csv, negate)
    result = run("validate", bars_csv, "--json")
    assert result.code == 1
    assert (result.json["rows"], result.json["bad_rows"]) == (0, 2000)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", "empty"),
        ("header.csv", b"timestamp,open,high,low,close\n", "no rows"),
        ("other.csv", b"a,b\n1,2\n3,4\n", "no column"),
        ("broken.parquet", b"hello", "damaged"),
        ("binary.csv", bytes(range(256)) * 40, "not text"),
        ("bars.xlsx", b"PK", "format"),
        ("missing.csv", None, "no such file"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "validate", "convert"])
def test_unreadable_files_end_with_2(
    run: Run, tmp_path: Path, command: str, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = run(command, path, *(["--out", tmp_path / "out.csv"] if command == "convert" else []))
    assert result.code == 2
    assert says in result.flat
    assert str(path) in result.flat.replace("/ ", "/")
    assert not (tmp_path / "out.csv").exists()


def test_a_file_that_breaks_off_ends_with_2_even_after_bad_rows(run: Run, bars_csv: Path) -> None:
    spoil(bars_csv)
    packed = bars_csv.with_suffix(".csv.gz")
    whole = gzip.compress(bars_csv.read_bytes())
    packed.write_bytes(whole[: len(whole) // 2])
    result = run("validate", packed)
    assert result.code == 2
    assert "damaged" in result.flat


# convert


def test_convert_there_and_back_changes_nothing(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    there, back = tmp_path / "there.parquet", tmp_path / "back.csv"
    for source, target in ((bars_csv, there), (there, back)):
        assert run("convert", source, "--out", target, "--labels", "close").code == 0
    assert back.read_bytes() == bars_csv.read_bytes()
    assert not list(tmp_path.glob("*quarantine*"))


def test_open_labels_move_to_the_close(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    shifted = tmp_path / "shifted.csv"
    assert run("convert", bars_csv, "--out", shifted, "--labels", "open").code == 0
    first = pl.read_csv(bars_csv, try_parse_dates=True)["close_time"]
    second = pl.read_csv(shifted, try_parse_dates=True)["close_time"]
    assert ((second - first).dt.total_seconds() == 60).all()


def test_convert_aggregates_on_sessions(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    what = ["--labels", "close", "--instrument", "6E", "--timeframe", "30min"]
    assert run("convert", bars_csv, "--out", target, *what).code == 0
    check_half_hours(bars_csv, target)


@real_data
def test_convert_aggregates_the_euro_future(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    what = ["--instrument", "6E", "--timeframe", "30min"]
    assert run("convert", EURO, "--out", target, *what, "--end", "2024-01-12").code == 0
    check_half_hours(EURO, target)


def check_half_hours(source: Path, target: Path) -> None:
    """Against polars: sessions of 6E open and close on the half hour, so that its grid is the same."""
    bars = pl.read_csv(source)
    stamp = pl.col(bars.columns[0]).str.strip_suffix("Z").str.to_datetime(time_unit="us")
    expected = (
        bars.with_columns(stamp.alias("at"))
        .group_by_dynamic("at", every="30m", closed="right", label="right")
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum().cast(pl.Float64),
        )
    )
    found = pl.read_csv(target).with_columns(
        pl.col("close_time").str.strip_suffix("Z").str.to_datetime(time_unit="us").alias("at")
    )
    assert len(found) > 50
    # the last, unfinished bar is left out, and so is what --end cuts off
    assert found.select(expected.columns).equals(expected.head(len(found)))


def test_the_unfinished_last_bar_is_written_on_request(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    rewrite(bars_csv, lambda lines: lines[:104])  # 103 bars
    counts = []
    for extra in ([], ["--keep-partial", "--overwrite"]):
        target = tmp_path / "out.csv"
        what = ["--labels", "close", "--instrument", "6E", "--timeframe", "1h", *extra]
        assert run("convert", bars_csv, "--out", target, *what).code == 0
        counts.append(len(rows_of(target)))
    assert counts == [1, 2]


def test_files_are_not_replaced_unasked(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    target, kept = tmp_path / "out.csv", tmp_path / "bad.jsonl"
    for path in (target, kept):
        path.write_text("mine")
    for words in (["synthesize"], ["convert", bars_csv]):
        refused = run(*words, "--out", target)
        assert refused.code == 2 and "--overwrite" in refused.flat
    assert run("convert", bars_csv, "--out", tmp_path / "other.csv", "--quarantine", kept).code == 2
    assert run("validate", bars_csv, "--quarantine", kept).code == 2
    assert target.read_text() == kept.read_text() == "mine"
    broken = tmp_path / "broken.csv"
    broken.write_text("nothing\n")
    assert run("validate", broken, "--quarantine", kept, "--overwrite").code == 2
    assert kept.read_text() == "mine"  # what could not be read takes nothing away
    assert run("convert", broken, "--out", target, "--overwrite").code == 2
    assert target.read_text() == "mine"  # a conversion that fails takes nothing away
    assert run("convert", bars_csv, "--out", target, "--labels", "close", "--overwrite").code == 0
    assert len(rows_of(target)) == len(rows_of(bars_csv))


def test_bad_rows_are_left_out_and_kept(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    clean = len(rows_of(bars_csv))
    spoil(bars_csv)
    target = tmp_path / "out.csv"
    result = run("convert", bars_csv, "--out", target, "--labels", "close")
    assert result.code == 0
    assert "left out 3 bad rows" in result.flat
    assert len(rows_of(target)) == clean - 2
    kept = tmp_path / "out.csv.quarantine.jsonl"
    assert len(kept.read_text().splitlines()) == 3
    strict = run("convert", bars_csv, "--out", tmp_path / "strict.csv", "--strict")
    assert strict.code == 2
    assert "line 12" in strict.flat
    assert not (tmp_path / "strict.csv").exists()


def test_the_period_can_be_limited(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    what = ["--labels", "close", "--start", "2024-01-02T10:00", "--end", "2024-01-02T11:00"]
    assert run("convert", bars_csv, "--out", target, *what).code == 0
    stamps = [row["close_time"] for row in rows_of(target)]
    assert stamps == [
        row["close_time"]
        for row in rows_of(bars_csv)
        if "2024-01-02T10:00:00Z" < row["close_time"] <= "2024-01-02T11:00:00Z"
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--timeframe", "30s"], "whole multiple of 1min"),
        (["--timeframe", "5 parsecs"], "cannot read the timeframe"),
        (["--timeframe", "1w"], "cannot read the timeframe"),
        (["--labels", "middle"], "labels"),
        (["--timezone", "Mars"], "--timezone: no time zone is called 'Mars'; expected a name such as Europe/Berlin ("),
        (["--timezone", "Berlin"], "did you mean Europe/Berlin?"),
        (["--timezone", "Europe/Berln"], "did you mean Europe/Berlin?"),
        (["--start", "2030-01-01"], "no bar"),
        (["--start", "soon"], "--start: expected a date or a time such as 2024-01-31"),
        (["--start", "2024-02-01", "--end", "2024-01-01"], "2024-02-01"),
        (["--instrument", "6F"], "no instrument is called '6F'"),
        (["--out", "bars.xyz"], "cannot tell the format"),
    ],
)
def test_convert_refuses_nonsense(run: Run, bars_csv: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    result = run("convert", bars_csv, "--out", tmp_path / "out.csv", *arguments)
    assert result.code == 2
    assert says in result.flat
    assert not (tmp_path / "out.csv").exists()


def test_the_input_is_never_replaced(run: Run, bars_csv: Path) -> None:
    before = bars_csv.read_bytes()
    result = run("convert", bars_csv, "--out", bars_csv)
    assert result.code == 2
    assert "would replace the input" in result.flat
    assert bars_csv.read_bytes() == before


def test_several_symbols_stay_apart(run: Run, bars_csv: Path, tmp_path: Path) -> None:
    rows = bars_csv.read_text().splitlines()
    both = tmp_path / "both.csv"
    lines = [f"symbol,{rows[0]}"]
    for number, row in enumerate(rows[1:200]):
        lines += [f"{name},{row}" for name in ("AAA", "BBB") if name == "AAA" or number % 3]
    both.write_text("\n".join(lines) + "\n")
    facts = run("inspect", both, "--instrument", "6E", "--labels", "close", "--json").json
    assert {name: prices["bars"] for name, prices in facts["prices"].items()} == {"AAA": 199, "BBB": 132}
    target = tmp_path / "out.csv"
    assert run("convert", both, "--out", target, "--labels", "close").code == 0
    assert {row["symbol"] for row in rows_of(target)} == {"AAA", "BBB"}
    one = tmp_path / "one.csv"
    assert run("convert", both, "--out", one, "--labels", "close", "--symbol", "BBB").code == 0
    assert len(rows_of(one)) == 132


@pytest.mark.parametrize("command", ["inspect", "validate", "convert", "synthesize"])
def test_help_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert f"Example: grandmodel data {command}" in result.flat


def test_inspect_shows_every_column_and_the_first_and_last_bars(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "DAT_ASCII_EURUSD_M1_202403.csv"
    path.write_text("".join(f"20240314 10{minute:02}00;1.1;1.3;1.0;1.{minute + 10};0\n" for minute in range(10)))
    facts = run("inspect", path, "--json").json
    assert [use["role"] for use in facts["columns_used"]] == ["time", "open", "high", "low", "close", "volume"]
    assert facts["columns_used"][1] == {
        "name": "2",
        "example": "1.1",
        "role": "open",
        "how": "open price",
        "why": "column 2 of the format histdata",
    }
    assert [bar["close"] for bar in facts["first_bars"]] == [1.1, 1.11, 1.12]
    assert [bar["closes"] for bar in facts["last_bars"]] == [f"2024-03-14T15:{at:02}:00Z" for at in (8, 9, 10)]
    table = run("inspect", path).flat
    for text in ("the format is histdata", "5 hours behind UTC all year", "open times, as the format histdata says"):
        assert text in table


def test_inspect_says_why_a_column_is_not_read(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    path.write_text("Date,Open,High,Low,Close,Adj Close\n2024-03-14,1,3,1,2,1\n2024-03-15,1,3,1,2,1\n")
    unread = run("inspect", path, "--json").json["columns_used"][5]
    assert (unread["role"], unread["why"]) == ("", "adjusted prices are read with --adjusted")
    read = run("inspect", path, "--adjusted", "--json").json
    assert read["columns_used"][5]["role"] == "adjusted close"
    assert read["first_bars"][0]["close"] == 1


@pytest.mark.parametrize("command", ["inspect", "validate", "convert"])
def test_formats_and_columns_are_said(run: Run, tmp_path: Path, command: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text("".join(f"1,3,1,{at},0{at + 1}/02/2024\n" for at in range(1, 4)))
    rest = ["--out", tmp_path / "out.csv", "--overwrite"] if command == "convert" else []
    refused = run(command, path, *rest)
    assert refused.code == 2
    assert "--columns open,high,low,close,timestamp" in refused.flat
    names = ["--columns", "open,high,low,close,date"]
    assert "--date-order day_first" in run(command, path, *rest, *names).flat
    assert run(command, path, *rest, *names, "--date-order", "month_first").code == 0
    assert "did you mean histdata" in run(command, path, *rest, "--format", "histdat").flat
    refused = run(command, path, *rest, "--format", "histdata")
    assert refused.code == 2
    assert "the file is not in the format histdata" in refused.flat
