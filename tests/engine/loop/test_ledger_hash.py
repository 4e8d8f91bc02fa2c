from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.base.packing import pack
from engine.loop.ledger_hash import STREAMS, LedgerHash, of_earlier_release
from engine.types.step import StepBlock
from tests.engine.runs import random_bars, random_targets, steps

BARS = random_bars(60, 2, absent=0.2)
TARGETS = random_targets(60, 2, change=0.3)
WHOLE = steps(BARS, TARGETS)[0]
LONG_BARS, LONG_TARGETS = random_bars(1200, 1), random_targets(1200, 1, change=0.3)
LONG = steps(LONG_BARS, LONG_TARGETS)[0]


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
    ledger, rows, states = LedgerHash(), 0, set()
    for block in steps(BARS, TARGETS, [*sizes, 20]):
        if rows >= cut:
            state = ledger.snapshot()
            ledger = LedgerHash()
            ledger.restore(state)
            assert ledger.snapshot() == state
            states.add(state)
        ledger.update(block)
        rows += len(block)
    assert ledger.hexdigest() == digest(WHOLE)
    straight = LedgerHash()
    straight.update(WHOLE)
    assert straight.snapshot() == ledger.snapshot()
    assert ledger.snapshot() not in states


def test_one_without_rows_can_be_saved() -> None:
    ledger = LedgerHash()
    ledger.restore(LedgerHash().snapshot())
    assert ledger.hexdigest() == LedgerHash().hexdigest()


def test_the_digest_is_that_of_its_definition() -> None:
    def chained(data: bytes) -> str:
        head = bytes(32)
        while len(data) >= 4096:
            head, data = hashlib.sha256(head + data[:4096]).digest(), data[4096:]
        return hashlib.sha256(head + data).hexdigest()

    streams = {"ts_event": LONG.bars.ts_event, "ledger": LONG.ledger, "positions": LONG.positions, "fills": LONG.fills}
    assert LONG.ledger.nbytes > 10 * 4096 and len(LONG.fills) > 100
    parts = {name: chained(array.tobytes()) for name, array in streams.items()}
    text = json.dumps({"symbols": ["S0"], **parts}, sort_keys=True)
    assert digest(LONG) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("state", [b"", b"GMS1", LedgerHash().snapshot()[:-1]])
def test_what_is_no_snapshot_is_refused(state: bytes) -> None:
    with pytest.raises(DataError, match="snapshot"):
        LedgerHash().restore(state)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=6, max_size=30), st.integers(0, 29))
def test_chunks_are_the_same_however_rows_come(sizes: list[int], cut: int) -> None:
    ledger = LedgerHash()
    for number, block in enumerate(steps(LONG_BARS, LONG_TARGETS, [*sizes, 1200])):
        if number == cut:
            state = ledger.snapshot()
            assert len(state) < len(STREAMS) * (32 + 4096) + 500
            ledger = LedgerHash()
            ledger.restore(state)
        ledger.update(block)
    assert ledger.hexdigest() == digest(LONG)


def earlier(state: bytes = b"x") -> bytes:
    return pack({"symbols": b'["S0", "S1"]', **dict.fromkeys(STREAMS, state)})


def test_a_state_of_an_earlier_release_stands_for_its_rows() -> None:
    assert of_earlier_release(earlier()) and not of_earlier_release(LedgerHash().snapshot())
    hashes = set()
    for state in (earlier(), earlier(b"y")):
        ledger = LedgerHash()
        ledger.restore(state)
        ledger.update(WHOLE)
        again = LedgerHash()
        again.restore(ledger.snapshot())
        assert again.hexdigest() == ledger.hexdigest()
        hashes.add(ledger.hexdigest())
    assert len(hashes | {digest(WHOLE)}) == 3
