"""Historical replay of order books: files of messages or snapshots as a stream of blocks of bars made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.types.blocks import BarBlock, reblock
from engine.types.records import Records
from engine.types.timeframe import format_timeframe
from feeds.books.bars.builder import BookBars
from feeds.books.databento import DatabentoFile
from feeds.books.tables import TableBook
from feeds.books.telling import CountTeller, column_uses, described_counts
from feeds.quarantine import Quarantine
from feeds.reading.explain import ColumnUse
from feeds.reading.files.bar_file import BarFile
from feeds.reading.rows.merging import arranged, merge, numbered
from feeds.reading.times.labels import LabelDecision
from feeds.reading.times.window import FOREVER, window
from feeds.replay import Instruments, ReplayConfig, instrument_of, ordered_symbols
from feeds.ticks.spec import ONE_MINUTE, parse_bars

_LABELS = LabelDecision("close", "close times, because bars that are made of order books are known at their close")


class MessageFile(Protocol):
    """A file of one or more order books."""

    source: str
    format: str
    start_ns: int
    end_ns: int
    size_unit: float
    remarks: tuple[str, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of its books."""
        ...

    def messages(self, symbol: str | None = None) -> Iterator[Records]:
        """Messages of one book, MESSAGE, in the order of the file."""
        ...


class BookReplay:
    """Files of order books as a stream of time bars; it can be read again and again.

    It is to the rest of the program what `feeds.replay.HistoricalReplay` is. Files of one symbol follow each other.

    Args:
        files: One or more open files.
        instruments: The instrument of all symbols, or of each by its name; or a function that finds it.
        config: Its `bars` say how long bars are; without it they are 1-minute bars. Its `book` says what they hold.
        quarantine: Where crossed books, lost messages and unknown orders are told.
        symbol: The one to read; otherwise all.
        order: Names of symbols whose columns come first, where the configuration names no order.

    Raises:
        UsageError: If the bars cannot be made of these files.
    """

    def __init__(
        self,
        files: Sequence[BarFile],
        instruments: Instruments,
        config: ReplayConfig | None = None,
        quarantine: Quarantine | None = None,
        symbol: str | None = None,
        order: Sequence[str] = (),
    ) -> None:
        self.config = config or ReplayConfig()
        self.quarantine = quarantine or Quarantine(None, self.config.strict)
        self._files = sorted(_books(files), key=lambda file: file.start_ns)
        self._width = _width(self.config)
        self._found = _symbols(self._files, symbol)
        self._symbols = ordered_symbols(self._found, self.config.symbols, order)
        for name in self._found:
            instrument_of(instruments, name)
        self._bars = [self._new_bars(name) for name in self._found]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return self._symbols

    @property
    def timeframe_ns(self) -> int:
        """Length of the bars, nanoseconds."""
        return self._width

    @property
    def regular(self) -> bool:
        """Whether the bars have a fixed length."""
        return True

    @property
    def length(self) -> str:
        """Length of the bars, for messages."""
        return format_timeframe(self._width)

    @property
    def output_timeframe_ns(self) -> int:
        """Length of the bars in the blocks, nanoseconds."""
        return self._width

    @property
    def label_decisions(self) -> dict[str, LabelDecision]:
        """How each file's bars are labelled, by path."""
        return {file.source: _LABELS for file in self._files}

    @property
    def labels(self) -> Literal["open", "close", "mixed"]:
        """What the times of the bars are."""
        return "close"

    @property
    def labels_reason(self) -> str:
        """Why, a sentence."""
        return _LABELS.reason

    @property
    def total_rows(self) -> int | None:
        """Nobody knows how many bars there will be."""
        return None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is worth a line to the user, each with its file; after a pass, what was counted in it."""
        found = [f"{Path(file.source).name}: {remark}" for file in self._files for remark in file.remarks]
        book = self.config.book
        made = f"bars of {self.length} are made of the book: mid prices, {book.levels} levels of each side"
        first = Path(self._files[0].source).name
        found.append(f"{first}: {made}; orders meet it {book.latency_ms:g} ms after the close of the bar before")
        counted = [described_counts(name, bars.book.counts) for name, bars in zip(self._found, self._bars, strict=True)]
        return (*found, *(f"{first}: {line}" for line in counted if line))

    @property
    def format(self) -> str:
        """Format of the first file, for messages."""
        return self._files[0].format

    @property
    def column_map(self) -> dict[str, str]:
        """Messages have no columns that bars would be read from."""
        return {}

    @property
    def columns_used(self) -> list[ColumnUse]:
        """What the fields of a message are."""
        first = next(self._files[0].messages(self._found[0]), None)
        return column_uses(first)

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Yield consecutive blocks of `rows` rows (the last may be shorter), `seq` counted from 0.

        After the last message the book stands as far as the file says that it covers, or as `end` says; a bar that is
        not complete then is left out.

        Raises:
            DataError: If a file is damaged, or no bar is left; in strict mode at the first fault of a book.
            UsageError: If `rows` is not positive.
        """
        if rows < 1:
            raise UsageError("a block holds at least one row", found=str(rows))
        self._bars = [self._new_bars(name) for name in self._found]
        streams = [self._stream(name, bars) for name, bars in zip(self._found, self._bars, strict=True)]
        merged: Iterable[BarBlock] = numbered(merge(streams, self._found))
        if self._found != self._symbols:
            merged = (arranged(block, self._symbols) for block in merged)
        empty = True
        for block in reblock(merged, [rows]):
            empty = False
            yield block
        if empty:
            raise self._no_bars()

    def _new_bars(self, name: str) -> BookBars:
        book = self.config.book
        unit = self._files[0].size_unit
        return BookBars(name, self._width, book.levels, book.latency_ns, book.stands_ns, unit)

    def _stream(self, name: str, bars: BookBars) -> Iterator[BarBlock]:
        """The bars of one book in the period; what lies before it builds the book."""
        after, through = window(self.config.start, self.config.end, self.config.period_zone)
        for file in self._files:
            if name not in file.symbols:
                continue
            teller = CountTeller(f"{file.source} {name}", file.source, self.quarantine, bars.book.counts)
            for messages in file.messages(name):
                over = through != FOREVER and int(messages["ts_event"].max()) > through
                block = _between(bars.push(messages), after, through)
                teller.tell(bars.book.counts)
                if len(block):
                    yield block
                if over:
                    return
        covered = min(through, self._files[-1].end_ns)
        if covered != FOREVER and len(block := _between(bars.until(covered), after, through)):
            yield block

    def _no_bars(self) -> DataError:
        start, end = self.config.start, self.config.end
        period = f" from {start or 'the start'} to {end or 'the end'}" if start or end else ""
        return DataError(
            "the book completes no bar",
            where=", ".join(file.source for file in self._files),
            expected=f"messages for at least one bar of {self.length}{period}",
            found=f"{sum(bars.book.counts['messages'] for bars in self._bars):,} messages",
            hint="make smaller bars (--bars time:1s); or say how long the book stood after the last message "
            "(--end, replay.end)",
        )


