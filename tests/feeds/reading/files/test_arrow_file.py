"""A small Parquet file that unpacks to an immense one is refused before it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.base.errors import DataError
from feeds.reading.files.arrow_file import MOST_GROUP_BYTES
from feeds.reading.files.open_file import open_file

ROWS, BATCHES = 1 << 13, 1 << 7
TEXT_BYTES = MOST_GROUP_BYTES // (ROWS * BATCHES) + 1


def repeated(path: Path, group: int) -> Path:
    """A file of the same long text again and again; its chunks share their memory."""
    batch = pa.record_batch({"close": ["0" * TEXT_BYTES] * ROWS, "other": np.zeros(ROWS)})
    table = pa.Table.from_batches([batch] * BATCHES)
    pq.write_table(table, path, row_group_size=group, compression="zstd", use_dictionary=False)
    return path


def test_a_row_group_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = repeated(tmp_path / "bars.parquet", ROWS * BATCHES)
    assert path.stat().st_size < MOST_GROUP_BYTES // 100
    file = open_file(path)
    with pytest.raises(DataError, match=r"(?s)row group 1 of 1.*at most 1,073,741,824 bytes") as caught:
        next(file.batches([0]))
    assert str(path) in str(caught.value)
    assert f"{ROWS * BATCHES:,} rows" in str(caught.value)
    assert len(next(file.batches([1])).lines) > 0  # a column that is not read does not count


def test_smaller_row_groups_of_the_same_file_are_read(tmp_path: Path) -> None:
    path = repeated(tmp_path / "bars.parquet", ROWS)
    assert len(next(open_file(path).batches([0])).lines) > 0
