"""Two finished runs beside each other: where their ledgers, fills and orders part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.record.reading import read_table
from engine.report.payload import read_json

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("ledger", "fills")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        folder: Where it lies.
        manifest: What decided it.
        metrics: Its metrics.
    """

    folder: Path
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """From its folder.

        Raises:
            UsageError: If it is not that of a run.
            DataError: If a file is damaged.
        """
        return cls(folder, read_json(folder / "manifest.json"), read_json(folder / "metrics.json"))


@dataclass(frozen=True, slots=True)
class TableDifference:
    """The first place where a table of two runs differs.

    Attributes:
        table: Its name.
        row: Number of the row, from 0.
        field: Name of the column; `rows` where one table ends before the other.
        time: Of the row, ISO 8601, if it has one.
        first: Value in the first run.
        second: Value in the second run.
    """

    table: str
    row: int
    field: str
    time: str | None
    first: Any
    second: Any


def first_differences(first: Run, second: Run) -> list[TableDifference]:
    """The first differing row and field of ledger and fills; empty if both are equal, bit for bit.

    Raises:
        UsageError: If a table is missing.
        DataError: If a table is damaged.
    """
    found = []
    for name in TABLES:
        one, other = (read_table(run.folder / f"{name}.parquet") for run in (first, second))
        difference = _first(name, one, other)
        if difference is not None:
            found.append(difference)
    return found


def _first(name: str, one: pa.Table, other: pa.Table) -> TableDifference | None:
    if one.column_names != other.column_names:
        absent = sorted(set(one.column_names) ^ set(other.column_names))
        return TableDifference(name, 0, "columns", None, *(_only(table, absent) for table in (one, other)))
    rows = min(len(one), len(other))
    places = [(place, column) for column in one.column_names if (place := _place(one, other, column, rows)) is not None]
    if places:
        row, field = min(places, key=lambda found: (found[0], one.column_names.index(found[1])))
        values = [_shown(table.column(field)[row].as_py()) for table in (one, other)]
        return TableDifference(name, row, field, _time(one, row), *values)
    if len(one) != len(other):
        longer = one if len(one) > rows else other
        return TableDifference(name, rows, "rows", _time(longer, rows), len(one), len(other))
    return None


def _only(table: pa.Table, absent: Sequence[str]) -> str:
    return ", ".join(name for name in absent if name in table.column_names) or "none more"


def _place(one: pa.Table, other: pa.Table, column: str, rows: int) -> int | None:
    """Number of the first row in which a column differs; two NaNs are equal."""
    import polars as pl  # noqa: PLC0415 - wanted by this command only

    left, right = (pl.Series(values=pl.from_arrow(table.column(column).slice(0, rows))) for table in (one, other))
    if pl.Categorical in {left.dtype, right.dtype}:
        left, right = left.cast(pl.String), right.cast(pl.String)
    place = left.ne_missing(right).arg_max() if rows else None
    return None if place is None or not left[place : place + 1].ne_missing(right[place : place + 1])[0] else place


def _time(table: pa.Table, row: int) -> str | None:
    name = next((column for column in ("ts_event", "time") if column in table.column_names), None)
    return None if name is None else str(table.column(name)[row])


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str | bool) else str(value)


def config_differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings in which the configurations differ, by dotted key."""
    trees = [flat(run.manifest.get("config") or {}) for run in runs]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    found = {key: [tree.get(key) for tree in trees] for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def flat(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A tree's leaves by dotted key."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return found
