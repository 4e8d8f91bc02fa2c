"""Streams of rows and blocks into one stream of blocks in order of time, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from engine.types.blocks import BAR_COLUMNS, BarBlock
from feeds.reading.rows.rows import AcceptedRows, join


def blocks_of(rows: Iterable[AcceptedRows], symbols: tuple[str, ...]) -> Iterator[BarBlock]:
    """Rows in order of time into blocks; a time's rows are held back until all of them have come."""
    held: list[AcceptedRows] = []
    for part in rows:
        if not len(part):
            continue
        if part.codes is None:
            yield part.block(symbols)
            continue
        held.append(part)
        # still the same time: others of it may follow
        if held[0].ts_event[0] == part.ts_event[-1]:
            continue
        whole = join(held)
        cut = int(np.searchsorted(whole.ts_event, whole.ts_event[-1], side="left"))
        yield whole.take(slice(0, cut)).block(symbols)
        held = [whole.take(slice(cut, None))]
    if held:
        yield join(held).block(symbols)


def sorted_block(rows: Iterable[AcceptedRows], symbols: tuple[str, ...]) -> Iterator[BarBlock]:
    """Rows in any order across symbols, gathered and sorted by time; nothing if there is none."""
    parts = [part for part in rows if len(part)]
    if parts:
        whole = join(parts)
        parts.clear()
        yield whole.take(np.argsort(whole.ts_event, kind="stable")).block(symbols)


def merge(streams: Sequence[Iterator[BarBlock]], symbols: tuple[str, ...]) -> Iterator[BarBlock]:
    """Merge streams of different symbols by time.

    Args:
        streams: Blocks in order of time, none of them empty.
        symbols: All symbols, the streams' one after the other.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [next(stream, None) for stream in streams]
    # a column that only some of the streams have is not known for the others
    extra = tuple(dict.fromkeys(name for head in heads if head is not None for name in head.extra))
    while live := [head for head in heads if head is not None]:
        # up to here no stream can bring anything more
        frontier = min(int(head.ts_event[-1]) for head in live)
        cuts = [0 if head is None else int(np.searchsorted(head.ts_event, frontier, side="right")) for head in heads]
        parts = [None if head is None else head.slice(0, cut) for head, cut in zip(heads, cuts, strict=True)]
        yield _side_by_side(parts, symbols, extra)
        for number, (head, cut) in enumerate(zip(heads, cuts, strict=True)):
            if head is not None:
                heads[number] = head.slice(cut, len(head)) if cut < len(head) else next(streams[number], None)


def arranged(block: BarBlock, symbols: tuple[str, ...]) -> BarBlock:
    """The same bars with columns in another order; symbols that the block lacks have no bar.

    Args:
        symbols: All that the block has, and perhaps more.
    """
    places = np.array([symbols.index(name) for name in block.symbols])
    shape = (len(block), len(symbols))
    columns = {name: np.full(shape, np.nan) for name in BAR_COLUMNS}
    present = np.zeros(shape, np.bool_)
    present[:, places] = block.present
    for name, values in columns.items():
        values[:, places] = getattr(block, name)
    extra = {name: np.full(shape, np.nan) for name in block.extra}
    for name, values in extra.items():
        values[:, places] = block.extra[name]
    return BarBlock(symbols, block.seq, block.ts_event, present=present, extra=extra, **columns)


def numbered(blocks: Iterable[BarBlock]) -> Iterator[BarBlock]:
    """Count `seq` over the whole stream."""
    seq = 0
    for block in blocks:
        yield replace(block, seq=seq)
        seq += len(block)


def _side_by_side(parts: Sequence[BarBlock | None], symbols: tuple[str, ...], extra_names: tuple[str, ...]) -> BarBlock:
    times = np.unique(np.concatenate([part.ts_event for part in parts if part is not None]))
    shape = (len(times), len(symbols))
    columns = {name: np.full(shape, np.nan) for name in BAR_COLUMNS}
    present = np.zeros(shape, np.bool_)
    extra = {name: np.full(shape, np.nan) for name in extra_names}
    for part in parts:
        if part is None or not len(part):
            continue
        first = symbols.index(part.symbols[0])
        rows, across = np.searchsorted(times, part.ts_event), slice(first, first + len(part.symbols))
        present[rows, across] = part.present
        for name, values in columns.items():
            values[rows, across] = getattr(part, name)
        for name, values in part.extra.items():
            extra[name][rows, across] = values
    return BarBlock(symbols, 0, times, present=present, extra=extra, **columns)
