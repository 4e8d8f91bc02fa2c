"""What a part carries from one block, row or episode to the next: a tree, one pair of methods, and one form as bytes.

A state is a tree: dictionaries with text keys and lists, whose leaves are texts, numbers, truth values, None, bytes,
NumPy arrays (records, too) and NumPy scalars. Whoever carries state gives it as such a tree (`Stateful`), parts
within parts; whoever keeps it (the journal, a checkpoint) makes it bytes once, with `encode` or `chunks`:

    "GMSTATE"  format u8  length of the text u64  text  bodies  sha256 of everything before it

The text is the tree as JSON. An array stands in it as {"$array": [dtype, shape]}, bytes as {"$bytes": length}; their
bodies follow in the order in which they stand there, in C order, as they lie in memory. A key that begins with "$" has
one "$" more there. Integers are little-endian.
Equal trees give equal bytes. The digest is verified before anything is believed, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError, UsageError

State = dict[str, Any]
"""A tree whose root is a dictionary, as nearly all are."""

FORMAT = 1
MAGIC = b"GMSTATE"
_HEAD = struct.Struct("<7sBQ")
_DIGEST_BYTES = 32
_MARK, _ARRAY, _SCALAR, _BYTES = "$", "$array", "$scalar", "$bytes"
_PLAIN = frozenset({str, int, float, bool, type(None)})
_EARLIER = {b"GMS1": ("", "the earlier form GMS1"), b"PK\x03\x04": ("a checkpoint", "a zip archive")}
"""How states of earlier releases begin: what they are, where only one thing was kept so, and in which form."""
_HINT = "continue from a copy, or from another state"
_OTHER_HINT = "continue with the release that wrote it, or from another state"


class OtherRelease(DataError):  # noqa: N818 - reads as what it is
    """A saved state that another release wrote, and only that one reads."""


class Stateful(Protocol):
    """Anything that can be saved and continued."""

    def snapshot(self) -> Any:
        """All that is carried, as a tree (see the module); equal states give equal trees.

        What happens later does not change the tree.
        """
        ...

    def restore(self, state: Any) -> None:
        """Continue from the `snapshot` of one made alike, which stays as it is.

        Raises:
            DataError: If it is not one.
        """
        ...


def encode(tree: Any) -> bytes:
    """A tree as bytes; `decode` gives it back.

    Raises:
        UsageError: If it holds something that a state cannot.
    """
    return b"".join(chunks(tree))


def chunks(tree: Any) -> Iterator[Any]:
    """What `encode` gives, piece by piece: large arrays are not copied.

    Raises:
        UsageError: If the tree holds something that a state cannot.
    """
    bodies: list[Any] = []
    text = json.dumps(_outline(tree, bodies, ""), separators=(",", ":")).encode()
    digest = sha256()
    for chunk in (_HEAD.pack(MAGIC, FORMAT, len(text)) + text, *bodies):
        digest.update(chunk)
        yield chunk
    yield digest.digest()


def decode(encoded: bytes | bytearray | memoryview, what: str = "the saved state") -> Any:
    """The tree; tuples come back as lists, arrays as new ones that can be written to.

    Args:
        what: How an error calls it.

    Raises:
        OtherRelease: If another release wrote it.
        DataError: If these are not the whole and unchanged bytes that `encode` gave.
    """
    view = memoryview(encoded)
    _check_mark(view, what)
    _, form, length = _HEAD.unpack_from(view)
    if sha256(view[:-_DIGEST_BYTES]).digest() != view[-_DIGEST_BYTES:]:
        raise _changed(view, what)
    if form != FORMAT:
        raise OtherRelease(
            f"{what} is of {'an earlier' if form < FORMAT else 'a later'} release",
            expected=f"format {FORMAT}",
            found=f"format {form}",
            hint=_OTHER_HINT,
        )
    bodies = _Bodies(view[_HEAD.size + length : -_DIGEST_BYTES])
    try:
        tree = _filled(json.loads(bytes(view[_HEAD.size : _HEAD.size + length])), bodies)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        # the digest fits: whoever wrote this has made it up
        raise _damaged(what, "a tree and the bodies of its arrays", str(error)) from error
    if bodies.left:
        raise _damaged(what, "a tree and the bodies of its arrays", f"{bodies.left:,} bytes more")
    return tree


def _check_mark(view: memoryview, what: str) -> None:
    """Refuse what does not begin as a state of this form does."""
    for mark, (name, form) in _EARLIER.items():
        if view[: len(mark)] == mark:
            said = f"this is {name} of an earlier release" if name else f"{what} is of an earlier release"
            expected = f"a state that begins with {MAGIC.decode()}"
            raise OtherRelease(said, expected=expected, found=form, hint=_OTHER_HINT)
    if view[: len(MAGIC)] != MAGIC:
        begins = "".join(chr(byte) if 32 < byte < 127 else "." for byte in view[: len(MAGIC)])
        found = f"{len(view):,} bytes that begin with {begins}" if len(view) else "nothing"
        expected = f"bytes that begin with {MAGIC.decode()}"
        raise DataError(f"{what} is damaged or is not one", expected=expected, found=found, hint=_HINT)
    least = _HEAD.size + _DIGEST_BYTES
    if len(view) < least:
        raise _damaged(what, f"at least {least} bytes", f"{len(view)} bytes: it is cut off")


def _changed(view: memoryview, what: str) -> DataError:
    """What is wrong with a state whose digest does not fit: its length, where that can still be known."""
    _, _, length = _HEAD.unpack_from(view)
    start, least, found = _HEAD.size, _HEAD.size + length + _DIGEST_BYTES, len(view)
    if least > found:
        return _damaged(what, f"at least {least:,} bytes", f"{found:,} bytes: it is cut off")
    try:
        whole = least + _length_of_bodies(json.loads(bytes(view[start : start + length])))
    except Exception:
        whole = found
    if whole != found and whole < 1 << 63:
        how = "it is cut off" if whole > found else "something was added"
        return _damaged(what, f"{whole:,} bytes, as it says itself", f"{found:,} bytes: {how}")
    return _damaged(what, "the bytes that were written", "others: the digest does not match")


def _length_of_bodies(tree: Any) -> int:
    if type(tree) is list:
        return sum(map(_length_of_bodies, tree))
    if type(tree) is not dict:
        return 0
    mark = next(iter(tree)) if len(tree) == 1 else ""
    if mark == _BYTES:
        return int(tree[mark])
    if mark in {_ARRAY, _SCALAR}:
        return int(_dtype(tree[mark][0]).itemsize * math.prod(tree[mark][1]))
    return sum(map(_length_of_bodies, tree.values()))


def _damaged(what: str, expected: str, found: str) -> DataError:
    return DataError(f"{what} is damaged", expected=expected, found=found, hint=_HINT)


def _outline(tree: Any, bodies: list[Any], where: str) -> Any:
    """The tree as JSON can hold it; bodies of arrays and bytes are added to the list."""
    if type(tree) in _PLAIN:
        return tree
    if isinstance(tree, Mapping):
        return {
            _escaped(k, where): v if type(v) in _PLAIN else _outline(v, bodies, f"{where}/{k}") for k, v in tree.items()
        }
    if isinstance(tree, list | tuple):
        return [v if type(v) in _PLAIN else _outline(v, bodies, f"{where}/{at}") for at, v in enumerate(tree)]
    if isinstance(tree, bytes | bytearray):
        bodies.append(bytes(tree))
        return {_BYTES: len(tree)}
    if isinstance(tree, np.ndarray | np.generic):
        array = np.asarray(tree)
        try:
            described = [_dtype_text(array.dtype), array.shape]
        except (TypeError, ValueError):
            raise _unfit(where, f"an array of {array.dtype}") from None
        bodies.append(_body(array))
        return {_ARRAY if isinstance(tree, np.ndarray) else _SCALAR: described}
    if isinstance(tree, str | int | float):  # as members of enumerations are
        return tree
    raise _unfit(where, type(tree).__name__)


def _escaped(key: Any, where: str) -> str:
    if type(key) is not str:
        raise _unfit(where, f"the key {key!r}")
    return _MARK + key if key.startswith(_MARK) else key


def _unescaped(key: str) -> str:
    if key.startswith(_MARK) and not key.startswith(2 * _MARK):
        raise ValueError(f"{key} stands where no tree has it")
    return key.removeprefix(_MARK)


def _unfit(where: str, found: str) -> UsageError:
    return UsageError(
        "this cannot be part of a state",
        where=where or "its root",
        expected="dictionaries with text keys, lists, texts, numbers, truth values, None, bytes, and arrays of numbers "
        "or records",
        found=found,
    )


def _body(array: NDArray[Any]) -> Any:
    if not array.nbytes:
        return b""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


class _Bodies:
    """The bodies of a state, taken one after the other."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    @property
    def left(self) -> int:
        return len(self._view) - self._at

    def take(self, length: int) -> memoryview:
        if not 0 <= length <= self.left:
            raise ValueError(f"a body of {length:,} bytes where {self.left:,} are left")
        self._at += length
        return self._view[self._at - length : self._at]


