"""Cuts belong to the bars: any blocking gives the same cut rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.loop.cuts import Cuts
from engine.types.blocks import reblock
from tests.bars import MINUTE, random_bars

BLOCK = random_bars(300)
ENDS = np.arange(0, 40, dtype=np.int64) * 37 * MINUTE


def cut_rows(cuts: Cuts, sizes: list[int]) -> list[int]:
    rows: list[int] = []
    for part in reblock([BLOCK], sizes):
        before = int(BLOCK.ts_event[part.seq - 1]) if part.seq else None
        rows += [part.seq + offset for offset in cuts.offsets(part, before)]
    return rows


@given(sizes=st.lists(st.integers(1, 100), min_size=1, max_size=10), every=st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_any_blocking_gives_the_same_cuts(sizes: list[int], every: int) -> None:
    multiples = [row for row in range(1, 300) if row % every == 0]
    assert cut_rows(Cuts(every), sizes) == multiples
    sessions = np.searchsorted(ENDS, BLOCK.ts_event)
    rolls = [i for i in range(1, 300) if sessions[i] != sessions[i - 1]]
    assert len(rolls) == 8
    assert cut_rows(Cuts(None, ENDS), sizes) == rolls
    assert cut_rows(Cuts(every, ENDS), sizes) == sorted({*multiples, *rolls})
    assert cut_rows(Cuts(), sizes) == []


@given(cuts=st.lists(st.integers(0, 300), max_size=10))
def test_split_loses_no_row(cuts: list[int]) -> None:
    parts = list(BLOCK.split(sorted(cuts)))
    assert np.concatenate([part.ts_event for part in parts]).tolist() == BLOCK.ts_event.tolist()
    assert [part.seq for part in parts] == [0, *sorted({c for c in cuts if 0 < c < 300})]
