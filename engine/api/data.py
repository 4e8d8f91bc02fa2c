"""The data that a Python call is given: files, frames, or a source of blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.app.benchmark import frame_series
from engine.app.config import BacktestConfig
from engine.app.indicators import indicators_of
from engine.app.preparing import Prepared, prepare
from engine.base.errors import UsageError
from engine.base.quoting import quoted
from feeds.indicators.joining import assumptions_of
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine
from feeds.reading.files.frames import ACCEPTED, frame_files, is_frame
from feeds.replay import ReplayConfig

FRAME_SYMBOL = "X"  # what the bars of a frame are called if nothing says


def paths_of(data: Any) -> list[str]:
    """The files among what a call is given as data; empty if it is something else."""
    if isinstance(data, str | Path):
        return [str(data)]
    if isinstance(data, list | tuple) and all(isinstance(item, str | Path) for item in data):
        return [str(item) for item in data]
    return []


def benchmark_name(benchmark: Any) -> str | None:
    """The file or symbol that a call is given as benchmark; None if it is a frame, or nothing.

    Raises:
        UsageError: If it is anything else.
    """
    if benchmark is None or is_frame(benchmark):
        return None
    if not isinstance(benchmark, str | Path):
        raise UsageError(
            "this cannot be a benchmark",
            where="benchmark=",
            expected=f"a file of bars, a symbol of the run, or {ACCEPTED}",
            found=quoted(benchmark),
        )
    return str(benchmark)


def prepared_of(config: BacktestConfig, data: Any, quarantine: Quarantine, benchmark: Any = None) -> Prepared:
    """Open what a call is given as data.

    Args:
        config: What to run; it names the files, if there are any.
        data: A frame, a mapping from symbol to frame, a BarSource, or None (or files) for those that `config` names.
        benchmark: A frame to compare with; anything else is named by `config`.

    Raises:
        UsageError: If it is anything else.
        DataError: If the bars cannot be read.
    """
    prepared = _prepared(config, data, quarantine)
    return replace(prepared, benchmark=frame_series(benchmark, config.replay)) if is_frame(benchmark) else prepared


def _prepared(config: BacktestConfig, data: Any, quarantine: Quarantine) -> Prepared:
    if data is None or paths_of(data):
        return prepare(config, quarantine)
    if is_frame(data):
        return prepare(config, quarantine, frames=frame_files(data, FRAME_SYMBOL))
    if not hasattr(data, "blocks"):
        raise UsageError("no data", expected=f"files, {ACCEPTED}, or a BarSource", found=repr(data)[:80])
    if config.replay != ReplayConfig():
        raise UsageError(
            "the blocks of a BarSource are taken as they are: by their close times, all of them",
            found="settings of `replay`",
            hint="pass a frame or a file instead",
        )
    instruments = {symbol: config.instrument_for(symbol) for symbol in data.symbols}
    timeframe = data.timeframe_ns if isinstance(data, MemorySource) else 60_000_000_000
    reason = "the blocks of a BarSource are labelled by close"
    indicators = indicators_of(config.indicators)
    found = Prepared(config, data, quarantine, instruments, timeframe, "close", reason, ())
    return replace(found, indicators=indicators, assumptions=assumptions_of(indicators))
