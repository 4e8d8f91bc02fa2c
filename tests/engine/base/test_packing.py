from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.base.errors import DataError
from engine.base.packing import (
    MAGIC,
    check_made,
    describe,
    pack,
    pack_array,
    pack_arrays,
    unpack,
    unpack_array,
    unpack_arrays,
)
from engine.types.records import ACCOUNT

PARTS = st.dictionaries(st.text(max_size=8), st.binary(max_size=40), max_size=5)
NESTED = np.dtype([("seen", np.int64), ("ring", np.float64, (3,))])


@given(PARTS)
def test_parts_come_back(parts: dict[str, bytes]) -> None:
    assert unpack(pack(parts), tuple(parts)) == parts


@given(PARTS, st.data())
def test_a_frame_cut_short_or_run_over_is_damaged(parts: dict[str, bytes], data: st.DataObject) -> None:
    frame = pack(parts)
    stop = data.draw(st.integers(0, len(frame) - 1))
    for wrong in (frame[:stop], frame + b"\0"):
        with pytest.raises(DataError, match="damaged"):
            unpack(wrong, tuple(parts))


@given(st.binary(max_size=60))
def test_noise_is_refused(noise: bytes) -> None:
    for frame in (noise, MAGIC + noise):
        with pytest.raises(DataError):
            unpack(frame, ("a",))


@pytest.mark.parametrize("names", [("a",), ("b", "a"), ("a", "b", "c"), ("a", "c"), ()])
def test_other_parts_are_named(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="other parts") as caught:
        unpack(pack({"a": b"1", "b": b"2"}), names)
    assert caught.value.found == "a, b"


@given(hnp.arrays(st.sampled_from([np.float64, np.int64, np.uint8, np.bool_]), hnp.array_shapes(min_side=0)))
def test_arrays_come_back_writable_with_their_bits(array: np.ndarray[Any, Any]) -> None:
    found = unpack_array(pack_array(array), np.empty_like(array))
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert found.flags.writeable and found.flags.owndata


@pytest.mark.parametrize("dtype", [ACCOUNT, NESTED])
def test_records_come_back(dtype: np.dtype[np.void]) -> None:
    records = np.frombuffer(np.random.default_rng(0).bytes(5 * dtype.itemsize), dtype)
    assert unpack_array(pack_array(records), np.empty(5, dtype)).tobytes() == records.tobytes()
    assert len(unpack_array(pack_array(records), np.empty(0, dtype), grows=True)) == 5
    with pytest.raises(DataError, match="does not fit"):
        unpack_array(pack_array(records), np.empty(0, dtype))


@pytest.mark.parametrize(
    "like",
    [np.empty((2, 3), np.int64), np.empty((3, 2)), np.empty(6), np.empty((1, 2, 3)), np.empty((2, 3), ">f8")],
)
@pytest.mark.parametrize("grows", [False, True])
def test_another_type_or_shape_is_refused(like: np.ndarray[Any, Any], grows: bool) -> None:
    with pytest.raises(DataError, match="does not fit"):
        unpack_array(pack_array(np.ones((2, 3))), like, grows=grows)


@given(st.integers(0, 60))
def test_an_array_cut_short_is_refused(stop: int) -> None:
    state = pack_array(np.ones((2, 3)))
    with pytest.raises(DataError, match="does not fit"):
        unpack_array(state[: len(state) - 1 - stop], np.ones((2, 3)), grows=True)


@given(st.binary(max_size=30))
def test_noise_is_no_array(noise: bytes) -> None:
    with pytest.raises(DataError, match="does not fit"):
        unpack_array(noise, np.ones(2), grows=True)


def test_settings_that_differ_are_named() -> None:
    made = {"agent": "A", "size": 1.5, "nothing": float("nan"), "symbols": ("X", "Y")}
    check_made(describe(made), dict(reversed(made.items())))
    for key, value in (("size", 2.0), ("symbols", ["X"]), ("agent", "B")):
        with pytest.raises(DataError, match="other settings") as caught:
            check_made(describe({**made, key: value}), made)
        assert caught.value.where == key
    with pytest.raises(DataError) as caught:
        check_made(describe({}), {"size": 1})
    assert (caught.value.where, caught.value.found) == ("size", "nothing")
    for noise in (b"", b"[]", b"{", b"null", b"\xff", b'{ "size":1}'):
        with pytest.raises(DataError, match="damaged"):
            check_made(noise, {"size": 1})


def test_arrays_with_their_settings() -> None:
    arrays = {"a": np.arange(3), "rows": np.ones((4, 2))}
    state = pack_arrays({"n": 1}, arrays)
    like = {"a": np.zeros(3, np.int64), "rows": np.zeros((0, 2))}
    found = unpack_arrays(state, {"n": 1}, like, grows={"rows"})
    assert all(found[name].tobytes() == arrays[name].tobytes() for name in arrays)
    with pytest.raises(DataError, match="does not fit"):
        unpack_arrays(state, {"n": 1}, like)
    with pytest.raises(DataError, match="other settings"):
        unpack_arrays(state, {"n": 2}, like, grows={"rows"})
