"""Deliveries: from the source that an address means, until the feed, the configuration or the operator ends them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from engine.app.config import BacktestConfig, RunConfig
from engine.app.live.client_id import client_id_in
from engine.app.live.config import FeedConfig, PaperConfig
from engine.app.live.folder import QUARANTINE
from engine.app.live.intake import Arrival, Intake
from engine.app.preparing import prepare
from engine.base.errors import DataError, UsageError
from engine.base.log import logger
from engine.loop.bus import Bus
from engine.monitor.alerts import Severity
from engine.types.instruments import Instrument
from feeds.live.address import FeedAddress, parse_address
from feeds.live.client_ids import client_id_of
from feeds.live.connect import connect_dead_letters, connect_source
from feeds.live.file_source import FileSource
from feeds.live.options import SourceOptions
from feeds.live.source import DeadLetterSink, Delivery, LiveSource, Loss
from feeds.quarantine import Quarantine
from feeds.reading.rows.ordering import NEVER

RECORDED_ROWS = 1024
TICK_S = 0.2
# so many rows that wait so long are reported
MANY_ROWS, STALLED_S = 100, 60.0
MANY_SKIPPED = 1000
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
        folder: Of the session, for rows of a file that cannot be used, and for what a broker calls it.

    Raises:
        UsageError: If the address cannot be read, a secret is missing or there is no such file.
        DataError: If a file cannot be read.
    """
    feed = config.feed
    address = parse_address(feed.address, security=feed.security)
    if address.kind == "replay":
        return _recorded(config, address, folder)
    options = SourceOptions(connect_timeout_s=feed.connect_timeout_s, quiet_after_s=feed.quiet_after_s)
    return connect_source(address, options, _client_id(address, feed, folder) if address.kind == "mqtt" else "")


def _client_id(address: FeedAddress, feed: FeedConfig, folder: Path) -> str:
    """By which a broker knows the session: the one given for it, or the folder's own."""
    if address.client_id is not None:
        return address.client_id
    return client_id_in(folder) if feed.session is None else client_id_of(feed.session, address.identity)


def begin_of(config: RunConfig) -> int:
    """The time from which a session reads, nanoseconds UTC; NEVER if it was not given one."""
    if not isinstance(config, PaperConfig):
        return NEVER
    begin = parse_address(config.feed.address, security=config.feed.security).begin
    return begin if isinstance(begin, int) else NEVER


def dead_letter_sink(config: FeedConfig, topic: str) -> DeadLetterSink:
    """The Kafka topic for messages that cannot be used.

    Raises:
        UsageError: If the feed is not Kafka.
    """
    return connect_dead_letters(parse_address(config.address, security=config.security), topic)


def _recorded(config: PaperConfig, address: FeedAddress, folder: Path) -> LiveSource:
    """A file, opened as a backtest opens it."""
    shared = {name: getattr(config, name) for name in RunConfig.model_fields}
    backtest = BacktestConfig(data=(address.topic,), replay=config.feed.replay, **shared)
    quarantine = Quarantine(folder / QUARANTINE, config.feed.strict)
    prepared = prepare(backtest, quarantine)
    asked = config.feed.symbols
    _check_symbols(asked, prepared.source.symbols, address)
    if asked and asked != prepared.source.symbols and not config.feed.replay.symbols:
        replay = config.feed.replay.model_copy(update={"symbols": asked})
        prepared = prepare(backtest.model_copy(update={"replay": replay}), quarantine)
    # said as loudly as a backtest says it
    assumed = (f"labels {prepared.labels}: {prepared.labels_reason}",) * ("assumed" in prepared.labels_reason)
    for line in (*prepared.warnings, *assumed, *prepared.assumptions):
        log.warning(line)
    return FileSource(
        prepared.source,
        prepared.timeframe_ns,
        address.topic,
        address.speed,
        min(config.feed.block, RECORDED_ROWS),
        quarantine=quarantine,
        synthetic=prepared.synthetic,
    )


def _check_symbols(asked: tuple[str, ...], held: tuple[str, ...], address: FeedAddress) -> None:
    """See that a file holds the symbols that were asked for: it is replayed whole.

    Raises:
        UsageError: If it holds others, or lacks one.
    """
    if asked and set(asked) != set(held):
        raise UsageError(
            "the file holds other symbols than those asked for",
            where=address.shown,
            expected=f"--symbols {','.join(held)}, the symbols of the file",
            found=f"--symbols {','.join(asked)}",
            hint="leave out --symbols; a file without a column of symbols holds one, called like the file",
        )


class Notice(Protocol):
    """Notifies the observers of the session."""

    def __call__(self, severity: Severity, kind: str, text: str) -> None:
        """Tell it."""


