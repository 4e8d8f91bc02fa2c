from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, reblock
from engine.types.timeframe import MINUTE_NS
from feeds.export import SUFFIXES, check_suffix, write_bars

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".parquet": pl.read_parquet,
    ".csv": pl.read_csv,
    ".csv.gz": pl.read_csv,
}


def bars(rows: int, symbols: int = 1, seed: int = 0) -> BarBlock:
    rng = np.random.default_rng(seed)
    columns = {name: rng.random((rows, symbols)) * 100 for name in BAR_COLUMNS}
    columns["volume"][rng.random((rows, symbols)) < 0.3] = np.nan
    present = rng.random((rows, symbols)) < 0.8
    present[:, 0] = True
    ts = 1_704_150_000_000_000_000 + np.arange(rows) * MINUTE_NS
    return BarBlock.from_columns(tuple(f"S{i}" for i in range(symbols)), ts, columns, present)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("symbols", [1, 3])
def test_what_is_written_reads_back(tmp_path: Path, suffix: str, symbols: int) -> None:
    block = bars(50, symbols)
    path = tmp_path / f"bars{suffix}"
    assert write_bars(path, [block]) == int(block.present.sum())
    frame = READERS[suffix](path)
    assert frame.columns == ["close_time", *(["symbol"] if symbols > 1 else []), *BAR_COLUMNS]
    if suffix != ".parquet":
        assert str(frame["close_time"][0]) == "2024-01-01T23:00:00Z"
        frame = frame.with_columns(pl.col("close_time").str.to_datetime(time_unit="ns", time_zone="UTC"))
    rows, at = np.nonzero(block.present)
    assert frame["close_time"].dtype == pl.Datetime("ns", "UTC")
    assert frame["close_time"].to_physical().to_list() == block.ts_event[rows].tolist()
    if symbols > 1:
        assert frame["symbol"].to_list() == [block.symbols[s] for s in at]
    for name in BAR_COLUMNS:
        written = getattr(block, name)[rows, at]
        np.testing.assert_array_equal(frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy(), written)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.sampled_from(SUFFIXES))
def test_the_same_bars_give_the_same_bytes_however_cut(sizes: list[int], suffix: str) -> None:
    block = bars(90, 2)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / f"whole{suffix}", Path(folder) / f"cut{suffix}"
        write_bars(whole, [block])
        write_bars(cut, reblock([block], sizes))
        assert cut.read_bytes() == whole.read_bytes()


def test_fractions_of_a_second_are_kept(tmp_path: Path) -> None:
    block = bars(2)
    block.ts_event[1] += 1_500_000
    write_bars(tmp_path / "bars.csv", [block])
    lines = (tmp_path / "bars.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        "2024-01-01T23:00:00Z",
        "2024-01-01T23:01:00.001500Z",
    ]


def test_volume_can_be_left_out(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.csv.gz", [bars(3)], volume=False)
    text = gzip.decompress((tmp_path / "bars.csv.gz").read_bytes()).decode()
    assert text.splitlines()[0] == "close_time,open,high,low,close"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    path.write_text("old")

    def failing() -> Iterator[BarBlock]:
        yield bars(70_000)
        raise DataError("broken half-way")

    with pytest.raises(DataError, match="half-way"):
        write_bars(path, failing())
    with pytest.raises(DataError, match="no bars"):
        write_bars(path, [])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_places_and_unknown_formats_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write") as caught:
        write_bars(tmp_path / "nowhere" / "bars.csv", [bars(1)])
    assert "nowhere" in str(caught.value)
    for name in ("bars.xlsx", "bars", "bars.gz"):
        with pytest.raises(UsageError, match="format"):
            check_suffix(tmp_path / name)
    assert check_suffix(Path("A.CSV.GZ")) == ".csv.gz"


def test_a_parquet_file_says_what_its_times_mark(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.parquet", [bars(3)])
    metadata = pq.read_schema(tmp_path / "bars.parquet").metadata
    assert metadata[b"labels"] == b"close"
    assert metadata[b"timezone"] == b"UTC"
