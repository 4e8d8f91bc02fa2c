"""The prices that a run is compared with: those of a file, or of one of the run's symbols."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared, prepare, resolve_data
from engine.base.errors import DataError, UsageError
from engine.base.nearest import did_you_mean
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.calendar import DAY_NS
from engine.types.contracts import BarSource
from engine.types.moments import written
from feeds.quarantine import Quarantine
from feeds.reading.files.frames import frame_files
from feeds.reading.files.zip_member import zip_path
from feeds.replay import ReplayConfig
from portfolio.benchmark import PriceSeries

FRAME_NAME = "benchmark"
"""What the prices of a frame are called where it does not say."""


class BenchmarkPrices:
    """The benchmark that a configuration names, complete once every block of the run was watched.

    Attributes:
        path: Its file, if it is one.

    Args:
        prepared: The run; its `benchmark`, if there is one, or what that of its configuration names: a symbol of the
            run or a file of bars.

    Raises:
        UsageError: If it is neither, or the file holds several symbols.
        DataError: If the file cannot be read.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._file = prepared.benchmark
        self._name = self._file.name if self._file is not None else prepared.config.benchmark
        self.path: Path | None = None
        self._symbol: int | None = None
        self._times: list[Ints] = []
        self._closes: list[Floats] = []
        self._first = self._last = 0
        symbols = tuple(prepared.source.symbols)
        if self._file is not None:
            return
        if self._name in symbols:
            self._symbol = symbols.index(self._name)
        elif self._name is not None:
            self.path = path = _file_of(self._name, symbols)
            self._file = _read(
                path, _reading(prepared.config.replay), (zip_path(path) or (path, None))[0].stat().st_mtime_ns
            )

    def watch(self, bars: BarBlock) -> None:
        """Take a block of the run's bars."""
        if not len(bars):
            return
        self._first, self._last = self._first or int(bars.ts_event[0]), int(bars.ts_event[-1])
        if self._symbol is not None:
            times, closes = _closes_of(bars, self._symbol)
            self._times.append(times)
            self._closes.append(closes)

    def series(self) -> PriceSeries | None:
        """The prices; None where the configuration names no benchmark.

        Raises:
            DataError: If there is no price in the time of the run, or one is not positive.
        """
        first, last = self._first, self._last
        if self._name is None:
            return None
        if self._file is None:
            return _checked(self._name, np.concatenate(self._times), np.concatenate(self._closes), first, last)
        return _checked(self._file.name, self._file.ts_event, self._file.close, first, last)

    def warnings(self) -> tuple[str, ...]:
        """What to know of the comparison, a sentence each: times of the run for which there are no prices."""
        if self._file is None:
            return ()
        times, first, last = self._file.ts_event, self._first, self._last
        # prices of days or weeks may well lie apart so far
        apart = max(DAY_NS, int(1.5 * np.median(np.diff(times)))) if len(times) > 1 else DAY_NS
        begins, ends, start, end = (written(ns, "D") for ns in (times[0], times[-1], first, last))
        lines = []
        if int(times[0]) - first > apart:
            lines.append(f"begins on {begins}, the run on {start}: it counts as unchanged before")
        if last - int(times[-1]) > apart:
            lines.append(f"ends on {ends}, the run on {end}: it counts as unchanged after")
        return tuple(f"The benchmark {self._file.name!r} {line}" for line in lines)


def benchmark_of(prepared: Prepared, bars: BarBlock) -> PriceSeries | None:
    """The benchmark of a run whose bars are all loaded; None where its configuration names none.

    Raises:
        UsageError: As `BenchmarkPrices`.
        DataError: Likewise.
    """
    prices = BenchmarkPrices(prepared)
    prices.watch(bars)
    return prices.series()


def _closes_of(bars: BarBlock, symbol: int) -> tuple[Ints, Floats]:
    close = bars.close[:, symbol]
    present = bars.present[:, symbol] & ~np.isnan(close)
    return bars.ts_event[present], close[present]


def _checked(name: str, times: Ints, closes: Floats, first: int, last: int) -> PriceSeries:
    inside = (times >= first) & (times <= last)
    if not inside.any():
        raise DataError(
            "the benchmark has no prices in the time of the run",
            where=f"benchmark {name}",
            expected=f"prices between {written(first, 'D')} and {written(last, 'D')}",
            found=f"prices from {written(int(times[0]), 'D')} to {written(int(times[-1]), 'D')}"
            if len(times)
            else "none",
        )
    if (closes <= 0).any():
        raise DataError("a benchmark needs positive prices", where=f"benchmark {name}", found=f"{closes.min():g}")
    return PriceSeries(name, times, closes)


def _file_of(name: str, symbols: tuple[str, ...]) -> Path:
    path = resolve_data(name)
    if path.is_file() or zip_path(path) is not None:
        return path
    raise UsageError(
        "the benchmark is neither a file nor a symbol of the run",
        expected="a file of bars, or " + ", ".join(symbols[:8]),
        found=name,
        hint=did_you_mean(name, symbols),
    )


def _reading(replay: ReplayConfig) -> ReplayConfig:
    """How the benchmark's file is read: like the run's, but all of it, in bars as long as they are."""
    # what bars to make of ticks concerns the run's own files: a benchmark of ticks is read as 1-minute bars
    own = ("start", "end", "timeframe", "bar_width", "bars")
    return replay.model_copy(update=dict.fromkeys(own))


def frame_series(frame: Any, replay: ReplayConfig) -> PriceSeries:
    """The closes of a frame as a benchmark, read like a file.

    Args:
        frame: What `feeds.reading.files.frames.is_frame` accepts.
        replay: How the run's own bars are read.

    Raises:
        UsageError: If it holds several symbols.
        DataError: If it cannot be read.
    """
    config = BacktestConfig(replay=_reading(replay))
    source = prepare(config, Quarantine(None), frames=frame_files(frame, FRAME_NAME)).source
    return _closes(source, config, "benchmark=", "frame")


@lru_cache(maxsize=4)
def _read(path: Path, replay: ReplayConfig, _changed: int) -> PriceSeries:
    """Every close of a file; kept, since every variant of a comparison asks for it."""
    config = BacktestConfig(data=(str(path),), replay=replay)
    return _closes(prepare(config, Quarantine(None)).source, config, str(path), "file")


def _closes(source: BarSource, config: BacktestConfig, where: str, kind: str) -> PriceSeries:
    if len(source.symbols) != 1:
        raise UsageError(
            f"the benchmark's {kind} holds several symbols",
            where=where,
            expected="one",
            found=", ".join(source.symbols[:8]),
        )
    blocks = [_closes_of(block, 0) for block in source.blocks(config.block)]
    if not blocks:
        raise DataError(f"the benchmark's {kind} holds no bars", where=where)
    times, closes = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    return PriceSeries(source.symbols[0], times, closes)
