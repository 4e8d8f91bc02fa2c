"""Random states, and whether two are the same, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from engine.base.state import Stateful, encode

RECORD = np.dtype([("id", np.int64), ("price", np.float32, (2,)), ("side", np.int8)], align=True)
scalars = st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats() | st.text(max_size=5)
arrays = nps.arrays(
    nps.scalar_dtypes() | st.just(RECORD),
    nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
keys = st.text(max_size=6) | st.sampled_from(["$", "$$", "$array", "$bytes", "$$array"])
trees = st.recursive(
    scalars | arrays | st.binary(max_size=20),
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3),
)


def same(one: Any, other: Any) -> bool:
    """Whether two trees hold the same, bit for bit and in the same order."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
        )
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return type(other) is float and one.hex() == other.hex()
    return type(one) is type(other) and bool(one == other)


def saved(part: Stateful) -> bytes:
    """The snapshot of a part, as it is kept; `part.restore(decode(...))` continues from it."""
    return encode(part.snapshot())
