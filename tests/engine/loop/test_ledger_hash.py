from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.base.restoring import MADE, describe
from engine.base.state import State, decode
from engine.loop.ledger_hash import CHUNK, FORM, HASHED, STREAMS, LedgerHash, of_other_form
from engine.types.records import LEDGER_COLUMNS
from engine.types.step import StepBlock
from tests.engine.runs import instruments, random_bars, random_targets, steps
from tests.trees import saved

BARS = random_bars(60, 2, absent=0.2)
TARGETS = random_targets(60, 2, change=0.3)
WHOLE = steps(BARS, TARGETS)[0]
LONG_BARS, LONG_TARGETS = random_bars(5000, 1), random_targets(5000, 1, change=0.3)
LONG = steps(LONG_BARS, LONG_TARGETS, (5000,))[0]


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


@pytest.mark.parametrize("column", LEDGER_COLUMNS)
def test_the_last_bit_counts_of_the_columns_that_are_hashed(column: str) -> None:
    ledger = WHOLE.ledger.copy()
    ledger.view(np.uint64)[-1, LEDGER_COLUMNS.index(column)] ^= 1
    assert (digest(replace(WHOLE, ledger=ledger)) != digest(WHOLE)) is (column in HASHED)


def test_the_last_bit_of_the_positions_counts() -> None:
    assert digest(replace(WHOLE, positions=changed(WHOLE.positions))) != digest(WHOLE)


def test_the_columns_that_are_not_hashed_follow_from_the_rest() -> None:
    """Row by row from fills, positions, bars and instruments, with the bits of the ledger."""
    traded = instruments(2)
    sums, marks, averages, waiting = {"realized": 0.0, "fees": 0.0}, [0.0, 0.0], [0.0, 0.0], list(WHOLE.fills)
    for row, ledger in enumerate(WHOLE.ledger.tolist()):
        while waiting and waiting[0]["ts_event"] == WHOLE.bars.ts_event[row]:
            fill = waiting.pop(0)
            sums["realized"] += float(fill["realized"])
            sums["fees"] += float(fill["fee"])
            averages[fill["symbol"]] = float(fill["avg_price"])
        found = {**sums, **dict.fromkeys(("unrealized", "margin", "gross_exposure", "net_exposure"), 0.0)}
        for s, quantity in enumerate(WHOLE.positions[row].tolist()):
            marks[s] = float(WHOLE.bars.close[row, s]) if WHOLE.bars.present[row, s] else marks[s]
            if quantity:
                value = quantity * marks[s] * traded[s].multiplier
                found["unrealized"] += quantity * (marks[s] - averages[s]) * traded[s].multiplier
                found["margin"] += abs(quantity) * (traded[s].initial_margin.rate * marks[s] * traded[s].multiplier)
                found["gross_exposure"] += abs(value)
                found["net_exposure"] += value
        assert {name: ledger[LEDGER_COLUMNS.index(name)] for name in found} == found
        assert set(found) | set(HASHED) == set(LEDGER_COLUMNS)


def test_times_and_symbols_count() -> None:
    later = replace(WHOLE.bars, ts_event=WHOLE.bars.ts_event + 1)
    renamed = replace(WHOLE.bars, symbols=("S0", "T1"))
    assert len({digest(WHOLE), digest(replace(WHOLE, bars=later)), digest(replace(WHOLE, bars=renamed))}) == 3


def test_a_value_does_not_move_between_streams_unnoticed() -> None:
    swapped = replace(WHOLE, ledger=WHOLE.positions, positions=WHOLE.ledger[:, : len(HASHED)])
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
            state = saved(ledger)
            ledger = LedgerHash()
            ledger.restore(decode(state))
            assert saved(ledger) == state
            states.add(state)
        ledger.update(block)
        rows += len(block)
    assert ledger.hexdigest() == digest(WHOLE)
    straight = LedgerHash()
    straight.update(WHOLE)
    assert saved(straight) == saved(ledger)
    assert saved(ledger) not in states


def test_one_without_rows_can_be_saved() -> None:
    ledger = LedgerHash()
    ledger.restore(decode(saved(LedgerHash())))
    assert ledger.hexdigest() == LedgerHash().hexdigest()


def test_the_digest_is_that_of_its_definition() -> None:
    def chained(data: bytes) -> str:
        head = bytes(32)
        while len(data) >= 16_384:
            head, data = hashlib.sha256(head + data[:16_384]).digest(), data[16_384:]
        return hashlib.sha256(head + data).hexdigest()

    account = LONG.ledger[:, :2]
    streams = {"ts_event": LONG.bars.ts_event, "ledger": account, "positions": LONG.positions, "fills": LONG.fills}
    assert account.nbytes > 4 * CHUNK and len(LONG.fills) > 100 and FORM == 2  # another definition is another form
    parts = {name: chained(array.tobytes()) for name, array in streams.items()}
    text = json.dumps({"symbols": ["S0"], **parts}, sort_keys=True)
    assert digest(LONG) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("state", [b"", {}, {**LedgerHash().snapshot(), "fills": b"short"}])
def test_what_is_no_snapshot_is_refused(state: Any) -> None:
    with pytest.raises(DataError, match="snapshot"):
        LedgerHash().restore(state)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 800), min_size=6, max_size=30), st.integers(0, 29))
def test_chunks_are_the_same_however_rows_come(sizes: list[int], cut: int) -> None:
    ledger = LedgerHash()
    for number, block in enumerate(steps(LONG_BARS, LONG_TARGETS, [*sizes, 5000])):
        if number == cut:
            state = saved(ledger)
            assert len(state) < len(STREAMS) * (32 + 16_384) + 500
            ledger = LedgerHash()
            ledger.restore(decode(state))
        ledger.update(block)
    assert ledger.hexdigest() == digest(LONG)


def of_form(number: int) -> State:
    ledger = LedgerHash()
    ledger.update(WHOLE)
    return {**ledger.snapshot(), MADE: describe({"form": number})}


def test_a_state_of_another_form_stands_for_its_rows() -> None:
    hashes = []
    for state in (of_form(FORM - 1), of_form(FORM + 1)):
        assert of_other_form(state)
        ledger = LedgerHash()
        ledger.restore(state)
        ledger.update(WHOLE)
        again = LedgerHash()
        again.restore(ledger.snapshot())
        assert again.hexdigest() == ledger.hexdigest()
        hashes.append(ledger.hexdigest())
    straight = LedgerHash()
    straight.restore(of_form(FORM))
    straight.update(WHOLE)
    assert not {digest(WHOLE), straight.hexdigest()} & set(hashes)
    assert not of_other_form(of_form(FORM)) and not of_other_form(LedgerHash().snapshot())
    assert hashes[0] == hashes[1]
