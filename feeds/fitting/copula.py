"""How shocks of several symbols come together: a t copula (Demarta & McNeil, 2005)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.types.blocks import Floats
from feeds.fitting.student import Student, density

FREEDOMS = (3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0, 100.0)
LEAST_EIGENVALUE = 1e-6
SCATTER_STEPS = 15


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
    """The likeliest correlations for each of a few degrees of freedom, and the likeliest of these.

    Args:
        shocks: At times at which every symbol has one, shape (n, S).
    """
    n, symbols = shocks.shape
    if symbols == 1 or n < 100:
        return Copula(np.eye(symbols), np.zeros((symbols, symbols)), FREEDOMS[-1])
    ranks = (np.argsort(np.argsort(shocks, axis=0, kind="stable"), axis=0) + 0.5) / n
    found = []
    for freedom in FREEDOMS:
        values = Student.of(freedom).quantile(ranks)
        correlation = _scatter(values, freedom)
        found.append((_log_likelihood(values, correlation, freedom), freedom, correlation))
    _, freedom, correlation = max(found, key=lambda one: one[0])
    # that of the correlation of a t law, whose information is less than the normal law's
    spread = math.sqrt((freedom + symbols + 2.0) / (freedom + symbols) / n)
    np.fill_diagonal(correlation, 1.0)
    return Copula(correlation, (1.0 - correlation**2) * spread, freedom)


def draw_copula(normal: Floats, gamma: Floats, copula: Copula) -> Floats:
    """Uniform numbers that come together as the copula says, shape (n, S).

    Args:
        normal: Standard normal, shape (n, S).
        gamma: Standard gamma of half the degrees of freedom, shape (n,).
    """
    mixed = normal @ np.linalg.cholesky(copula.correlation).T
    scale = np.sqrt((copula.freedom - 2.0) / (2.0 * np.maximum(gamma, 1e-300)))
    return Student.of(copula.freedom).probability(mixed * scale[:, None])


def _scatter(values: Floats, freedom: float) -> Floats:
    """Correlation of a t law by its fixed point (Liu & Rubin, 1995), shape (S, S)."""
    correlation: Floats = np.asarray(np.corrcoef(values.T), np.float64)
    for _ in range(SCATTER_STEPS):
        weight = (freedom + len(correlation)) / (freedom - 2.0 + _distances(values, correlation))
        scatter = (values * weight[:, None]).T @ values
        deviation = np.sqrt(np.diag(scatter))
        correlation = scatter / np.outer(deviation, deviation)
    values_, vectors = np.linalg.eigh(correlation)
    fixed = (vectors * np.maximum(values_, LEAST_EIGENVALUE)) @ vectors.T
    deviation = np.sqrt(np.diag(fixed))
    return np.asarray(fixed / np.outer(deviation, deviation))


def _distances(values: Floats, correlation: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", values @ np.linalg.pinv(correlation), values))


def _log_likelihood(values: Floats, correlation: Floats, freedom: float) -> float:
    """Of the copula, up to what does not depend on the degrees of freedom."""
    symbols = len(correlation)
    alone = float(np.log(density(values, freedom)).sum())
    distances = _distances(values, correlation)
    constant = math.lgamma((freedom + symbols) / 2) - math.lgamma(freedom / 2) - symbols / 2 * math.log(freedom - 2)
    determinant = float(np.linalg.slogdet(correlation)[1])
    joint = len(values) * (constant - 0.5 * determinant) - (freedom + symbols) / 2 * float(
        np.log1p(distances / (freedom - 2)).sum()
    )
    return joint - alone
