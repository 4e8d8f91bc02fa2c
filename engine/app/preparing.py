"""Opening the data of a run and finding its instruments, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.app.config import BacktestConfig
from engine.app.indicators import indicators_of
from engine.app.markets import Markets
from engine.app.provenance import synthetic_files
from engine.base.errors import UsageError
from engine.base.paths import shipped
from engine.types.contracts import BarSource
from engine.types.instruments import Instrument
from feeds.indicators.joining import Indicator, assumptions_of
from feeds.quarantine import Quarantine
from feeds.reading.files.bar_file import BarFile
from feeds.reading.files.open_file import open_file
from feeds.ticks.opening import open_replay
from portfolio.benchmark import PriceSeries


@dataclass
class Prepared:
    """A run that is wired but has not begun; what a screen may want to know of it.

    Attributes:
        config: What to run.
        source: Its bars.
        quarantine: Where bad rows go.
        instruments: By symbol.
        timeframe_ns: Length of the bars, nanoseconds.
        labels: What the times of the files stamp.
        labels_reason: How that was decided.
        paths: The files.
        labels_by_file: How it was decided for each.
        assumptions: What was assumed, a sentence each.
        synthetic: Files of made-up bars, by name.
        warnings: What is probably a mistake, a sentence each.
        benchmark: Prices to compare with, in place of those that the configuration names.
        indicators: Economic indicators, to be joined to the bars.
    """

    config: BacktestConfig
    source: BarSource
    quarantine: Quarantine
    instruments: dict[str, Instrument]
    timeframe_ns: int
    labels: str
    labels_reason: str
    paths: tuple[Path, ...]
    labels_by_file: dict[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    synthetic: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    benchmark: PriceSeries | None = None
    indicators: tuple[Indicator, ...] = ()


def prepare(
    config: BacktestConfig,
    quarantine: Quarantine,
    known: Mapping[str, Instrument] | None = None,
    frames: Sequence[BarFile] = (),
) -> Prepared:
    """Open the data and find the instruments.

    Args:
        known: Instruments by symbol, in place of the configured ones (of a manifest).
        frames: Frames to read in place of the configured files.

    Raises:
        UsageError: If no data are named.
        DataError: If they cannot be read.
    """
    if not config.data and not frames:
        raise UsageError(
            "no data", expected="at least one file of bars, trades or quotes", hint="grandmodel backtest --data FILE"
        )
    paths = () if frames else tuple(resolve_data(name) for name in config.data)
    files = [*frames] or [open_file(path, config.replay.importing) for path in paths]
    markets = Markets(config, files, known)
    only = next(iter(known)) if known and len(known) == 1 else None
    source = open_replay(files, markets.of, config.replay, quarantine, symbol=only, order=_order(config))
    indicators = indicators_of(config.indicators)
    return Prepared(
        config,
        source,
        quarantine,
        {symbol: markets.of(symbol) for symbol in source.symbols},
        source.output_timeframe_ns,
        source.labels,
        source.labels_reason,
        paths,
        {name: decision.reason for name, decision in source.label_decisions.items()},
        (*markets.assumptions(source.symbols), *source.remarks, *assumptions_of(indicators)),
        tuple(synthetic_files(files, paths)),
        markets.warnings(source.symbols),
        indicators=indicators,
    )


def _order(config: BacktestConfig) -> tuple[str, ...]:
    """The order of the columns as far as the instruments tell it, as they do in a live session."""
    if config.replay.symbols or not isinstance(config.instrument, dict):
        return ()
    return tuple(name for name in config.instrument if name != "default")


def resolve_data(name: str) -> Path:
    """A file by its path, or the bars of a recording that ships by its name."""
    path = Path(name)
    recording = shipped("replays") / name / "bars.parquet"
    return recording if not path.exists() and recording.is_file() else path
