"""Which declared format a file is in: by what `--format` says, by the names of its columns, or by its first rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from engine.base.errors import DataError, UsageError
from feeds.reading.columns.names import looks_like_header, normalise
from feeds.reading.formats.bars import ANY_TIME, GENERAL
from feeds.reading.formats.declaration import FileFormat
from feeds.reading.formats.table import ALL, families, named

Rows = Sequence[Sequence[str]]
_MOST = 0.9  # of the first rows must fit; a few may be bad
_ORDER = ("open", "high", "low", "close")
_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9}
_NAMELESS = [declared for declared in ALL if not declared.header and declared not in GENERAL]


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
    fits = [one for one in _NAMELESS if one.automatic and _may_be(one, stems) and _fits(one, rows, delimiter, stems)]
    if len(fits) > 1:
        fits = [one for one in fits if _name_match(one, stems)] or fits
    usual = [one for one in GENERAL if _fits(one, rows, delimiter, stems)]
    differing = [one for one in usual[:1] if fits and _values(one) != _values(fits[0])]
    if len(fits) > 1 or differing:
        raise _ambiguous([*fits, *differing], rows, where)
    if not fits and not usual:
        raise _unknown(rows, delimiter, where)
    best = fits[0] if fits else usual[0]
    others = [one for one in _NAMELESS if not one.automatic and _fits(one, rows, delimiter, stems)]
    if best in GENERAL and len({one.name for one in usual}) > 1:
        raise _ambiguous(usual, rows, where)
    reason = f"because it has no names of columns and its first rows are {best.described}"
    if _name_match(best, stems):
        reason += ", as its name says too"
    return _declared(best, _spread(best, rows), stems, reason, [one.family for one in others if best in GENERAL])


def _wanted(rows: Rows, delimiter: str, stems: Sequence[str], wanted: str, where: str) -> Declared:
    pool = named(wanted)
    fits = [one for one in pool if not one.header and _fits(one, rows, delimiter, stems, strictly=False)]
    if len(fits) > 1:
        fits = (
            [one for one in fits if _name_match(one, stems)]
            or [one for one in fits if _fits(one, rows, delimiter, stems)]
            or fits
        )
    if not fits:
        other = [one.name for one in (*_NAMELESS, *GENERAL) if _fits(one, rows, delimiter, stems)]
        raise DataError(
            f"the file is not in the format {wanted}",
            where=where,
            expected="; or ".join(dict.fromkeys(f"{one.described}{_separated(one)}" for one in pool)),
            found=_first(rows),
            hint=f"formats that fit: {', '.join(other)}" if other else "name the columns: --columns timestamp,open,...",
        )
    return _declared(fits[0], _spread(fits[0], rows), stems, "as --format says", ())


def _may_be(one: FileFormat, stems: Sequence[str]) -> bool:
    """Whether a file that its name does not identify may be recognised; a time of day means nothing without a date."""
    return bool(_name_match(one, stems)) or not (one.by_name or one.time)


def _name_match(one: FileFormat, stems: Sequence[str]) -> re.Match[str] | None:
    return next((match for stem in stems if (match := one.name_match(stem))), None)


def _fits(one: FileFormat, rows: Rows, delimiter: str, stems: Sequence[str], *, strictly: bool = True) -> bool:
    """Whether most rows look like this.

    Args:
        strictly: Also what its volumes and prices must be, unless the name of the file says more.
    """
    if one.header or (one.delimiter and one.delimiter != delimiter):
        return False
    width = max((len(row) for row in rows), default=0)
    counts = [len(one.columns) - missing for missing in range(one.optional + 1)]
    if one.repeats:
        if not width or width % len(one.columns):
            return False
    elif width not in counts:
        return False
    patterns = _patterns(one)
    good = [row for row in rows if len(row) == width and _row_fits(row, patterns)]
    if not good or len(good) < _MOST * len(rows):
        return False
    if one.holds == "bars" and not _ordered(one, good):
        return False
    if one.prices != "any" and (one.prices == "whole") != _whole(one, good):
        return False
    if strictly and one.volumes != "any" and not _name_match(one, stems):
        at = one.columns.index("volume")
        zero = not any(_number(row[at]) for row in good if at < len(row))
        return (one.volumes == "zero") == zero
    return True


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})")


def _patterns(one: FileFormat) -> list[re.Pattern[str] | None]:
    """For each column, None where it holds numbers of any writing."""
    from_forms = [one.forms.get(column) for column in one.columns]
    return [
        _compiled(form) if form else None if (plain := one.form(column)) == one.form("open") else _compiled(plain)
        for column, form in zip(one.columns, from_forms, strict=True)
    ]


def _row_fits(row: Sequence[str], patterns: Sequence[re.Pattern[str] | None]) -> bool:
    for at, cell in enumerate(row):
        pattern = patterns[at % len(patterns)]
        if pattern is None and cell and _number(cell) is None:
            return False
        if pattern is not None and not pattern.fullmatch(cell):
            return False
    return True


def _ordered(one: FileFormat, rows: Rows) -> bool:
    """Whether high is the highest and low the lowest price."""
    at = [one.columns.index(name) for name in _ORDER]
    kept = 0
    for row in rows:
        prices = [_number(row[place]) for place in at]
        if None in prices:
            continue
        open_, high, low, close = (price for price in prices if price is not None)
        kept += low <= min(open_, close) and high >= max(open_, close)
    return kept >= _MOST * len(rows)


def _whole(one: FileFormat, rows: Rows) -> bool:
    at = [one.columns.index(name) for name in _ORDER]
    return all(re.fullmatch(r"\d+", row[place]) for row in rows for place in at)


def _number(cell: str) -> float | None:
    """A number however it is written, near enough to compare prices of one file."""
    text = re.sub(r"[\s'$€£]", "", cell)
    if "," in text:
        text = text.replace(",", "") if "." in text and text.rfind(".") > text.rfind(",") else _point(text)
    scale = _SUFFIXES.get(text[-1:].casefold(), 1.0)
    try:
        return float(text[:-1]) * scale if scale != 1.0 else float(text)
    except ValueError:
        return 0.0 if text in {"-", ""} else None


def _point(text: str) -> str:
    return text.replace(".", "").replace(",", ".", 1) if text.count(",") == 1 else text.replace(",", "")


def _values(one: FileFormat) -> tuple[int, ...]:
    return tuple(one.columns.index(name) for name in _ORDER) if one.holds == "bars" else ()


def _spread(one: FileFormat, rows: Rows) -> list[str]:
    width = max(len(row) for row in rows)
    if not one.repeats:
        return list(one.columns[:width])
    return [f"{one.columns[at % len(one.columns)]}_{at // len(one.columns) + 1}" for at in range(width)]


def _declared(
    one: FileFormat, columns: Sequence[str], stems: Sequence[str], reason: str, others: Sequence[str]
) -> Declared:
    found = _name_match(one, stems)
    groups = found.groupdict() if found else {}
    date = (groups.get("date") or "").replace("-", "")
    try:
        day = int(datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 10**9 if date else None
    except ValueError:
        day = None
    return Declared(one, tuple(columns), reason, day, groups.get("symbol"), tuple(dict.fromkeys(others)))


def _separated(one: FileFormat) -> str:
    names = {";": "semicolons", ",": "commas", "\t": "tabs"}
    return f" (separated by {names[one.delimiter]})" if one.delimiter in names else ""


def _first(rows: Rows) -> str:
    return repr(", ".join(rows[0])) if rows else "no rows"


def _ambiguous(fits: Sequence[FileFormat], rows: Rows, where: str) -> DataError:
    return DataError(
        "the file has no header line, and several formats fit its rows",
        where=where,
        expected="one of " + "; ".join(f"{one.name} ({one.title}: {one.described})" for one in fits),
        found=_first(rows),
        hint=f"say which: --format {fits[0].name} (replay.format), or name the columns: --columns {fits[-1].described}",
    )


def _unknown(rows: Rows, delimiter: str, where: str) -> DataError:
    """The error for rows without names that no format fits; a format that needs the name of the file is named."""
    named_only = [one.name for one in _NAMELESS if one.time and _fits(one, rows, delimiter, ())]
    dated = (
        f"if it is {named_only[0]}, give it the name that it was published with, which tells the date; else "
        if named_only
        else ""
    )
    width = max((len(row) for row in rows), default=0)
    example = _guessed_names([row for row in rows if len(row) == width])
    return DataError(
        "the file has no header line, and its rows are in no format that is known",
        where=where,
        expected=f"a line of names, or rows of one of {', '.join(families())}",
        found=f"{width} columns, such as {_first(rows)}",
        hint=f"{dated}name the columns in order, such as --columns {','.join(example)} (replay.columns); "
        "one that is not read may have any other name",
    )


def _guessed_names(rows: Rows) -> list[str]:
    """Names for columns that nothing tells, as an example of what a user may write."""
    values = iter([*_ORDER, "volume"])
    names: list[str] = []
    for cells in zip(*rows, strict=True):
        if "timestamp" not in names and all(re.fullmatch(ANY_TIME, cell) for cell in cells):
            names.append("timestamp")
        elif "time" not in names and all(re.fullmatch(r"\d\d?:\d\d(?::\d\d(?:\.\d+)?)?", cell) for cell in cells):
            names = ["date" if name == "timestamp" else name for name in names] + ["time"]
        elif all(_number(cell) is not None for cell in cells) and (len(cells[0]) < 9 or "timestamp" in names):
            counts = [_number(cell) for cell in cells]
            rising = counts == list(range(int(counts[0] or 0), int(counts[0] or 0) + len(cells)))
            names.append("number" if rising and len(cells) > 1 else next(values, "ignore"))
        else:
            names.append("symbol" if "symbol" not in names else "ignore")
    return names


def other_names(where: str, wanted: str, names: Sequence[str]) -> DataError:
    """The error for a file whose names of columns are not those of the format that the user names."""
    expected = [", ".join(one.header or one.columns) + ("" if one.header else " (no names)") for one in named(wanted)]
    return DataError(
        f"the file is not in the format {wanted}",
        where=where,
        expected="columns " + "; or ".join(dict.fromkeys(expected)),
        found="columns " + ", ".join(repr(name) for name in names),
        hint="leave --format out, since the columns have names, or say which is which: --columns close=Settle",
    )


def has_values(cells: Sequence[str]) -> bool:
    """Whether a line holds values rather than names: three numbers or more."""
    if looks_like_header(cells):
        return False
    return sum(bool(cell.strip()) and _number(cell.strip()) is not None for cell in cells) >= 2 and any(
        re.match(r"\s*[-+]?[\d.]", cell) for cell in cells
    )


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
