"""Historical replay: files of bars as a stream of blocks, checked row by row and known at their close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import field_validator, model_validator

from engine.aggregate import aggregated
from engine.blocks import BarBlock, reblock
from engine.config import Config
from engine.errors import DataError, UsageError
from engine.instruments import Instrument
from engine.timeframe import format_timeframe, parse_timeframe
from feeds.quarantine import Quarantine
from feeds.reading.columns import Labels
from feeds.reading.labels import LabelDecision, bar_width, decide
from feeds.reading.merging import merge, numbered
from feeds.reading.part import iso
from feeds.reading.plan import FilePlan, plan_file, require_symbol, scan_symbols
from feeds.reading.track import Layout, Pass, Track, read_track
from feeds.reading.window import window


class ReplayConfig(Config):
    """How to read files of bars.

    Attributes:
        labels: What their times stamp; auto finds out and says.
        timezone: IANA name of the zone of times without an offset, and of `start` and `end`.
        start: First moment wanted, a date or a time; a bar that opens then is the first.
        end: Last moment wanted; a date alone means its end; a bar that closes then is the last.
        timeframe: Length of bars to make while reading, such as 5min; otherwise they stay as they are.
        bar_width: Length of the bars in the files, such as 1min; otherwise it is found.
        strict: Stop at the first bad row.
    """

    labels: Literal["open", "close", "auto"] = "auto"
    timezone: str = "UTC"
    start: str | None = None
    end: str | None = None
    timeframe: str | None = None
    bar_width: str | None = None
    strict: bool = False

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        # YAML makes dates of what looks like one
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:  # unknown, malformed, the name of a folder of zones
            raise ValueError(f"no time zone is called {value!r}; use a name such as America/Chicago") from error
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
        window(self.start, self.end, self.timezone)
        return self


class HistoricalReplay:
    """Files of bars as a stream; it can be read again and again.

    A file without a symbol column holds one symbol, called by the file's name. Several files are several symbols,
    side by side in one row a time; with `symbol` they are parts of that one symbol instead, in order of time.

    Args:
        paths: One or more files.
        instruments: The instrument of all symbols, or of each by its name.
        config: How to read.
        quarantine: Where bad rows go; by default they are counted only.
        symbol: What the bars are called; of a file with a symbol column, the one to read.

    Raises:
        UsageError: If a file does not exist, its format is unknown, or the files do not go together.
        DataError: If a file is damaged, lacks a column, holds no rows or its times cannot be read.
    """

    def __init__(
        self,
        paths: Path | str | Sequence[Path | str],
        instruments: Instrument | Mapping[str, Instrument],
        config: ReplayConfig | None = None,
        quarantine: Quarantine | None = None,
        symbol: str | None = None,
    ) -> None:
        self.config = config or ReplayConfig()
        self.quarantine = quarantine or Quarantine(None, self.config.strict)
        files = [paths] if isinstance(paths, str | Path) else paths
        if not files:
            raise UsageError("there is nothing to replay", expected="at least one file")
        plans = tuple(plan_file(Path(file), self.config.timezone) for file in files)
        self._plans = plans
        self._tracks = _tracks(plans, instruments, symbol)
        self._symbols = tuple(name for track in self._tracks for name in track.symbols)
        self._width = _common_width(plans, self.config.bar_width)
        self._decision = _common_labels(self._tracks, self.config)
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
    def output_timeframe_ns(self) -> int:
        """Length of the bars in the blocks, nanoseconds."""
        return self._output

    @property
    def labels(self) -> Labels:
        """Whether the files label bars by open or by close."""
        return self._decision.labels

    @property
    def labels_reason(self) -> str:
        """How that was decided, a sentence."""
        return self._decision.reason

    @property
    def total_rows(self) -> int | None:
        """About how many rows `blocks` will give, if the files tell and all of them are wanted."""
        hints = [plan.file.rows_hint for plan in self._plans]
        whole = self._output == self._width and not (self.config.start or self.config.end)
        if not whole or len(self._symbols) > 1 or None in hints:
            return None
        return sum(hint for hint in hints if hint is not None)

    @property
    def format(self) -> str:
        """Format of the first file and of its times, for people."""
        return f"{self._plans[0].file.format}, {self._plans[0].times.described}"

    @property
    def column_map(self) -> dict[str, str]:
        """Our name of each column in use to that of the first file."""
        return self._plans[0].columns.by_role

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Yield consecutive blocks of `rows` rows (the last may be shorter), `seq` counted from 0.

        With a timeframe, a last bar that the files do not complete is left out: live it would not be known yet.

        Raises:
            DataError: In strict mode at the first bad row; if a file is damaged; or if no bar is left.
            UsageError: If `rows` is not positive.
        """
        if rows < 1:
            raise UsageError("a block holds at least one row", found=str(rows))
        after, through = window(self.config.start, self.config.end, self.config.timezone)
        shared = Pass(
            width_ns=self._width,
            shift_ns=self._width if self.labels == "open" else 0,
            after_ns=after,
            through_ns=through,
            quarantine=self.quarantine,
            strict=self.config.strict or self.quarantine.strict,
        )
        merged = numbered(merge([read_track(track, shared) for track in self._tracks], self._symbols))
        if self._output != self._width:
            merged = aggregated(merged, self._output, self._tracks[0].instruments[0])
        empty = True
        for block in reblock(merged, [rows]):
            empty = False
            yield block
        if empty:
            raise self._no_bars()

    def _bad(self) -> str:
        counts = sorted(self.quarantine.counts.items())
        return ", ".join(f"{count:,} rows: {reason}" for reason, count in counts) or "no bad rows"

    def _no_bars(self) -> DataError:
        starts = [int(plan.head_times[0]) for plan in self._plans if len(plan.head_times)]
        bounded = self.config.start or self.config.end
        return DataError(
            "no bar is left" if self.quarantine.total else "no bar lies in the period",
            where=", ".join(plan.source for plan in self._plans),
            expected=f"bars from {self.config.start or 'the start'} to {self.config.end or 'the end'}"
            if bounded
            else "at least one good bar",
            found=(f"a first time of {iso(min(starts))}, {self._bad()}") if starts else None,
            hint="`grandmodel data validate FILE` shows the first of each" if self.quarantine.total else None,
        )


