"""Files and frames of trades and quotes, whatever their columns are called."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.base.errors import DataError, GrandModelError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
from engine.types.instruments import load_instrument
from feeds.export import write_bars
from feeds.quarantine import Quarantine
from feeds.reading.files.frames import frame_files
from feeds.replay import ReplayConfig
from feeds.ticks.opening import Replay, open_replay
from feeds.ticks.replay import TickReplay
from tests.real import FOLDER, needs_real_data

GENERIC = load_instrument("GENERIC")
BITCOIN_TRADES = FOLDER / "btcusdt-trades.parquet"
EURO_QUOTES = FOLDER / "quote_tick_data.csv"


def opened(file: object, bars: str | None = None, **more: object) -> Replay:
    config = ReplayConfig.model_validate({"bars": bars, **more})
    return open_replay(file, GENERIC, config, Quarantine())  # type: ignore[arg-type]


def read(file: object, bars: str | None = None, **more: object) -> BarBlock:
    return concat(list(opened(file, bars, **more).blocks(7)))


def written(folder: Path, text: str, name: str = "ticks.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def same(first: BarBlock, second: BarBlock) -> None:
    for name in (*BAR_COLUMNS, "ts_event", "present"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.extra.keys() == second.extra.keys()
    for name in first.extra:
        np.testing.assert_array_equal(first.extra[name], second.extra[name])


ROWS = [
    (0, 10.0, 1.0, 1),
    (20, 11.0, 2.0, -1),
    (20, 9.0, 4.0, 1),
    (61, 9.5, 8.0, -1),
    (62, 9.0, 1.0, 1),
    (130, 8.0, 1.0, 0),
]
SIDES = {
    "side": {1: "Buy", -1: "SELL", 0: ""},
    "aggressor_side": {1: "BUYER", -1: "SELLER", 0: "NO_AGGRESSOR"},
    "taker_side": {1: "1", -1: "-1", 0: "0"},
    "is_buyer_maker": {1: "false", -1: "true", 0: ""},
    "m": {1: "0", -1: "1", 0: ""},
}


@pytest.mark.parametrize("column", SIDES)
def test_sides_are_text_signs_or_flags(tmp_path: Path, column: str) -> None:
    lines = [f"{1_700_000_040 + ts},{price},{size},{SIDES[column][side]}" for ts, price, size, side in ROWS]
    block = read(written(tmp_path, "\n".join([f"time,price,qty,{column}", *lines])))
    assert block.volume[:, 0].tolist() == [1.0, 6.0, 9.0]
    # the first second ends a minute and belongs to it
    assert block.extra["signed_volume"][:, 0].tolist() == [1.0, 2.0, -7.0]
    assert block.extra["trades"][:, 0].tolist() == [1.0, 2.0, 2.0]
    assert block.extra["vwap"][:, 0].tolist() == [10.0, (22.0 + 36.0) / 6.0, (76.0 + 9.0) / 9.0]


def test_the_boundary_can_belong_to_the_bar_that_begins(tmp_path: Path) -> None:
    lines = [f"{1_700_000_040 + ts},{price},{size}" for ts, price, size, _ in ROWS]
    file = written(tmp_path, "\n".join(["time,price,qty", *lines]))
    assert read(file, "time:1min,boundary=begins").volume[:, 0].tolist() == [7.0, 9.0]


def test_a_frame_a_gzip_and_a_parquet_file_give_the_same_bars(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times = 1_700_000_000_000_000_000 + np.sort(rng.integers(0, 10**12, 500))
    frame = pl.DataFrame(
        {
            "ts_event": pl.Series(times).cast(pl.Datetime("ns", "UTC")),
            "symbol": rng.choice(["A", "B"], 500),
            "price": 100 + rng.normal(size=500),
            "size": rng.integers(1, 9, 500),
            "side": rng.choice(["b", "s"], 500),
        }
    )
    frame.write_parquet(tmp_path / "ticks.parquet")
    with gzip.open(tmp_path / "ticks.csv.gz", "wb") as file:
        file.write(frame.write_csv().encode())
    for bars in ("time:1min", "volume:50", "imbalance:tick:20"):
        first = read(frame_files(frame, "X"), bars)
        assert len(first) > 5
        assert first.symbols == (frame["symbol"][0], "AB".replace(frame["symbol"][0], ""))
        same(first, read(tmp_path / "ticks.parquet", bars))
        same(first, read(tmp_path / "ticks.csv.gz", bars))


def test_files_of_two_symbols_are_one_stream(tmp_path: Path) -> None:
    """As one file with both, in order of time."""
    rng = np.random.default_rng(2)
    times = 1_700_000_000 + np.sort(rng.integers(0, 600, 300))
    names = rng.choice(["A", "B"], 300)
    names[0] = "A"
    table = pl.DataFrame({"timestamp": times, "symbol": names, "price": 100 + rng.normal(size=300), "size": 1.0})
    # where times are equal, ticks of the first file come first
    table = table.sort("timestamp", "symbol", maintain_order=True)
    whole = written(tmp_path, table.write_csv(), "both.csv")
    parts = [
        written(tmp_path, table.filter(pl.col("symbol") == name).drop("symbol").write_csv(), f"{name}.csv")
        for name in "AB"
    ]
    for bars in ("time:5s", "tick:4", "renko:1"):
        same(read(whole, bars), read(parts, bars))


def test_rows_symbol_by_symbol_are_sorted(tmp_path: Path) -> None:
    lines = [f"{1_700_000_000 + ts},{name},{10 + ts},1" for name in "AB" for ts in range(200)]
    block = read(written(tmp_path, "\n".join(["timestamp,symbol,price,size", *lines])), "time:10s")
    assert block.symbols == ("A", "B")
    assert block.present.all()


BAD = [
    ("1700000100,abc,1,buy", "unreadable number"),
    ("1700000100,,1,buy", "price missing or not finite"),
    ("1700000100,-5,1,buy", "price not positive"),
    ("1700000100,5,-1,buy", "size missing, negative or not finite"),
    ("1700000100,5,,buy", "size missing, negative or not finite"),
    ("1700000100,5,1,maybe", "unreadable side"),
    ("soon,5,1,buy", "unreadable time"),
    ("1600000000,5,1,buy", "time goes back"),
    ("1700000100,5,1", "wrong number of fields"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_row_is_kept_and_named(tmp_path: Path, line: str, reason: str) -> None:
    good = [f"{1_700_000_000 + at},10,1,buy" for at in range(300)]
    clean = read(written(tmp_path, "\n".join(["timestamp,price,size,side", *good]), "clean.csv"), "tick:10")
    file = written(tmp_path, "\n".join(["timestamp,price,size,side", *good[:200], line, *good[200:]]))
    replay = opened(file, "tick:10")
    same(clean, concat(list(replay.blocks(100))))
    assert replay.quarantine.counts == {reason: 1}
    first = replay.quarantine.first[reason]
    assert first.line == 202
    assert first.expected
    with pytest.raises(DataError, match="bad row"):
        read(file, "tick:10", strict=True)


def test_quotes_become_bars_of_mids_with_their_spread(tmp_path: Path) -> None:
    lines = ["timestamp,bid,ask", *(f"{1_700_000_000 + at},{1 + at},{2 + at}" for at in range(0, 100, 5))]
    file = written(tmp_path, "\n".join([*lines, "1700000100,9,8", "1700000160,9,10"]))
    replay = opened(file)
    block = concat(list(replay.blocks(10)))
    assert block.close[0, 0] == 41.5
    assert np.isnan(block.volume).all()
    assert (block.extra["spread"] == 1.0).all()
    assert (block.extra["ask"][0, 0], block.extra["bid"][0, 0]) == (42.0, 41.0)
    assert replay.quarantine.counts == {"bid above ask": 1}
    assert any("quotes, whose mid prices count" in remark for remark in replay.remarks)
    with pytest.raises(UsageError, match="quotes have none"):
        opened(file, "volume:10")


def test_trades_with_quotes_beside_them_are_signed_by_the_mid(tmp_path: Path) -> None:
    lines = ["timestamp,price,size,bid,ask", "1700000000,11,1,10,11", "1700000001,10,2,10,11", "1700000002,10,4,10,11"]
    block = read(written(tmp_path, "\n".join(lines)), "tick:3")
    assert block.extra["signed_volume"][0, 0] == 1.0 - 2.0 - 4.0
    assert block.extra["spread"][0, 0] == 1.0


def test_a_period_has_exactly_its_bars(tmp_path: Path) -> None:
    lines = [f"{1_700_000_040 + at},{10 + at},1" for at in range(400)]
    file = written(tmp_path, "\n".join(["timestamp,price,size", *lines]))
    start, end = "2023-11-14T22:15:00", "2023-11-14T22:17:00"
    whole, part = read(file), read(file, start=start, end=end)
    inside = [int(ts) // 10**9 for ts in whole.ts_event if 1_700_000_100 < int(ts) // 10**9 <= 1_700_000_220]
    assert (part.ts_event // 10**9).tolist() == inside
    assert part.close[:, 0].tolist() == whole.close[np.isin(whole.ts_event, part.ts_event), 0].tolist()


ERRORS = [
    ("timestamp,open,high,low,close\n1700000000,1,1,1,1\n1700000060,1,1,1,1\n", "tick:5", "only trades and quotes"),
    ("timestamp,price\n1700000000,1\n1700000060,1\n", "volume:5", "no column for them"),
    ("timestamp,price,size\n1700000000,1,1\n1700000001,1,1\n", None, "the ticks complete no bar"),
    ("timestamp,price,size\n1700000000,1,1\n1700000001,1,1\n", "tick:1,of=quotes", "the file has no quotes"),
]


@pytest.mark.parametrize(("text", "bars", "message"), ERRORS)
def test_what_cannot_be_is_said(tmp_path: Path, text: str, bars: str | None, message: str) -> None:
    with pytest.raises(GrandModelError) as caught:
        read(written(tmp_path, text), bars)
    assert message in str(caught.value)


def test_bars_and_trades_are_not_replayed_together(tmp_path: Path) -> None:
    bars = written(tmp_path, "timestamp,open,high,low,close\n1700000000,1,1,1,1\n", "bars.csv")
    trades = written(tmp_path, "timestamp,price,size\n1700000000,1,1\n", "trades.csv")
    with pytest.raises(UsageError, match="some files hold bars and others trades"):
        open_replay([bars, trades], GENERIC)


def test_extra_columns_survive_a_file_of_bars(tmp_path: Path) -> None:
    lines = [f"{1_700_000_000 + at},{'AB'[at % 2]},{10 + at % 7},{at % 3}" for at in range(900)]
    ticks = written(tmp_path, "\n".join(["timestamp,symbol,price,size", *lines]))
    made = read(ticks)
    for name in ("bars.parquet", "bars.csv"):
        write_bars(tmp_path / name, [made])
        again = concat(list(open_replay(tmp_path / name, GENERIC, ReplayConfig()).blocks(100)))
        same(made, again)


@needs_real_data
def test_real_trades() -> None:
    replay = opened(BITCOIN_TRADES, "time:1s")
    assert isinstance(replay, TickReplay)
    block = concat(list(replay.blocks(100)))
    table = pl.read_parquet(BITCOIN_TRADES).with_columns(
        close=pl.col("timestamp").dt.offset_by("999ms").dt.truncate("1s").dt.cast_time_unit("ns"),
        sign=pl.when(pl.col("buyer_maker") == "True").then(-1).otherwise(1),
    )
    oracle = (
        table.group_by("close", maintain_order=True)
        .agg(
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("last"),
            pl.col("quantity").sum().alias("volume"),
            (pl.col("quantity") * pl.col("sign")).sum().alias("signed"),
            pl.len().alias("trades"),
        )
        .head(len(block))
    )
    assert len(block) == table["close"].n_unique() - 1
    assert block.ts_event.tolist() == oracle["close"].cast(pl.Int64).to_list()
    for name, column in (("open", block.open), ("high", block.high), ("low", block.low), ("last", block.close)):
        assert column[:, 0].tolist() == oracle[name].to_list()
    np.testing.assert_allclose(block.volume[:, 0], oracle["volume"], rtol=1e-12)
    np.testing.assert_allclose(block.extra["signed_volume"][:, 0], oracle["signed"], rtol=1e-9, atol=1e-12)
    assert block.extra["trades"][:, 0].tolist() == oracle["trades"].to_list()
    assert replay.ticks == table.height
    assert not replay.quarantine.total


@needs_real_data
def test_real_quotes() -> None:
    replay = opened(EURO_QUOTES, "tick:100")
    block = concat(list(replay.blocks(50)))
    assert len(block) == 95
    assert not replay.quarantine.total
    assert np.isnan(block.volume).all()
    assert (block.extra["spread"] > 0).all()
    assert (np.diff(block.ts_event) > 0).all()
