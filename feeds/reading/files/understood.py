"""Tables of typed columns (Parquet, Arrow, frames) with what the user says of their columns and format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.base.errors import UsageError
from feeds.reading.files.bar_file import BarFile, FileBatch, symbol_from
from feeds.reading.formats.importing import Importing
from feeds.reading.formats.recognise import recognise_names
from feeds.reading.formats.refusals import other_names


class RenamedFile(BarFile):
    """A table whose columns have other names."""

    def __init__(self, file: BarFile, names: tuple[str, ...]) -> None:
        self._file, self.names = file, names
        self.source, self.format, self.time = file.source, file.format, file.time
        self.symbol, self.named, self.rows_hint = file.symbol, file.named, file.rows_hint

    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Read the columns at these positions from the start."""
        return self._file.batches(columns)


def understood(file: BarFile, how: Importing) -> BarFile:
    """A table with the names that the user says, or the declared format that it is in.

    Raises:
        UsageError: If the user names another number of columns.
        DataError: If it is not in the format that the user names.
    """
    if how.order:
        if len(how.order) != len(file.names):
            raise UsageError(
                f"--columns names {len(how.order)} columns",
                where=file.source,
                expected=f"{len(file.names)} names",
                found=", ".join(how.order),
            )
        return RenamedFile(file, how.order)
    file.declared = recognise_names(file.names, [symbol_from(Path(file.source))], how.format)
    if how.format is not None and file.declared is None:
        raise other_names(file.source, how.format, file.names)
    return file
