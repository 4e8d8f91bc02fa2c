"""CSV as batches of text columns, with the line number of every row."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from engine.base.errors import DataError
from feeds.reading.columns.casting import MISSING, Array, valid_mask
from feeds.reading.files.bar_file import BarFile, FileBatch, Malformed, symbol_from, unreadable
from feeds.reading.files.text_form import ROWS, TextForm, text_form
from feeds.reading.files.text_form import split as split_cells
from feeds.reading.files.zip_member import open_member
from feeds.reading.formats.importing import AS_FOUND, Importing
from feeds.reading.formats.recognise import Declared, recognise_names, recognise_rows
from feeds.reading.formats.refusals import other_names

CHUNK_BYTES = 1 << 20
LONGEST_LINE = 1 << 24
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CsvFile(BarFile):
    """A CSV file, plain or compressed, with its column names in the first line that has them, or without such a line.

    Without names, the columns are those that the user names, or those of the declared format that the first rows fit.
    Cells are separated by comma, semicolon, tab, bar or blanks. A quoted cell may hold the delimiter but no line end;
    a line may be quoted as a whole. Blank lines and comments (# and //) are skipped. The three header lines that
    yfinance writes for one symbol are read as one. Text may be UTF-8 or, with a byte order mark, UTF-16; bytes that
    are neither are replaced.

    Args:
        compression: gzip, zstd, zip or None.
        how: What the user says of formats and columns.
        member: Name of the file in a zip archive.

    Raises:
        DataError: If the first line cannot be read, or no format fits rows without names.
    """

    def __init__(
        self, path: Path, compression: str | None, how: Importing = AS_FOUND, member: str | None = None
    ) -> None:
        self.path, self._member, self._compression = path, member, compression
        self.source = str(path) if member is None else f"{path}/{member}"
        self.symbol = symbol_from(Path(self.source))
        self.format = f"CSV ({compression})" if compression else "CSV"
        head = self._head()
        self._check_text(head)
        stems = list(dict.fromkeys([self.symbol, symbol_from(path)]))
        self._form = text_form(head, how.format, stems, named=bool(how.order))
        self.rows_hint = self._estimate(head)
        if described := self._form.described:
            self.format += f", {described}"
        self._skip = self._form.skip
        self.names, self.declared = self._understood(self._form, how, stems)
        if not self._from_yfinance(head) and self.declared is not None and self.declared.symbol:
            self.symbol = self.declared.symbol

    def _understood(
        self, form: TextForm, how: Importing, stems: Sequence[str]
    ) -> tuple[tuple[str, ...], Declared | None]:
        """The names of the columns, and the declared format.

        Raises:
            DataError: If nothing says what the columns are.
        """
        if how.order:
            width = max((len(row) for row in form.rows), default=0) if form.header is None else len(form.names)
            if width and width != len(how.order):
                raise DataError(
                    f"--columns names {len(how.order)} columns",
                    where=self.source,
                    expected=f"{width} names, since the rows have {width} cells",
                    found=", ".join(how.order),
                    hint="name every column in order; one that is not read may have any other name",
                )
            return how.order, None
        if form.header is None:
            found = recognise_rows(form.rows, form.delimiter, stems, how.format, self.source)
            return found.columns, found
        if not any(form.names):
            raise DataError(
                "the first line is blank", where=f"{self.path}, line 1", expected="the names of the columns"
            )
        declared = recognise_names(form.names, stems, how.format)
        if how.format is not None and declared is None:
            raise other_names(self.source, how.format, form.names)
        return form.names, declared

    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Read the columns at these positions from the start."""
        line, left = 1, self._skip
        for chunk in self._chunks():
            count = chunk.count(b"\n")
            skipped = min(left, count)
            body = chunk.split(b"\n", skipped)[-1]
            if body:
                yield self._parse(body, line + skipped, columns)
            line, left = line + count, left - skipped

    def _head(self) -> bytes:
        """The lines from which the layout is found, and more where they come in one piece."""
        head = b""
        for chunk in self._chunks():
            head += chunk
            if head.count(b"\n") >= ROWS:
                break
        return head

    def _estimate(self, head: bytes) -> int | None:
        rows = head.count(b"\n") - 1
        if len(head) < CHUNK_BYTES // 2:  # that was all of it
            return max(rows, 0)
        return None if self._compression else round(self.path.stat().st_size / len(head) * rows)

    def _from_yfinance(self, head: bytes) -> bool:
        """Whether three lines name the columns: Price, Close, ...; Ticker, ABC, ...; Date.

        Raises:
            DataError: If they are those of several symbols.
        """
        lines = head.split(b"\n", self._skip + 3)[self._skip :]
        if self._form.header is None or self.names[0].strip().casefold() != "price" or len(lines) < 3:
            return False
        tickers = self._cells(lines[0])
        if not tickers or tickers[0].casefold() != "ticker":
            return False
        symbols = list(dict.fromkeys(filter(None, tickers[1:])))
        if len(symbols) != 1:
            raise DataError(
                "the file holds several symbols side by side below three header lines",
                where=self.source,
                expected="one symbol, or a column of symbols",
                found=", ".join(symbols[:5]),
                hint="write one file for each symbol, or pass the frame itself from Python",
            )
        self.symbol, self.named = symbols[0], True
        self._skip, self.names = self._skip + 2, (self._cells(lines[1])[0], *self.names[1:])
        return True

    def _cells(self, line: bytes) -> tuple[str, ...]:
        return split_cells(line.decode("utf-8", errors="replace"), self._form.delimiter, self._form.blanks)

    def _check_text(self, head: bytes) -> None:
        """Refuse what is no table of text.

        Raises:
            DataError: If it is binary, a web page or JSON.
        """
        start = head[:200].removeprefix(codecs.BOM_UTF8).lstrip().lower()
        page = start.startswith((b"<!doctype", b"<html"))
        if page or start.startswith((b"{", b"[{", b"[[")):
            raise DataError(
                "the file is a web page, not data" if page else "the file is JSON",
                where=self.source,
                expected="rows of cells",
                found=repr(start[:40].decode("utf-8", errors="replace")),
                hint="download it again: the site may have asked for a login or refused" if page else "write it as CSV",
            )
        if b"\0" in head[:4096]:
            raise DataError(
                "the file is not text in UTF-8",
                where=self.source,
                expected="CSV",
                found="binary data",
                hint="save it as CSV in UTF-8",
            )

    def _chunks(self) -> Iterator[bytes]:
        """Whole lines, each ended by a line feed, about a mebibyte at a time."""
        held, some = b"", False
        for block in self._blocks():
            held += block
            cut = held.rfind(b"\n") + 1
            if cut:
                some = True
                yield _one_row_a_line(held[:cut])
                held = held[cut:]
            elif len(held) > LONGEST_LINE:
                raise self._endless(held)
        if not some and b"\r" in held.rstrip(b"\r"):
            raise self._endless(held)
        if held:
            yield _one_row_a_line(held) + b"\n"

    def _endless(self, held: bytes) -> DataError:
        return DataError(
            "the lines have no end",
            where=str(self.path),
            expected="lines that end with a line feed",
            found="carriage returns only" if b"\r" in held else f"{len(held)} bytes without one",
            hint="convert the line ends" if b"\r" in held else "this does not look like CSV",
        )

    def _blocks(self) -> Iterator[bytes]:
        """The bytes of the file, unpacked and in UTF-8."""
        blocks = self._unpacked()
        first = next(blocks, b"")
        if first[:2] not in _UTF_16:
            yield first
            yield from blocks
            return
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
        for block in chain([first], blocks):
            yield decoder.decode(block).encode()

    def _unpacked(self) -> Iterator[bytes]:
        if self._member is not None:
            yield from open_member(self.path, self._member, CHUNK_BYTES)
            return
        try:
            with pa.input_stream(str(self.path), compression=self._compression) as stream:
                while block := stream.read(CHUNK_BYTES):
                    yield block
        except OSError as error:
            raise unreadable(self.path, self.format, error) from error

    def _parse(self, body: bytes, first_line: int, columns: Sequence[int]) -> FileBatch:
        invalid: list[Any] = []
        raw = _raw_lines(body)
        body = self._form.plain(_utf8(body))
        plain = _raw_lines(body)

        def skip(row: Any) -> str:
            invalid.append(row)
            return "skip"

        table = pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(
                # by number, since names may repeat; only one thread numbers bad rows, from the start of a block
                column_names=[str(at) for at in range(len(self.names))],
                use_threads=False,
                block_size=len(body) + 1,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._form.delimiter, ignore_empty_lines=False, invalid_row_handler=skip
            ),
            convert_options=_convert(tuple(columns)),
        )
        cells = {at: table.column(str(at)).combine_chunks() for at in columns}
        lines = np.arange(first_line, first_line + len(table) + len(invalid), dtype=np.int64)
        places = np.delete(np.arange(len(lines)), [row.number - 1 for row in invalid])
        filled = _not_blank(cells, places, plain)
        if filled is not None:
            cells = {at: cell.filter(pa.array(filled)) for at, cell in cells.items()}
            places = places[filled]
        return FileBatch(
            columns=cells,
            lines=lines[places],
            through=int(lines[-1]),
            raw=lambda row: raw(int(places[row])),
            malformed=[
                Malformed(
                    first_line + row.number - 1,
                    row.text,
                    expected=f"{row.expected_columns} fields",
                    found=f"{row.actual_columns} fields",
                )
                for row in invalid
            ],
        )


