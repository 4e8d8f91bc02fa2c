"""Which source an address means, and which symbols and bars it brings."""

from __future__ import annotations

from pathlib import Path

from engine.app.config import BacktestConfig, RunConfig
from engine.app.live.config import FeedConfig, PaperConfig
from engine.app.live.folder import QUARANTINE
from engine.app.preparing import prepare
from engine.base.errors import UsageError
from engine.base.log import logger
from engine.types.instruments import Instrument
from feeds.live.address import FeedAddress, parse_address
from feeds.live.opening import open_connection, open_dead_letters
from feeds.live.options import SourceOptions
from feeds.live.recorded import RecordedSource
from feeds.live.source import DeadLetterSink, LiveSource
from feeds.quarantine import Quarantine

RECORDED_ROWS = 1024
log = logger("run")


def traded(config: PaperConfig, source: LiveSource) -> dict[str, Instrument]:
    """The instruments by symbol, in the order of the columns.

    Raises:
        UsageError: If nothing tells the symbols.
    """
    symbols = getattr(source, "symbols", ()) or config.symbols
    if not symbols:
        raise UsageError(
            "the symbols to trade are missing",
            expected="--instrument NAME, --instrument SYMBOL=NAME (repeatable), or --symbols A,B",
            hint="messages carry the symbol in the field `symbol`",
        )
    return {symbol: config.instrument_for(symbol) for symbol in symbols}


def timeframe_of(config: PaperConfig, source: LiveSource) -> int:
    """Length of the bars, nanoseconds: a file's own, else the configured one."""
    return int(getattr(source, "timeframe_ns", config.feed.timeframe_ns))


def open_source(config: PaperConfig, folder: Path) -> LiveSource:
    """The source that the configured address means; it connects when deliveries are asked for.

    Args:
        config: Of the session.
        folder: Of the session, for rows of a file that cannot be used.

    Raises:
        UsageError: If the address cannot be read, a secret is missing or there is no such file.
        DataError: If a file cannot be read.
    """
    feed = config.feed
    address = parse_address(feed.address, security=feed.security)
    if address.kind == "replay":
        return _recorded(config, address, folder)
    options = SourceOptions(connect_timeout_s=feed.connect_timeout_s, quiet_after_s=feed.quiet_after_s)
    return open_connection(address, options, feed.session)


def dead_letter_sink(config: FeedConfig, topic: str) -> DeadLetterSink:
    """The Kafka topic for messages that cannot be used.

    Raises:
        UsageError: If the feed is not Kafka.
    """
    return open_dead_letters(parse_address(config.address, security=config.security), topic)


def _recorded(config: PaperConfig, address: FeedAddress, folder: Path) -> LiveSource:
    """A file, opened as a backtest opens it."""
    shared = {name: getattr(config, name) for name in RunConfig.model_fields}
    backtest = BacktestConfig(data=(address.topic,), replay=config.feed.replay, **shared)
    quarantine = Quarantine(folder / QUARANTINE, config.feed.strict)
    prepared = prepare(backtest, quarantine)
    for line in prepared.warnings:
        log.warning(line)
    return RecordedSource(
        prepared.source,
        prepared.timeframe_ns,
        address.topic,
        address.speed,
        min(config.feed.block, RECORDED_ROWS),
        quarantine=quarantine,
        synthetic=prepared.synthetic,
    )


def mostly_refused(source: LiveSource, bars: int) -> str | None:
    """What to say where half or more of a file's rows could not be used; None otherwise.

    Args:
        source: After its end.
        bars: Bars that were traded.
    """
    quarantine = getattr(source, "quarantine", None)
    if not isinstance(quarantine, Quarantine) or not 0 < quarantine.total >= bars:
        return None
    return f"half or more of the file was refused: {quarantine.explain()}; `grandmodel data validate FILE` checks it"
