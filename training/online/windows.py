"""Which bars a job learns from, and which it is judged by.

Time runs from left to right; purged bars belong to neither, and every series begins with the agents' warm-up:

    older bars                        recent bars, rows a to b
    warm-up | judged | purged | learned ......... learned | purged | judged

The candidate is judged by what came last, and by older bars that it has not learned from. Older bars that adjoin the
recent ones are one series with them, so that features need no second warm-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.spec import AGENTS, Specs
from engine.base.errors import DataError
from engine.types.blocks import BAR_COLUMNS, BarBlock, concat
from engine.types.instruments import Instrument
from engine.types.timeframe import MINUTE_NS
from training.data.parts import Range
from training.environment.market import Market

JUDGED = 0.4
"""Share of the recent bars after warm-up by which a candidate is judged."""
JUDGED_OLDER = 0.25
"""Share of the older ones."""
PURGED_MINUTES = 240
"""Between what is learned and what is judged: an outcome reaches two decisions of the strategic agent (60 minutes)
ahead, and four times that leaves nothing of it in the judged bars."""


class TooFewBars(DataError):  # noqa: N818 - reads as what it is
    """No episode fits into a part of a job's bars."""


@dataclass(frozen=True)
class Windows:
    """Row ranges of a market.

    Attributes:
        recent, older: To learn from.
        judged, judged_older: To judge by.
        whole: All recent rows, of which a policy's divergence from its parent is taken.
    """

    recent: tuple[Range, ...]
    older: tuple[Range, ...]
    judged: tuple[Range, ...]
    judged_older: tuple[Range, ...]
    whole: tuple[Range, ...]


@dataclass(frozen=True)
class Series:
    """Bars of one symbol.

    Attributes:
        name: Of the source, for messages.
        bars: One symbol.
        recent: Its first row that is recent; as many as there are rows, where none is.
    """

    name: str
    bars: BarBlock
    recent: int


def series_of(bars: BarBlock, older: Sequence[BarBlock]) -> list[Series]:
    """Recent bars, and older ones, as series of one symbol each.

    Args:
        bars: Rows a to b, all symbols.
        older: Series of earlier bars. One of the same symbols that ends where `bars` begins is joined to it.
    """
    joined: BarBlock | None = None
    apart = []
    for one in older:
        if one.symbols == bars.symbols and one.seq + len(one) == bars.seq and joined is None:
            joined = one
        else:
            apart.append(one)
    found = []
    for number, symbol in enumerate(bars.symbols):
        recent = _one_symbol(bars, number)
        before = None if joined is None else _one_symbol(joined, number)
        whole = recent if before is None or not len(before) else concat([before, recent])
        found.append(Series(symbol, whole, len(whole) - len(recent)))
    for place, block in enumerate(apart):
        for number, symbol in enumerate(block.symbols):
            one = _one_symbol(block, number)
            found.append(Series(f"older {place} {symbol}", one, len(one)))
    return [one for one in found if len(one.bars)]


def build(
    instrument: Instrument,
    series: Sequence[Series],
    cadence: str,
    timeframe_ns: int,
    length: int,
    agents: Specs = AGENTS,
) -> tuple[Market, Windows]:
    """The market of a job, divided.

    Args:
        instrument: Of all series.
        series: As `series_of` gives them.
        cadence: The risk agent's clock.
        timeframe_ns: Length of a bar.
        length: Bars of an episode.
        agents: By name, with their declared features.

    Raises:
        TooFewBars: If no episode fits into what is to be learned, or into what is judged by.
    """
    blocks = [(one.name, one.bars) for one in series]
    market = Market.build(instrument, blocks, "bar" if cadence == "bar" else "tactical", timeframe_ns, agents)
    purged = PURGED_MINUTES * MINUTE_NS // timeframe_ns
    recent: list[Range] = []
    older: list[Range] = []
    judged: list[Range] = []
    judged_older: list[Range] = []
    whole: list[Range] = []
    for one, segment in zip(series, market.segments, strict=True):
        possible = market.decision_rows(segment.start, segment.stop)
        if not len(possible):
            continue
        first, begins = int(possible[0]), max(int(possible[0]), segment.start + one.recent)
        if begins < segment.stop:
            ends = segment.stop - round(JUDGED * (segment.stop - begins))
            recent.append((begins, ends - purged))
            judged.append((ends, segment.stop))
            whole.append((begins, segment.stop))
        stop = min(begins, segment.stop)
        if first < stop:
            apart = first + round(JUDGED_OLDER * (stop - first))
            judged_older.append((first, apart))
            older.append((apart + purged, stop))
    held = [_holding(market, found, length) for found in (recent, older, judged, judged_older)]
    windows = Windows(held[0], held[1], held[2], held[3], tuple(whole))
    for name, ranges in (("learned from", windows.recent), ("judged by", windows.judged)):
        if not ranges:
            raise TooFewBars(
                f"no episode fits into the recent bars that are {name}",
                where="learning.window_bars",
                expected=f"episodes of {length:,} bars in what is left after the agents' warm-up",
                found=f"{sum(len(one.bars) - one.recent for one in series):,} recent bars",
                hint="raise learning.window_bars and learning.min_bars",
            )
    return market, windows


def _holding(market: Market, ranges: Sequence[Range], length: int) -> tuple[Range, ...]:
    """The ranges that hold an episode."""
    return tuple(one for one in ranges if one[1] > one[0] and len(market.starts(one, length)))


def _one_symbol(block: BarBlock, number: int) -> BarBlock:
    """The bars of one symbol: rows in which it has one, numbered from 0."""
    present = block.present[:, number]
    columns = {name: np.ascontiguousarray(getattr(block, name)[present, number]) for name in BAR_COLUMNS}
    extra = {name: np.ascontiguousarray(values[present, number]) for name, values in block.extra.items()}
    mask = np.ones((int(present.sum()), 1), np.bool_)
    return BarBlock.from_columns((block.symbols[number],), block.ts_event[present], columns, mask, extra=extra)
