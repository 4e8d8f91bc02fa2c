"""From bars to a GARCH model of all their symbols: season, jumps, volatility, volume, and how symbols move together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Bools, Floats, Ints
from engine.types.instruments import Instrument
from feeds.fitting.copula import fit_copula
from feeds.fitting.garch import Garch, fit_garch
from feeds.fitting.model import Joint, Parameter, SymbolModel, Volume
from feeds.fitting.preparing import Steps, steps_of
from feeds.fitting.seasons import mean_season, missing_season, scale_season, season_of_days
from feeds.fitting.volumes import fit_volume

MOST_COVERED = 30
MOST_JUMPS = 500
"""Kept of the jumps' shocks; more would say no more."""

BRIDGE_POINTS = (np.arange(32) + 0.5) / 32


class Fitted(NamedTuple):
    """One symbol's model with what the joint part is made from.

    Attributes:
        model: Of the symbol.
        after_gaps: Returns that were left out.
        outside: Bars that were left out.
        key: Session and minute of each return as one number, shape (n,).
        shock: Returns over their deviations, shape (n,).
        jumps: Which are jumps, shape (n,).
        gap_session: Sessions that begin with a step from the one before.
        gap: Those steps, in deviations of a minute.
    """

    model: SymbolModel
    after_gaps: int
    outside: int
    key: Ints
    shock: Floats
    jumps: Bools
    gap_session: Ints
    gap: Floats


def fit_symbols(
    block: BarBlock, instruments: Sequence[Instrument], starts: int, seed: int
) -> tuple[list[Fitted], Joint]:
    """Fit every symbol, then how they move together.

    Args:
        block: All bars, of a minute each.
        instruments: Of the symbols.
        starts: Searches for each symbol's parameters.
        seed: Of their random starts.

    Raises:
        DataError: If a symbol has too few bars, or never moves.
    """
    fitted = [
        _fit_symbol(name, steps_of(block, number, instrument), instrument, starts, seed)
        for number, (name, instrument) in enumerate(zip(block.symbols, instruments, strict=True))
    ]
    return fitted, _joint(fitted)


def _fit_symbol(name: str, steps: Steps, instrument: Instrument, starts: int, seed: int) -> Fitted:
    length = int(steps.slot.max()) + 1
    returns = steps.returns
    if not np.nanmax(np.abs(returns)) > 0.0:
        raise DataError("the price never moves", where=name, expected="bars with different prices")
    season = scale_season(returns, steps.slot, length)
    kept = np.flatnonzero(np.isfinite(returns))
    factors = season_of_days(returns, steps.session, steps.slot, length)
    garch = fit_garch(*_minutes(steps, factors), starts, seed)
    deviation = np.sqrt(garch.variance)
    shock = returns[kept] / factors[kept] / deviation
    known = np.isfinite(steps.volume)
    volume = None
    if known.any():
        traded = mean_season(steps.volume, steps.slot, length)
        law = fit_volume(steps.volume[kept], traded[steps.slot[kept]], garch.variance, float(garch.theta[0]), shock)
        volume = Volume(**law._asdict(), season=_rounded(traded)) if law else None
    nights = np.flatnonzero(steps.begins)[1:]
    model = SymbolModel(
        name=name,
        instrument=instrument,
        price=steps.last,
        parameters=_parameters(garch),
        variance=float(garch.theta[0]),
        persistence=float(0.5 * (garch.theta[1] + garch.theta[2]) + garch.theta[3]),
        log_likelihood=garch.log_likelihood,
        starts=garch.starts,
        agreed=garch.agreed,
        converged=garch.converged,
        threshold=garch.threshold,
        found=int(np.count_nonzero(garch.jumps)),
        expected=garch.expected,
        bounce=_bounce(steps),
        width=_width(steps, kept, deviation * factors[kept]),
        season=_rounded(season),
        missing=_rounded(missing_season(steps.session, steps.slot, length)),
        volume=volume,
    )
    key = steps.session[kept] * (1 << 20) + steps.slot[kept]
    gap = steps.gap[nights] / math.sqrt(model.variance)
    lost = len(returns) - len(kept)
    return Fitted(model, lost, steps.outside, key, shock, garch.jumps, steps.session[nights], gap)


