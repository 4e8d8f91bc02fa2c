"""Bars as what a generator network learns: numbers a minute without the season, and what surrounds them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import sessions_between
from engine.types.instruments import Instrument
from feeds.fitting.preparing import LEAST_BARS, Steps, session_places, steps_of
from feeds.fitting.seasons import mean_season, missing_season, scale_season
from feeds.gan.noise import heaviness_of

RETURN, ABOVE, BELOW, VOLUME = range(4)
MOST_SCALED = 40.0
"""Deviations at which a value is cut: a single error of the data may not decide the scale of a network."""


class Frame(NamedTuple):
    """What surrounds the network; see `feeds.gan.model.GanModel`.

    Attributes:
        deviation: Of a minute's log return.
        season, volume_season, missing: By minute of the session, shape (L,).
        volume_mean, volume_std: Of the log volume over its season; None where volumes are not known.
        bounce: Share of variance between a close and the next open.
        nights: Log steps into sessions.
        heaviness: Of the innovations.
        tick: Tick over the deviation of a minute in the mean season: what rounding adds; 0 where prices are continuous.
        price: Last close of the training bars.
    """

    deviation: float
    season: Floats
    volume_season: Floats
    missing: Floats
    volume_mean: float | None
    volume_std: float | None
    bounce: float
    nights: list[float]
    heaviness: float
    tick: float
    price: float


class Prepared(NamedTuple):
    """Bars to learn from and bars to choose by.

    Attributes:
        frame: Of the training bars alone.
        training, validation: Scaled return, room above and below, and volume, each of shape (n, 4).
    """

    frame: Frame
    training: Floats
    validation: Floats


def prepare(block: BarBlock, instrument: Instrument, validation: float) -> Prepared:
    """Bars in a frame, the last sessions apart for validation.

    Args:
        block: 1-minute bars of one symbol.
        instrument: Its calendar says when sessions begin.
        validation: Share of the sessions, at the end, from which nothing but the step of the training is chosen.

    Raises:
        DataError: If there are several symbols, too few bars, or prices that do not move.
    """
    if len(block.symbols) != 1:
        raise DataError(
            "a generator network is trained on one symbol",
            expected="bars of one symbol",
            found=f"{len(block.symbols)}: {', '.join(block.symbols[:4])}",
            hint="train one for each, from a file of its own, or fit them together with `grandmodel data fit`",
        )
    steps = steps_of(block, 0, instrument)
    sessions = np.unique(steps.session)
    cut = sessions[min(max(round((1.0 - validation) * len(sessions)), 1), len(sessions) - 1)]
    early = steps.session < cut
    if len(sessions) < 2 or np.count_nonzero(early) < LEAST_BARS or np.count_nonzero(~early) < LEAST_BARS // 4:
        raise DataError(
            "too few bars to train on and to choose by",
            where=block.symbols[0],
            expected=f"at least {LEAST_BARS:,} bars before the sessions of validation and {LEAST_BARS // 4} in them",
            found=f"{np.count_nonzero(early):,} and {np.count_nonzero(~early):,} in {len(sessions)} sessions",
            hint="give more sessions",
        )
    last_training = int(np.flatnonzero(early)[-1])
    price = float(_closes(block, instrument)[last_training])
    frame = _frame(steps, early, price, instrument)
    scaled = _scaled(steps, frame)
    known = np.isfinite(scaled[:, RETURN])
    return Prepared(frame, scaled[early & known], scaled[~early & known])


def _closes(block: BarBlock, instrument: Instrument) -> Floats:
    there = block.present[:, 0]
    times = block.ts_event[there]
    sessions = sessions_between(instrument, int(block.ts_event[0]), int(block.ts_event[-1]))
    return np.asarray(block.close[there, 0][session_places(times, sessions)[2]])


def _frame(
    steps: Steps, early: np.ndarray[tuple[int], np.dtype[np.bool_]], price: float, instrument: Instrument
) -> Frame:
    length = int(steps.slot.max()) + 1
    slot, returns = steps.slot[early], steps.returns[early]
    deviation = float(np.nanstd(returns))
    if not deviation > 0.0:
        raise DataError("the prices do not move: there is nothing to learn", expected="bars of a market")
    season = scale_season(returns, slot, length)
    inside = early & steps.follows
    local = steps.returns / (deviation * season[steps.slot])
    volume = steps.volume[early]
    known = np.isfinite(volume) & (volume > 0.0)
    volumes = mean_season(volume, slot, length) if known.sum() > LEAST_BARS // 2 else np.ones(length)
    logs = np.log(volume[known] / volumes[slot[known]])
    usable = bool(known.sum() > LEAST_BARS // 2 and logs.std() > 0.0)
    return Frame(
        deviation, season, volumes, missing_season(steps.session[early], slot, length),
        float(logs.mean()) if usable else None, float(logs.std()) if usable else None,
        float(np.clip(np.var(steps.gap[inside]) / deviation**2, 0.0, 0.5)),
        steps.gap[early & steps.begins][1:].tolist(),
        heaviness_of(_devolatilised(local[early])),
        instrument.tick_size / price / deviation,
        price,
    )  # fmt: skip


def _devolatilised(values: Floats) -> Floats:
    """Returns over the root mean square of those around them, an hour on each side, without their own."""
    values = values[np.isfinite(values)]
    reach = min(60, len(values) // 4)
    total = np.concatenate([[0.0], np.cumsum(values**2)])
    at = np.arange(reach, len(values) - reach)
    around = (total[at + reach + 1] - total[at - reach] - values[at] ** 2) / (2 * reach)
    return np.asarray(values[at] / np.sqrt(np.maximum(around, 1e-12)))


def _scaled(steps: Steps, frame: Frame) -> Floats:
    deviation = frame.deviation * frame.season[steps.slot]
    found = np.zeros((len(steps.slot), 4))
    found[:, RETURN] = steps.returns / deviation
    found[:, ABOVE] = (steps.high - np.maximum(steps.change, 0.0)) / deviation
    found[:, BELOW] = (np.minimum(steps.change, 0.0) - steps.low) / deviation
    if frame.volume_mean is not None and frame.volume_std is not None:
        logs = np.log(np.maximum(np.nan_to_num(steps.volume), 0.5) / frame.volume_season[steps.slot])
        found[:, VOLUME] = (logs - frame.volume_mean) / frame.volume_std
    return np.clip(found, -MOST_SCALED, MOST_SCALED)


def windows(values: Floats, length: int, starts: Ints) -> Floats:
    """Stretches of so many minutes, shape (len(starts), 4, length)."""
    return np.ascontiguousarray(values[starts[:, None] + np.arange(length)].transpose(0, 2, 1))
