"""Bars into a file: Parquet or CSV, labelled by their close, the same bytes for the same bars."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from engine.base.errors import DataError, UsageError
from engine.base.replacing import replaced_file
from engine.types.blocks import BAR_COLUMNS, PRICE_COLUMNS, BarBlock, reblock
from feeds.reading.columns.names import EXTRA, SYNTHETIC

# rows per row group and write: fixed, so that the blocks a stream comes in leave no trace in the file
ROWS = 65_536
METADATA = {"labels": "close", "timezone": "UTC"}
SUFFIXES = (".parquet", ".csv", ".csv.gz")


Write = Callable[[pl.DataFrame], object]
"""Appends lines to a file."""


def check_suffix(path: Path) -> str:
    """The format that a file name asks for.

    Raises:
        UsageError: If it asks for none that can be written.
    """
    name = path.name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise UsageError(
        "cannot tell the format to write from the file name",
        where=str(path),
        expected=f"a name that ends with {', '.join(SUFFIXES)}",
        found=path.suffix or "no suffix",
    )


def write_bars(
    path: Path,
    blocks: Iterable[BarBlock],
    *,
    volume: bool = True,
    synthetic: bool = False,
    overwrite: bool = True,
    extra: Sequence[str] | None = None,
) -> int:
    """Write a stream of bars; the file appears under its name only when it is complete.

    Columns are `close_time` (UTC), `symbol` if the stream has several, then open, high,
    low, close and volume, and extra columns, whose names begin with `extra_`. A symbol without a bar in a row has no
    line; what is not known is empty.

    Args:
        path: Where to; the suffix decides the format.
        blocks: Consecutive blocks of one stream.
        volume: Whether to write the volume column.
        synthetic: Whether the bars are made up; the file then has a column that says so.
        overwrite: Whether a file that lies there is replaced.
        extra: Names of extra columns to write; by default those of the first block.

    Returns:
        Number of lines written.

    Raises:
        UsageError: If the format is unknown, the file cannot be written or is not to be replaced.
        DataError: If there is no bar.
    """
    suffix = check_suffix(path)
    lines = 0
    try:
        with replaced_file(path, overwrite=overwrite) as part:
            opened = _parquet(part) if suffix == ".parquet" else _csv(part, compressed=suffix == ".csv.gz")
            with opened as write:
                for block in reblock(blocks, [ROWS]):
                    extra = tuple(block.extra) if extra is None else extra
                    frame = _frame(block, volume, extra)
                    write(frame.with_columns(pl.lit(1, pl.Int8).alias(SYNTHETIC)) if synthetic else frame)
                    lines += frame.height
            if not lines:
                raise DataError("there are no bars to write", where=str(path))
    except OSError as error:
        raise UsageError(f"cannot write the file: {error.strerror or error}", where=str(path)) from error
    return lines


def _frame(block: BarBlock, volume: bool, extra: Sequence[str]) -> pl.DataFrame:
    rows, columns = np.nonzero(block.present)
    data = {"close_time": pl.Series(block.ts_event[rows]).cast(pl.Datetime("ns", "UTC"))}
    if len(block.symbols) > 1:
        data["symbol"] = pl.Series([block.symbols[s] for s in columns.tolist()], dtype=pl.String)
    for name in BAR_COLUMNS if volume else PRICE_COLUMNS:
        data[name] = pl.Series(getattr(block, name)[rows, columns])
    for name in extra:
        known = block.extra.get(name)
        values = np.full(len(rows), np.nan) if known is None else known[rows, columns]
        data[f"{EXTRA}{name}"] = pl.Series(values)
    return pl.DataFrame(data).with_columns(pl.selectors.float().fill_nan(None))


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    writer: pq.ParquetWriter | None = None
    with ExitStack() as stack:

        def write(frame: pl.DataFrame) -> None:
            nonlocal writer
            table: pa.Table = frame.to_arrow().replace_schema_metadata(METADATA)
            encoded = ["symbol"] if "symbol" in frame.columns else []
            if encoded:  # polars says large_string, which other readers know less well
                at = frame.columns.index("symbol")
                table = table.set_column(at, "symbol", table.column(at).cast(pa.string()))
            if writer is None:
                writer = pq.ParquetWriter(
                    path.absolute(),  # Arrow takes a relative name with a colon for a URI
                    table.schema,
                    version="2.6",
                    compression="zstd",
                    compression_level=3,
                    use_dictionary=encoded or False,
                )
                stack.enter_context(writer)
            writer.write_table(table, row_group_size=ROWS)

        yield write


@contextmanager
def _csv(path: Path, compressed: bool) -> Iterator[Write]:
    header = True
    with ExitStack() as stack:
        file: IO[bytes] | gzip.GzipFile = stack.enter_context(path.open("wb"))
        if compressed:
            # neither time nor name in the header, so that the same bars give the same bytes
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0)
            file = stack.enter_context(packed)

        def write(frame: pl.DataFrame) -> None:
            nonlocal header
            # fractions of a second only where there are any
            text = pl.col("close_time").dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
            file.write(frame.with_columns(text).write_csv(include_header=header).encode())
            header = False

        yield write
