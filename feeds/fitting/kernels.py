"""Compiled loops of GJR-GARCH(1,1) with Student t innovations: what the data alone decides, likelihood, simulation."""

from __future__ import annotations

import math

from engine.base.compiled import kernel
from engine.types.blocks import Floats


@kernel
def mark_jumps(y: Floats, threshold: float, memory: float, start: float, bound: Floats, news: Floats) -> float:
    """Bounds of ordinary returns, each known before its return, and the squares that count as news.

    Args:
        y: Returns without the season, shape (n,).
        threshold: Deviations above which a return is a jump.
        memory: Of the exponentially weighted variance of earlier returns.
        start: First value of that variance.
        bound: Written: a return of this size or more is a jump, shape (n,).
        news: Written: squares of returns, each at most that of its bound, shape (n,).

    Returns:
        The variance after the last return.
    """
    local = start
    for t in range(len(y)):
        bound[t] = threshold * math.sqrt(local)
        news[t] = min(y[t] * y[t], bound[t] * bound[t])
        local = memory * local + (1.0 - memory) * news[t]
    return local


@kernel
def likelihood(
    y: Floats,
    bound: Floats,
    news: Floats,
    theta: Floats,
    table: Floats,
    origin: float,
    step: float,
    constants: Floats,
    scored: bool,
    out: Floats,
    outer: Floats,
) -> None:
    """Log-likelihood of the returns that are no jumps, its gradient, and the sum of outer products of scores.

    The density of a return that lies within its bound is that of the t law over the probability of the bound.

    Args:
        y, bound, news: As `mark_jumps` left them, shape (n,).
        theta: Long-run variance v, effects u of gains and d of losses, persistence beta of the variance, degrees of
            freedom nu, shape (5,).
        table: Logarithm of the probability within a bound, its derivative by the logarithm of the bound and its
            derivative by nu, at equal steps of the logarithm of the bound in deviations, shape (k, 3).
        origin, step: Logarithm of the bound at the first row of the table, and from one to the next.
        constants: Logarithm of the density's constant and its derivative by nu, shape (2,).
        scored: Whether `outer` is wanted.
        out: Written: log-likelihood and gradient, shape (6,).
        outer: Written, shape (5, 5).
    """
    v, u, d, beta, nu = theta[0], theta[1], theta[2], theta[3], theta[4]
    rest = 1.0 - 0.5 * (u + d) - beta
    h, dv, du, dd, db = v, 1.0, 0.0, 0.0, 0.0
    last = len(table) - 2
    for i in range(6):
        out[i] = 0.0
    for i in range(5):
        for j in range(5):
            outer[i, j] = 0.0
    for t in range(len(y)):
        size = abs(y[t])
        if size < bound[t]:
            log_h = math.log(h)
            place = (math.log(bound[t]) - 0.5 * log_h - origin) / step
            place = min(max(place, 0.0), last + 0.999999)
            k = int(place)
            x = place - k
            # cubic through both ends with their slopes, so that the gradient is that of the value
            p0, p1 = table[k, 0], table[k + 1, 0]
            m0, m1 = table[k, 1] * step, table[k + 1, 1] * step
            a = 2.0 * p0 + m0 - 2.0 * p1 + m1
            b = -3.0 * p0 - 2.0 * m0 + 3.0 * p1 - m1
            inside = p0 + x * (m0 + x * (b + x * a))
            slope = (m0 + x * (2.0 * b + x * 3.0 * a)) / step
            by_nu = table[k, 2] + x * (table[k + 1, 2] - table[k, 2])
            w = y[t] * y[t] / (h * (nu - 2.0))
            log_w = math.log1p(w)
            ratio = w / (1.0 + w)
            out[0] += constants[0] - 0.5 * log_h - 0.5 * (nu + 1.0) * log_w - inside
            by_h = (0.5 * (nu + 1.0) * ratio - 0.5 + 0.5 * slope) / h
            s4 = constants[1] - 0.5 * log_w + 0.5 * (nu + 1.0) * ratio / (nu - 2.0) - by_nu
            s0, s1, s2, s3 = by_h * dv, by_h * du, by_h * dd, by_h * db
            out[1] += s0
            out[2] += s1
            out[3] += s2
            out[4] += s3
            out[5] += s4
            if scored:
                scores = (s0, s1, s2, s3, s4)
                for i in range(5):
                    for j in range(5):
                        outer[i, j] += scores[i] * scores[j]
        gain, loss = (news[t], 0.0) if y[t] >= 0.0 else (0.0, news[t])
        dv = rest + beta * dv
        du = gain - 0.5 * v + beta * du
        dd = loss - 0.5 * v + beta * dd
        db = h - v + beta * db
        h = v * rest + u * gain + d * loss + beta * h


@kernel
def filtered(y: Floats, news: Floats, theta: Floats, h: Floats) -> None:
    """Variances of each return before it is known.

    Args:
        y, news: As `mark_jumps` left them, shape (n,).
        theta: As in `likelihood`.
        h: Written, shape (n,).
    """
    v, u, d, beta = theta[0], theta[1], theta[2], theta[3]
    level = v * (1.0 - 0.5 * (u + d) - beta)
    value = v
    for t in range(len(y)):
        h[t] = value
        value = level + (u if y[t] >= 0.0 else d) * news[t] + beta * value


@kernel
def simulate(
    shocks: Floats, theta: Floats, threshold: float, memory: float, state: Floats, y: Floats, h: Floats
) -> None:
    """Returns that follow the law whose likelihood is above.

    Args:
        shocks: In deviations, those of jumps too, shape (n,).
        theta: As in `likelihood`.
        threshold, memory: As in `mark_jumps`.
        state: Variance and local variance before the first return; those after the last are left here, shape (2,).
        y, h: Written: returns without the season and their variances, shape (n,).
    """
    v, u, d, beta = theta[0], theta[1], theta[2], theta[3]
    level = v * (1.0 - 0.5 * (u + d) - beta)
    value, local = state[0], state[1]
    for t in range(len(shocks)):
        h[t] = value
        y[t] = math.sqrt(value) * shocks[t]
        bound = threshold * math.sqrt(local)
        news = min(y[t] * y[t], bound * bound)
        local = memory * local + (1.0 - memory) * news
        value = level + (u if y[t] >= 0.0 else d) * news + beta * value
    state[0], state[1] = value, local


@kernel
def autoregressive(shocks: Floats, memory: float, start: float, out: Floats) -> None:
    """An autoregression of first order, shape (n,)."""
    value = start
    for t in range(len(shocks)):
        value = memory * value + shocks[t]
        out[t] = value
