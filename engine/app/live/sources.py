"""Which source an address means, and which symbols and bars it brings."""

from __future__ import annotations

from pathlib import Path

from engine.app.live.config import FeedConfig, PaperConfig
from engine.errors import UsageError
from engine.instruments import Instrument
from feeds.live.source import DeadLetterSink, LiveSource

QUARANTINE = "quarantine.jsonl"


def traded(config: PaperConfig, source: LiveSource) -> dict[str, Instrument]:
    """The instruments by symbol, in the order of the columns.

    Raises:
        UsageError: If nothing tells the symbols.
    """
    symbols = getattr(source, "symbols", ()) or config.symbols
    if not symbols:
        raise UsageError(
            "which symbols shall be traded?",
            expected="--instrument NAME, --instrument SYMBOL=NAME (repeatable), or --symbols A,B",
            hint="messages carry the symbol in the field `symbol`",
        )
    return {symbol: config.instrument_for(symbol) for symbol in symbols}


def timeframe_of(config: PaperConfig, source: LiveSource) -> int:
    """Length of the bars, nanoseconds: a file's own, else the configured one."""
    return int(getattr(source, "timeframe_ns", config.feed.timeframe_ns))


def open_source(config: PaperConfig, folder: Path) -> LiveSource:
    raise NotImplementedError


def dead_letter_sink(config: FeedConfig, topic: str) -> DeadLetterSink:
    raise NotImplementedError
