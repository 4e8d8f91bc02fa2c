"""Mergers that are slow and plain: one sees all bars at once, one keeps every event and works everything out anew."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from engine.types.blocks import BarBlock
from feeds.live.messages import BarMessage, Element, QuoteMessage, TradeMessage

Numbers = tuple[float, ...]
Rows = list[tuple[int, dict[str, Numbers]]]


def numbers(bar: BarMessage) -> Numbers:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def sorted_rows(bars: list[BarMessage]) -> Rows:
    rows: dict[int, dict[str, Numbers]] = {}
    for bar in bars:
        rows.setdefault(bar.ts_event, {})[bar.symbol or ""] = numbers(bar)
    return sorted(rows.items())


def rows_of(blocks: list[BarBlock]) -> Rows:
    """The rows of blocks, after a check that they follow one another and that nothing stands where nothing is."""
    rows: Rows = []
    for block in blocks:
        assert block.seq == len(rows)
        for row, time in enumerate(block.ts_event.tolist()):
            assert not rows or rows[-1][0] < time
            bars = {}
            for column, symbol in enumerate(block.symbols):
                cells = [getattr(block, name)[row, column] for name in ("open", "high", "low", "close", "volume")]
                if block.present[row, column]:
                    bars[symbol] = tuple(float(cell) for cell in cells)
                else:
                    assert all(math.isnan(cell) for cell in cells)
            rows.append((time, bars))
    return rows


def comparable(rows: Rows) -> list[str]:
    """Floats to the bit, NaN like NaN, symbols in any order."""
    return [repr((time, sorted(bars.items()))) for time, bars in rows]


@dataclass
class PlainMerger:
    """Keeps everything that was accepted; no caches, no heaps."""

    symbols: tuple[str, ...]
    timeframe: int
    lateness: int = 0
    opens: bool = False
    heard_times: list[tuple[str, int]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    quiet: set[str] = field(default_factory=set)
    accepted: list[tuple[int, Element]] = field(default_factory=list)
    rows: Rows = field(default_factory=list)

    def heard(self, partitions: frozenset[str], quiet: frozenset[str]) -> None:
        self.known, self.quiet = set(partitions), set(quiet & partitions)
        self.close()

    def flush(self) -> None:
        everyone = frozenset(partition for partition, _ in self.heard_times) | frozenset(self.known)
        self.heard(everyone, everyone)

    def offer(self, partition: str, element: Element) -> str | None:
        time = element.ts_event + (self.timeframe if self.opens and isinstance(element, BarMessage) else 0)
        reason = self.judge(element, time)
        if reason is None:
            self.accepted.append((math.ceil(time / self.timeframe) * self.timeframe, element))
        if reason not in {"unknown_symbol", "off_grid"}:
            self.heard_times.append((partition, time))
            self.known.add(partition)
            self.quiet.discard(partition)
            self.close()
        return reason

    def judge(self, element: Element, time: int) -> str | None:
        if element.symbol not in self.symbols:
            return "unknown_symbol"
        if isinstance(element, BarMessage) and time % self.timeframe:
            return "off_grid"
        if isinstance(element, TradeMessage) and element.id is not None:
            ids = [e.id for _, e in self.accepted if isinstance(e, TradeMessage) and e.symbol == element.symbol]
            if any(id_ is not None and id_ >= element.id for id_ in ids):
                return "duplicate"
        row = math.ceil(time / self.timeframe) * self.timeframe
        if self.rows and row <= self.rows[-1][0]:
            traded = dict(self.rows).get(row, {}).get(element.symbol)
            if traded is None or not isinstance(element, BarMessage):
                return "late"
            return "duplicate" if repr(traded) == repr(numbers(element)) else "conflicting_duplicate"
        same = [e for r, e in self.accepted if r == row and e.symbol == element.symbol]
        if not same:
            return None
        if type(same[0]) is not type(element):
            return "mixed_kinds"
        if isinstance(same[0], BarMessage) and isinstance(element, BarMessage):
            return "duplicate" if repr(numbers(same[0])) == repr(numbers(element)) else "conflicting_duplicate"
        return None

    def close(self) -> None:
        edge = self.rows[-1][0] if self.rows else -math.inf
        for row in sorted({row for row, _ in self.accepted if row > edge}):
            held = [element for r, element in self.accepted if r == row]
            if not self.complete(row, held, edge):
                return
            by_symbol = {s: [e for e in held if e.symbol == s] for s in self.symbols}
            self.rows.append((row, {s: fold(elements) for s, elements in by_symbol.items() if elements}))
            edge = row

    def complete(self, row: int, held: list[Element], edge: float) -> bool:
        newest = {p: max((t for q, t in self.heard_times if q == p), default=-math.inf) for p in self.known}
        speaking = self.known - self.quiet
        whole = all(isinstance(element, BarMessage) for element in held)
        if self.known and not speaking:
            return whole or max(t for _, t in self.heard_times) > row
        mark = min((newest[p] for p in speaking), default=-math.inf) - self.lateness
        full = whole and {element.symbol for element in held} == set(self.symbols)
        return mark > row or (full and (mark == row or edge == row - self.timeframe))


def fold(elements: list[Element]) -> Numbers:
    if isinstance(elements[0], BarMessage):
        return numbers(elements[0])
    prices = [
        e.price if isinstance(e, TradeMessage) else (e.bid + e.ask) / 2
        for e in elements
        if isinstance(e, TradeMessage | QuoteMessage)
    ]
    volume = 0.0
    for element in elements:
        volume += element.size if isinstance(element, TradeMessage) else math.nan
    return (prices[0], max(prices), min(prices), prices[-1], volume)
