"""Streams of ticks of several files into one, in order of time, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from feeds.ticks.blocks import TickBlock, join


def merge_ticks(streams: Sequence[Iterator[TickBlock]]) -> Iterator[TickBlock]:
    """Merge streams by time; ticks of one time come in the order of the streams.

    Args:
        streams: Blocks in order of time, none of them empty.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [next(stream, None) for stream in streams]
    ended = [head is None for head in heads]
    while True:
        # up to here, but not including it, no stream can bring anything more
        going = [
            int(head.ts_event[-1]) for head, over in zip(heads, ended, strict=True) if head is not None and not over
        ]
        frontier = min(going, default=None)
        parts = []
        for number, head in enumerate(heads):
            if head is None:
                continue
            cut = len(head) if frontier is None else int(np.searchsorted(head.ts_event, frontier, side="left"))
            parts.append(head.take(slice(0, cut)))
            heads[number] = head.take(slice(cut, None))
        whole = join(parts) if parts else None
        if whole is not None and len(whole):
            yield whole.take(np.argsort(whole.ts_event, kind="stable"))
        if frontier is None:
            return
        for number, head in enumerate(heads):
            if head is not None and not ended[number] and int(head.ts_event[-1]) == frontier:
                following = next(streams[number], None)
                ended[number] = following is None
                heads[number] = head if following is None else join([head, following])
