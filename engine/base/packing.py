"""State as bytes: named parts in one frame, and arrays that say what they hold.

What a live session saves is read by another process, perhaps of another version, so nothing is taken on trust: every
part is named, every array carries its type and shape, and every state names the settings that it was made under.
Equal states give equal bytes. A frame is

    "GMS1"  count u16  then for each part  name length u16, part length u64, name (UTF-8), part

and an array is the length of its description (u32), the description (JSON) and its bytes in C order; all integers are
little-endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError

MAGIC = b"GMS1"
MADE = "made"
_COUNT, _PART, _LENGTH = struct.Struct("<H"), struct.Struct("<HQ"), struct.Struct("<I")


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Named parts as one frame; `unpack` gives them back."""
    frame = [MAGIC, _COUNT.pack(len(parts))]
    for name, part in parts.items():
        word = name.encode()
        frame += [_PART.pack(len(word), len(part)), word, part]
    return b"".join(frame)


def unpack(frame: bytes, names: Sequence[str], late: Collection[str] = ()) -> dict[str, bytes]:
    """The parts of a frame by name.

    Args:
        frame: What `pack` gave.
        names: The parts that it must have, in this order.
        late: Those of them that a frame of an earlier release may lack.

    Raises:
        DataError: If it is not a whole frame of exactly these parts.
    """
    parts = _parts(frame)
    if parts is None:
        raise DataError(
            "the snapshot is damaged", expected=f"a whole frame of {', '.join(names)}", found=f"{len(frame)} bytes"
        )
    if tuple(parts) != tuple(name for name in names if name in parts or name not in late):
        raise DataError("the snapshot has other parts", expected=", ".join(names), found=", ".join(parts) or "none")
    return parts


def _parts(frame: bytes) -> dict[str, bytes] | None:
    """The parts whatever they are called; None for what is no frame."""
    parts: dict[str, bytes] = {}
    at = len(MAGIC) + _COUNT.size
    try:
        (count,) = _COUNT.unpack_from(frame, len(MAGIC))
        for _ in range(count):
            name_length, length = _PART.unpack_from(frame, at)
            at += _PART.size
            stop = at + name_length + length
            if stop > len(frame):
                return None
            parts[frame[at : at + name_length].decode()] = frame[at + name_length : stop]
            at = stop
    except (struct.error, UnicodeDecodeError):
        return None
    # a name that comes twice leaves too few parts
    return parts if frame[: len(MAGIC)] == MAGIC and at == len(frame) and len(parts) == count else None


def pack_array(array: NDArray[Any]) -> bytes:
    """An array of numbers or records with its type and shape."""
    description = _description(array.dtype, array.shape)
    return b"".join((_LENGTH.pack(len(description)), description, array.tobytes()))


def unpack_array(state: bytes, like: NDArray[Any], *, grows: bool = False) -> NDArray[Any]:
    """A new array from the output of `pack_array`.

    Args:
        state: The bytes.
        like: Has the type and shape that the array must have.
        grows: Whether the first axis may have any length.

    Raises:
        DataError: If type or shape are others, or bytes are missing.
    """
    shape = like.shape
    stop = _LENGTH.size
    try:
        stop += _LENGTH.unpack_from(state)[0]
        found = json.loads(state[_LENGTH.size : stop])["shape"]
        if grows and len(found) == len(shape):
            shape = (int(found[0]), *shape[1:])
    except (struct.error, ValueError, KeyError, TypeError):
        found = None
    body = state[stop:]
    whole = len(body) == like.dtype.itemsize * int(np.prod(shape))
    if not whole or state[_LENGTH.size : stop] != _description(like.dtype, shape):
        raise DataError(
            "an array of the snapshot does not fit",
            expected=f"{_dtype_text(like.dtype)} of shape {shape}",
            found=f"{len(body)} bytes, of shape {found}" if found is not None else "no array",
        )
    return np.frombuffer(body, like.dtype).reshape(shape).copy()


def pack_arrays(made: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays by name, and the settings under which they came about (see `describe`)."""
    return pack({MADE: describe(made), **{name: pack_array(array) for name, array in arrays.items()}})


def unpack_arrays(
    state: bytes,
    made: Mapping[str, Any],
    like: Mapping[str, NDArray[Any]],
    grows: Collection[str] = (),
    late: Collection[str] = (),
) -> dict[str, NDArray[Any]]:
    """New arrays by name.

    Args:
        state: What `pack_arrays` gave.
        made: The settings here, which must be those of the state.
        like: Has the types and shapes that the arrays must have.
        grows: Names of arrays whose first axis may have any length.
        late: Names of arrays that a state of an earlier release may lack; they are then not in the result.

    Raises:
        DataError: If settings, names, types or shapes are others.
    """
    parts = unpack(state, (MADE, *like), late)
    check_made(parts[MADE], made)
    return {
        name: unpack_array(parts[name], array, grows=name in grows) for name, array in like.items() if name in parts
    }


def describe(made: Mapping[str, Any]) -> bytes:
    """Settings as canonical JSON; what JSON does not know goes by its text."""
    return json.dumps(made, sort_keys=True, separators=(",", ":"), default=str).encode()


def check_made(found: bytes, made: Mapping[str, Any]) -> None:
    """Refuse a state that came about under other settings.

    Args:
        found: Of the state, as `describe` gave them.
        made: Those here.

    Raises:
        DataError: Naming the first setting that differs.
    """
    if found == describe(made):
        return
    try:
        theirs = json.loads(found)
    except ValueError:
        theirs = None
    ours = json.loads(describe(made))
    if not isinstance(theirs, dict) or describe(theirs) != found:
        raise DataError("the snapshot is damaged", expected="the settings it was made under")
    name = next(key for key in sorted({*theirs, *ours}) if _setting_text(theirs, key) != _setting_text(ours, key))
    raise DataError(
        "the snapshot was made under other settings",
        where=name,
        expected=_setting_text(ours, name),
        found=_setting_text(theirs, name),
        hint="continue with the agent, models and configuration that it was made with, or start a new run",
    )


def _setting_text(settings: Mapping[str, Any], name: str) -> str:
    # compared as text, so that NaN equals itself
    return json.dumps(settings[name], sort_keys=True) if name in settings else "nothing"


@lru_cache(maxsize=1024)
def _description(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    return describe({"dtype": np.lib.format.dtype_to_descr(dtype), "shape": shape})


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return f"records of {', '.join(dtype.names)}" if dtype.names else str(dtype)
