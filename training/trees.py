"""State trees as JSON: arrays apart, numbers exactly as they were."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARRAY, FLOAT = "$array", "$float"
MARK = "$"


def encode(tree: Any, arrays: list[NDArray[Any]], where: str = "") -> Any:
    """A tree as JSON can hold it.

    Args:
        tree: Nested dictionaries and lists of arrays, numbers, texts, truth values and None.
        arrays: Takes the arrays; {"$array": "arrays/N.npy"} stands for the one at N. What JSON has no number for, as
            infinity, becomes {"$float": "inf"}.
        where: Path of the tree, for messages.

    Raises:
        TypeError: If a leaf is of another type, an array holds objects, or a key is no text or begins with "$".
    """
    if isinstance(tree, Mapping):
        for key in tree:
            if not isinstance(key, str) or key.startswith(MARK):
                raise TypeError(
                    f"{where or 'the tree'}: a key has to be a text that does not begin with $, not {key!r}"
                )
        return {key: encode(value, arrays, f"{where}/{key}") for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [encode(value, arrays, f"{where}/{at}") for at, value in enumerate(tree)]
    if isinstance(tree, np.ndarray):
        if tree.dtype.hasobject:
            raise TypeError(f"{where}: an array of objects cannot be saved")
        arrays.append(tree)
        return {ARRAY: f"arrays/{len(arrays) - 1}.npy"}
    if isinstance(tree, np.bool_ | np.integer | np.floating):
        tree = tree.item()
    if isinstance(tree, float) and not math.isfinite(tree):
        return {FLOAT: repr(float(tree))}
    if tree is None or isinstance(tree, str | bool | int | float):
        return tree
    raise TypeError(f"{where}: {type(tree).__name__} cannot be saved")


def decode(tree: Any, array: Callable[[str], NDArray[Any]]) -> Any:
    """The tree that `encode` was given; tuples come back as lists, NumPy's scalars as Python's.

    Args:
        tree: What `encode` gave.
        array: Gives the array of a name.

    Raises:
        ValueError: If it is nothing that `encode` gives.
    """
    if isinstance(tree, list):
        return [decode(value, array) for value in tree]
    if not isinstance(tree, dict):
        return tree
    marks = [key for key in tree if key.startswith(MARK)]
    if not marks:
        return {key: decode(value, array) for key, value in tree.items()}
    value = tree[marks[0]]
    if len(tree) != 1 or not isinstance(value, str):
        raise ValueError(f"a tree holds {marks[0]} beside something else")
    if marks == [ARRAY]:
        return array(value)
    if marks == [FLOAT] and value in {"inf", "-inf", "nan"}:
        return float(value)
    raise ValueError(f"a tree holds {marks[0]} {value!r}")


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of a tree and their paths, as "strategic/shared.0.weight"."""
    if isinstance(tree, np.ndarray):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{path}/{key}" if path else key)
    elif isinstance(tree, list | tuple):
        for at, value in enumerate(tree):
            yield from leaves(value, f"{path}/{at}" if path else str(at))