def _filled(tree: Any, bodies: _Bodies) -> Any:
    if type(tree) is list:
        return [v if type(v) in _PLAIN else _filled(v, bodies) for v in tree]
    if type(tree) is not dict:
        return tree
    mark = next(iter(tree)) if len(tree) == 1 else ""
    if mark not in {_BYTES, _ARRAY, _SCALAR}:
        return {_unescaped(k): v if type(v) in _PLAIN else _filled(v, bodies) for k, v in tree.items()}
    if mark == _BYTES:
        return bytes(bodies.take(tree[mark]))
    text, shape = tree[mark]
    dtype = _dtype(text)
    # a bytearray can be written to; copying elements would lose the bytes between the fields of records
    body = bytearray(bodies.take(dtype.itemsize * math.prod(shape)))
    array: NDArray[Any] = np.ndarray(tuple(shape), dtype, body)
    return array if mark == _ARRAY else array[()]


@lru_cache(maxsize=256)
def _dtype_text(dtype: np.dtype[Any]) -> str:
    text = json.dumps(np.lib.format.dtype_to_descr(dtype), separators=(",", ":"))
    if _dtype(text) != dtype:
        raise ValueError("a type that its description does not give back")
    return text


@lru_cache(maxsize=256)
def _dtype(text: str) -> np.dtype[Any]:
    def described(found: Any) -> Any:
        if isinstance(found, str):
            return found
        return [(name, described(kind), *map(tuple, shape)) for name, kind, *shape in found]

    dtype: np.dtype[Any] = np.lib.format.descr_to_dtype(described(json.loads(text)))
    if dtype.hasobject:
        raise ValueError("an array of objects, which would run code")
    return dtype
