"""Damaged columnar files end in an error that names the file, or in rows; never in anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from engine.base.errors import GrandModelError
from engine.record.reading import read_table
from feeds.reading.files.open_file import open_file

DAMAGES = 150


@pytest.fixture(scope="module")
def table() -> pa.Table:
    times = pa.array(np.arange(300) * 60_000_000_000, pa.timestamp("ns", "UTC"))
    return pa.table({"timestamp": times} | {name: pa.array(np.ones(300)) for name in ("open", "high", "low", "close")})


def _read_all(path: Path) -> None:
    file = open_file(path)
    for _ in file.batches(range(len(file.names))):
        pass


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_damage_is_reported(table: pa.Table, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bars{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        feather.write_feather(table, str(path), compression="uncompressed")
    good, chance, refused = path.read_bytes(), np.random.default_rng(3), 0
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little") if suffix == ".parquet" else len(good) - 1_200
    for _ in range(DAMAGES):
        body = bytearray(good)
        for at in chance.integers(footer, len(good), chance.integers(1, 5)):
            body[at] = chance.integers(256)
        path.write_bytes(body[: chance.integers(1, len(body))] if chance.random() < 0.1 else body)
        readers = [_read_all] if suffix == ".feather" else [_read_all, lambda file: pl.from_arrow(read_table(file))]
        for reader in readers:
            try:
                reader(path)
            except GrandModelError as error:
                refused += 1
                assert error.exit_code == 2 and str(path) in str(error)
    assert refused > DAMAGES // 4
