from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.base.errors import DataError
from engine.base.restoring import array_of, arrays_of, check_made, describe, frozen, parts_of, snapshot_of
from engine.types.records import ACCOUNT

NESTED = np.dtype([("seen", np.int64), ("ring", np.float64, (3,))])


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("a", "c"), ()])
def test_other_parts_are_named(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="other parts") as caught:
        parts_of({"a": b"1", "b": b"2"}, names)
    assert caught.value.found == "a, b"


@pytest.mark.parametrize("state", [None, b"", 1, ["a"], "a", {1: 2}])
def test_what_has_no_parts_is_refused(state: Any) -> None:
    with pytest.raises(DataError, match="other parts"):
        parts_of(state, ("a",))


@given(hnp.arrays(st.sampled_from([np.float64, np.int64, np.uint8, np.bool_]), hnp.array_shapes(min_side=0)))
def test_arrays_are_copied_in_and_out_with_their_bits(array: np.ndarray[Any, Any]) -> None:
    kept = frozen(array)
    found = array_of(kept, np.empty_like(array), "a")
    for one in (kept, found):
        assert (one.dtype, one.shape, one.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert not np.shares_memory(one, array)
    assert found.flags.writeable and not np.shares_memory(found, kept)


@pytest.mark.parametrize("dtype", [ACCOUNT, NESTED])
def test_records_come_back(dtype: np.dtype[np.void]) -> None:
    records = np.frombuffer(np.random.default_rng(0).bytes(5 * dtype.itemsize), dtype)
    assert array_of(frozen(records), np.empty(5, dtype), "a").tobytes() == records.tobytes()
    assert len(array_of(records, np.empty(0, dtype), "a", grows=True)) == 5
    with pytest.raises(DataError, match="does not fit") as caught:
        array_of(records, np.empty(0, dtype), "a")
    assert caught.value.where == "a"


@pytest.mark.parametrize(
    "like",
    [np.empty((2, 3), np.int64), np.empty((3, 2)), np.empty(6), np.empty((1, 2, 3)), np.empty((2, 3), ">f8")],
)
@pytest.mark.parametrize("grows", [False, True])
def test_another_type_or_shape_is_refused(like: np.ndarray[Any, Any], grows: bool) -> None:
    with pytest.raises(DataError, match="does not fit"):
        array_of(np.ones((2, 3)), like, "a", grows=grows)


@pytest.mark.parametrize("found", [None, b"", [1.0, 1.0], 1.0])
def test_what_is_no_array_is_refused(found: Any) -> None:
    with pytest.raises(DataError, match="does not fit"):
        array_of(found, np.ones(2), "a", grows=True)


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
    for noise in ("", "[]", "{", "null", '{ "size":1}', None, 1, b"\xff"):
        with pytest.raises(DataError, match="under which settings"):
            check_made(noise, {"size": 1})


def test_arrays_with_their_settings() -> None:
    arrays = {"a": np.arange(3), "rows": np.ones((4, 2))}
    state = snapshot_of({"n": 1}, arrays)
    like = {"a": np.zeros(3, np.int64), "rows": np.zeros((0, 2))}
    found = arrays_of(state, {"n": 1}, like, grows={"rows"})
    assert all(found[name].tobytes() == arrays[name].tobytes() for name in arrays)
    with pytest.raises(DataError, match="does not fit"):
        arrays_of(state, {"n": 1}, like)
    with pytest.raises(DataError, match="other settings"):
        arrays_of(state, {"n": 2}, like, grows={"rows"})
