from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.features.stream import FeatureRows
from agents.features.windows import WindowBatch, Windows
from engine.base.errors import DataError, UsageError
from engine.base.state import decode
from tests.trees import saved

Case = tuple[FeatureRows, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Rows of a few symbols, each warm from some row on and absent now and then; the window's length."""
    n, symbols, features = draw(st.integers(1, 40)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    present = np.array(
        draw(st.lists(st.lists(st.booleans(), min_size=symbols, max_size=symbols), min_size=n, max_size=n))
    )
    warm = np.array(draw(st.lists(st.integers(0, n), min_size=symbols, max_size=symbols)))
    ready = present & (np.arange(n)[:, None] >= warm)
    values = np.arange(n * symbols * features, dtype=np.float32).reshape(n, symbols, features)
    known_at = np.cumsum(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    rows = FeatureRows(
        np.where(ready[:, :, None], values, np.float32(0)), ready, np.ones(ready.shape), np.arange(n) * 10, known_at
    )
    return rows, draw(st.integers(1, 12))


def part(rows: FeatureRows, start: int, stop: int) -> FeatureRows:
    names = ("features", "ready", "atr", "ts_event", "known_at")
    return FeatureRows(*(getattr(rows, name)[start:stop] for name in names))


def windows_for(rows: FeatureRows, length: int) -> Windows:
    return Windows(length, rows.features.shape[2], rows.features.shape[1])


def as_bytes(batches: list[WindowBatch]) -> tuple[bytes, ...]:
    names = ("observations", "symbol", "known_at", "first_ts", "last_ts")
    return tuple(np.concatenate([getattr(batch, name) for batch in batches]).tobytes() for name in names)


@given(cases())
def test_agrees_with_plain_lists(case: Case) -> None:
    rows, length = case
    batch = windows_for(rows, length).push(rows)
    expected = []
    for row in range(len(rows)):
        for s in range(rows.ready.shape[1]):
            mine = [at for at in range(row + 1) if rows.ready[at, s]][-length:]
            if rows.ready[row, s] and len(mine) == length:
                expected.append((rows.features[mine, s].tolist(), s, rows.known_at[row], mine[0] * 10, row * 10))
    found = zip(batch.observations.tolist(), batch.symbol, batch.known_at, batch.first_ts, batch.last_ts, strict=True)
    assert list(found) == expected
    assert len(batch) == len(expected)
    assert batch.observations.flags.c_contiguous or not batch.observations.flags.writeable
    assert batch.observations.dtype == np.float32
    assert batch.observations.shape[1:] == (length, rows.features.shape[2])


@given(cases(), st.lists(st.integers(1, 7), min_size=1, max_size=20))
def test_blocking_means_nothing(case: Case, sizes: list[int]) -> None:
    rows, length = case
    whole, cut = windows_for(rows, length), windows_for(rows, length)
    batches, start = [], 0
    for size in [*sizes, len(rows)]:
        batches.append(cut.push(part(rows, start, start + size)))
        start += size
    assert as_bytes(batches) == as_bytes([whole.push(rows)])
    assert saved(cut) == saved(whole)


@given(cases(), st.data())
def test_a_snapshot_continues_with_the_same_windows(case: Case, data: st.DataObject) -> None:
    rows, length = case
    cut = data.draw(st.integers(0, len(rows)))
    first, second = windows_for(rows, length), windows_for(rows, length)
    first.push(part(rows, 0, cut))
    second.restore(decode(saved(first)))
    rest = part(rows, cut, len(rows))
    assert as_bytes([second.push(rest)]) == as_bytes([first.push(rest)])
    assert saved(second) == saved(first)


def test_a_batch_keeps_its_values_when_more_rows_come() -> None:
    values = np.arange(8, dtype=np.float32).reshape(8, 1, 1)
    ones = np.ones((8, 1))
    rows = FeatureRows(values, ones > 0, ones, np.arange(8), np.arange(8))
    windows = Windows(3, 1, 1)
    batch = windows.push(part(rows, 0, 4))
    windows.push(part(rows, 4, 8))
    assert batch.observations[:, :, 0].tolist() == [[0, 1, 2], [1, 2, 3]]


def test_wrong_use_is_named() -> None:
    with pytest.raises(UsageError, match="windows need"):
        Windows(0, 7, 1)
    windows = Windows(4, 7, 1)
    ones = np.ones((1, 2))
    two = FeatureRows(np.zeros((1, 2, 7), np.float32), ones > 0, ones, np.arange(1), np.arange(1))
    with pytest.raises(DataError, match="do not fit"):
        windows.push(two)
    with pytest.raises(DataError, match="snapshot"):
        windows.restore(decode(saved(Windows(5, 7, 1))))
