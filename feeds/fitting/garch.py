"""GJR-GARCH(1,1) with Student t innovations by maximum likelihood (Glosten et al., 1993; Bollerslev, 1987).

    y[t] = sqrt(h[t]) z[t]
    h[t+1] = omega + (alpha + gamma [y[t] < 0]) news[t] + beta h[t]

A return beyond a bound that was known before is a jump, as in Lee & Mykland (2008): the bound is a multiple of the
exponentially weighted deviation of earlier returns, so high that noise exceeds it in one sample of a hundred. Jumps
stay out of the likelihood, which is that of a t law within its bounds, and news counts up to the bound only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import Bools, Floats
from feeds.fitting import kernels
from feeds.fitting.minimising import Minimum, minimise
from feeds.fitting.student import ORIGIN, STEP, beyond, bounds_table, constants

LOCAL_MEMORY = 1.0 - 1.0 / 60.0
"""Of the local variance that bounds are multiples of: an hour of bars."""

FALSE_JUMPS = 0.01
"""Chance that noise alone exceeds the bound somewhere in a sample."""

NAMES = ("omega", "alpha", "gamma", "beta", "nu")
NU_LEAST, NU_MOST = 2.05, 200.0
BOUNDARY = 1e-6
SAME = 0.5
"""Two starts have found the same maximum if their log-likelihoods differ by less."""


class Garch(NamedTuple):
    """What was fitted.

    Attributes:
        theta: Long-run variance, effects of gains and losses, persistence beta, degrees of freedom, shape (5,).
        errors: Standard errors of omega, alpha, gamma, beta and nu (sandwich); NaN on a boundary, shape (5,).
        log_likelihood: At the maximum.
        starts, agreed: Searches, and how many of them ended at that maximum.
        converged: Whether the best one did.
        threshold: Deviations above which a return is a jump.
        jumps: Which of the returns that count are, shape (m,).
        expected: Jumps that the t law itself would show.
        variance: Of each of these, before it is known, shape (m,).
    """

    theta: Floats
    errors: Floats
    log_likelihood: float
    starts: int
    agreed: int
    converged: bool
    threshold: float
    jumps: Bools
    expected: float
    variance: Floats

    @property
    def parameters(self) -> dict[str, float]:
        """omega, alpha, gamma, beta and nu."""
        return dict(zip(NAMES, _natural(self.theta).tolist(), strict=True))


def jump_threshold(returns: int) -> float:
    """Deviations that the largest of so many normal returns exceeds in one sample of a hundred.

    Source: the limit law of the maximum in Lee & Mykland (2008), lemma 1, with a known deviation.
    """
    root = math.sqrt(2.0 * math.log(returns))
    centre = root - (math.log(math.pi) + math.log(math.log(returns))) / (2.0 * root)
    return centre - math.log(-math.log(1.0 - FALSE_JUMPS)) / root


class _Sample(NamedTuple):
    y: Floats
    bound: Floats
    news: Floats

    @classmethod
    def of(cls, y: Floats, threshold: float, seen: Bools | None = None) -> _Sample:
        bound, news = np.empty(len(y)), np.empty(len(y))
        kernels.mark_jumps(y, threshold, LOCAL_MEMORY, float(np.mean(np.minimum(y * y, 9 * y.var()))), bound, news)
        if seen is not None:
            bound[~seen] = 0.0  # no return lies within it, so that these stay out of the likelihood
        return cls(y, bound, news)

    def evaluate(self, theta: Floats, *, scored: bool = False) -> tuple[float, Floats, Floats]:
        """Log-likelihood, gradient by theta and sum of outer products of scores."""
        out, outer = np.empty(6), np.empty((5, 5))
        nu = float(theta[4])
        kernels.likelihood(
            self.y, self.bound, self.news, theta, bounds_table(nu), ORIGIN, STEP, constants(nu), scored, out, outer
        )
        return float(out[0]), out[1:], outer


def fit_garch(y: Floats, seen: Bools | None = None, starts: int = 4, seed: int = 0) -> Garch:
    """The most likely parameters.

    Args:
        y: Returns without the season, in order of time, shape (n,).
        seen: Which of them count; the others are guesses that only volatility learns from. All by default.
        starts: Searches: one from the usual values, the others from random ones.
        seed: Of those.

    Raises:
        DataError: If no search finds a maximum.
    """
    seen = np.ones(len(y), np.bool_) if seen is None else seen
    threshold = jump_threshold(int(np.count_nonzero(seen)))
    sample = _Sample.of(np.ascontiguousarray(y), threshold, seen)
    level = float(np.mean(sample.y[np.abs(sample.y) < sample.bound] ** 2))
    jumps = (np.abs(sample.y) >= sample.bound)[seen]

    def objective(point: Floats) -> tuple[float, Floats]:
        theta, jacobian = _theta(point, level)
        value, slope, _ = sample.evaluate(theta)
        if not (math.isfinite(value) and np.isfinite(slope).all()):
            return math.inf, np.zeros(len(point))
        return -value / len(y), -(jacobian.T @ slope) / len(y)

    ends = [minimise(objective, start) for start in _starts(starts, seed)]
    best = min(ends, key=lambda end: end.value)
    if not math.isfinite(best.value):
        raise DataError("no parameters of the volatility fit these bars", expected="returns that vary")
    theta, _ = _theta(best.point, level)
    agreed = sum(1 for end in ends if (end.value - best.value) * len(y) < SAME)
    variance = np.empty(len(y))
    kernels.filtered(sample.y, sample.news, theta, variance)
    return Garch(
        theta, _errors(sample, theta), -best.value * len(y), starts, agreed, _converged(best), threshold, jumps,
        _expected(sample.bound[seen], variance[seen], float(theta[4])), variance[seen],
    )  # fmt: skip


def _converged(end: Minimum) -> bool:
    return end.converged


def _expected(bound: Floats, variance: Floats, nu: float) -> float:
    edges = np.exp(ORIGIN + STEP * np.arange(400))
    return float(np.interp(bound / np.sqrt(variance), edges, beyond(edges, nu)).sum())


def _starts(count: int, seed: int) -> list[Floats]:
    """Points in the coordinates of `_theta`."""
    rng = np.random.Generator(np.random.PCG64(seed))
    found = [np.array([0.0, _logit(0.98), _logit(0.06), 0.0, math.log(3.0)])]
    for _ in range(count - 1):
        persistence, share, losses = rng.uniform(0.7, 0.998), rng.uniform(0.02, 0.4), rng.uniform(0.2, 0.8)
        freedom = math.exp(rng.uniform(0.0, 2.3))
        found.append(
            np.array([rng.normal(0.0, 0.3), _logit(persistence), _logit(share), _logit(losses), math.log(freedom)])
        )
    return found


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))


def _theta(point: Floats, level: float) -> tuple[Floats, Floats]:
    """Parameters from coordinates without bounds, and their derivatives, shape (5, 5).

    Coordinates: logarithm of the variance over the sample's; logits of the persistence, of the share of it that is
    news, and of the losses' part of that; logarithm of the degrees of freedom above the least.
    """
    scale = level * math.exp(min(max(float(point[0]), -6.0), 6.0))
    p, share, losses = (1.0 / (1.0 + math.exp(-min(max(float(x), -30.0), 30.0))) for x in point[1:4])
    news = p * share
    freedom = math.exp(min(max(float(point[4]), -20.0), math.log(NU_MOST)))
    theta = np.array([scale, 2 * news * (1 - losses), 2 * news * losses, p - news, NU_LEAST + freedom])
    by_p, by_share, by_losses = p * (1 - p), share * (1 - share), losses * (1 - losses)
    jacobian = np.zeros((5, 5))
    jacobian[0, 0], jacobian[4, 4] = scale, freedom
    jacobian[1:4, 1] = by_p * np.array([2 * share * (1 - losses), 2 * share * losses, 1 - share])
    jacobian[1:4, 2] = p * by_share * np.array([2 * (1 - losses), 2 * losses, -1.0])
    jacobian[1:3, 3] = 2 * news * by_losses * np.array([-1.0, 1.0])
    return theta, jacobian


def _natural(theta: Floats) -> Floats:
    v, u, d, beta, nu = theta
    return np.array([v * (1.0 - 0.5 * (u + d) - beta), u, d - u, beta, nu])


def _errors(sample: _Sample, theta: Floats) -> Floats:
    """Standard errors by the sandwich of White (1982), with the curvature from differences of the gradient."""
    free = np.flatnonzero(np.array([True, theta[1] > BOUNDARY, theta[2] > BOUNDARY, theta[3] > BOUNDARY, True]))
    rest = 1.0 - 0.5 * (theta[1] + theta[2]) - theta[3]
    near = 0.02 * np.minimum(theta[1:4], rest)  # no step leaves the stationary region
    steps = np.concatenate([[1e-3 * theta[0]], near, [1e-3 * theta[4]]])
    curvature = np.empty((5, 5))
    for k in free.tolist():
        ahead, behind = theta.copy(), theta.copy()
        ahead[k] += steps[k]
        behind[k] -= steps[k]
        curvature[k] = (sample.evaluate(ahead)[1] - sample.evaluate(behind)[1]) / (2.0 * steps[k])
    hessian = -0.5 * (curvature + curvature.T)[np.ix_(free, free)]
    outer = sample.evaluate(theta, scored=True)[2][np.ix_(free, free)]
    errors = np.full(5, np.nan)
    try:
        np.linalg.cholesky(hessian)
        inverse = np.linalg.inv(hessian)
    except np.linalg.LinAlgError:
        return errors  # the likelihood is flat or saddled here: there are no standard errors
    covariance = np.zeros((5, 5))
    covariance[np.ix_(free, free)] = inverse @ outer @ inverse
    v = theta[0]
    jacobian = np.array(
        [[rest, -0.5 * v, -0.5 * v, -v, 0], [0, 1, 0, 0, 0], [0, -1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1.0]]
    )
    errors[:] = np.sqrt(np.diag(jacobian @ covariance @ jacobian.T))
    if len(free) < 5:
        errors[[k for k in range(1, 4) if k not in free]] = np.nan
    return errors
