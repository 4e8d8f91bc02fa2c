"""What a regression is fitted on: numbers made of the strategic agent's windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.spec import STRATEGIC_AGENT

Array = NDArray[np.float32]
Terms = Callable[[Array], Array]
"""From standardised windows, shape (n, 48, 13), to terms, shape (n, k)."""

HALF_LIVES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 48.0)
"""Of the weights of rows in an average, in rows of half an hour."""
MULTIPLIED = (1, 3, 5)
"""Averages whose products are terms: those of half-lives 1, 4 and 16."""
MOST = 5.0
"""Standardised features count up to here, so that no single bar decides a square."""


def _weights() -> Array:
    age = np.arange(STRATEGIC_AGENT.observation[0])[::-1]
    shares = np.stack([0.5 ** (age / half_life) for half_life in HALF_LIVES])
    found: Array = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


WEIGHTS = _weights()


def flat(windows: Array) -> Array:
    """The windows themselves: a linear regression."""
    return windows.reshape(len(windows), -1)


def averages(windows: Array) -> Array:
    """Exponential averages of each feature over several half-lives: a linear regression of few numbers."""
    found: Array = (WEIGHTS @ windows).reshape(len(windows), -1)
    return found


def quadratic(windows: Array) -> Array:
    """Exponential averages of each feature over several half-lives, those of its square, and products of averages.

    Averages say in few numbers what a window says of level and trend; a product of two says that one counts only where
    the other is large, or only in its direction, as a trend in a calm market.
    """
    seen = np.clip(windows, -MOST, MOST)
    averages = WEIGHTS @ seen
    squares = WEIGHTS @ (seen * seen)
    some = averages[:, MULTIPLIED].reshape(len(seen), -1)
    left, right = np.triu_indices(some.shape[1])
    parts = [averages.reshape(len(seen), -1), squares.reshape(len(seen), -1), some[:, left] * some[:, right]]
    return np.concatenate(parts, axis=1)
