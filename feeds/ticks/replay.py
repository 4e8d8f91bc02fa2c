"""Historical replay of trades and quotes: files or frames of ticks as a stream of blocks of bars made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.loop.aggregate import aggregated
from engine.types.blocks import BarBlock, reblock
from engine.types.timeframe import MINUTE_NS, format_timeframe, parse_timeframe
from feeds.quarantine import Quarantine
from feeds.reading.explain import ColumnUse
from feeds.reading.files.bar_file import BarFile
from feeds.reading.plan import require_symbol, scan_symbols
from feeds.reading.rows.merging import arranged, numbered
from feeds.reading.rows.ordering import NEVER
from feeds.reading.rows.part import iso
from feeds.reading.times.labels import LabelDecision
from feeds.reading.times.window import FOREVER, window
from feeds.replay import Instruments, ReplayConfig, instrument_of, ordered_symbols
from feeds.ticks.blocks import TickBlock
from feeds.ticks.builder import BarBuilder
from feeds.ticks.explain import explain_ticks
from feeds.ticks.merging import merge_ticks
from feeds.ticks.plan import TickPlan, plan_ticks
from feeds.ticks.reading import TickPass, TickTrack, read_ticks
from feeds.ticks.spec import ONE_MINUTE, BarSpec, parse_bars

_LABELS = LabelDecision("close", "close times, because bars that are made of ticks are known at their close")


class TickReplay:
    """Files or frames of trades and quotes as a stream of bars; it can be read again and again.

    It is to the rest of the program what `feeds.replay.HistoricalReplay` is. Files and symbols relate as they do there.

    Args:
        files: One or more open files.
        instruments: The instrument of all symbols, or of each by its name; or a function that finds it.
        config: Its `bars` say what bars to make; without it they are 1-minute bars.
        quarantine: Where bad rows go; by default they are counted only.
        symbol: What the bars are called; of a file with a symbol column, the one to read.
        order: Names of symbols whose columns come first, where the configuration names no order.

    Attributes:
        ticks: Ticks that were used so far in the last pass.

    Raises:
        UsageError: If the bars cannot be made of these files.
        DataError: If a file is damaged, lacks a column, holds no rows or its times cannot be read.
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
        self.spec = ONE_MINUTE if self.config.bars is None else parse_bars(self.config.bars)
        how = self.config.importing
        plans = tuple(plan_ticks(file, self.config.timezone, self.config.date_order, how, self.spec) for file in files)
        _require_one_kind(plans)
        self._plans, self._quotes = plans, not plans[0].trades
        self._tracks = _tracks(plans, symbol)
        self._found = tuple(name for track in self._tracks for name in track.symbols)
        self._symbols = ordered_symbols(self._found, self.config.symbols, order)
        self._instrument = instrument_of(instruments, self._found[0])
        for name in self._found[1:]:
            instrument_of(instruments, name)
        self._output = _output_timeframe(self.config.timeframe, self.spec)
        self.ticks = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the columns of every block."""
        return self._symbols

    @property
    def timeframe_ns(self) -> int:
        """Length of the bars, nanoseconds; of bars of no fixed length, what they are taken for."""
        if self.spec.regular:
            return self.spec.timeframe_ns
        return MINUTE_NS if self.config.bar_width is None else parse_timeframe(self.config.bar_width)

    @property
    def regular(self) -> bool:
        """Whether the bars have a fixed length."""
        return self.spec.regular

    @property
    def length(self) -> str:
        """What a bar is, for messages."""
        return format_timeframe(self.spec.timeframe_ns) if self.spec.regular else str(self.config.bars)

    @property
    def output_timeframe_ns(self) -> int:
        """Length of the bars in the blocks, nanoseconds."""
        return self._output or self.timeframe_ns

    @property
    def label_decisions(self) -> dict[str, LabelDecision]:
        """How each file's bars are labelled; by path, or name of a frame."""
        return {one.plan.source: _LABELS for one in self._plans}

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
        """What was found in the files and is worth a line to the user, each with its file."""
        found = []
        for one in self._plans:
            name = Path(one.plan.source).name
            found += [f"{name}: {remark}" for remark in one.plan.remarks]
            found.append(f"{name}: it holds {self._made_of(one)}, of which {self.spec.described} are made{self._why()}")
        if not self.spec.regular and self._output is None:
            length = format_timeframe(self.timeframe_ns)
            how = "assumed; replay.bar_width says otherwise"
            how = how if self.config.bar_width is None else "as replay.bar_width says"
            name = Path(self._plans[0].plan.source).name
            found.append(
                f"{name}: bars have no fixed length; volatility targets and drift count them as {length} ({how})"
            )
        return tuple(found)

    @property
    def format(self) -> str:
        """Format of the first file and of its times, for messages."""
        plan = self._plans[0].plan
        return f"{plan.file.format}, {'quotes' if self._quotes else 'trades'}, {plan.times.described}"

    @property
    def column_map(self) -> dict[str, str]:
        """Our name of each column in use to that of the first file; the volume of bars is the sum of sizes."""
        found = self._plans[0].columns.by_role
        return found if self._quotes or "size" not in found else found | {"volume": found["size"]}

    @property
    def columns_used(self) -> list[ColumnUse]:
        """How each column of the first file was understood, and why."""
        return explain_ticks(self._plans[0], self.config.importing)

    def tick_blocks(self) -> Iterator[TickBlock]:
        """The ticks themselves, in order of time across files, as they are read.

        Raises:
            DataError: In strict mode at the first bad row; or if a file is damaged.
        """
        after, through = window(self.config.start, self.config.end, self.config.period_zone)
        shared = TickPass(
            symbols=self._found,
            after_ns=after,
            inclusive=not self.spec.regular or self.spec.boundary == "begins",
            through_ns=through,
            quarantine=self.quarantine,
            strict=self.config.strict or self.quarantine.strict,
        )
        yield from merge_ticks([read_ticks(track, shared) for track in self._tracks])

    def blocks(self, rows: int) -> Iterator[BarBlock]:
        """Yield consecutive blocks of `rows` rows (the last may be shorter), `seq` counted from 0.

        A last bar that the ticks do not complete is left out: live it would not be known yet.

        Raises:
            DataError: In strict mode at the first bad row; if a file is damaged; or if no bar is left.
            UsageError: If `rows` is not positive.
        """
        if rows < 1:
            raise UsageError("a block holds at least one row", found=str(rows))
        bars = BarBuilder(self.spec, self._found, quotes=self._quotes)
        merged: Iterable[BarBlock] = numbered(self._bars(bars))
        if self._found != self._symbols:
            merged = (arranged(block, self._symbols) for block in merged)
        if self._output is not None:
            merged = aggregated(merged, self._output, self._instrument)
        empty = True
        for block in reblock(merged, [rows]):
            empty = False
            yield block
        if empty:
            raise self._no_bars(bars)

    def _bars(self, bars: BarBuilder) -> Iterator[BarBlock]:
        """The bars of the period, as the ticks complete them."""
        _, through = window(self.config.start, self.config.end, self.config.period_zone)
        self.ticks = 0
        for ticks in self.tick_blocks():
            block = bars.push(ticks)
            self.ticks = bars.ticks
            over = through != FOREVER and int(ticks.ts_event[-1]) > through
            if over:
                block = block.slice(0, int(np.searchsorted(block.ts_event, through, side="right")))
            if len(block):
                yield block
            if over:
                return

    def _made_of(self, one: TickPlan) -> str:
        return f"{'trades' if one.trades else 'quotes, whose mid prices count'} ({one.reason})"

    def _why(self) -> str:
        other = "tick:500" if self._quotes else "volume:1000"
        return "" if self.config.bars is not None else f"; --bars (replay.bars) makes others, such as {other}"

    def _no_bars(self, bars: BarBuilder) -> DataError:
        start, end = self.config.start, self.config.end
        firsts = [int(one.plan.head_times[0]) for one in self._plans if len(one.plan.head_times)]
        period = f" from {start or 'the start'} to {end or 'the end'}" if start or end else ""
        bad = f", {self.quarantine.explain()}" if self.quarantine.total else ""
        return DataError(
            "the ticks complete no bar",
            where=", ".join(one.plan.source for one in self._plans),
            expected=f"ticks for at least one of the {self.spec.described}{period}",
            found=f"{bars.ticks:,} ticks{f', the first at {iso(min(firsts))}' if firsts else ''}{bad}",
            hint="make smaller bars, such as --bars time:1s or tick:100",
        )