@cache
def _convert(columns: tuple[int, ...]) -> Any:
    return pa_csv.ConvertOptions(
        column_types={str(at): pa.string() for at in columns},
        include_columns=[str(at) for at in columns],
        null_values=list(MISSING),
        strings_can_be_null=True,
        check_utf8=False,
    )


def _utf8(body: bytes) -> bytes:
    """The text with a replacement character for each byte that is not UTF-8, which Arrow stumbles over."""
    if body.isascii():
        return body
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("utf-8", errors="replace").encode()
    return body


def _one_row_a_line(chunk: bytes) -> bytes:
    """Take out carriage returns inside lines, which Arrow would take for line ends."""
    if b"\r" in chunk and chunk.count(b"\r") != chunk.count(b"\r\n"):
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    return chunk


def _raw_lines(body: bytes) -> Callable[[int], str]:
    @cache
    def split() -> list[bytes]:
        return body.split(b"\n")

    return lambda place: split()[place].rstrip(b"\r").decode("utf-8", errors="replace")


def _not_blank(cells: dict[int, Array], places: Any, raw: Callable[[int], str]) -> Any:
    """Which rows are not blank lines; None if no line is blank. A blank line has no value in any column."""
    candidates = np.ones(len(places), np.bool_)
    for cell in cells.values():
        candidates &= ~valid_mask(cell)
    if not candidates.any():
        return None
    filled = np.ones(len(places), np.bool_)
    for row in np.flatnonzero(candidates):
        filled[row] = bool(raw(int(places[row])).strip())
    return filled
