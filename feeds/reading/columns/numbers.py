"""Numbers as exports write them: a decimal point or comma, separated thousands, a currency sign, 1.25K for 1250."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import DataError
from feeds.reading.columns.casting import Array, is_text, plain, trimmed

NumberStyle = Literal["plain", "decimal comma", "thousands comma"]
_MARK = r"[. '\x{a0}\x{202f}]"
_COMMA = rf"^[-+]?(?:\d+|\d{{1,3}}(?:{_MARK}\d{{3}})+)(?:,\d+)?$"
_THOUSANDS = r"^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$"
_SIGNS = r"^([-+]?)[$€£¥]\s*"
_UNITS = (("K", "e3"), ("M", "e6"), ("B", "e9"))
_UNIT = r"(?i)^[-+]?[$€£¥]?\s*[\d.,]+\s*[kmb]$"


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How the numbers of a file are written.

    Attributes:
        style: What its points and commas mean.
        signed: Whether some have a currency sign, or a letter for thousands, millions or thousand millions.
    """

    style: NumberStyle = "plain"
    signed: bool = False

    @property
    def described(self) -> str:
        """What is unusual about them, for messages; empty if nothing is."""
        found = [] if self.style == "plain" else [f"a {self.style}"]
        return " and ".join([*found, *(["a currency sign or K, M, B"] if self.signed else [])])


PLAIN = NumberForm()
# what can be read in one way only; 1,234 can be read in two
_SURE_COMMA = (
    r"^[-+]?\d+,(?:\d{1,2}|\d{4,})$",
    rf"^[-+]?\d{{1,3}}(?:{_MARK}\d{{3}})+,\d+$",
    r"^[-+]?(?:0|\d{4,}),\d+$",
)
_SURE_POINT = (r"^[-+]?\d{1,3}(?:,\d{3})+\.\d*$", r"^[-+]?\d{1,3}(?:,\d{3}){2,}$", r"^[-+]?\d+\.(?:\d{1,2}|\d{4,})$")


def settle_numbers(columns: Sequence[Array], where: str) -> NumberForm:
    """Find out how the numbers of a file are written, from the head of all its columns together.

    Args:
        columns: Those of open, high, low, close and volume.

    Raises:
        DataError: If commas may be decimal or separate thousands.
    """
    texts = [trimmed(cells) for column in columns if is_text((cells := plain(column)).type)]
    if all(map(_readable, texts)):
        return PLAIN
    signed = any(_any(text, (_SIGNS, _UNIT)) for text in texts)
    if signed:
        texts = [_split_units(text)[0] for text in texts]
    return NumberForm(_settle_style(texts, where), signed)


def _settle_style(texts: Sequence[Array], where: str) -> NumberStyle:
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


def plain_numbers(column: Array, form: NumberForm) -> Array:
    """A column whose numbers have a decimal point and no separators; what does not fit the form becomes unreadable."""
    cells = plain(column)
    if form == PLAIN or not is_text(cells.type):
        return column
    text = trimmed(cells)
    if not form.signed:
        return _plain_style(text, form.style)
    body, exponent = _split_units(text)
    return pc.binary_join_element_wise(_plain_style(body, form.style), exponent, "")


def _plain_style(text: Array, style: NumberStyle) -> Array:
    if style == "plain":
        return text
    if style == "thousands comma":
        fits = pc.match_substring_regex(text, _THOUSANDS)
        return pc.if_else(fits, pc.replace_substring(text, ",", ""), text)
    points = pc.replace_substring(pc.replace_substring_regex(text, _MARK, ""), ",", ".")
    return pc.if_else(pc.match_substring_regex(text, _COMMA), points, pa.scalar("?", pa.string()))


def _split_units(text: Array) -> tuple[Array, Array]:
    """Numbers without currency sign and letter, and the power of ten that the letter stands for."""
    bare = pc.replace_substring_regex(text, _SIGNS, r"\1")
    exponent = pc.if_else(pc.is_valid(bare), "", None)
    for letter, power in _UNITS:
        exponent = pc.if_else(pc.match_substring_regex(bare, rf"(?i)\d\s*{letter}$"), power, exponent)
    return pc.replace_substring_regex(bare, r"(?i)(\d)\s*[kmb]$", r"\1"), exponent


def _readable(text: Array) -> bool:
    try:
        text.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _any(text: Array, patterns: Sequence[str]) -> bool:
    return any(pc.any(pc.match_substring_regex(text, pattern)).as_py() for pattern in patterns)
