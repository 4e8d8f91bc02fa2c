from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError, UsageError
from engine.loop.ledger_hash import LedgerHash
from engine.types.step import StepBlock
from tests.engine.runs import random_bars, random_targets, steps

BARS = random_bars(60, 2, absent=0.2)
TARGETS = random_targets(60, 2, change=0.3)
WHOLE = steps(BARS, TARGETS)[0]


def digest(*blocks: StepBlock) -> str:
    ledger = LedgerHash()
    for block in blocks:
        ledger.update(block)
    return ledger.hexdigest()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_cutting_the_run_differently_gives_the_same_hash(sizes: list[int]) -> None:
    assert digest(*steps(BARS, TARGETS, sizes)) == digest(WHOLE)


def changed(array: np.ndarray, field: str | None = None) -> np.ndarray:
    copy = array.copy()
    if field is None:
        copy.view(np.uint64).reshape(-1)[-1] ^= 1
    else:
        copy[field][-1] += 1
    return copy


@pytest.mark.parametrize("field", WHOLE.fills.dtype.names)
def test_every_field_of_a_fill_counts(field: str) -> None:
    assert len(WHOLE.fills) > 0
    assert digest(replace(WHOLE, fills=changed(WHOLE.fills, field))) != digest(WHOLE)


@pytest.mark.parametrize("name", ["ledger", "positions"])
def test_the_last_bit_of_ledger_and_positions_counts(name: str) -> None:
    assert digest(replace(WHOLE, **{name: changed(getattr(WHOLE, name))})) != digest(WHOLE)


def test_times_and_symbols_count() -> None:
    later = replace(WHOLE.bars, ts_event=WHOLE.bars.ts_event + 1)
    renamed = replace(WHOLE.bars, symbols=("S0", "T1"))
    assert len({digest(WHOLE), digest(replace(WHOLE, bars=later)), digest(replace(WHOLE, bars=renamed))}) == 3


def test_a_value_does_not_move_between_streams_unnoticed() -> None:
    swapped = replace(WHOLE, ledger=WHOLE.positions, positions=WHOLE.ledger)
    assert digest(swapped) != digest(WHOLE)


def test_digest_can_be_taken_on_the_way() -> None:
    first, second = steps(BARS, TARGETS, [30, 30])
    ledger = LedgerHash()
    ledger.update(first)
    halfway = ledger.hexdigest()
    ledger.update(second)
    assert halfway == digest(first)
    assert ledger.hexdigest() == digest(WHOLE)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(0, 60))
def test_one_that_was_saved_on_the_way_gives_the_same_hash(sizes: list[int], cut: int) -> None:
    ledger, rows, states = LedgerHash(resumable=True), 0, set()
    for block in steps(BARS, TARGETS, [*sizes, 20]):
        if rows >= cut:
            state = ledger.snapshot()
            ledger = LedgerHash(resumable=True)
            ledger.restore(state)
            assert ledger.snapshot() == state
            states.add(state)
        ledger.update(block)
        rows += len(block)
    assert ledger.hexdigest() == digest(WHOLE)
    straight = LedgerHash(resumable=True)
    straight.update(WHOLE)
    assert straight.snapshot() == ledger.snapshot()
    assert ledger.snapshot() not in states


def test_one_without_rows_can_be_saved() -> None:
    ledger = LedgerHash(resumable=True)
    ledger.restore(LedgerHash(resumable=True).snapshot())
    assert ledger.hexdigest() == LedgerHash().hexdigest()


def test_the_fast_one_cannot_be_saved() -> None:
    with pytest.raises(UsageError, match="no state that can be saved"):
        LedgerHash().snapshot()
    with pytest.raises(UsageError, match="no state that can be saved"):
        LedgerHash().restore(LedgerHash(resumable=True).snapshot())


@pytest.mark.parametrize("state", [b"", b"GMS1", LedgerHash(resumable=True).snapshot()[:-1]])
def test_what_is_no_snapshot_is_refused(state: bytes) -> None:
    with pytest.raises(DataError, match="snapshot"):
        LedgerHash(resumable=True).restore(state)
