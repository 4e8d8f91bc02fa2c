"""Errors for files whose format cannot be told, each with what the user can say instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.base.errors import DataError
from feeds.reading.formats.declaration import FileFormat
from feeds.reading.formats.fitting import ORDER, Rows, fits, number
from feeds.reading.formats.general import ANY_TIME
from feeds.reading.formats.table import NAMELESS, families, named


def separated(one: FileFormat) -> str:
    """What separates the cells of a format, in brackets; empty if anything may."""
    names = {";": "semicolons", ",": "commas", "\t": "tabs"}
    return f" (separated by {names[one.delimiter]})" if one.delimiter in names else ""


def first(rows: Rows) -> str:
    """The first row, for messages."""
    return repr(", ".join(rows[0])) if rows else "no rows"


def ambiguous(fitting: Sequence[FileFormat], rows: Rows, where: str) -> DataError:
    """The error for rows that several formats fit."""
    return DataError(
        "the file has no header line, and several formats fit its rows",
        where=where,
        expected="one of " + "; ".join(f"{one.name} ({one.title}: {one.described})" for one in fitting),
        found=first(rows),
        hint=f"say which: --format {fitting[0].name} (replay.format), or name the columns: "
        f"--columns {fitting[-1].described}",
    )


def unknown(rows: Rows, delimiter: str, where: str) -> DataError:
    """The error for rows without names that no format fits; a format that needs the name of the file is named."""
    named_only = [one.name for one in NAMELESS if one.time and fits(one, rows, delimiter, ())]
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
        found=f"{width} columns, such as {first(rows)}",
        hint=f"{dated}name the columns in order, such as --columns {','.join(example)} (replay.columns); "
        "one that is not read may have any other name",
    )


def _guessed_names(rows: Rows) -> list[str]:
    """Names for columns that nothing tells, as an example of what a user may write."""
    values = iter([*ORDER, "volume"])
    names: list[str] = []
    for cells in zip(*rows, strict=True):
        if "timestamp" not in names and all(re.fullmatch(ANY_TIME, cell) for cell in cells):
            names.append("timestamp")
        elif "time" not in names and all(re.fullmatch(r"\d\d?:\d\d(?::\d\d(?:\.\d+)?)?", cell) for cell in cells):
            names = ["date" if name == "timestamp" else name for name in names] + ["time"]
        elif all(number(cell) is not None for cell in cells) and (len(cells[0]) < 9 or "timestamp" in names):
            counts = [number(cell) or 0.0 for cell in cells]
            rising = all(count == counts[0] + at for at, count in enumerate(counts))
            names.append("number" if rising and not names else next(values, "ignore"))
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
