"""Whether rows without names look like those of a declared format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from feeds.reading.columns.names import looks_like_header
from feeds.reading.formats.declaration import FileFormat

Rows = Sequence[Sequence[str]]
ORDER = ("open", "high", "low", "close")
_MOST = 0.9  # of the first rows must fit; a few may be bad
_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9}


def name_match(one: FileFormat, stems: Sequence[str]) -> re.Match[str] | None:
    """How the name of a file or of its archive fits a format."""
    return next((match for stem in stems if (match := one.name_match(stem))), None)


def fits(one: FileFormat, rows: Rows, delimiter: str, stems: Sequence[str], *, strictly: bool = True) -> bool:
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
    if strictly and one.volumes != "any" and not name_match(one, stems):
        at = one.columns.index("volume")
        zero = not any(number(row[at]) for row in good if at < len(row))
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
        if pattern is None and cell and number(cell) is None:
            return False
        if pattern is not None and not pattern.fullmatch(cell):
            return False
    return True


def _ordered(one: FileFormat, rows: Rows) -> bool:
    """Whether high is the highest and low the lowest price."""
    at = [one.columns.index(name) for name in ORDER]
    kept = 0
    for row in rows:
        prices = [number(row[place]) for place in at]
        if None in prices:
            continue
        open_, high, low, close = (price for price in prices if price is not None)
        kept += low <= min(open_, close) and high >= max(open_, close)
    return kept >= _MOST * len(rows)


def _whole(one: FileFormat, rows: Rows) -> bool:
    at = [one.columns.index(name) for name in ORDER]
    return all(re.fullmatch(r"\d+", row[place]) for row in rows for place in at)


def number(cell: str) -> float | None:
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


def has_values(cells: Sequence[str]) -> bool:
    """Whether a line holds values rather than names: three numbers or more."""
    if looks_like_header(cells):
        return False
    return sum(bool(cell.strip()) and number(cell.strip()) is not None for cell in cells) >= 2 and any(
        re.match(r"\s*[-+]?[\d.]", cell) for cell in cells
    )
