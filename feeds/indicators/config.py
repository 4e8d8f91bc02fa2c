"""Configuration of economic indicators: which series of a file, when its values were known, what is made of them."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from engine.base.config import Config
from engine.base.zones import check_zone
from engine.types.blocks import BAR_COLUMNS
from engine.types.extras import EXTRA_COLUMNS

PeriodLength = Literal["day", "week", "month", "quarter", "year"]
Transform = Literal["level", "change", "growth"]
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LAG = re.compile(r"([0-9]+)\s*(d|w|h)")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class IndicatorConfig(Config):
    """One economic indicator, which becomes an extra column of all symbols.

    Attributes:
        name: Of the column, for strategies (`context.indicator(NAME)`) and declared features.
        path: A file of vintages (ALFRED), of values (FRED, OECD), or a table with the times of publication; CSV or
            Parquet.
        series: Which series of the file: its name, or values by column such as {LOCATION: USA, FREQUENCY: M}; null
            where the file holds one.
        lag: How long after the end of its period a value was published, such as 45d, 6w or 36h; for a file that does
            not say when.
        known_at: Column with the times of publication; by default it is found by its name.
        release_time: Time of day of a publication of which only the date is known, such as 08:30; null is the end of
            the day.
        timezone: IANA name of the zone of dates and of times without an offset.
        period: Length of the period that a date names by its first day; by default found from the first dates known.
        transform: The value itself (level), its change over some periods, or its relative change (growth); both taken
            between values that were published together.
        over: Number of periods of a change or growth.
    """

    name: str
    path: Annotated[str, Field(min_length=1)]
    series: str | dict[str, str] | None = None
    lag: str | None = None
    known_at: str | None = None
    release_time: str | None = None
    timezone: str = "UTC"
    period: PeriodLength | None = None
    transform: Transform = "level"
    over: Annotated[int, Field(ge=1, le=10_000)] = 1

    @field_validator("name")
    @classmethod
    def _usable(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"{value!r} is no name of a column; expected small letters, digits and _, such as cpi")
        base, _, level = value.rpartition("_")
        if value in {*EXTRA_COLUMNS, *BAR_COLUMNS} or (level.isdigit() and base in EXTRA_COLUMNS):
            raise ValueError(f"{value!r} is the name of another column of bars")
        return value

    @field_validator("lag")
    @classmethod
    def _lag_reads(cls, value: str | None) -> str | None:
        if value is not None and not _LAG.fullmatch(value.strip()):
            raise ValueError(f"cannot read {value!r}; expected a whole number of days, weeks or hours: 45d, 6w, 36h")
        return value

    @field_validator("release_time", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        # YAML reads 08:30 as a number of base 60 in some versions
        return f"{value // 60:02d}:{value % 60:02d}" if isinstance(value, int) and 0 <= value < 1440 else value

    @field_validator("release_time")
    @classmethod
    def _time_reads(cls, value: str | None) -> str | None:
        if value is not None and not _TIME.fullmatch(value):
            raise ValueError(f"cannot read {value!r}; expected hours and minutes, such as 08:30")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return check_zone(value)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.transform == "level" and self.over != 1:
            raise ValueError("over is for transform: change or growth")
        if self.lag is not None and self.known_at is not None:
            raise ValueError("give either lag or known_at: a lag is for a file that does not say when it was published")
        if self.release_time is not None and self.lag_hours is not None:
            raise ValueError("release_time is for dates, and a lag in hours gives a time already")
        return self

    @property
    def lag_days(self) -> int | None:
        """The lag in days; None for one in hours, and where there is none."""
        found = None if self.lag is None else _LAG.fullmatch(self.lag.strip())
        if found is None or found[2] == "h":
            return None
        return int(found[1]) * (7 if found[2] == "w" else 1)

    @property
    def lag_hours(self) -> int | None:
        """The lag in hours; None for one in days or weeks, and where there is none."""
        found = None if self.lag is None else _LAG.fullmatch(self.lag.strip())
        return int(found[1]) if found is not None and found[2] == "h" else None

    @property
    def time_of_release(self) -> time | None:
        """The time of day of a publication; None for the end of the day."""
        return None if self.release_time is None else time.fromisoformat(self.release_time)


def check_names(indicators: tuple[IndicatorConfig, ...]) -> tuple[IndicatorConfig, ...]:
    """Refuse two indicators of one name.

    Raises:
        ValueError: If there are such.
    """
    names = [one.name for one in indicators]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two indicators are called {twice[0]}")
    return indicators
