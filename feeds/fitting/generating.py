"""Bars from a fitted market, of all its symbols together: paths of a GARCH model, or whole sessions drawn again.

Every kind of number comes from a stream of its own that is read in order of time, so that a longer series begins with
the shorter one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock, Bools, Floats, Ints
from engine.types.calendar import sessions_between
from engine.types.instruments import Instrument
from feeds.fitting import kernels
from feeds.fitting.copula import Copula, draw_copula
from feeds.fitting.garch import LOCAL_MEMORY
from feeds.fitting.model import FittedModel, Joint, Sampled, SymbolModel
from feeds.fitting.preparing import session_places
from feeds.fitting.sampling import COLUMNS
from feeds.fitting.student import Student
from feeds.fitting.volumes import VolumeLaw, draw_volume, explained
from feeds.generators_bars import LARGEST_LOG, Draws, close_times
from feeds.stylised.resampling import runs_of
from feeds.synthetic import bridged_prices, to_grid, traded

BURN_IN = 3000
"""Minutes before the first one, so that a series begins in any state."""

LEAST_SHARE = 0.1
"""Of its variance that a return keeps when the part that rounding to ticks adds is taken off."""

UNKNOWN_VOLUME = 1.0
CHUNK = 4096


class Minutes(NamedTuple):
    """Minutes of open market, each of shape (n,).

    Attributes:
        ts_event: Close times, nanoseconds UTC.
        session: Number of the session since the first minute's.
        slot: Minute of the session, from 0.
    """

    ts_event: Ints
    session: Ints
    slot: Ints

    @classmethod
    def after(cls, instrument: Instrument, count: int, start_ns: int) -> Minutes:
        """So many after a time."""
        times = close_times(instrument, count, start_ns)
        sessions = sessions_between(instrument, int(times[0]), int(times[-1]))
        session, slot, _ = session_places(times, sessions)
        return cls(times, session - session[0], slot)


def generate_market(
    model: FittedModel,
    arrays: Mapping[str, Floats],
    instruments: Sequence[Instrument],
    bars: int,
    start_ns: int,
    draws: Draws,
    prices: Sequence[float],
    drift: float = 0.0,
) -> BarBlock:
    """Rows of a fitted market.

    Args:
        model: Fitted.
        arrays: Sessions of a bootstrap model; otherwise not read.
        instruments: Of the symbols: names, ticks, sizes. Their calendar is that of the model.
        bars: Rows; in each, at least one symbol has a bar.
        start_ns: Bars close after this time, nanoseconds UTC.
        draws: Streams of random numbers.
        prices: Before the first bar, of each symbol.
        drift: Log return a minute.

    Raises:
        UsageError: If prices run away.
    """
    if model.sampled:
        minutes, columns = _sampled(model.sampled, arrays, bars, start_ns, instruments, draws, prices, drift)
    else:
        minutes, absent = _present(model.symbols, instruments[0], bars, start_ns, draws)
        columns = _paths(model, minutes, absent, instruments, draws, prices, drift)
    present = np.isfinite(columns["close"])
    kept = np.flatnonzero(present.any(axis=1))[:bars]
    picked = {name: columns[name][kept] for name in BAR_COLUMNS}
    names = tuple(one.name for one in instruments)
    return BarBlock.from_columns(names, minutes.ts_event[kept], picked, present[kept])


def _present(
    symbols: Sequence[SymbolModel], instrument: Instrument, bars: int, start_ns: int, draws: Draws
) -> tuple[Minutes, Bools]:
    """As many minutes as hold the bars that are wanted, and which symbols have none in each, shape (n, S)."""
    uniform = np.empty((0, len(symbols)))
    while True:
        more = max(bars - len(uniform), 0) + CHUNK
        uniform = np.concatenate([uniform, draws["events"].random((more, len(symbols)))])
        minutes = Minutes.after(instrument, len(uniform), start_ns)
        absent = uniform < np.stack([_by_slot(one.missing, minutes.slot) for one in symbols], axis=1)
        absent[0, 0] = False  # a series begins with its first minute
        rows = np.flatnonzero(~absent.all(axis=1))
        if len(rows) >= bars:
            n = int(rows[bars - 1]) + 1
            return Minutes(*(column[:n] for column in minutes)), absent[:n]


def _paths(
    model: FittedModel, minutes: Minutes, absent: Bools, instruments: Sequence[Instrument], draws: Draws,
    prices: Sequence[float], drift: float,
) -> dict[str, Floats]:  # fmt: skip
    joint = model.joint
    assert joint is not None  # noqa: S101 - a model of this kind has it
    n, symbols = len(minutes.slot), len(model.symbols)
    shocks = _shocks(model.symbols, joint, n + BURN_IN, draws)
    columns = {name: np.empty((n, symbols)) for name in BAR_COLUMNS}
    nights = _nights(joint, minutes, draws)
    noise = draws["gaps"].standard_normal((n, symbols))
    up, down = draws["up"].random((n, symbols)), draws["down"].random((n, symbols))
    volume_shocks = draws["volume"].standard_normal((n + 1, symbols))
    for k, (one, instrument) in enumerate(zip(model.symbols, instruments, strict=True)):
        y, h = np.empty(n + BURN_IN), np.empty(n + BURN_IN)
        state = np.array([one.variance, one.variance])
        column = np.ascontiguousarray(shocks[:, k])
        kernels.simulate(column, one.theta, one.threshold, LOCAL_MEMORY, state, y, h)
        y, h, shock = y[BURN_IN:], h[BURN_IN:], column[BURN_IN:]
        season = _by_slot(one.season, minutes.slot)
        deviation = season * np.sqrt(h) * _unrounded(season * np.sqrt(h), instrument, prices[k])
        change = deviation * shock
        inside = math.sqrt(one.bounce) * deviation * noise[:, k]
        inside[0] = 0.0
        begins = np.diff(minutes.session, prepend=minutes.session[:1]) > 0
        # in the first bar of a session the return is that from the open
        gap = np.where(begins, math.sqrt(one.variance) * nights[:, k], inside)
        change = np.where(begins, change, change - inside) + drift
        close = np.cumsum(gap + change)
        if not bool((np.abs(close) < LARGEST_LOG).all()):
            raise UsageError(
                "the synthetic prices run away",
                expected=f"prices within a factor of e^{LARGEST_LOG:g} of the first",
                hint="ask for fewer bars, or for less drift",
            )
        width = one.width * deviation
        made = bridged_prices(close, change, width, up[:, k], down[:, k], prices[k], instrument)
        made["volume"] = _volumes(one, instrument, minutes.slot, h, shock, volume_shocks[:, k])
        for name in BAR_COLUMNS:
            columns[name][:, k] = np.where(absent[:, k], np.nan, made[name])
    return columns


def _shocks(symbols: Sequence[SymbolModel], joint: Joint, n: int, draws: Draws) -> Floats:
    """Shocks of all symbols in deviations, with jumps in place of some, shape (n, S)."""
    if len(symbols) == 1:
        uniform = draws["shocks"].random((n, 1))
    else:
        copula = Copula(np.array(joint.correlation), np.array(joint.errors), joint.freedom)
        normal = draws["shocks"].standard_normal((n, len(symbols)))
        uniform = draw_copula(normal, draws["tails"].standard_gamma(joint.freedom / 2.0, n), copula)
    columns = [Student.of(one.value("nu")).quantile(uniform[:, k]) for k, one in enumerate(symbols)]
    shocks = np.stack(columns, axis=1)
    chance, which = draws["spells"].random((n, 2)).T
    rows = np.array([[math.nan if x is None else x for x in row] for row in joint.jumps]).reshape(-1, len(symbols))
    if not len(rows):
        return shocks
    # a row is drawn as often as the symbols that jump in it ask for
    counts = np.isfinite(rows).sum(axis=0)
    rates = [
        one.value("jumps") * len(rows) / max(count, 1) for one, count in zip(symbols, counts.tolist(), strict=True)
    ]
    drawn = rows[np.minimum((which * len(rows)).astype(np.int64), len(rows) - 1)]
    jumped = np.isfinite(drawn) & (chance[:, None] < np.minimum(rates, 1.0))
    return np.where(jumped, np.nan_to_num(drawn), shocks)


def _nights(joint: Joint, minutes: Minutes, draws: Draws) -> Floats:
    """Steps into each minute that begins a session, in deviations of a minute, shape (n, S)."""
    symbols = len(joint.correlation)
    steps = np.zeros((len(minutes.slot), symbols))
    begins = np.flatnonzero(np.diff(minutes.session, prepend=minutes.session[:1]) > 0)
    if not len(joint.gaps):
        return steps
    gaps = np.array(joint.gaps)
    which, sign = draws["kinds"].random((len(begins), 2)).T
    rows = gaps[np.minimum((which * len(gaps)).astype(np.int64), len(gaps) - 1)]
    steps[begins] = rows * np.where(sign < 0.5, 1.0, -1.0)[:, None]
    return steps


def _unrounded(deviation: Floats, instrument: Instrument, price: float) -> Floats:
    """Factor that takes off the variance that rounding adds to a return: a sixth of a tick squared."""
    added = (instrument.tick_size / price) ** 2 / 6.0
    return np.sqrt(np.maximum(1.0 - added / np.maximum(deviation**2, 1e-300), LEAST_SHARE))


def _by_slot(season: Sequence[float], slot: Ints) -> Floats:
    """The factor of each minute; sessions that are longer than those of the data end as these do."""
    factors = np.asarray(season)
    return np.asarray(factors[np.minimum(slot, len(factors) - 1)])


def _volumes(
    one: SymbolModel, instrument: Instrument, slot: Ints, variance: Floats, shock: Floats, shocks: Floats
) -> Floats:
    if one.volume is None:
        return np.full(len(slot), traded(np.array([UNKNOWN_VOLUME]), instrument)[0])
    law = VolumeLaw(**one.volume.model_dump(exclude={"season"}))
    inputs = explained(variance, one.variance, shock)
    return traded(draw_volume(law, _by_slot(one.volume.season, slot), inputs, shocks), instrument)


def _sampled(
    sampled: Sampled,
    arrays: Mapping[str, Floats],
    bars: int,
    start_ns: int,
    instruments: Sequence[Instrument],
    draws: Draws,
    prices: Sequence[float],
    drift: float,
) -> tuple[Minutes, dict[str, Floats]]:
    """Sessions of the data in a new order, each whole, with all symbols."""
    ends, fresh = np.empty(0), np.empty(0)
    count = bars
    while True:
        count += bars + sampled.minutes
        minutes = Minutes.after(instruments[0], count, start_ns)
        more = int(minutes.session[-1]) + 1 - len(ends)
        ends = np.concatenate([ends, draws["spells"].random(more)])
        fresh = np.concatenate([fresh, draws["kinds"].random(more)])
        drawn = runs_of(ends, fresh, sampled.sessions, sampled.run)
        known = (minutes.slot < sampled.minutes)[:, None]
        place = drawn[minutes.session], np.minimum(minutes.slot, sampled.minutes - 1)
        steps = {name: np.where(known, arrays[name][place], np.nan) for name in COLUMNS}
        there = np.isfinite(steps["change"])
        if np.count_nonzero(there.any(axis=1)) >= bars:
            return minutes, _bars_of(sampled, steps, there, instruments, prices, drift)


def _bars_of(
    sampled: Sampled,
    steps: dict[str, Floats],
    there: Bools,
    instruments: Sequence[Instrument],
    prices: Sequence[float],
    drift: float,
) -> dict[str, Floats]:
    # the first bar of a series has no step into it, wherever in a session it lies
    first = np.argmax(there, axis=0)
    steps["gap"][first, np.arange(len(instruments))] = 0.0
    moved = np.where(there, steps["gap"] + steps["change"] + drift - np.array(sampled.drift), 0.0)
    close = np.cumsum(moved, axis=0)
    if not bool((np.abs(close) < LARGEST_LOG).all()):
        raise UsageError("the synthetic prices run away", hint="ask for fewer bars, or for less drift")
    open_ = close - steps["change"]
    logs = {"open": open_, "high": open_ + steps["high"], "low": open_ + steps["low"], "close": close}
    columns = {name: np.full(close.shape, np.nan) for name in BAR_COLUMNS}
    for k, instrument in enumerate(instruments):
        at = there[:, k]
        step = instrument.tick_size or 10.0 ** (math.floor(math.log10(prices[k])) - 7)
        for name, values in logs.items():
            columns[name][at, k] = np.maximum(to_grid(prices[k] * np.exp(values[at, k]), step), step)
        columns["volume"][at, k] = (
            traded(steps["volume"][at, k], instrument)
            if sampled.volume[k]
            else traded(np.full(int(at.sum()), UNKNOWN_VOLUME), instrument)
        )
    return columns
