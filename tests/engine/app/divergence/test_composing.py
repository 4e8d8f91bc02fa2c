"""Bars put together from two runs: what comes from one alone is that one, and nothing is changed in place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.app.divergence.composing import Period, changed_rows, composed_bars, shared_rows, taken_rows
from engine.types.blocks import BAR_COLUMNS, BarBlock
from tests.bars import random_bars

ROWS = 40
WHOLE = random_bars(ROWS, 3, ("A", "B"), absent=0.3)
KEPT = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).filter(any)


def some(kept: list[bool], shift: float = 0.0) -> BarBlock:
    """Some of the rows, their prices moved."""
    block = taken_rows(WHOLE, np.flatnonzero(kept))
    return replace(block, **{name: getattr(block, name) + shift for name in BAR_COLUMNS[:4]})


def same(one: BarBlock, two: BarBlock) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name), equal_nan=name in BAR_COLUMNS)
        for name in ("ts_event", *BAR_COLUMNS, "present")
    )


@given(KEPT, KEPT)
@settings(max_examples=30)
def test_times_come_from_one_and_values_from_another(ours: list[bool], theirs: list[bool]) -> None:
    run, other = some(ours), some(theirs, shift=1.0)
    before = taken_rows(run, slice(0, len(run))), taken_rows(other, slice(0, len(other)))
    period = Period(
        max(int(run.ts_event[0]), int(other.ts_event[0])), min(int(run.ts_event[-1]), int(other.ts_event[-1]))
    )
    for block in (run, other):
        end = period.of(block.ts_event).stop
        assert same(composed_bars(block, block, block, period), taken_rows(block, slice(0, end)))
    mixed = composed_bars(other, run, other, period)
    history = int((other.ts_event < period.first_ns).sum())
    assert mixed.seq == 0 and len(mixed) == history + len(range(*period.of(run.ts_event).indices(len(run))))
    for row, time in enumerate(mixed.ts_event.tolist()):
        known = np.flatnonzero(other.ts_event == time)
        block, at = (other, int(known[0])) if len(known) else (run, int(np.flatnonzero(run.ts_event == time)[0]))
        assert np.array_equal(mixed.close[row], block.close[at], equal_nan=True)
        assert np.array_equal(mixed.present[row], block.present[at])
    assert same(run, before[0]) and same(other, before[1])


@given(KEPT, KEPT)
@settings(max_examples=15)
def test_rows_are_shared_by_their_times(ours: list[bool], theirs: list[bool]) -> None:
    run, other = some(ours), some(theirs)
    here, there = shared_rows(run.ts_event, other.ts_event)
    both = np.flatnonzero(np.array(ours) & np.array(theirs))
    assert run.ts_event[here].tolist() == other.ts_event[there].tolist() == (WHOLE.ts_event[both]).tolist()
    assert not changed_rows(taken_rows(run, here), taken_rows(other, there))


def test_a_row_is_changed_by_what_is_traded_and_by_nothing_else() -> None:
    block = taken_rows(WHOLE, slice(0, ROWS))
    absent = tuple(int(at[0]) for at in np.nonzero(~WHOLE.present))
    block.close[absent] = 7.0  # of a bar that is not there
    assert not changed_rows(WHOLE, block)
    there = tuple(int(at[-1]) for at in np.nonzero(WHOLE.present))
    block.volume[there] = np.nan
    block.present[absent] = True
    found = {name: np.flatnonzero(rows).tolist() for name, rows in changed_rows(WHOLE, block).items()}
    assert found == {"present": [absent[0]], "volume": [there[0]]}
