"""The generator `gan`: bars of a network that `grandmodel data train-gan` has written to a folder."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from pydantic import model_validator

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import sessions_between
from engine.types.instruments import Instrument
from feeds.fitting.preparing import session_places
from feeds.gan.model import MODEL_FILE, GanModel, Network, read_gan
from feeds.gan.noise import gan_noise
from feeds.generators_bars import LARGEST_LOG, Draws, Generated, LogPath, close_times, year_of
from feeds.generators_paths import Generator
from feeds.synthetic import to_grid, traded

MORE = 4096
UNKNOWN_VOLUME = 1.0


class Gan(Generator):
    """A market that a network has learned.

    Attributes:
        model: Folder that `grandmodel data train-gan` wrote.
        price: First price; by default the last close of the training bars.
        volume: Not read: volumes are those that the network learned.
        drift: Expected log return a year; the data's own is not kept.
    """

    model: str
    drift: float = 0.0

    @model_validator(mode="after")
    def _there(self) -> Gan:
        _ = self.trained  # read here, so that a missing folder is found before anything is generated
        return self

    @property
    def trained(self) -> GanModel:
        """What the folder holds beside the network."""
        return self._parts[0]

    @cached_property
    def _parts(self) -> tuple[GanModel, Network]:
        file = Path(self.model) / MODEL_FILE
        return _read(self.model, file.stat().st_mtime_ns if file.exists() else 0)

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """Not how these bars are made."""
        raise NotImplementedError

    def made(self, instrument: Instrument, bars: int, start_ns: int, draws: Draws) -> Generated:
        """Bars of the network; nothing in them is known to be foreseen, so there is no truth beside them.

        Raises:
            UsageError: If the instrument has other sessions than the training bars, or prices run away.
        """
        model, network = self._parts
        own = model.instrument
        if (instrument.calendar, instrument.daily_halt) != (own.calendar, own.daily_halt):
            raise UsageError(
                "the instrument has other sessions than the network was trained on",
                where=f"generator gan, {self.model}",
                expected=f"an instrument with the calendar {own.calendar}, such as {own.name}",
                found=f"{instrument.name} with the calendar {instrument.calendar}",
                hint=f"--instrument {own.name} (in a training, `instrument: {own.name}`)",
            )
        times = _times(model, instrument, bars, start_ns, draws)
        sessions = sessions_between(instrument, int(times[0]), int(times[-1]))
        session, slot, _ = session_places(times, sessions)
        noise = gan_noise(draws["shocks"], len(times) + model.receptive - 1, model.heaviness)
        scaled = network.run(noise)
        drift = self.drift / year_of(instrument, start_ns)
        price = self.price or model.price
        return Generated(
            _bars(model, instrument, times, session, slot, scaled, draws, drift, price), np.zeros(len(times))
        )


def _times(model: GanModel, instrument: Instrument, bars: int, start_ns: int, draws: Draws) -> Ints:
    """Close times of so many bars, without the minutes that have none."""
    uniform = np.empty(0)
    missing = np.array(model.missing)
    while True:
        uniform = np.concatenate([uniform, draws["events"].random(bars + MORE)])
        times = close_times(instrument, len(uniform), start_ns)
        sessions = sessions_between(instrument, int(times[0]), int(times[-1]))
        slot = session_places(times, sessions)[1]
        there = uniform >= missing[np.minimum(slot, len(missing) - 1)]
        there[0] = True  # a series begins with its first minute
        if np.count_nonzero(there) >= bars:
            return times[there][:bars]


def _bars(
    model: GanModel, instrument: Instrument, times: Ints, session: Ints, slot: Ints, scaled: Floats, draws: Draws,
    drift: float, price: float,
) -> BarBlock:  # fmt: skip
    n = len(times)
    deviation = model.deviation * np.array(model.season)[np.minimum(slot, len(model.season) - 1)]
    begins = np.diff(session, prepend=session[:1]) > 0
    gap = math.sqrt(model.bounce) * deviation * draws["gaps"].standard_normal(n)
    gap[0] = 0.0
    change = deviation * scaled[:, 0] - np.where(begins, 0.0, gap) + drift
    gap[begins] = _nights(model, int(begins.sum()), draws)
    close = np.cumsum(gap + change)
    if not bool((np.abs(close) < LARGEST_LOG).all()):
        raise UsageError("the synthetic prices run away", hint="ask for fewer bars, or for less drift")
    open_ = close - change
    logs = {
        "open": open_,
        "high": np.maximum(open_, close) + deviation * np.maximum(scaled[:, 1], 0.0),
        "low": np.minimum(open_, close) - deviation * np.maximum(scaled[:, 2], 0.0),
        "close": close,
    }
    step = instrument.tick_size or 10.0 ** (math.floor(math.log10(price)) - 7)
    columns = {name: np.maximum(to_grid(price * np.exp(values), step), step) for name, values in logs.items()}
    volume = np.full(n, UNKNOWN_VOLUME)
    if model.volume_mean is not None and model.volume_std is not None:
        season = np.array(model.volume_season)[np.minimum(slot, len(model.volume_season) - 1)]
        volume = season * np.exp(model.volume_mean + model.volume_std * np.clip(scaled[:, 3], -8.0, 8.0))
    columns["volume"] = traded(volume, instrument)
    return BarBlock.from_columns((instrument.name,), times, columns)


def _nights(model: GanModel, count: int, draws: Draws) -> Floats:
    """Steps into sessions: those of the data, with either sign."""
    if not model.nights:
        return np.zeros(count)
    which, sign = draws["kinds"].random((count, 2)).T
    steps = np.array(model.nights)
    found = steps[np.minimum((which * len(steps)).astype(np.int64), len(steps) - 1)]
    return np.asarray(found * np.where(sign < 0.5, 1.0, -1.0))


@lru_cache(maxsize=4)
def _read(path: str, changed: int) -> tuple[GanModel, Network]:  # a folder that has changed is read again
    return read_gan(Path(path))
