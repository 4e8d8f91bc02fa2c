"""Numbers as exports write them: a decimal point or a decimal comma, with thousands separated or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import DataError
from feeds.reading.columns.casting import Array, is_text, plain, trimmed

NumberStyle = Literal["plain", "decimal comma", "thousands comma"]
_MARK = r"[. '\x{a0}\x{202f}]"
_COMMA = rf"^[-+]?(?:\d+|\d{{1,3}}(?:{_MARK}\d{{3}})+)(?:,\d+)?$"
_THOUSANDS = r"^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$"
# what can be read in one way only; 1,234 can be read in two
_SURE_COMMA = (
    r"^[-+]?\d+,(?:\d{1,2}|\d{4,})$",
    rf"^[-+]?\d{{1,3}}(?:{_MARK}\d{{3}})+,\d+$",
    r"^[-+]?(?:0|\d{4,}),\d+$",
)
_SURE_POINT = (r"^[-+]?\d{1,3}(?:,\d{3})+\.\d*$", r"^[-+]?\d{1,3}(?:,\d{3}){2,}$", r"^[-+]?\d+\.(?:\d{1,2}|\d{4,})$")


def settle_numbers(columns: Sequence[Array], where: str) -> NumberStyle:
    """Find out how the numbers of a file are written, from the head of all its columns together.

    Args:
        columns: Those of open, high, low, close and volume.

    Raises:
        DataError: If commas may be decimal or separate thousands.
    """
    texts = [trimmed(cells) for column in columns if is_text((cells := plain(column)).type)]
    if all(map(_readable, texts)):
        return "plain"
    commas = [text for text in texts if _any(text, (r"^[-+]?[\d. ']*\d,\d",))]
    if not commas:
        return "plain"
    comma = any(_any(text, _SURE_COMMA) for text in texts)
    point = any(_any(text, _SURE_POINT) for text in texts)
    if comma != point:
        return "decimal comma" if comma else "thousands comma"
    raise DataError(
        "some numbers have a decimal comma, others a decimal point"
        if comma
        else "cannot tell whether commas are decimal or separate thousands",
        where=where,
        expected="numbers such as 1234.5",
        found=repr(str(commas[0].filter(pc.match_substring(commas[0], ","))[0].as_py())),
        hint="write the numbers with a decimal point and without separators",
    )


def plain_numbers(column: Array, style: NumberStyle) -> Array:
    """A column whose numbers have a decimal point and no separators; what does not fit the style becomes unreadable."""
    cells = plain(column)
    if style == "plain" or not is_text(cells.type):
        return column
    text = trimmed(cells)
    if style == "thousands comma":
        fits = pc.match_substring_regex(text, _THOUSANDS)
        return pc.if_else(fits, pc.replace_substring(text, ",", ""), text)
    points = pc.replace_substring(pc.replace_substring_regex(text, _MARK, ""), ",", ".")
    return pc.if_else(pc.match_substring_regex(text, _COMMA), points, pa.scalar("?", pa.string()))


def _readable(text: Array) -> bool:
    try:
        text.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _any(text: Array, patterns: Sequence[str]) -> bool:
    return any(pc.any(pc.match_substring_regex(text, pattern)).as_py() for pattern in patterns)
