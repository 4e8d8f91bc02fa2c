from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.journal.blocks import RECORDS, _checksum, decode, encode, joined
from engine.journal.comparing import first_difference
from engine.loop.ledger_hash import LedgerHash
from engine.types.blocks import BAR_COLUMNS
from engine.types.step import StepBlock
from tests.engine.journal.steps import steps_of


def _bytes(step: StepBlock) -> list[bytes]:
    arrays = [step.bars.ts_event, *(getattr(step.bars, name) for name in BAR_COLUMNS), step.bars.present]
    arrays += [step.ledger, step.positions, step.account, *(getattr(step, name) for name in RECORDS)]
    return [np.ascontiguousarray(array).tobytes() for array in arrays]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 99))
def test_a_step_comes_back_bit_for_bit(rows: int, symbols: int, sizes: list[int], seed: int) -> None:
    for step in steps_of(rows, symbols, sizes, seed):
        back = decode(encode(step), step.bars.symbols)
        assert _bytes(back) == _bytes(step)
        assert back.bars.seq == step.bars.seq
        assert back.position_records["quantity"].tolist() == step.positions[-1].tolist()
        assert first_difference(step, back) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 99))
def test_joined_steps_are_those_of_one_block(sizes: list[int], seed: int) -> None:
    whole = steps_of(40, 2, (40,), seed)[0]
    assert _bytes(joined(steps_of(40, 2, sizes, seed))) == _bytes(whole)


def test_extra_columns_come_back_and_bars_without_them_are_written_as_ever() -> None:
    plain = steps_of(10, 2, (10,))[0]
    values = {"spread": np.arange(20.0).reshape(10, 2), "vwap": np.full((10, 2), np.nan)}
    step = replace(plain, bars=replace(plain.bars, extra=values))
    back = decode(encode(step), step.bars.symbols).bars.extra
    assert list(back) == ["spread", "vwap"]
    assert all(back[name].tobytes() == values[name].tobytes() for name in values)
    # what older journals hold, byte for byte
    columns = [plain.bars.ts_event, *(getattr(plain.bars, name) for name in BAR_COLUMNS), plain.bars.present]
    assert encode(plain).bars == b"".join(np.ascontiguousarray(column).tobytes() for column in columns)
    assert decode(encode(plain), step.bars.symbols).bars.extra == {}


def test_a_column_that_some_steps_lack_is_not_known_in_them() -> None:
    first, second = steps_of(20, 1, (10,))
    whole = joined([first, replace(second, bars=replace(second.bars, extra={"spread": np.ones((10, 1))}))])
    assert np.isnan(whole.bars.extra["spread"][:10]).all()
    assert (whole.bars.extra["spread"][10:] == 1.0).all()


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_extra_columns_that_are_cut_short_are_noticed(cut: int) -> None:
    plain = steps_of(10, 2, (10,))[0]
    step = replace(plain, bars=replace(plain.bars, extra={"spread": np.ones((10, 2))}))
    stored = encode(step)
    short = stored._replace(bars=stored.bars[:-cut])
    with pytest.raises(DataError, match="damaged"):
        decode(short._replace(crc=_checksum(short[5:])), step.bars.symbols)


def test_the_hash_of_decoded_steps_is_that_of_the_steps() -> None:
    steps = steps_of(200, 2, (7,))
    first, second = LedgerHash(), LedgerHash()
    for step in steps:
        first.update(step)
        second.update(decode(encode(step), step.bars.symbols))
    assert first.hexdigest() == second.hexdigest()


@pytest.mark.parametrize("name", ["bars", "ledger", "positions", "account", "fills", "events", "decisions"])
def test_one_changed_bit_is_noticed(name: str) -> None:
    stored = encode(joined(steps_of(40)))
    body = bytearray(getattr(stored, name))
    body[len(body) // 2] ^= 1
    with pytest.raises(DataError, match="damaged"):
        decode(stored._replace(**{name: bytes(body)}), ["S0"])


def test_the_first_difference_is_named_by_row_and_field() -> None:
    step = joined(steps_of(40, 2, (40,)))
    ledger = step.ledger.copy()
    ledger[17, 1] += 1e-9
    found = first_difference(step, replace(step, ledger=ledger))
    assert found is not None
    assert (found.seq, found.field, found.ts_event) == (17, "ledger.equity", int(step.bars.ts_event[17]))
    assert found.expected == repr(float(step.ledger[17, 1]))
    positions = step.positions.copy()
    positions[5, 1] += 1.0
    found = first_difference(step, replace(step, ledger=ledger, positions=positions))
    assert found is not None
    assert (found.seq, found.field) == (5, "position.S1")


def test_records_that_differ_or_are_missing_are_found() -> None:
    step = joined(steps_of(40, 1, (40,)))
    fills = step.fills.copy()
    fills["price"][3] += 0.01
    found = first_difference(step, replace(step, fills=fills))
    assert found is not None
    assert (found.seq, found.field) == (int(step.fills["seq"][3]), "fills.price")
    found = first_difference(step, replace(step, fills=step.fills[:-1]))
    assert found is not None
    assert (found.seq, found.field, found.expected) == (
        int(step.fills["seq"][-1]),
        "number of fills",
        str(len(step.fills)),
    )
    # a zero and a negative zero are not the same bits
    ledger = step.ledger.copy()
    ledger[0, 2] = -0.0
    assert step.ledger[0, 2] == 0.0
    assert first_difference(step, replace(step, ledger=ledger)) is not None
