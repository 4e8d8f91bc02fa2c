"""Economic indicators beside bars: each becomes an extra column, with the value that was known when a row closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.base.errors import DataError, UsageError
from engine.base.files import sha256_file
from engine.types.blocks import BarBlock, Floats
from feeds.indicators.config import IndicatorConfig

if TYPE_CHECKING:
    from feeds.indicators.table import IndicatorTable
    from feeds.indicators.transforms import Course


@dataclass(frozen=True, slots=True, eq=False)
class Indicator:
    """One indicator, read.

    Attributes:
        config: How it was read.
        table: Its values, revisions included.
        course: What was known when.
    """

    config: IndicatorConfig
    table: IndicatorTable
    course: Course


class Indicators:
    """Joins indicators to bars by the time at which they were known; any blocking of the bars gives the same.

    A row that closes at a time sees what was known at that time. All symbols see the same. After the last value known,
    it stands. A column that the bars have already is left as it is: a session's bars come back from its journal as
    they were.
    """

    def __init__(self, indicators: Iterable[Indicator] = ()) -> None:
        self._courses = {one.config.name: one.course for one in indicators}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in order."""
        return tuple(self._courses)

    def __call__(self, block: BarBlock) -> BarBlock:
        """The same bars with the columns."""
        missing = {name: course for name, course in self._courses.items() if name not in block.extra}
        if not missing:
            return block
        joined = {name: _across(course.at(block.ts_event), len(block.symbols)) for name, course in missing.items()}
        return replace(block, extra={**block.extra, **joined})


def read_indicators(configs: Sequence[IndicatorConfig]) -> list[Indicator]:
    """Read the files of some indicators.

    Raises:
        UsageError, DataError: As `feeds.indicators.reading.read_table`, naming the indicator.
    """
    from feeds.indicators.reading import read_table  # noqa: PLC0415 - most runs have none
    from feeds.indicators.transforms import course_of  # noqa: PLC0415 - likewise

    found = []
    for config in configs:
        try:
            table = read_table(config)
        except (UsageError, DataError) as error:
            error.where = f"indicator {config.name}" + (f", {error.where}" if error.where else "")
            raise
        found.append(Indicator(config, table, course_of(table, config)))
    return found


def entries_of(indicators: Sequence[Indicator]) -> list[dict[str, Any]]:
    """What a manifest says of them: name, file, hash and what of it was read."""
    return [
        {
            "name": one.config.name,
            "path": one.config.path,
            "absolute": str(Path(one.config.path).resolve()),
            "sha256": sha256_file(Path(one.config.path)),
            "series": one.table.series,
            "values": len(one.table),
            "first_known": _iso(one.course.known_at[0]),
            "last_known": _iso(one.course.known_at[-1]),
        }
        for one in indicators
    ]


def assumptions_of(indicators: Sequence[Indicator]) -> tuple[str, ...]:
    """What was assumed of them, a sentence each."""
    return tuple(f"indicator {one.config.name}: {remark}" for one in indicators for remark in one.table.remarks)


def _across(values: Floats, symbols: int) -> Floats:
    return np.repeat(values[:, np.newaxis], symbols, axis=1)


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(int(time_ns) / 1e9, UTC).isoformat()