def _minutes(steps: Steps, factors: Floats) -> tuple[Floats, Bools]:
    """Returns without the season of every minute, and which of them were seen.

    A return over missing bars is shared out evenly to the minutes that it covers: volatility learns from it, while its
    parts say nothing of the law of a minute.
    """
    seen = steps.begins | steps.follows
    covered = np.where(seen, 1, np.diff(steps.slot, prepend=steps.slot[:1]))
    covered = np.where(covered > MOST_COVERED, 0, covered)
    whole = np.where(steps.begins, steps.change, steps.gap + steps.change)
    y = whole / np.sqrt(np.maximum(covered, 1)) / factors
    return np.repeat(y, covered), np.repeat(seen, covered)


def _parameters(garch: Garch) -> dict[str, Parameter]:
    errors = [float(error) if math.isfinite(error) else None for error in garch.errors]
    found = {
        name: Parameter(value=value, error=error)
        for (name, value), error in zip(garch.parameters.items(), errors, strict=True)
    }
    n, jumps = len(garch.jumps), int(np.count_nonzero(garch.jumps))
    rate = max(0.0, jumps - garch.expected) / n
    return {**found, "jumps": Parameter(value=rate, error=math.sqrt(max(jumps, 1)) / n)}


def _bounce(steps: Steps) -> float:
    inside = steps.follows
    whole = steps.gap[inside] + steps.change[inside]
    return min(float(np.mean(steps.gap[inside] ** 2) / max(float(np.mean(whole**2)), 1e-300)), 0.9)


def _width(steps: Steps, kept: Ints, deviation: Floats) -> float:
    """Deviation of the bridge inside a bar, of the conditional one, at which ranges are as wide as the data's."""
    change, wanted = steps.change[kept], float((steps.high - steps.low)[kept].mean())
    low, high = 0.0, 8.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _mean_range(change, middle * deviation) < wanted else (low, middle)
    return 0.5 * (low + high)


def _mean_range(change: Floats, width: Floats) -> float:
    """Mean range of bridges over their change: rise and fall by the law of their extremes."""
    spread = np.zeros(len(change))
    for log in np.log1p(-BRIDGE_POINTS).tolist():
        spread += np.sqrt(change**2 - 2.0 * width**2 * log)
    return float(spread.mean()) / len(BRIDGE_POINTS)


def _joint(fitted: Sequence[Fitted]) -> Joint:
    keys = fitted[0].key
    for one in fitted[1:]:
        keys = np.intersect1d(keys, one.key)
    places = [np.searchsorted(one.key, keys) for one in fitted]
    shocks = np.stack([one.shock[at] for one, at in zip(fitted, places, strict=True)], axis=1)
    jumps = np.stack([one.jumps[at] for one, at in zip(fitted, places, strict=True)], axis=1)
    ordinary = ~jumps.any(axis=1)
    # with jumps: without what is large in one symbol, the largest moves that they make together would be missing
    copula = fit_copula(shocks)
    rows = np.where(jumps, shocks, np.nan)[~ordinary]
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_JUMPS)).astype(np.int64)] if len(rows) else rows
    return Joint(
        correlation=tuple(map(_rounded, copula.correlation)),
        errors=tuple(map(_rounded, copula.errors)),
        freedom=copula.freedom,
        jumps=tuple(tuple(None if math.isnan(x) else float(f"{x:.6g}") for x in row) for row in rows.tolist()),
        gaps=_gaps(fitted),
    )


def _gaps(fitted: Sequence[Fitted]) -> tuple[tuple[float, ...], ...]:
    sessions = fitted[0].gap_session
    for one in fitted[1:]:
        sessions = np.intersect1d(sessions, one.gap_session)
    columns = [one.gap[np.searchsorted(one.gap_session, sessions)] for one in fitted]
    return tuple(map(_rounded, np.stack(columns, axis=1))) if len(sessions) else ()


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values.tolist())
