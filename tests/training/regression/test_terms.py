"""The terms of a quadratic regression, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from training.regression.terms import HALF_LIVES, MOST, MULTIPLIED, flat, quadratic


def test_averages_squares_and_products() -> None:
    windows = np.random.default_rng(5).normal(0.0, 3.0, (3, 48, 13)).astype(np.float32)
    found = quadratic(windows)
    for window, terms in zip(windows, found, strict=True):
        seen = window.clip(-MOST, MOST).astype(np.float64)
        averages, squares = [], []
        for half_life in HALF_LIVES:
            weights = np.array([0.5 ** ((47 - row) / half_life) for row in range(48)])
            averages.append((weights[:, None] * seen).sum(axis=0) / weights.sum())
            squares.append((weights[:, None] * seen**2).sum(axis=0) / weights.sum())
        some = np.concatenate([averages[number] for number in MULTIPLIED])
        products = [some[i] * some[j] for i in range(len(some)) for j in range(i, len(some))]
        expected = np.concatenate([*averages, *squares, products])
        assert terms == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert flat(windows).shape == (3, 48 * 13)
