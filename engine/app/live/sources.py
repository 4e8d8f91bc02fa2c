"""Which source an address means, and which symbols and bars it brings."""

from __future__ import annotations

from pathlib import Path

from engine.app.backtest import prepare
from engine.app.config import BacktestConfig, RunConfig
from engine.app.live.config import PaperConfig
from engine.errors import UsageError
from engine.instruments import Instrument
from feeds.live.source import LiveSource
from feeds.quarantine import Quarantine

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
