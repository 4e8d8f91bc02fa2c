"""Historical replay: files of bars as a stream of blocks, checked row by row and known at their close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from engine.aggregate import Aggregator
from engine.blocks import BarBlock, reblock
from engine.calendar import DAY_NS, HORIZON_DAYS, sessions_between
from engine.config import Config
from engine.errors import DataError, UsageError
from engine.instruments import Instrument
from engine.timeframe import format_timeframe, parse_timeframe
from feeds.columns import Labels
from feeds.labels import LabelDecision, bar_width, decide
from feeds.merging import merge, numbered
from feeds.plan import FilePlan, plan_file, require_symbol, scan_symbols
from feeds.quarantine import Quarantine
from feeds.track import Layout, Pass, Track, iso, read_track
from feeds.window import window


class ReplayConfig(Config):
    """How to read files of bars.

    Attributes:
        labels: What their times stamp; auto finds out and says.
        timezone: IANA name of the zone of times without an offset, and of `start` and `end`.
        start: First moment wanted, a date or a time; a bar that opens then is the first.
        end: Last moment wanted; a date alone means its end; a bar that closes then is the last.
        timeframe: Length of bars to make while reading, such as 5min; otherwise they stay as they are.
        bar_width: Length of the bars in the files, such as 1min; otherwise it is found.
        strict: Stop at the first bad row.
    """

    labels: Literal["open", "close", "auto"] = "auto"
    timezone: str = "UTC"
    start: str | None = None
    end: str | None = None
    timeframe: str | None = None
    bar_width: str | None = None
    strict: bool = Field(default=False)

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        # YAML makes dates of what looks like one
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError on top of these in no case
            raise ValueError(f"no time zone is called {value!r}; use a name such as America/Chicago") from error
        return value

    @field_validator("timeframe", "bar_width")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_timeframe(value)
            except UsageError as error:
                raise ValueError(f"{error.what}: expected {error.expected}") from error
        return value

    @model_validator(mode="after")
    def _end_after_start(self) -> Self:
        window(self.start, self.end, self.timezone)
        return self
