"""Files of indicators as their publishers write them, in small."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from feeds.indicators.config import IndicatorConfig
from feeds.indicators.reading import read_table
from feeds.indicators.table import IndicatorTable
from feeds.indicators.transforms import Course, course_of

WIDE = """observation_date,GDPC1_20231026,GDPC1_20240125,GDPC1_20240228
2023-01-01,100.0,100.0,200.0
2023-04-01,110.0,110.0,220.0
2023-07-01,121.0,120.0,240.0
2023-10-01,.,132.0,264.0
"""
"""ALFRED's wide form; the third vintage has a new base, and the second revises the third quarter."""

FRED = "observation_date,CPI\n2024-01-01,100\n2024-02-01,102\n2024-03-01,\n2024-04-01,104\n"

LONG = """realtime_start,realtime_end,date,value
2024-01-15,2024-02-14,2023-12-01,50.0
2024-02-15,9999-12-31,2023-12-01,51.0
2024-02-15,9999-12-31,2024-01-01,52.0
2024-03-15,9999-12-31,2023-11-01,49.0
"""
"""ALFRED's long form; the last announcement is of an old period."""

OECD = """LOCATION,INDICATOR,FREQUENCY,TIME,Value,Flag Codes
USA,STINT,M,2023-11,5.3,
USA,STINT,M,2023-12,5.4,E
USA,STINT,Q,2023-Q3,5.5,
DEU,STINT,M,2023-11,3.9,
"""


def ns(text: str) -> int:
    """A time, UTC, as nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def written(folder: Path, text: str, name: str = "series.csv") -> Path:
    """A file of that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def config_of(path: Path, **keys: object) -> IndicatorConfig:
    """The configuration of an indicator."""
    return IndicatorConfig.model_validate({"name": "x", "path": str(path), **keys})


def table_of(path: Path, **keys: object) -> IndicatorTable:
    """The table of a file."""
    return read_table(config_of(path, **keys))


def course(path: Path, **keys: object) -> Course:
    """The course of an indicator."""
    config = config_of(path, **keys)
    return course_of(read_table(config), config)


def at(found: Course, *times: str) -> list[float]:
    """What was known at some times."""
    import numpy as np

    return found.at(np.array([ns(time) for time in times])).tolist()