def _require_one_kind(plans: Sequence[TickPlan]) -> None:
    kinds = {one.trades: one.plan.source for one in plans}
    if len(kinds) > 1:
        raise UsageError(
            "some files hold trades and others quotes",
            where=f"{kinds[True]} and {kinds[False]}",
            expected="one kind in a run",
            hint="replay them apart; --bars KIND:SIZE,of=quotes makes bars of quotes where files hold both",
        )


def _tracks(plans: Sequence[TickPlan], symbol: str | None) -> tuple[TickTrack, ...]:
    if symbol is not None:
        for one in plans:
            if one.plan.columns.symbol is not None:
                require_symbol(one.plan, symbol)
        first = [int(one.plan.head_times[0]) if len(one.plan.head_times) else NEVER for one in plans]
        parts = tuple(plans[at] for at in np.argsort(first, kind="stable"))
        return (TickTrack(parts, (symbol,), {symbol: 0}),)
    tracks: list[TickTrack] = []
    seen: dict[str, str] = {}
    for one in plans:
        plan = one.plan
        names, by_time = ((plan.name,), True) if plan.columns.symbol is None else scan_symbols(plan)
        for name in names:
            if name in seen:
                raise UsageError(
                    f"two files hold the symbol {name!r}",
                    where=f"{seen[name]} and {plan.source}",
                    expected="each symbol in one file",
                    hint="join the files into one, or rename one: the name of a file is the name of its symbol",
                )
        numbers = {name: len(seen) + at for at, name in enumerate(names)}
        seen |= dict.fromkeys(names, plan.source)
        tracks.append(TickTrack((one,), names, numbers, by_time))
    return tuple(tracks)


def _output_timeframe(timeframe: str | None, spec: BarSpec) -> int | None:
    """Length of the larger bars to make of these, nanoseconds; None if they stay as they are."""
    if timeframe is None:
        return None
    output = parse_timeframe(timeframe)
    if spec.regular and output % spec.timeframe_ns:
        raise UsageError(
            "the timeframe does not fit the bars that are made of the ticks",
            expected=f"a whole multiple of {format_timeframe(spec.timeframe_ns)}",
            found=timeframe,
        )
    return output
