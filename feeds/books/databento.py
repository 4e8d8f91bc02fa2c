"""Market-by-order messages from files of Databento's binary encoding (DBN), by the package `databento-dbn`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from engine.base.errors import DataError, UsageError
from engine.types.records import Records
from feeds.books.layout import MESSAGE
from feeds.reading.files.bar_file import BarFile, FileBatch
from feeds.reading.times.window import FOREVER

MBO: Final = 160
"""`rtype` of a market-by-order record."""
_CHUNK: Final = 1 << 22
_READ: Final = ("ts_event", "action", "side", "price", "size", "order_id", "flags", "instrument_id")
_PREFIX: Final = 8  # letters, version and length of the metadata


class DatabentoFile(BarFile):
    """One DBN file of schema `mbo`. It holds messages, not rows: `messages` reads it.

    Args:
        path: The file, `.dbn` or `.dbn.zst`.

    Raises:
        UsageError: If the package that reads it is not installed.
        DataError: If it is damaged or holds another schema.
    """

    messages_only = True

    def __init__(self, path: Path) -> None:
        try:
            import databento_dbn as dbn  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise UsageError(
                "files of Databento need a package that is not installed",
                where=str(path),
                expected="databento-dbn",
                hint="pip install 'grandmodel[book]'",
            ) from error
        self._dbn: Any = dbn
        self.path = path
        self.source = str(path)
        self.names = _READ
        self.named = True
        metadata = self._metadata()
        if str(metadata.schema) != "mbo":
            raise DataError(
                "the file holds another schema than order book messages",
                where=self.source,
                expected="schema mbo (market by order)",
                found=f"schema {metadata.schema or 'mixed'}",
            )
        self.instruments = _instruments(metadata)
        if not self.instruments:
            raise DataError(
                "the file does not say what its instruments are called",
                where=self.source,
                expected="symbols in its metadata",
                hint="fetch it by symbols, with stype_out=instrument_id",
            )
        self.symbol = self.symbols[0]
        self.start_ns = int(metadata.start)
        # a request with a limit of records was cut off somewhere
        self.end_ns = FOREVER if metadata.end is None or metadata.limit else int(metadata.end)
        self.format = f"Databento {metadata.dataset}, market by order (DBN)"
        self.size_unit = 1.0

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of its instruments."""
        return tuple(dict.fromkeys(self.instruments.values()))

    def batches(self, columns: Sequence[int]) -> Iterator[FileBatch]:
        """Refuse to be read as rows.

        Raises:
            DataError: Always.
        """
        raise DataError(
            "the file holds an order book, not rows",
            where=self.source,
            expected="bars, trades or quotes",
            found=self.format,
            hint="bars are made of it by --bars time:1min: grandmodel data convert FILE --bars time:1min --out OUT",
        )

    def messages(self, symbol: str | None = None) -> Iterator[Records]:
        """Messages of one instrument (or of all), MESSAGE, in the order of the file.

        Raises:
            DataError: If the file breaks off.
        """
        wanted = [number for number, name in self.instruments.items() if name == symbol]
        for part in self._records():
            records = part[part["rtype"] == MBO] if (part["rtype"] != MBO).any() else part
            if symbol is not None and len(self.instruments) > 1:
                records = records[np.isin(records["instrument_id"], wanted)]
            if len(records):
                yield records

    def _metadata(self) -> Any:
        with self._opened() as file:
            decoder = self._dbn.DBNDecoder()
            try:
                while chunk := file.read(1 << 16):
                    decoder.write(chunk)
                    if found := decoder.decode():
                        return found[0]
            except (self._dbn.DBNError, OSError) as error:
                raise self._damaged(error) from error
        raise self._damaged("it ends before its metadata do")

    def _records(self) -> Iterator[Records]:
        """The records, brought to the newest version of the encoding by the package."""
        out = BytesIO()
        coder = self._dbn.Transcoder(out, self._dbn.Encoding.DBN, self._dbn.Compression.NONE)
        rest, head = b"", True
        with self._opened() as file:
            try:
                while chunk := file.read(_CHUNK):
                    coder.write(chunk)
                    coder.flush()
                    rest += out.getvalue()
                    out.seek(0)
                    out.truncate()
                    if head and len(rest) >= _PREFIX:
                        length = _PREFIX + int.from_bytes(rest[4:_PREFIX], "little")
                        head, rest = len(rest) < length, rest[length:] if len(rest) >= length else rest
                    if not head:
                        records, rest = _whole(rest)
                        yield records
                if len(coder.buffer()):
                    raise self._damaged("it breaks off inside a record")
            except (self._dbn.DBNError, OSError) as error:
                raise self._damaged(error) from error

    def _opened(self) -> Any:
        packed = self.path.name.lower().endswith(".zst")
        return pa.input_stream(str(self.path), compression="zstd" if packed else None)

    def _damaged(self, error: object) -> DataError:
        return DataError(
            "the file is damaged or is not DBN",
            where=self.source,
            expected="Databento's binary encoding",
            found=" ".join(str(error).split()),
            hint="fetch the file again",
        )


def _whole(data: bytes) -> tuple[Records, bytes]:
    """The market-by-order records at the start of some bytes, and the bytes of a record that is not complete."""
    count = len(data) // MESSAGE.itemsize
    records = np.frombuffer(data, MESSAGE, count)
    if bool((records["length"] == MESSAGE.itemsize // 4).all()):
        return records, data[count * MESSAGE.itemsize :]
    # other records between them (of the system, of symbols) have other lengths, in words of 4 bytes
    kept, at = [], 0
    while at < len(data) and at + 4 * data[at] <= len(data):
        if data[at + 1] == MBO:
            kept.append(data[at : at + MESSAGE.itemsize])
        at += 4 * data[at]
    return np.frombuffer(b"".join(kept), MESSAGE), data[at:]


def _instruments(metadata: Any) -> dict[int, str]:
    """Names by number. A number may stand for the same name on several days."""
    found: dict[int, str] = {}
    for name, intervals in sorted(metadata.mappings.items()):  # in no order of their own
        for interval in intervals:
            symbol = str(interval["symbol"])
            if symbol.isdigit():
                found[int(symbol)] = str(name)
    return found
