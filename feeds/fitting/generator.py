"""The generator `fitted`: bars of a market that `grandmodel data fit` has written to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from pydantic import model_validator

from engine.base.errors import UsageError
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.instruments import Instrument
from feeds.fitting.generating import generate_market
from feeds.fitting.model import FittedModel, read_arrays, read_model
from feeds.generators_bars import Draws, Generated, LogPath, year_of
from feeds.generators_paths import Generator


class Fitted(Generator):
    """A market fitted to data.

    Attributes:
        model: File that `grandmodel data fit` wrote.
        symbol: Of the model; by default the one called like the instrument, else the first.
        price: First price; by default the last close of the data.
        volume: Not read: volumes are those of the data.
        drift: Expected log return a year; the data's own is not kept.
    """

    model: str
    symbol: str | None = None
    drift: float = 0.0

    @model_validator(mode="after")
    def _known_symbol(self) -> Fitted:
        names = self.fitted.names  # read here, so that a missing file is found before anything is generated
        if self.symbol is not None and self.symbol not in names:
            raise ValueError(f"the model has no symbol {self.symbol}; it has {', '.join(names)}")
        return self

    @cached_property
    def fitted(self) -> FittedModel:
        """What the file holds."""
        return _model(self.model, Path(self.model).stat().st_mtime_ns if Path(self.model).exists() else 0)

    def number(self, instrument: Instrument) -> int:
        """Number of the symbol that is generated for an instrument."""
        names = self.fitted.names
        wanted = self.symbol or instrument.name
        own = [one.name for one in self.fitted.instruments]
        return names.index(wanted) if wanted in names else own.index(wanted) if wanted in own else 0

    def market(self, instruments: Sequence[Instrument], bars: int, start_ns: int, draws: Draws) -> BarBlock:
        """Rows of all symbols together.

        Args:
            instruments: One for each symbol of the model, in its order.
            bars: Rows.
            start_ns: Bars close after this time, nanoseconds UTC.
            draws: Streams of random numbers.

        Raises:
            UsageError: If an instrument has other sessions than the data had, or prices run away.
        """
        for one, fitted in zip(instruments, self.fitted.instruments, strict=True):
            if (one.calendar, one.daily_halt) != (fitted.calendar, fitted.daily_halt):
                raise UsageError(
                    "the instrument has other sessions than the fitted market",
                    where=f"generator fitted, {self.model}",
                    expected=f"an instrument with the calendar {fitted.calendar}, such as {fitted.name}",
                    found=f"{one.name} with the calendar {one.calendar}",
                    hint=f"--instrument {fitted.name} (in a training, `instrument: {fitted.name}`), or fit again",
                )
        arrays = self._arrays()
        sampled = self.fitted.sampled
        prices = sampled.prices if sampled else tuple(one.price for one in self.fitted.symbols)
        first = [self.price or price for price in prices]
        drift = self.drift / year_of(instruments[0], start_ns)
        return generate_market(self.fitted, arrays, instruments, bars, start_ns, draws, first, drift)

    def made(self, instrument: Instrument, bars: int, start_ns: int, draws: Draws) -> Generated:
        """Bars of one symbol; with the same seed they are those of `market`."""
        number = self.number(instrument)
        instruments = list(self.fitted.instruments)
        instruments[number] = instrument
        if len(instruments) == 1:
            block = self.market(instruments, bars, start_ns, draws)
        else:
            block = self._alone(number, instruments, bars, start_ns, draws)
        return Generated(block, np.zeros(len(block)))

    def path(self, draws: Draws, times: Ints, year: float) -> LogPath:
        """Not how these bars are made."""
        raise NotImplementedError

    def _alone(self, number: int, instruments: list[Instrument], bars: int, start_ns: int, draws: Draws) -> BarBlock:
        """One column of the market, whose rows without a bar do not count."""
        # how many rows have only others is known afterwards: the same streams are read again, further
        rows = bars
        while True:
            block = self.market(instruments, rows, start_ns, draws.again())
            kept = np.flatnonzero(block.present[:, number])
            if len(kept) >= bars:
                break
            rows += 2 * (bars - len(kept)) + 64
        kept = kept[:bars]
        columns = {name: getattr(block, name)[kept, number] for name in ("open", "high", "low", "close", "volume")}
        return BarBlock.from_columns((instruments[number].name,), block.ts_event[kept], columns)

    def _arrays(self) -> Mapping[str, Floats]:
        sampled = self.fitted.sampled
        return _sessions(self.model, sampled.sha256) if sampled else {}


@lru_cache(maxsize=8)
def _model(path: str, changed: int) -> FittedModel:  # a file that has changed is read again
    return read_model(Path(path))


@lru_cache(maxsize=4)
def _sessions(path: str, sha256: str) -> Mapping[str, Floats]:  # a file that has changed is read again
    sampled = read_model(Path(path)).sampled
    assert sampled is not None  # noqa: S101 - whoever asks has seen it
    return read_arrays(Path(path), sampled)
