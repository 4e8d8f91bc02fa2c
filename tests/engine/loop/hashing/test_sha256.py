"""SHA-256 with a state of its own, against hashlib and the examples of the standard."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DataError
from engine.loop.hashing.kernels import CONSTANTS, INITIAL
from engine.loop.hashing.sha256 import ResumableSha256


def digest(*parts: bytes) -> str:
    found = ResumableSha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_examples_of_the_standard(message: bytes, expected: str) -> None:
    assert digest(message) == expected


def test_constants_of_the_standard() -> None:
    assert (hex(INITIAL[0]), hex(INITIAL[7])) == ("0x6a09e667", "0x5be0cd19")
    assert (hex(CONSTANTS[0]), hex(CONSTANTS[63])) == ("0x428a2f98", "0xc67178f2")


def test_every_length_around_the_ends_of_blocks() -> None:
    data = np.random.default_rng(0).bytes(300)
    for length in range(300):
        assert digest(data[:length]) == hashlib.sha256(data[:length]).hexdigest()


PIECES = st.lists(st.binary(max_size=200), max_size=8)


@given(PIECES)
def test_pieces_are_hashed_as_hashlib_does(pieces: list[bytes]) -> None:
    found, expected = ResumableSha256(), hashlib.sha256()
    for piece in pieces:
        found.update(piece)
        expected.update(piece)
        assert found.hexdigest() == expected.hexdigest()  # asking on the way changes nothing


@given(PIECES, PIECES)
@settings(max_examples=60)
def test_a_snapshot_goes_on_with_the_same_digest(before: list[bytes], after: list[bytes]) -> None:
    first, second = ResumableSha256(), ResumableSha256()
    for piece in before:
        first.update(piece)
    second.update(b"something else, longer than a block of sixty-four bytes, that is forgotten by restoring")
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    whole = ResumableSha256()
    whole.update(b"".join(before))
    assert whole.snapshot() == first.snapshot()
    for piece in after:
        second.update(piece)
    assert second.hexdigest() == hashlib.sha256(b"".join(before + after)).hexdigest()


def test_whatever_has_a_buffer_is_hashed() -> None:
    numbers = np.arange(40, dtype=np.float64)
    expected = hashlib.sha256(numbers.tobytes()).hexdigest()
    for data in (numbers.data, numbers.tobytes(), memoryview(numbers.tobytes()), numbers.reshape(8, 5).data):
        assert digest(data) == expected  # type: ignore[arg-type] # a memoryview as well


def test_lengths_beyond_four_gigabytes_count_in_full() -> None:
    """The counter alone: 2^32 bytes of zeros would take half a minute."""
    one = ResumableSha256()
    one._taken[0] = 2**32
    assert one.hexdigest() != ResumableSha256().hexdigest()


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_a_damaged_snapshot_is_refused(cut: int) -> None:
    with pytest.raises(DataError, match="snapshot"):
        ResumableSha256().restore(ResumableSha256().snapshot()[:cut])
