"""SHA-256 (FIPS 180-4) with its state in plain arrays, so that it can be saved in the middle of a stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.base.compiled import inlined, kernel

BLOCK = 64
"""Bytes that are taken in at once."""
WORDS = 8
"""32-bit words of the chaining value."""


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _root_bits(number: int, degree: int) -> int:
    """First 32 bits of the fractional part of a square or cube root, in exact integers."""
    scaled, low, high = number << (32 * degree), 0, number << 32
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= scaled else (low, middle - 1)
    return low & 0xFFFFFFFF


INITIAL = np.array([_root_bits(prime, 2) for prime in _primes(8)], np.uint32)
"""Section 5.3.3: from the square roots of the first 8 primes."""
CONSTANTS = np.array([_root_bits(prime, 3) for prime in _primes(64)], np.uint32)
"""Section 4.2.2: from the cube roots of the first 64 primes."""


@inlined
def rotated(word: Any, count: int) -> Any:
    """The word rotated right."""
    return np.uint32((word >> np.uint32(count)) | (word << np.uint32(32 - count)))


@inlined
def small_sigma_0(word: Any) -> Any:
    """Equation 4.6."""
    return np.uint32(rotated(word, 7) ^ rotated(word, 18) ^ (word >> np.uint32(3)))


@inlined
def small_sigma_1(word: Any) -> Any:
    """Equation 4.7."""
    return np.uint32(rotated(word, 17) ^ rotated(word, 19) ^ (word >> np.uint32(10)))


@inlined
def big_sigma_0(word: Any) -> Any:
    """Equation 4.4."""
    return np.uint32(rotated(word, 2) ^ rotated(word, 13) ^ rotated(word, 22))


@inlined
def big_sigma_1(word: Any) -> Any:
    """Equation 4.5."""
    return np.uint32(rotated(word, 6) ^ rotated(word, 11) ^ rotated(word, 25))


@inlined
def read_words(data: Any, start: int, schedule: Any) -> None:
    """The 16 big-endian words of a block into the front of the schedule."""
    for t in range(16):
        at = start + 4 * t
        high = (np.uint32(data[at]) << np.uint32(24)) | (np.uint32(data[at + 1]) << np.uint32(16))
        low = (np.uint32(data[at + 2]) << np.uint32(8)) | np.uint32(data[at + 3])
        schedule[t] = np.uint32(high | low)


@kernel
def compress(words: Any, data: Any, start: int, schedule: Any) -> None:
    """Take one block of 64 bytes into the chaining value; section 6.2.2.

    Args:
        words: Chaining value, uint32, shape (8,); changed.
        data: Bytes.
        start: Where in them the block begins.
        schedule: Scratch, uint32, shape (64,).
    """
    read_words(data, start, schedule)
    for t in range(16, 64):
        before = small_sigma_1(schedule[t - 2]) + schedule[t - 7]
        schedule[t] = np.uint32(before + small_sigma_0(schedule[t - 15]) + schedule[t - 16])
    a, b, c, d = words[0], words[1], words[2], words[3]
    e, f, g, h = words[4], words[5], words[6], words[7]
    for t in range(64):
        chosen = np.uint32((e & f) ^ (~e & g))
        majority = np.uint32((a & b) ^ (a & c) ^ (b & c))
        first = np.uint32(h + big_sigma_1(e) + chosen + CONSTANTS[t] + schedule[t])
        second = np.uint32(big_sigma_0(a) + majority)
        h, g, f, e = g, f, e, np.uint32(d + first)
        d, c, b, a = c, b, a, np.uint32(first + second)
    words[0] += a
    words[1] += b
    words[2] += c
    words[3] += d
    words[4] += e
    words[5] += f
    words[6] += g
    words[7] += h


@kernel
def absorb(words: Any, pending: Any, taken: Any, data: Any, schedule: Any) -> None:
    """Take bytes in: whole blocks into the chaining value, the rest aside.

    Args:
        words: Chaining value, uint32, shape (8,); state.
        pending: Bytes of the current block, uint8, shape (64,), 0 from its end on; state.
        taken: Bytes taken so far, int64, shape (1,); state.
        data: Bytes, uint8.
        schedule: Scratch, uint32, shape (64,).
    """
    size, at = data.shape[0], 0
    held = taken[0] % BLOCK
    taken[0] += size
    if held > 0:
        while held < BLOCK and at < size:
            pending[held] = data[at]
            held += 1
            at += 1
        if held < BLOCK:
            return
        compress(words, pending, 0, schedule)
        pending[:] = 0
    while size - at >= BLOCK:
        compress(words, data, at, schedule)
        at += BLOCK
    for place in range(size - at):
        pending[place] = data[at + place]
