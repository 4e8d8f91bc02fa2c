"""Sums over decisions from which ridge regressions are solved; those of parts add up to those of the whole."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats
from training.regression.terms import Array


class Moments(NamedTuple):
    """Of k terms x and m targets y, n decisions.

    Attributes:
        squares: Sum of x xT, shape (k, k).
        products: Sum of x yT, shape (k, m).
        sums: Of x, shape (k,).
        totals: Of y, shape (m,).
        decisions: How many.
    """

    squares: Floats
    products: Floats
    sums: Floats
    totals: Floats
    decisions: int

    @classmethod
    def of(cls, terms: Array, targets: Floats) -> Moments:
        """Of terms, shape (n, k), and targets, shape (n, m)."""
        aimed = targets.astype(np.float32)
        return cls(
            (terms.T @ terms).astype(np.float64),
            (terms.T @ aimed).astype(np.float64),
            terms.sum(axis=0, dtype=np.float64),
            targets.sum(axis=0),
            len(terms),
        )

    def plus(self, other: Moments, sign: int = 1) -> Moments:
        """Of both together, or with -1 of these without the others."""
        return Moments(
            self.squares + sign * other.squares,
            self.products + sign * other.products,
            self.sums + sign * other.sums,
            self.totals + sign * other.totals,
            self.decisions + sign * other.decisions,
        )

    def deviations(self) -> Floats:
        """Standard deviations of the terms, shape (k,); 1 where there is none."""
        mean = self.sums / self.decisions
        variance = np.diag(self.squares) / self.decisions - mean * mean
        return np.sqrt(np.where(variance > 1e-9, variance, 1.0))

    def solve(self, penalty: float, deviations: Floats) -> tuple[Floats, Floats]:
        """Weights of the terms, shape (k, m), and intercepts, shape (m,), of the ridge regression.

        Args:
            penalty: Of the squared weights of terms in units of `deviations`, in decisions; intercepts are free.
            deviations: Shape (k,).
        """
        centre, level = self.sums / self.decisions, self.totals / self.decisions
        square = (self.squares - self.decisions * np.outer(centre, centre)) / np.outer(deviations, deviations)
        product = (self.products - self.decisions * np.outer(centre, level)) / deviations[:, None]
        weights = np.linalg.solve(square + penalty * np.eye(len(centre)), product) / deviations[:, None]
        return weights, level - centre @ weights
