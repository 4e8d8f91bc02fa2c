"""Cells of a file of indicators as text, and which column is what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from engine.base.errors import DataError, UsageError
from engine.base.nearest import did_you_mean
from feeds.indicators.config import IndicatorConfig
from feeds.indicators.periods import read_period

PERIOD_NAMES = ("date", "observation_date", "period", "time_period", "time", "ref_date", "reference_period")
KNOWN_NAMES = (
    "known_at", "realtime_start", "release_date", "released_at", "released", "published_at", "published",
    "publication_date", "vintage_date", "vintage",
)  # fmt: skip
VALUE_NAMES = ("value", "obs_value")
SERIES_NAMES = ("series", "series_id", "indicator", "id")
UNTIL_NAME = "realtime_end"
BESIDE = re.compile(r"flag|status|note|comment|footnote|^unnamed|^$", re.IGNORECASE)
"""Columns that say something of a value without making it another one."""
_VINTAGE = re.compile(r"(.+)_(\d{8})")
FEW = 6


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a file as text.

    Attributes:
        cells: By name, each with as many rows.
        rows: Line number of each row.
    """

    cells: Mapping[str, Sequence[str]]
    rows: Sequence[int]

    def numbered(self, name: str) -> Iterator[tuple[int, str]]:
        """Line numbers and texts of a column."""
        return zip(self.rows, self.cells[name], strict=True)

    def where(self, kept: Sequence[bool]) -> Columns:
        """Some of the rows."""

        def some(values: Sequence[Any]) -> list[Any]:
            return [value for value, keep in zip(values, kept, strict=True) if keep]

        return Columns({name: some(values) for name, values in self.cells.items()}, some(self.rows))


@dataclass(frozen=True, slots=True)
class Shape:
    """Which column is what.

    Attributes:
        series: What was chosen, for people.
        period: Column of the periods.
        value: Column of the values, where there are no vintages.
        known: Column of the times of publication; None where the file has none.
        until: Column of the last days on which values were valid; None where the file has none.
        vintages: Columns of vintages with their days, in order of time; empty where there are none.
        names: All columns.
    """

    series: str
    period: str
    value: str
    known: str | None
    until: str | None
    vintages: tuple[tuple[str, date], ...]
    names: tuple[str, ...]


def read_columns(file: Path, config: IndicatorConfig) -> Columns:
    """The cells of a file; of a long one, the rows of the chosen series.

    Raises:
        UsageError: If there is no such file, or the choice does not fit its columns.
        DataError: If it cannot be read.
    """
    columns = _read(file)
    wanted = config.series
    if isinstance(wanted, Mapping):
        for name, value in wanted.items():
            columns = _chosen(columns, _named(columns, name, str(file)), value, str(file))
    elif wanted is not None and (at := _find(columns.cells, SERIES_NAMES)) is not None:
        columns = _chosen(columns, at, wanted, str(file))
    return columns


def shape_of(columns: Columns, config: IndicatorConfig, where: str) -> Shape:
    """Which column is what.

    Raises:
        UsageError: If a series must be chosen, or there is none of that name.
        DataError: If there are no periods or no values.
    """
    names = tuple(columns.cells)
    period = _find(columns.cells, PERIOD_NAMES)
    if period is None:
        raise DataError(
            "no column holds the periods", where=where, expected=", ".join(PERIOD_NAMES), found=", ".join(names[:FEW])
        )
    vintages = _vintages(names)
    wanted = config.series if isinstance(config.series, str) else None
    if vintages:
        series = _only(tuple(vintages), wanted, where)
        return Shape(series, period, "", None, None, tuple(sorted(vintages[series], key=lambda one: one[1])), names)
    known = _find(columns.cells, KNOWN_NAMES) if config.known_at is None else _named(columns, config.known_at, where)
    until = _find(columns.cells, (UNTIL_NAME,))
    used = {period, known, until}
    value = _find(columns.cells, VALUE_NAMES)
    if value is not None:
        rest = [name for name in names if name not in {*used, value} and not BESIDE.search(name)]
        _one_series(columns, rest, config, where)
        return Shape(_described(columns, rest, config), period, value, known, until, (), names)
    rest = [name for name in names if name not in used and not BESIDE.search(name)]
    if config.series is not None and wanted is None:
        raise UsageError("the series are columns here", where=where, expected=_listed(rest), found=str(config.series))
    series = _only(tuple(rest), wanted, where)
    return Shape(series, period, series, known, until, (), names)


def _read(file: Path) -> Columns:
    import polars as pl  # noqa: PLC0415 - only runs with indicators need it

    if not file.is_file():
        raise UsageError("there is no such file of indicators", where=str(file), expected="a CSV or Parquet file")
    try:
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file)
        else:
            frame = pl.read_csv(file, infer_schema=False, truncate_ragged_lines=False)
        texts = frame.select(pl.all().cast(pl.String).fill_null(""))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"cannot read the file of indicators: {reason}", where=str(file)) from error
    cells = {name.strip().strip("\ufeff"): texts[name].to_list() for name in texts.columns}
    return Columns(cells, range(2, len(texts) + 2))


def _find(cells: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
    by_name = {name.strip().casefold().replace(" ", "_"): name for name in reversed(list(cells))}
    return next((by_name[name] for name in wanted if name in by_name), None)


def _named(columns: Columns, name: str, where: str) -> str:
    by_name = {key.casefold(): key for key in columns.cells}
    if name.casefold() in by_name:
        return by_name[name.casefold()]
    raise UsageError(
        f"the file has no column {name!r}",
        where=where,
        expected=_listed(list(columns.cells)),
        hint=did_you_mean(name, columns.cells),
    )


def _chosen(columns: Columns, name: str, value: str, where: str) -> Columns:
    found = columns.where([cell == value for cell in columns.cells[name]])
    if not found.rows:
        there = list(dict.fromkeys(columns.cells[name]))
        raise UsageError(
            f"the column {name} has no value {value!r}",
            where=where,
            expected=_listed(there),
            hint=did_you_mean(value, there),
        )
    return found


def _vintages(names: Sequence[str]) -> dict[str, list[tuple[str, date]]]:
    found: dict[str, list[tuple[str, date]]] = {}
    for name in names:
        match = _VINTAGE.fullmatch(name)
        day = read_period(match[2]) if match else None
        if match and day is not None and day.length is None:
            found.setdefault(match[1], []).append((name, day.first))
    return found


def _only(names: tuple[str, ...], wanted: str | None, where: str) -> str:
    if wanted in names and wanted is not None:
        return wanted
    if wanted is None and len(names) == 1:
        return names[0]
    if not names:
        raise DataError("no column holds values", where=where, expected="a column beside the periods")
    raise UsageError(
        "the file holds several series" if wanted is None else f"the file has no series {wanted!r}",
        where=where,
        expected=_listed(names),
        hint=f"choose one: series: {names[0]}" if wanted is None else did_you_mean(wanted, names),
    )


def _one_series(columns: Columns, rest: Sequence[str], config: IndicatorConfig, where: str) -> None:
    """Refuse a mixture of series."""
    for name in rest:
        there = list(dict.fromkeys(columns.cells[name]))
        if len(there) > 1:
            raise UsageError(
                "the file holds several series",
                where=f"{where}, column {name}",
                expected="one, chosen by its columns",
                found=_listed(there),
                hint=f"choose: series: {{{name}: {there[0]}}}",
            )


def _described(columns: Columns, rest: Sequence[str], config: IndicatorConfig) -> str:
    values = [columns.cells[name][0] for name in rest if columns.rows]
    return ".".join(values) or (config.series if isinstance(config.series, str) else config.name)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
