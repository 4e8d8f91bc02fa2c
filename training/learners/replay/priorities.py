"""Priorities of the places of a ring: a sum tree, and sampling in proportion (Schaul et al., 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import DataError
from engine.base.state import State
from training.learners.replay.kernels import build, draw, set_all, set_from_errors

LEAST = 1e-6
"""What every priority has at least, so that no transition is lost for good."""


class Priorities:
    """Priorities of the places of a ring, and sampling in proportion to them.

    Args:
        capacity: Places.
        alpha: Exponent of the errors.
    """

    def __init__(self, capacity: int, alpha: float) -> None:
        self.alpha = float(alpha)
        self._leaves = 1 << max(capacity - 1, 0).bit_length()
        self._tree = np.zeros(2 * self._leaves)
        self._top = np.ones(1)

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return float(self._tree[1])

    def values(self, size: int) -> NDArray[np.float64]:
        """Priorities of the first `size` places; a copy."""
        return self._tree[self._leaves : self._leaves + size].copy()

    def add(self, index: NDArray[np.int64]) -> None:
        """New transitions get the largest priority so far (at first 1), so that each is soon seen."""
        set_all(self._tree, index, self._top[0])

    def update(self, index: NDArray[np.int64], errors: NDArray[np.float64]) -> bool:
        """Priorities from temporal-difference errors; False, and nothing changed, if one is not finite."""
        return bool(set_from_errors(self._tree, index, errors, self.alpha, LEAST, self._top))

    def sample(
        self, draws: NDArray[np.float64], size: int, beta: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and importance weights for uniform numbers of shape (n,), which are overwritten."""
        index = np.empty(len(draws), np.int64)
        weight = np.empty(len(draws), np.float32)
        draw(self._tree, draws, size, beta, index, weight)
        return index, weight

    def snapshot(self, size: int) -> State:
        """What `restore` takes."""
        return {"values": self.values(size), "top": float(self._top[0])}

    def restore(self, state: Mapping[str, Any], size: int) -> None:
        """Continue from a snapshot; the sums are recomputed and are the same."""
        self._tree[:] = 0.0
        self._tree[self._leaves : self._leaves + size] = fitting(state, "values", (size,), np.dtype(np.float64))
        self._top[0] = state["top"]
        build(self._tree)


def fitting(state: Mapping[str, Any], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array of that name in a saved state.

    Raises:
        DataError: If it is missing or has another shape or type.
    """
    array = np.asarray(state.get(name))
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{name} of the saved replay buffer does not fit",
            expected=f"{dtype} of shape {shape}",
            found=f"{array.dtype} of shape {array.shape}",
        )
    return array