def _tracks(
    plans: Sequence[FilePlan], instruments: Instrument | Mapping[str, Instrument], symbol: str | None
) -> tuple[Track, ...]:
    if symbol is not None:
        for plan in plans:
            if plan.columns.symbol is not None:
                require_symbol(plan, symbol)
        parts = tuple(sorted(plans, key=lambda plan: int(plan.head_times[0]) if len(plan.head_times) else 0))
        return (Track(parts, (symbol,), (_instrument(instruments, symbol),), "by time"),)
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
        chosen = tuple(_instrument(instruments, name) for name in symbols)
        layout: Layout = "by time" if by_time else "by symbol"
        tracks.append(Track((plan,), symbols, chosen, layout))
    return tuple(tracks)


def _instrument(instruments: Instrument | Mapping[str, Instrument], symbol: str) -> Instrument:
    if isinstance(instruments, Instrument):
        return instruments
    if symbol not in instruments:
        raise UsageError(
            f"no instrument is given for the symbol {symbol!r}",
            expected=f"one for each symbol; there are some for {', '.join(instruments)}",
        )
    return instruments[symbol]


def _common_width(plans: Sequence[FilePlan], told: str | None) -> int:
    if told is not None:
        return parse_timeframe(told)
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


def _common_labels(tracks: Sequence[Track], config: ReplayConfig) -> LabelDecision:
    found = [
        (plan, decide(config.labels, plan.columns, plan.head_times, track.instruments[0]))
        for track in tracks
        for plan in track.plans
    ]
    firm = [(plan, decision) for plan, decision in found if not decision.assumed]
    for plan, decision in firm:
        if decision.labels != firm[0][1].labels:
            raise DataError(
                "the files label their bars differently",
                where=plan.source,
                expected=f"{firm[0][1].reason}, as in {firm[0][0].source}",
                found=decision.reason,
                hint="convert one of them first",
            )
    return firm[0][1] if firm else found[0][1]


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
