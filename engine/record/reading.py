"""Reading a table of a run folder, which may be damaged or come from a stranger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.base.errors import DataError, UsageError
from engine.base.files import check_regular

# a damaged file lets out names that are no text and numbers out of range too
_DAMAGE = (pa.ArrowException, ValueError, KeyError, IndexError, OverflowError, TypeError, MemoryError)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of a run folder.

    Args:
        path: Its Parquet file.
        columns: Those that are wanted; by default all.

    Raises:
        UsageError: If the file is missing or no regular file.
        DataError: If it is no Parquet file, for example because the run was cut off.
    """
    try:
        check_regular(path)
        with pq.ParquetFile(path) as file:
            table: pa.Table = file.read(columns=None if columns is None else list(columns))
            table.validate(full=True)
            table.schema.to_string()  # reads every name and time zone, of which Polars would panic if one is no text
        return table.replace_schema_metadata()
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:  # of Arrow, about what the file holds
            raise _damaged(path, error) from error
        raise UsageError(f"cannot read {path.name} of the run: {error.strerror}", where=str(path)) from error


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())
    return DataError(f"not a complete Parquet file: {reason}", where=str(path), hint="run it again")