class DeliveryReader:
    """Publishes what a source delivers as arrivals, and sees when there is an end to it.

    Args:
        bars: Bars that the session had before.
        notice: Receives what the operator should know about the feed.
        clock: Seconds that never run backwards.

    Attributes:
        stopping: Why it was asked to stop, if it was.
    """

    def __init__(
        self,
        config: PaperConfig,
        intake: Intake,
        source: LiveSource,
        bars: int,
        notice: Notice,
        clock: Callable[[], float],
    ) -> None:
        self.stopping: str | None = None
        self._config, self._intake, self._source = config, intake, source
        self._notice, self._clock = notice, clock
        self._bars = bars
        self._closed_at = clock()
        self._connected: bool | None = None
        self._skipped: int | None = 0  # None once one was not, or the operator was told

    def stop(self, because: str) -> None:
        """End after the current transaction; rows that wait, for later bars or their turn, wait for the next start."""
        self.stopping = self.stopping or because

    async def run(self, positions: Mapping[str, str], bus: Bus) -> str:
        """Take deliveries until something ends it, then end the arrivals.

        Args:
            positions: Offsets at which partitions resume.

        Returns:
            Why it ended.

        Raises:
            DataError: In strict mode, if the source says that messages were lost.
        """
        heard_at, met = self._clock(), False
        because, ended = "the feed ended", True
        async for delivery in self._source.deliveries(positions):
            now = self._clock()
            self._watch_connection(delivery)
            met = met or self._source.connected
            # before the first connection nothing can be heard: that is for the source's own patience
            if delivery.records or delivery.rows is not None or not met:
                heard_at = now
            if not await self._know_schemas(delivery):
                because, ended = self.stopping or because, False
                break  # what was delivered comes again at the next start
            for arrival in self._intake.arrivals(delivery, now, self._room):
                await self._publish(arrival, bus)
                if self.stopping is not None:
                    break  # the other rows of the delivery are in the journal, for the next start
            self._watch_rows(delivery, now)
            await asyncio.sleep(0)  # whatever arrives, orders and screens have their turn
            end = self._end(delivery, now - heard_at)
            if end is not None:
                because, ended = end, delivery.ended
                break
        left = () if self.stopping is not None else self._intake.flush(self._clock(), self._room, ended=ended)
        for arrival in left:
            await self._publish(arrival, bus)
            if self.stopping is not None:
                because = self.stopping
                break
        bus.close(Arrival)
        return because

    async def _know_schemas(self, delivery: Delivery) -> bool:
        """Fetch the schemas of messages that are not known yet.

        While the registry is away, nothing is taken in, and the operator is told.

        Returns:
            Whether all are there; otherwise the session was asked to stop.
        """
        schemas = self._intake.schemas
        if schemas is None or not delivery.records:
            return True
        fetching, told = asyncio.ensure_future(schemas.prepare(delivery.records)), False
        try:
            while not (await asyncio.wait({fetching}, timeout=TICK_S))[0]:
                if schemas.status is not None and not told:
                    told = True
                    self._notice("warning", "schemas", f"the session {schemas.status}")
                if self.stopping is not None:
                    return False
            fetching.result()
        finally:
            fetching.cancel()
        if told:
            self._notice("info", "schemas_back", "the schema registry answers again")
        return True

    async def _publish(self, arrival: Arrival, bus: Bus) -> None:
        if arrival.skipped or arrival.elements:
            self._watch_skipped(arrival)
        if arrival.block is not None:
            self._bars += int(arrival.block.present.sum())
            self._closed_at = arrival.received_at
        await bus.publish(arrival)

    def _end(self, delivery: Delivery, silent_s: float) -> str | None:
        """Why the session ends here, if it does."""
        end = self._config.end
        if self.stopping is not None:
            return self.stopping
        if end.bars is not None and self._bars >= end.bars:
            return f"{end.bars:,} bars were traded"
        if delivery.ended:
            return "the feed ended"
        if end.silence_s is not None and silent_s >= end.silence_s:
            return f"no bar came for {end.silence_s:g} s"
        return None

    def _room(self) -> int:
        """Most rows that the next block may have."""
        wanted, block = self._config.end.bars, self._config.feed.block
        if wanted is None:
            return block
        left = wanted - self._bars
        return 0 if left <= 0 else min(block, max(1, left // self._intake.width))

    def _watch_skipped(self, arrival: Arrival) -> None:
        """Say so, once, where all that comes is left out: a value or a symbol that never matches is a mistake."""
        if self._skipped is None or arrival.elements:
            self._skipped = None
            return
        self._skipped += arrival.skipped
        if self._skipped >= MANY_SKIPPED:
            text = f"{self._config.feed.leaving_out} left out all of the first {self._skipped:,} elements; see "
            text += "`grandmodel feed inspect`"
            self._notice("warning", "all_left_out", text)
            self._skipped = None

    def _watch_rows(self, delivery: Delivery, now: float) -> None:
        """Say so, once, where rows pile up because a partition is silent."""
        pending = self._intake.pending
        if pending < MANY_ROWS:
            self._closed_at = now
        elif now - self._closed_at >= STALLED_S:
            silent = ", ".join(sorted(delivery.partitions - delivery.quiet)[:5])
            text = f"{pending:,} rows wait for messages of silent partitions: {silent}"
            self._notice("warning", "rows_wait", text)
            self._closed_at = math.inf

    def _watch_connection(self, delivery: Delivery) -> None:
        connected = self._source.connected or delivery.ended  # the end is no loss
        if self._connected is not None and connected != self._connected:
            if connected:
                self._notice("info", "feed_back", f"the feed is back: {self._source.status}")
            else:
                self._notice("warning", "feed_lost", f"the feed is lost: {self._source.status}")
        self._connected = connected
        notices = self._source.take_notices()
        for text in notices:
            self._notice("warning", "feed", text)
        losses = [text for text in notices if isinstance(text, Loss)]
        if losses and self._config.feed.strict:
            # nothing of this delivery is committed: a strict start stops here again
            raise DataError(
                "messages of the feed are lost, or may be",
                where=self._config.feed.address.partition("?")[0],
                expected="in strict mode, a feed that has all messages since it was last read",
                found="; ".join(losses[:3]),
                hint="a start without strict mode goes on without them",
            )
