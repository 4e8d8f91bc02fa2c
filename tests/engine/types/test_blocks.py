"""Blocks: building checks what it is given, cutting anew loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, concat, reblock
from tests.bars import random_bars

BLOCK = random_bars(100, symbols=("A", "B"), absent=0.2)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_cutting_anew_keeps_every_row(first: list[int], second: list[int]) -> None:
    parts = list(reblock(reblock([BLOCK], first), second))
    seq = 0
    for part, size in zip(parts, [*second, *[second[-1]] * 100], strict=False):
        assert part.seq == seq
        assert len(part) == size or part is parts[-1]
        seq += len(part)
    whole = concat(parts)
    for name in ("ts_event", "open", "high", "low", "close", "volume", "present"):
        assert getattr(whole, name).tobytes() == getattr(BLOCK, name).tobytes()


def test_times_must_increase_strictly() -> None:
    times = np.array([1, 3, 3], np.int64)
    columns = dict.fromkeys(("open", "high", "low", "close"), np.ones(3))
    with pytest.raises(DataError, match="row 2"):
        BarBlock.from_columns(["X"], times, columns)


def test_shapes_and_missing_columns_are_named() -> None:
    times = np.array([1, 2], np.int64)
    with pytest.raises(DataError, match="'close'"):
        BarBlock.from_columns(["X"], times, dict.fromkeys(("open", "high", "low"), np.ones(2)))
    with pytest.raises(DataError, match="wrong shape"):
        BarBlock.from_columns(["X"], times, dict.fromkeys(("open", "high", "low", "close"), np.ones(3)))
    with pytest.raises(DataError, match="no bars"):
        concat([])


def test_volume_is_optional_and_absence_is_a_missing_close() -> None:
    close = np.array([1.0, np.nan])
    block = BarBlock.from_columns(
        ["X"], np.array([1, 2], np.int64), dict.fromkeys(("open", "high", "low", "close"), close)
    )
    assert np.isnan(block.volume).all()
    assert block.present.tolist() == [[True], [False]]


def test_kernels_get_arrays_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        BLOCK.kernel_view().close[0, 0] = 1.0
    assert BLOCK.close.flags.writeable
