"""Opening a file of bars by its suffix."""

from __future__ import annotations

from pathlib import Path

from engine.base.errors import DataError, UsageError
from engine.base.files import open_regular
from engine.base.nearest import nearest_path, not_there
from engine.base.paths import recordings
from feeds.reading.files.bar_file import ARROW_SUFFIXES, COMPRESSED, CSV_SUFFIXES, PARQUET_SUFFIXES, BarFile
from feeds.reading.files.understood import understood
from feeds.reading.files.zip_member import find_member, zip_path
from feeds.reading.formats.importing import AS_FOUND, Importing

_ACCEPTED = (
    "CSV (.csv, .csv.gz, .csv.zst, .zip, .tsv, .txt), Parquet (.parquet), Arrow (.feather, .arrow, .ipc) "
    "or Databento (.dbn, .dbn.zst)"
)
DATABENTO_SUFFIXES = (".dbn", ".dbn.zst")


_BINARY = {
    ".bi5": "bi5 files of Dukascopy are binary; download the same data as CSV from its historical data export",
    ".hst": "hst files of MetaTrader are binary; export the bars as CSV in its history center",
    ".hcc": "hcc files of MetaTrader are binary; export the bars as CSV in its list of symbols",
    ".ncd": "ncd files of NinjaTrader are binary; export them as text in its historical data window",
    ".scid": "scid files of Sierra Chart are binary; export the bars as text in its chart's menu",
    ".xls": "save the sheet as CSV first",
    ".xlsx": "save the sheet as CSV first",
    ".json": "write the bars as CSV first, for example with pandas",
    ".7z": "unpack it first",
    ".rar": "unpack it first",
    ".bz2": "unpack it first",
    ".xz": "unpack it first",
    ".tar": "unpack it first",
}
"""What to do with files that no importer reads, by suffix."""


def open_file(path: Path, how: Importing = AS_FOUND) -> BarFile:
    """Open a file by its suffix.

    Args:
        path: A file; of a zip archive with several files, `bars.zip/ES.csv` is the one to read.
        how: What the user says of formats and columns.

    Raises:
        UsageError: If there is no such file, it is a folder or its suffix is unknown.
        DataError: If it is empty or not what its suffix says.
    """
    from feeds.reading.files.arrow_file import ArrowFile, ParquetBarFile  # noqa: PLC0415 - one reader
    from feeds.reading.files.csv_file import CsvFile  # noqa: PLC0415 - need not import the other's half of Arrow

    if path.name.lower().endswith(DATABENTO_SUFFIXES):
        from feeds.books.databento import DatabentoFile  # noqa: PLC0415 - likewise

        _check(path)
        return DatabentoFile(path)
    archive = zip_path(path)
    if archive is not None:
        member, remark = find_member(*archive)
        file = CsvFile(archive[0], "zip", how, member)
        file.remarks = (*file.remarks, *filter(None, [remark]))
        return file
    _check(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = COMPRESSED.get(suffixes[-1]) if suffixes else None
    inner = suffixes[-2:-1] if compression else suffixes[-1:]
    if inner and inner[0] in CSV_SUFFIXES:
        return CsvFile(path, compression, how)
    if not compression and inner and inner[0] in PARQUET_SUFFIXES:
        return understood(ParquetBarFile(path), how)
    if not compression and inner and inner[0] in ARROW_SUFFIXES:
        return understood(ArrowFile(path), how)
    raise UsageError(
        "cannot tell the format of the file from its name",
        where=str(path),
        expected=_ACCEPTED,
        found=f"suffix {''.join(suffixes[-2:])!r}" if suffixes else "no suffix",
        hint=_BINARY.get(suffixes[-1] if suffixes else "", "rename or convert the file"),
    )


def _is_bars(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    return path.is_file() and bool(suffixes) and suffixes[-1] in (*CSV_SUFFIXES, *PARQUET_SUFFIXES, *ARROW_SUFFIXES)


def _advice(path: Path) -> str:
    shipped = ", ".join(sorted(recordings()))
    return not_there(path) + (f"; recordings that ship: {shipped}" if shipped else "")


def _check(path: Path) -> None:
    if path.is_dir():
        raise UsageError("this is a folder, not a file", where=str(path), expected=_ACCEPTED, hint="name its files")
    if not path.exists():
        raise UsageError(
            "there is no such file",
            where=str(path),
            expected=_ACCEPTED,
            hint=nearest_path(path, _is_bars, recordings()) or _advice(path),
        )
    try:
        with open_regular(path) as file:
            empty = not file.read(1)
    except OSError as error:
        raise UsageError(f"cannot open the file: {error.strerror or error}", where=str(path)) from error
    if empty:
        raise DataError("the file is empty", where=str(path), expected=_ACCEPTED)
