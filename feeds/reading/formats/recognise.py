"""Which declared format a file is in: by what `--format` says, by the names of its columns, or by its first rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.base.errors import DataError, UsageError
from feeds.reading.columns.names import normalise
from feeds.reading.formats.declaration import FileFormat
from feeds.reading.formats.fitting import ORDER, Rows, fits, name_match
from feeds.reading.formats.general import GENERAL
from feeds.reading.formats.refusals import ambiguous, first, separated, unknown
from feeds.reading.formats.table import ALL, NAMELESS, named


@dataclass(frozen=True, slots=True)
class Declared:
    """The format of one file, found.

    Attributes:
        columns: Our name of each column of the file, by position; empty where the format says nothing of it.
        reason: Why it is this format, a clause.
        day: Midnight of the day that the file's name tells, local time, nanoseconds since 1970; None if it tells none.
        symbol: The symbol that the file's name tells.
        others: Further formats that would fit, as `--format` calls them.
    """

    format: FileFormat
    columns: tuple[str, ...]
    reason: str
    day: int | None = None
    symbol: str | None = None
    others: tuple[str, ...] = ()

    def position(self, column: str) -> int:
        """Where our column of that name is.

        Raises:
            ValueError: If the file has none.
        """
        return self.columns.index(column)


def recognise_names(names: Sequence[str], stems: Sequence[str], wanted: str | None) -> Declared | None:
    """The format of a file with a line of names; None if it is none of the declared ones.

    Args:
        names: Column names in order.
        stems: What the file is called, without suffix; and the archive that holds it.
        wanted: What `--format` says.
    """
    plain = [normalise(name) for name in names]
    pool = [one for one in (named(wanted) if wanted else ALL) if one.header and (wanted or one.automatic)]
    fits = [one for one in pool if set(one.header) <= set(plain)]
    if not fits:
        return None
    best = max(fits, key=lambda one: len(one.header))  # the columns of one may be among those of another
    columns = [""] * len(names)
    for ours, theirs in zip(best.columns, best.header, strict=True):
        columns[plain.index(theirs)] = ours
    reason = "as --format says" if wanted else "because of the names of its columns"
    return _declared(best, columns, stems, reason, ())


def recognise_rows(rows: Rows, delimiter: str, stems: Sequence[str], wanted: str | None, where: str) -> Declared:
    """The format of a file without a line of names.

    Args:
        rows: Its first rows, as text cells.
        stems: What the file is called, without suffix; and the archive that holds it.
        wanted: What `--format` says.

    Raises:
        DataError: If no format fits, or several do that would be read differently.
        UsageError: If there is no format of that name.
    """
    if wanted:
        return _wanted(rows, delimiter, stems, wanted, where)
    found = [one for one in NAMELESS if one.automatic and _may_be(one, stems) and fits(one, rows, delimiter, stems)]
    if len(found) > 1:
        found = [one for one in found if name_match(one, stems)] or found
    usual = [one for one in GENERAL if fits(one, rows, delimiter, stems)]
    differing = [one for one in usual[:1] if found and _values(one) != _values(found[0])]
    if len(found) > 1 or differing:
        raise ambiguous([*found, *differing], rows, where)
    if not found and not usual:
        raise unknown(rows, delimiter, where)
    best = found[0] if found else usual[0]
    others = [one for one in NAMELESS if not one.automatic and fits(one, rows, delimiter, stems)]
    if best in GENERAL and len({one.name for one in usual}) > 1:
        raise ambiguous(usual, rows, where)
    reason = f"because it has no names of columns and its first rows are {best.described}"
    if name_match(best, stems):
        reason += ", as its name says too"
    return _declared(best, _spread(best, rows), stems, reason, [one.family for one in others if best in GENERAL])


def _wanted(rows: Rows, delimiter: str, stems: Sequence[str], wanted: str, where: str) -> Declared:
    pool = named(wanted)
    found = [one for one in pool if not one.header and fits(one, rows, delimiter, stems, strictly=False)]
    if len(found) > 1:
        found = (
            [one for one in found if name_match(one, stems)]
            or [one for one in found if fits(one, rows, delimiter, stems)]
            or found
        )
    if not found:
        other = [one.name for one in (*NAMELESS, *GENERAL) if fits(one, rows, delimiter, stems)]
        raise DataError(
            f"the file is not in the format {wanted}",
            where=where,
            expected="; or ".join(dict.fromkeys(f"{one.described}{separated(one)}" for one in pool)),
            found=first(rows),
            hint=f"formats that fit: {', '.join(other)}" if other else "name the columns: --columns timestamp,open,...",
        )
    return _declared(found[0], _spread(found[0], rows), stems, "as --format says", ())


def _may_be(one: FileFormat, stems: Sequence[str]) -> bool:
    """Whether a file that its name does not identify may be recognised; a time of day means nothing without a date."""
    return bool(name_match(one, stems)) or not (one.by_name or one.time)


def _values(one: FileFormat) -> tuple[int, ...]:
    return tuple(one.columns.index(name) for name in ORDER) if one.holds == "bars" else ()


def _spread(one: FileFormat, rows: Rows) -> list[str]:
    width = max(len(row) for row in rows)
    if not one.repeats:
        return list(one.columns[:width])
    return [f"{one.columns[at % len(one.columns)]}_{at // len(one.columns) + 1}" for at in range(width)]


def _declared(
    one: FileFormat, columns: Sequence[str], stems: Sequence[str], reason: str, others: Sequence[str]
) -> Declared:
    found = name_match(one, stems)
    groups = found.groupdict() if found else {}
    date = (groups.get("date") or "").replace("-", "")
    try:
        day = int(datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 10**9 if date else None
    except ValueError:
        day = None
    return Declared(one, tuple(columns), reason, day, groups.get("symbol"), tuple(dict.fromkeys(others)))


def require_day(declared: Declared, where: str) -> int:
    """Midnight of the file's day, local time, in nanoseconds since 1970.

    Raises:
        UsageError: If the name of the file tells no date.
    """
    if declared.day is None:
        raise UsageError(
            "the rows have a time of day, but the name of the file tells no date",
            where=where,
            expected="a name such as 20131007_spy_minute_trade.csv"
            if declared.format.time == "ms"
            else "a name such as AAPL_2012-06-21_34200000_57600000_message_5.csv",
            found=where,
            hint="give the file the name that it was published with",
        )
    return declared.day