def _between(block: BarBlock, after: int, through: int) -> BarBlock:
    first, last = np.searchsorted(block.ts_event, [after, through], side="right").tolist()
    return block.slice(first, last)


def _books(files: Sequence[BarFile]) -> list[MessageFile]:
    books: list[MessageFile] = [
        file if isinstance(file, DatabentoFile) else TableBook(file) for file in files if file.holds_book
    ]
    others = [file.source for file in files if not file.holds_book]
    if others:
        raise UsageError(
            "some files hold order books and others do not",
            where=f"{books[0].source} and {others[0]}",
            expected="one kind in a run",
            hint="make bars of the book first: grandmodel data convert FILE --bars time:1min --out bars.parquet",
        )
    return books


def _symbols(files: Sequence[MessageFile], wanted: str | None) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name for file in files for name in file.symbols))
    if wanted is None:
        return found
    if wanted not in found and len(found) > 1:
        raise UsageError(
            f"the files have no symbol {wanted!r}",
            where=files[0].source,
            expected=f"one of {', '.join(found[:20])}",
            found=repr(wanted),
        )
    return (wanted,) if wanted in found else found


def _width(config: ReplayConfig) -> int:
    spec = ONE_MINUTE if config.bars is None else parse_bars(config.bars)
    if not spec.regular or spec.boundary != "ends" or spec.prices != "auto":
        raise UsageError(
            f"order books cannot make {spec.described}", expected="time bars, such as time:1min", found=config.bars
        )
    if config.timeframe is not None:
        raise UsageError(
            "bars of order books are made at the length that is asked for",
            expected=f"--bars time:{config.timeframe}",
            found=f"--timeframe {config.timeframe}",
            hint="the books within a longer bar cannot be told from those of shorter ones",
        )
    return spec.timeframe_ns
