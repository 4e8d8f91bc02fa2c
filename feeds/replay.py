"""Historical replay: files or frames of bars as a stream of blocks, checked row by row and known at their close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import field_validator, model_validator

from engine.base.config import Config
from engine.base.errors import DataError, UsageError
from engine.base.zones import check_zone
from engine.loop.aggregate import aggregated
from engine.types.blocks import BarBlock, reblock
from engine.types.instruments import Instrument
from engine.types.timeframe import format_timeframe, parse_timeframe
from feeds.books.config import BookConfig
from feeds.quarantine import Quarantine
from feeds.reading.explain import ColumnUse, explain_columns
from feeds.reading.files.bar_file import BarFile
from feeds.reading.files.open_file import open_file
from feeds.reading.files.understood import understood
from feeds.reading.formats.importing import Importing
from feeds.reading.plan import FilePlan, plan_file, require_symbol, scan_symbols
from feeds.reading.rows.merging import arranged, merge, numbered
from feeds.reading.rows.part import iso
from feeds.reading.times.column import DateOrder
from feeds.reading.times.labels import LabelDecision, bar_width, decide_file
from feeds.reading.times.window import moment, window
from feeds.reading.track import Layout, Pass, Track, read_track
from feeds.ticks.spec import parse_bars

Instruments = Instrument | Mapping[str, Instrument] | Callable[[str], Instrument]
"""The instrument of all symbols, or of each by its name; or a function that finds it."""


class ReplayConfig(Config):
    """How to read bars from files and frames.

    Attributes:
        labels: What their times stamp; auto finds out file by file, and reports it.
        timezone: IANA name of the zone of times without an offset, and of `start` and `end`; otherwise times are in
            the zone of the file's format, or UTC, and `start` and `end` are UTC.
        date_order: Whether 01/02/2024 is 1 February or 2 January; auto finds out from a day after the 12th.
        start: First moment wanted, a date or a time; a bar that opens then is the first.
        end: Last moment wanted; a date alone means its end; a bar that closes then is the last.
        timeframe: Length of bars to make while reading, such as 5min; otherwise they stay as they are.
        bar_width: Length of the bars in the files, such as 1min; otherwise it is found.
        strict: Stop at the first bad row.
        format: Name of the format of the files (`feeds.reading.formats`); otherwise it is found.
        columns: Names of all columns in order, in place of those of the files; or `close=Settle`, one of ours and the
            file's name for it. A text may hold several, separated by commas.
        adjusted: Take prices adjusted for splits and dividends.
        symbols: Names of the symbols, in the order of the columns; otherwise that of their first rows, file by file.
        bars: What bars to make of trades or quotes (`feeds.ticks.spec`), such as time:1min, tick:500, volume:1000,
            value:1e6, imbalance:tick:500 or renko:10; otherwise 1-minute bars. Order books make time bars.
        book: What bars of order books hold.
    """

    labels: Literal["open", "close", "auto"] = "auto"
    timezone: str | None = None
    date_order: DateOrder = "auto"
    start: str | None = None
    end: str | None = None
    timeframe: str | None = None
    bar_width: str | None = None
    strict: bool = False
    format: str | None = None
    columns: tuple[str, ...] = ()
    adjusted: bool = False
    symbols: tuple[str, ...] = ()
    bars: str | None = None
    book: BookConfig = BookConfig()

    @property
    def importing(self) -> Importing:
        """What it says of the form of files."""
        return Importing(self.format, self.columns, self.adjusted)

    @property
    def period_zone(self) -> str:
        """The zone of `start` and `end`."""
        return self.timezone or "UTC"

    @field_validator("columns", mode="before")
    @classmethod
    def _split_columns(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _known_format(self) -> Self:
        try:
            Importing(self.format, self.columns, self.adjusted)
        except UsageError as error:
            hint = f" ({error.hint})" if error.hint else ""
            raise ValueError(f"{error.what}: expected {error.expected}{hint}") from error
        return self

    @field_validator("symbols")
    @classmethod
    def _symbols_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"the symbol {twice[0]} is given twice")
        return value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        # YAML makes dates of what looks like one
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("start", "end")
    @classmethod
    def _is_a_moment(cls, value: str | None) -> str | None:
        if value is not None:
            moment(value, "UTC", end=False)
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else check_zone(value)

    @field_validator("bars")
    @classmethod
    def _known_bars(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_bars(value)
            except UsageError as error:
                raise ValueError(f"{error.what}: expected {error.expected}") from error
        return value

    @field_validator("timeframe", "bar_width")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_timeframe(value)
            except UsageError as error:
                raise ValueError(f"{error.what}: expected {error.expected}") from error
        return value

    @model_validator(mode="after")
    def _end_after_start(self) -> Self:
        window(self.start, self.end, self.period_zone)
        return self


class HistoricalReplay:
    """Files or frames of bars as a stream; it can be read again and again.

    A file without a symbol column holds one symbol, called by the file's name. Several files are several symbols,
    side by side in one row a time; with `symbol` they are parts of that one symbol instead, in order of time.

    Args:
        files: One or more paths, or files that are open, such as frames (`feeds.reading.files.frames`).
        instruments: The instrument of all symbols, or of each by its name; or a function that finds it.
        quarantine: Where bad rows go; by default they are counted only.
        symbol: What the bars are called; of a file with a symbol column, the one to read.
        order: Names of symbols whose columns come first, where the configuration names no order.

    Raises:
        UsageError: If a file does not exist, its format is unknown, or the files do not go together.
        DataError: If a file is damaged, lacks a column, holds no rows or its times cannot be read.
    """

    def __init__(
        self,
        files: Path | str | BarFile | Sequence[Path | str | BarFile],
        instruments: Instruments,
        config: ReplayConfig | None = None,
        quarantine: Quarantine | None = None,
        symbol: str | None = None,
        order: Sequence[str] = (),
    ) -> None:
        self.config = config or ReplayConfig()
        self.quarantine = quarantine or Quarantine(None, self.config.strict)
        given = files if isinstance(files, Sequence) and not isinstance(files, str) else [files]
        how = self.config.importing
        opened = [opened_file(file, how) for file in given]
        if not opened:
            raise UsageError("there is nothing to replay", expected="at least one file")
        plans = tuple(plan_file(file, self.config.timezone, self.config.date_order, how) for file in opened)
        self._plans = plans
        self._tracks = _tracks(plans, instruments, symbol, self.config)
        self._found = tuple(name for track in self._tracks for name in track.symbols)
        self._symbols = ordered_symbols(self._found, self.config.symbols, order)
        self._width = _common_width(plans, self.config.bar_width)
        self._output = _output_timeframe(self.config.timeframe, self._width, self._tracks)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return self._symbols

    @property
    def timeframe_ns(self) -> int:
        """Length of the bars in the files, nanoseconds."""
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
        return self._output

    @property
    def label_decisions(self) -> dict[str, LabelDecision]:
        """How each file labels its bars, and why; by path, or name of a frame."""
        return {
            plan.source: decision
            for track in self._tracks
            for plan, decision in zip(track.plans, track.labels, strict=True)
        }

    @property
    def labels(self) -> Literal["open", "close", "mixed"]:
        """Whether all files label bars by open or by close; mixed if some do so and some so."""
        found = {decision.labels for decision in self.label_decisions.values()}
        return "mixed" if len(found) > 1 else found.pop()

    @property
    def labels_reason(self) -> str:
        """How that was decided, a sentence; where files differ, one for each."""
        return explain_labels(self.label_decisions)

    @property
    def total_rows(self) -> int | None:
        """About how many rows `blocks` will give, if the files tell and all of them are wanted."""
        hints = [plan.file.rows_hint for plan in self._plans]
        whole = self._output == self._width and not (self.config.start or self.config.end)
        if not whole or len(self._symbols) > 1 or None in hints:
            return None
        return sum(hint for hint in hints if hint is not None)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was found in the files and is worth a line to the user, each with its file."""
        return tuple(f"{Path(plan.source).name}: {remark}" for plan in self._plans for remark in plan.remarks)

    @property
    def format(self) -> str:
        """Format of the first file and of its times, for messages."""
        return f"{self._plans[0].file.format}, {self._plans[0].times.described}"

    @property
    def column_map(self) -> dict[str, str]:
        """Our name of each column in use to that of the first file."""
        return self._plans[0].columns.by_role

    @property
    def columns_used(self) -> list[ColumnUse]:
        """How each column of the first file was understood, and why."""
        plan = self._plans[0]
        return explain_columns(plan, self.label_decisions[plan.source], self.config.importing)

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Yield consecutive blocks of `rows` rows (the last may be shorter), `seq` counted from 0.

        With a timeframe, a last bar that the files do not complete is left out: live it would not be known yet.

        Raises:
            DataError: In strict mode at the first bad row; if a file is damaged; or if no bar is left.
            UsageError: If `rows` is not positive.
        """
        if rows < 1:
            raise UsageError("a block holds at least one row", found=str(rows))
        after, through = window(self.config.start, self.config.end, self.config.period_zone)
        shared = Pass(
            width_ns=self._width,
            after_ns=after,
            through_ns=through,
            quarantine=self.quarantine,
            strict=self.config.strict or self.quarantine.strict,
        )
        merged = numbered(merge([read_track(track, shared) for track in self._tracks], self._found))
        if self._found != self._symbols:
            merged = (arranged(block, self._symbols) for block in merged)
        if self._output != self._width:
            merged = aggregated(merged, self._output, self._tracks[0].instruments[0])
        empty = True
        for block in reblock(merged, [rows]):
            empty = False
            yield block
        if empty:
            start, end = self.config.start, self.config.end
            firsts = [int(plan.head_times[0]) for plan in self._plans if len(plan.head_times)]
            period = f"bars from {start or 'the start'} to {end or 'the end'}"
            raise DataError(
                "no bar is left" if self.quarantine.total else "no bar lies in the period",
                where=", ".join(plan.source for plan in self._plans),
                expected=period if start or end else "at least one good bar",
                found=f"a first time of {iso(min(firsts))}, {self.quarantine.explain()}" if firsts else None,
            )


def opened_file(file: Path | str | BarFile, how: Importing) -> BarFile:
    """A file by its path, or one that is open: of a frame, the columns are understood only here."""
    if isinstance(file, Path | str):
        return open_file(Path(file), how)
    return understood(file, how) if file.typed else file


def _tracks(
    plans: Sequence[FilePlan], instruments: Instruments, symbol: str | None, config: ReplayConfig
) -> tuple[Track, ...]:
    if symbol is not None:
        for plan in plans:
            if plan.columns.symbol is not None:
                require_symbol(plan, symbol)
        parts = tuple(sorted(plans, key=lambda plan: int(plan.head_times[0]) if len(plan.head_times) else 0))
        known = {symbol: instrument_of(instruments, symbol)}
        labels = tuple(decide_file(config.labels, plan, known) for plan in parts)
        return (Track(parts, labels, (symbol,), tuple(known.values()), "by time"),)
    tracks = []
    seen: dict[str, str] = {}
    for plan in plans:
        symbols, by_time = ((plan.name,), True) if plan.columns.symbol is None else scan_symbols(plan)
        for name in symbols:
            if name in seen:
                raise UsageError(
                    f"two files hold the symbol {name!r}",
                    where=f"{seen[name]} and {plan.source}",
                    expected="each symbol in one file",
                    hint="join the files into one, or rename one: the name of a file is the name of its symbol",
                )
            seen[name] = plan.source
        chosen = {name: instrument_of(instruments, name) for name in symbols}
        layout: Layout = "by time" if by_time else "by symbol"
        decided = decide_file(config.labels, plan, chosen)
        tracks.append(Track((plan,), (decided,), symbols, tuple(chosen.values()), layout))
    return tuple(tracks)


def ordered_symbols(found: tuple[str, ...], named: tuple[str, ...], hint: Sequence[str]) -> tuple[str, ...]:
    """The columns: as the configuration names them, else those that are named elsewhere first, else as found.

    Raises:
        UsageError: If the configuration leaves out some that were found.
    """
    if not named:
        first = tuple(name for name in hint if name in found)
        return (*first, *(name for name in found if name not in first))
    left = [name for name in found if name not in named]
    if left:
        raise UsageError(
            "replay.symbols leaves out symbols of the files",
            expected="every symbol of the files, in the order of the columns",
            found=f"{', '.join(left[:5])} in the files; {', '.join(named[:5])} named",
        )
    return named


def instrument_of(instruments: Instruments, symbol: str) -> Instrument:
    """The instrument of a symbol.

    Raises:
        UsageError: If none is given for it.
    """
    if isinstance(instruments, Instrument):
        return instruments
    if callable(instruments):
        return instruments(symbol)
    if symbol not in instruments:
        raise UsageError(
            f"no instrument is given for the symbol {symbol!r}",
            expected=f"one for each symbol; there are some for {', '.join(instruments)}",
        )
    return instruments[symbol]


def _common_width(plans: Sequence[FilePlan], setting: str | None) -> int:
    if setting is not None:
        return parse_timeframe(setting)
    widths = [bar_width(plan.head_times, plan.head_codes, plan.source) for plan in plans]
    for plan, width in zip(plans, widths, strict=True):
        if width != widths[0]:
            raise DataError(
                "the files hold bars of different lengths",
                where=plan.source,
                expected=f"{format_timeframe(widths[0])}, as in {plans[0].source}",
                found=format_timeframe(width),
                hint="replay them apart, or convert one of them first",
            )
    return widths[0]


def explain_labels(decisions: Mapping[str, LabelDecision]) -> str:
    """How files label their bars, and why, in one sentence; files that differ are named."""
    files: dict[str, list[str]] = {}
    for source, decision in decisions.items():
        files.setdefault(decision.reason, []).append(Path(source).name)
    if len(files) == 1:
        return next(iter(files))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in files.items())


def _output_timeframe(timeframe: str | None, width: int, tracks: Sequence[Track]) -> int:
    if timeframe is None:
        return width
    output = parse_timeframe(timeframe)
    if output % width:
        raise UsageError(
            "the timeframe does not fit the bars of the file",
            expected=f"a whole multiple of {format_timeframe(width)}",
            found=timeframe,
        )
    calendars = {(item.calendar, item.daily_halt) for track in tracks for item in track.instruments}
    if len(calendars) > 1 and output != width:
        raise UsageError(
            "symbols with different trading hours cannot be aggregated together",
            expected="one calendar",
            found=", ".join(sorted(name for name, _ in calendars)),
            hint="leave the timeframe out, or replay them apart",
        )
    return output
