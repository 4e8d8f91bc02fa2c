"""States as bytes: every tree comes back bit for bit, and whatever is not exactly what was written is refused."""

from __future__ import annotations

import json
import math
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from engine.base.errors import DataError, UsageError
from engine.base.state import FORMAT, MAGIC, OtherRelease, chunks, decode, encode
from engine.types.records import ACCOUNT
from tests.trees import same, trees

SMALL = {"weights": {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}, "best": -math.inf, "raw": b"ab", "steps": 7}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_every_tree_comes_back_bit_for_bit(tree: Any) -> None:
    encoded = encode(tree)
    assert same(decode(encoded), tree)
    assert encode(decode(encoded)) == encoded


# fields with titles are not kept
DTYPES = nps.array_dtypes().filter(lambda dtype: len(dtype.fields) == len(dtype.names))


@given(nps.arrays(DTYPES | nps.scalar_dtypes() | st.just(ACCOUNT), nps.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back_writable_with_type_shape_and_bits(array: np.ndarray[Any, Any]) -> None:
    for one in (array, array.T, array[..., ::2] if array.ndim else array):
        found = decode(encode(one))
        assert (found.dtype, found.shape, found.tobytes()) == (one.dtype, one.shape, one.tobytes())
        assert found.flags.writeable and found.flags.c_contiguous


@pytest.mark.parametrize("scalar", [np.float32(0.1), np.int64(-3), np.bool_(True), np.ones(1, ACCOUNT)[0]])
def test_scalars_and_records_come_back(scalar: Any) -> None:
    found = decode(encode([scalar]))[0]
    assert type(found) is type(scalar) and found.dtype == scalar.dtype and found.tobytes() == scalar.tobytes()


def test_large_arrays_are_not_copied() -> None:
    array = np.zeros(1 << 16)
    pieces = list(chunks({"a": array}))
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), array) for piece in pieces if len(piece) > 1 << 16)
    assert b"".join(pieces) == encode({"a": array})


@pytest.mark.parametrize("leaf", [object(), {1, 2}, np.array([object()]), {1: 2}, 1j])
def test_what_cannot_be_kept_exactly_is_refused(leaf: Any) -> None:
    with pytest.raises(UsageError, match="cannot be part of a state") as caught:
        encode({"inner": [0, leaf]})
    assert caught.value.where == "/inner/1"


def test_every_changed_bit_is_refused() -> None:
    encoded = encode(SMALL)
    for at in range(len(encoded)):
        for bit in range(8):
            spoiled = bytearray(encoded)
            spoiled[at] ^= 1 << bit
            with pytest.raises(DataError):
                decode(spoiled)


def test_every_truncation_and_every_addition_is_refused() -> None:
    encoded = encode(SMALL)
    for length in range(len(encoded)):
        with pytest.raises(DataError):
            decode(encoded[:length])
    for longer in (encoded + b"\0", b"\0" + encoded, encoded + encoded):
        with pytest.raises(DataError):
            decode(longer)


@given(st.binary(max_size=80))
def test_noise_is_refused(noise: bytes) -> None:
    for encoded in (noise, MAGIC + noise, MAGIC + bytes([FORMAT]) + noise):
        with pytest.raises(DataError):
            decode(encoded)


def test_another_format_is_named() -> None:
    newer = crafted(b"1", form=FORMAT + 1)
    with pytest.raises(OtherRelease, match="is of a later release") as caught:
        decode(newer)
    assert (caught.value.expected, caught.value.found) == (f"format {FORMAT}", f"format {FORMAT + 1}")
    assert caught.value.hint
    with pytest.raises(OtherRelease, match="is of an earlier release"):
        decode(crafted(b"1", form=FORMAT - 1))
    with pytest.raises(OtherRelease, match="the saved state of the feed is of an earlier release"):
        decode(b"GMS1" + bytes(100), "the saved state of the feed")
    with pytest.raises(OtherRelease, match="this is a checkpoint of an earlier release"):
        decode(b"PK\3\4" + bytes(100))
    with pytest.raises(DataError, match="damaged") as caught:
        decode(newer[:-1] + b"\0")  # of no release: its digest is wrong
    assert not isinstance(caught.value, OtherRelease) and "release" not in str(caught.value)


def test_a_state_that_is_cut_off_or_longer_says_so() -> None:
    encoded = encode(SMALL)
    for spoiled, how in ((encoded[:-9], "cut off"), (encoded[:60], "cut off"), (encoded + b"more", "added")):
        with pytest.raises(DataError, match="is damaged") as caught:
            decode(spoiled)
        assert caught.value.found is not None and f"{len(spoiled)} bytes: " in caught.value.found
        assert how in caught.value.found and "release" not in str(caught.value)
    with pytest.raises(DataError) as caught:
        decode(encoded[:-9])
    assert caught.value.expected == f"{len(encoded)} bytes, as it says itself"


def crafted(text: bytes, bodies: bytes = b"", form: int = FORMAT) -> bytes:
    """Bytes whose digest fits, as whoever means harm would make them."""
    head = MAGIC + bytes([form]) + len(text).to_bytes(8, "little")
    return head + text + bodies + sha256(head + text + bodies).digest()


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_the_crafted_state_is_read_where_it_is_honest() -> None:
    assert decode(crafted(b'{"a":{"$bytes":2}}', b"xy")) == {"a": b"xy"}


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    body = pickle.dumps(Runs(tmp_path / "ran"))
    for dtype in ('"|O"', '[["a","|O"]]'):
        text = json.dumps({"a": {"$array": [dtype, [len(body) // 8]]}}).encode()
        with pytest.raises(DataError):
            decode(crafted(text, body[: len(body) // 8 * 8]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":{"$array":["\\"<f8\\"",[7]]}}',
        b'{"a":{"$array":["\\"<f8\\"",[-1]]}}',
        b'{"a":{"$array":["\\"<f8\\"",[1e300]]}}',
        b'{"a":{"$array":["\\"<f8\\"",[1152921504606846976]]}}',
        b'{"a":{"$array":["\\"<f8\\"",[4611686018427387904,0]]}}',
        b'{"a":{"$array":["\\"<f8\\"",null]}}',
        b'{"a":{"$array":["[[1]]",[0]]}}',
        b'{"a":{"$bytes":-1}}',
        b'{"a":{"$bytes":"1"}}',
        b'{"a":{"$bytes":1,"b":1}}',
        b'{"a":{"$code":"1"}}',
        b"{",
        b"\xff",
        b"",
        b"[" * 100_000,
    ],
)
def test_a_crafted_tree_is_refused(text: bytes) -> None:
    with pytest.raises(DataError, match="damaged"):
        decode(crafted(text))
    with pytest.raises(DataError, match="damaged"):
        decode(crafted(b"1", b"more"))
