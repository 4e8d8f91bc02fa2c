"""Checks on a state that is about to be restored: its parts, its arrays, and the settings that it was made under.

What a live session saves is read by another process, perhaps of another version, so nothing is taken on trust: every
part is named, every array has its type and shape, and every state names the settings that it was made under.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError
from engine.base.state import State

MADE = "made"


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A copy for a snapshot, read-only; by bytes, since NumPy copies records field by field."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def snapshot_of(made: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> State:
    """A state of arrays by name, and the settings under which they came about (see `describe`)."""
    return {MADE: describe(made), **{name: frozen(array) for name, array in arrays.items()}}


def arrays_of(
    state: Any, made: Mapping[str, Any], like: Mapping[str, NDArray[Any]], grows: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """New arrays by name from what `snapshot_of` gave.

    Args:
        state: The state.
        made: The settings here, which must be those of the state.
        like: Has the types and shapes that the arrays must have.
        grows: Names of arrays whose first axis may have any length.

    Raises:
        DataError: If settings, names, types or shapes are others.
    """
    parts = parts_of(state, (MADE, *like))
    check_made(parts[MADE], made)
    return {name: array_of(parts[name], array, name, grows=name in grows) for name, array in like.items()}


def parts_of(state: Any, names: Sequence[str]) -> State:
    """The parts of a state.

    Raises:
        DataError: If it is not a dictionary of exactly these names.
    """
    if not isinstance(state, dict) or set(state) != set(names):
        found = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise DataError("the snapshot has other parts", expected=", ".join(names) or "none", found=found or "none")
    return state


def array_of(found: Any, like: NDArray[Any], name: str, *, grows: bool = False) -> NDArray[Any]:
    """A new array, which must be alike.

    Args:
        found: What the state holds.
        like: Has the type and shape that it must have.
        name: Of the part, for the message.
        grows: Whether the first axis may have any length.

    Raises:
        DataError: If type or shape are others.
    """
    wanted = like.shape
    if isinstance(found, np.ndarray) and found.dtype == like.dtype and found.ndim == like.ndim:
        if grows and found.ndim:
            wanted = (len(found), *wanted[1:])
        if found.shape == wanted:
            return np.frombuffer(bytearray(found.tobytes()), found.dtype).reshape(wanted)
    raise DataError(
        "an array of the snapshot does not fit",
        where=name,
        expected=f"{_dtype_text(like.dtype)} of shape {wanted}",
        found=f"{_dtype_text(found.dtype)} of shape {found.shape}" if isinstance(found, np.ndarray) else "no array",
    )


def describe(made: Mapping[str, Any]) -> str:
    """Settings as canonical JSON; what JSON does not know goes by its text."""
    return json.dumps(made, sort_keys=True, separators=(",", ":"), default=str)


def check_made(found: Any, made: Mapping[str, Any]) -> None:
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
    except (ValueError, TypeError):
        theirs = None
    ours = json.loads(describe(made))
    if not isinstance(theirs, dict) or describe(theirs) != found:
        raise DataError("the snapshot does not say under which settings it was made", expected=describe(made))
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


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return f"records of {', '.join(dtype.names)}" if dtype.names else str(dtype)
