"""Configuration of a live session: what a run needs, and where its bars come from and what it keeps and tells."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from engine.app.config import RunConfig
from engine.base.config import Config, parse
from engine.base.errors import UsageError
from engine.monitor.alerts import AlertsConfig
from engine.monitor.http import MetricsConfig
from engine.types.instruments import NonNegative, Positive
from engine.types.timeframe import parse_timeframe
from feeds.live.address import AddressText, FeedSecurity, parse_address
from feeds.live.fields import FieldsConfig, from_query
from feeds.live.merging.lanes import CONFIRMATIONS
from feeds.live.schemas.config import SchemasConfig
from feeds.replay import ReplayConfig

SECOND_NS = 1_000_000_000


class FeedConfig(Config):
    """Where bars come from, and how messages are understood.

    Attributes:
        address: kafka://HOST:PORT/TOPIC, mqtt://HOST:PORT/TOPIC, replay:FILE or stdin.
        security: User, password and certificates; secrets by reference only.
        symbols: Names of the symbols, in the order of the columns; by default those of `instrument`. A file is replayed
            with all of its symbols, and these must be the same.
        other_symbols: What becomes of messages of other symbols: refused as a mistake, or left out as those of another
            session that reads the same topic.
        timeframe: Length of the bars, such as 1min; trades and quotes are folded to it.
        labels: What the times of bars stamp.
        lateness_s: How far a message may come behind later ones of its partition, seconds of event time.
        quiet_after_s: A partition that holds nothing more and was silent for so long does not hold others up, seconds.
        max_ahead_s: A message that jumps further than this (and the length of a bar) ahead of the clock is refused,
            seconds; null for a feed whose times run ahead of the clock.
        confirmations: A message that jumps ahead of its partition waits until as many later times as it would skip
            bars have come, at most so many, its own included; 1 believes every jump.
        connect_timeout_s: How long the first connection may take, seconds.
        block: Most rows of a block; live there is one, and more only where rows have piled up.
        session: Name from which the client id at an MQTT broker is derived; by default it is drawn for the folder.
        strict: Stop at the first message that cannot be used, and where messages were lost.
        dead_letter_topic: Kafka topic for messages that cannot be used; by default they go to a file.
        replay: How the file of a `replay:` address is read.
        fields: Where the fields of messages are that are not of our own shape; keys `fields.NAME` of the address count
            more.
        schemas: Registry of the schemas of messages that begin with the number of one (Avro, JSON Schema, Protobuf).
    """

    address: AddressText = ""
    security: FeedSecurity = FeedSecurity()
    symbols: tuple[str, ...] = ()
    other_symbols: Literal["refuse", "leave_out"] = "refuse"
    timeframe: str = "1min"
    labels: Literal["close", "open"] = "close"
    lateness_s: NonNegative = 0.0
    quiet_after_s: Positive = 5.0
    max_ahead_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = 300.0
    confirmations: Annotated[int, Field(ge=1, le=1000)] = CONFIRMATIONS
    connect_timeout_s: Positive = 30.0
    block: Annotated[int, Field(ge=1, le=1 << 16)] = 1024
    session: str | None = None
    strict: bool = False
    dead_letter_topic: str | None = None
    replay: ReplayConfig = ReplayConfig()
    fields: FieldsConfig | None = None
    schemas: SchemasConfig | None = None

    @model_validator(mode="after")
    def _fields_read(self) -> Self:
        try:
            mapping = self.mapping
        except UsageError as error:
            raise ValueError(str(error)) from error
        if (mapping is not None or self.schemas is not None) and self.address.startswith("replay:"):
            raise ValueError("fields and schemas are for messages, and a file's columns are found by name")
        if self.other_symbols == "leave_out" and self.address.startswith("replay:"):
            raise ValueError("other_symbols is for messages; of a file, all symbols are read")
        return self

    @property
    def mapping(self) -> FieldsConfig | None:
        """Where the fields of messages are, by `fields` and by the address; None for messages of our own shape.

        Raises:
            ConfigError: If a key of the address is not known, or does not fit.
        """
        given = parse_address(self.address).fields if self.address else {}
        if not given:
            return self.fields
        tree = {} if self.fields is None else self.fields.model_dump(exclude_unset=True)
        return parse(FieldsConfig, {**tree, **from_query(given)}, where="address, keys fields.NAME")

    @property
    def leaving_out(self) -> str:
        """The keys by which elements are left out, for messages."""
        only = self.mapping is not None and self.mapping.only
        keys = ("feed.fields.only",) if only else ()
        return " and ".join(keys + (("feed.other_symbols",) if self.other_symbols == "leave_out" else ()))

    @field_validator("timeframe")
    @classmethod
    def _timeframe_reads(cls, value: str) -> str:
        try:
            parse_timeframe(value)
        except UsageError as error:
            raise ValueError(f"expected {error.expected}") from error
        return value

    @field_validator("symbols")
    @classmethod
    def _symbols_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"the symbol {twice[0]} is given twice")
        return value

    @property
    def timeframe_ns(self) -> int:
        """Length of the bars, nanoseconds."""
        return parse_timeframe(self.timeframe)

    @property
    def lateness_ns(self) -> int:
        """Lateness in nanoseconds."""
        return round(self.lateness_s * SECOND_NS)

    @property
    def ahead_ns(self) -> int | None:
        """How far ahead of the clock a message may jump, nanoseconds."""
        return None if self.max_ahead_s is None else round(self.max_ahead_s * SECOND_NS)


class JournalConfig(Config):
    """What is kept, and how safely.

    Attributes:
        durability: Whether a commit waits for the disk (`power`), or is safe from the end of the process only.
        snapshot_every: Transactions with bars between two savings of the state; the rows since are run over again at a
            restart.
        keep_days: Bars older than this, by their own time, leave the journal; null keeps all there.
        archive: Whether what leaves the journal goes to an archive beside it; otherwise it is forgotten, its profit,
            trades and drawdowns remembered.
    """

    durability: Literal["power", "process"] = "power"
    snapshot_every: Annotated[int, Field(ge=1)] = 1
    keep_days: Positive | None = 92.0
    archive: bool = True


class EndConfig(Config):
    """When a session ends by itself; by default never.

    Attributes:
        bars: After so many bars in all, those before a restart included.
        silence_s: After so many seconds without a bar.
    """

    bars: Annotated[int, Field(ge=1)] | None = None
    silence_s: Positive | None = None


class MonitorRule(Config):
    """What an alert of the performance monitor orders, as an operator would.

    Attributes:
        alert: Kind of the alert, told when it is proved, or `drift`.
        order: `learn` begins a training job at the next cut, `rollback` takes the last promotion back there.
    """

    alert: Literal[
        "low_win_rate",
        "low_sharpe_ratio",
        "inconsistent_decisions",
        "low_model_confidence",
        "retraining_recommended",
        "drift",
    ]
    order: Literal["learn", "rollback"]


class PaperConfig(RunConfig):
    """A live session that trades on paper.

    Attributes:
        feed: Where bars come from.
        journal: What is kept.
        end: When it ends by itself.
        alerts: Whom to tell what.
        metrics: The endpoint for Prometheus and health checks.
        heartbeat_file: Written every few seconds, for a container's health check.
        standby: Whether a new session waits, paused, for `grandmodel ctl DIR start`.
        monitor_rules: What alerts of the performance monitor order; journaled as commands by `monitor`.
    """

    schema_command: ClassVar[str] = "grandmodel config schema --live"

    feed: FeedConfig = FeedConfig()
    journal: JournalConfig = JournalConfig()
    end: EndConfig = EndConfig()
    alerts: AlertsConfig = AlertsConfig()
    metrics: MetricsConfig = MetricsConfig()
    heartbeat_file: str | None = None
    standby: bool = False
    monitor_rules: tuple[MonitorRule, ...] = ()

    @model_validator(mode="after")
    def _a_symbol_each(self) -> Self:
        named = set(self.instrument) - {"default"} if isinstance(self.instrument, dict) else set()
        missing = named - set(self.feed.symbols)
        if self.feed.symbols and missing:
            raise ValueError(f"instrument names {min(missing)}, which is not among feed.symbols")
        return self

    @model_validator(mode="after")
    def _messages_hold_no_book(self) -> Self:
        if self.execution.fills != "bars":
            raise ValueError("a live session fills orders against bars: its messages hold no order book")
        return self

    @model_validator(mode="after")
    def _rules_can_be_obeyed(self) -> Self:
        for rule in self.monitor_rules:
            if not self.monitor.enabled:
                raise ValueError("monitor_rules need the monitor, and monitor.enabled is false")
            if rule.order == "learn" and self.learning is None:
                raise ValueError("a rule that orders to learn needs `learning` (--learn FILE)")
            if rule.order == "rollback" and not self.has_arena:
                raise ValueError("a rule that orders a rollback needs challengers, or `learning`")
            if rule.alert == "drift" and self.monitor.drift.reference is None:
                raise ValueError("a rule about drift needs monitor.drift.reference")
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols, in the order of the columns; empty if nothing tells."""
        if self.feed.symbols:
            return self.feed.symbols
        if isinstance(self.instrument, dict):
            return tuple(name for name in self.instrument if name != "default")
        name = self.instrument_for().name
        return () if name == "GENERIC" else (name,)
