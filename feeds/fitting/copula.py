"""How shocks of several symbols come together: a t copula (Demarta & McNeil, 2005)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats
from feeds.fitting.student import Student, density

FREEDOMS = (3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0, 100.0)
LEAST_EIGENVALUE = 1e-6


class Copula(NamedTuple):
    """A t copula.

    Attributes:
        correlation: Shape (S, S).
        errors: Standard errors, shape (S, S).
        freedom: Degrees of freedom.
    """

    correlation: Floats
    errors: Floats
    freedom: float


def fit_copula(shocks: Floats) -> Copula:
    """Correlations from ranks, then the likeliest degrees of freedom of a few.

    Args:
        shocks: At times at which every symbol has one, shape (n, S).
    """
    n, symbols = shocks.shape
    if symbols == 1 or n < 100:
        return Copula(np.eye(symbols), np.zeros((symbols, symbols)), FREEDOMS[-1])
    ranks = (np.argsort(np.argsort(shocks, axis=0, kind="stable"), axis=0) + 0.5) / n
    # Spearman's correlation of an elliptical law, nearly (exactly for the normal one)
    correlation = _positive(2.0 * np.sin(math.pi / 6.0 * np.corrcoef(ranks.T)))
    best = max(FREEDOMS, key=lambda freedom: _log_likelihood(ranks, correlation, freedom))
    return Copula(correlation, (1.0 - correlation**2) / math.sqrt(n), best)


def draw_copula(normal: Floats, gamma: Floats, copula: Copula) -> Floats:
    """Uniform numbers that come together as the copula says, shape (n, S).

    Args:
        normal: Standard normal, shape (n, S).
        gamma: Standard gamma of half the degrees of freedom, shape (n,).
    """
    mixed = normal @ np.linalg.cholesky(copula.correlation).T
    scale = np.sqrt((copula.freedom - 2.0) / (2.0 * np.maximum(gamma, 1e-300)))
    return Student.of(copula.freedom).probability(mixed * scale[:, None])


def _positive(correlation: Floats) -> Floats:
    values, vectors = np.linalg.eigh(correlation)
    fixed = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    deviation = np.sqrt(np.diag(fixed))
    return np.asarray(fixed / np.outer(deviation, deviation))


def _log_likelihood(ranks: Floats, correlation: Floats, freedom: float) -> float:
    """Of the copula, up to what does not depend on the degrees of freedom."""
    symbols = len(correlation)
    values = Student.of(freedom).quantile(ranks)
    alone = float(np.log(density(values, freedom)).sum())
    distances = np.einsum("ij,ij->i", values @ np.linalg.inv(correlation), values)
    constant = math.lgamma((freedom + symbols) / 2) - math.lgamma(freedom / 2) - symbols / 2 * math.log(freedom - 2)
    joint = len(values) * constant - (freedom + symbols) / 2 * float(np.log1p(distances / (freedom - 2)).sum())
    return joint - alone
