"""How a text file is laid out, found from its first lines: what separates its cells, where its rows begin."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from feeds.reading.columns.names import looks_like_header
from feeds.reading.formats.fitting import has_values
from feeds.reading.formats.recognise import recognise_names

DELIMITERS = ",;\t|"
FIRST_LINES = 40
ROWS = 400  # that are looked at where no line names the columns
_COMMENT = re.compile(rb"(?m)^[ \t]*(?:#|//)[^\n]*$")
_QUOTED = re.compile(rb'(?m)^"(.*)"([ \t]*\r?)$')
_EDGES = re.compile(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)")
Blanks = Literal["", "some", "many"]


@dataclass(frozen=True, slots=True)
class TextForm:
    """The layout of a text file.

    Attributes:
        delimiter: One character; a tab where blanks separate the cells.
        blanks: Whether blanks separate cells: any number of them, or two and more.
        quoted: Whether each line is quoted as a whole.
        comments: Whether there are lines that begin with # or //.
        header: Number of the line that names the columns, counted from 0; None if there is none.
        skip: How many lines lie before the first row.
        names: The names in that line; empty if there is none.
        rows: The first rows as cells, where no line names the columns.
    """

    delimiter: str
    blanks: Blanks
    quoted: bool
    comments: bool
    header: int | None
    skip: int
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def described(self) -> str:
        """What is unusual about it, for messages; empty if nothing is."""
        found = []
        if self.header:
            found.append(f"column names in line {self.header + 1}")
        if self.header is None:
            found.append("no line of column names" + (f", rows from line {self.skip + 1} on" if self.skip else ""))
        found += ["each line quoted as a whole"] if self.quoted else []
        found += {"": [], "some": ["separated by blanks"], "many": ["separated by two blanks or more"]}[self.blanks]
        found += ["comment lines passed over"] if self.comments else []
        return ", ".join(found)

    def plain(self, body: bytes) -> bytes:
        """Lines with the delimiter between the cells and nothing around them; as many as before."""
        if self.comments:
            body = _COMMENT.sub(b"", body)
        if self.quoted:
            body = _QUOTED.sub(_inside, body)
        if self.blanks:
            body = re.sub(rb"[ \t]+" if self.blanks == "some" else rb"[ \t]{2,}", b"\t", _EDGES.sub(b"", body))
        return body


def text_form(head: bytes, wanted: str | None, stems: Sequence[str], *, named: bool) -> TextForm:
    """Find the layout of a file.

    Args:
        head: Its first lines, each ended by a line feed.
        wanted: What `--format` says.
        stems: What the file is called.
        named: Whether the user names the columns, so that an unknown line of names is passed over.
    """
    lines = [line.rstrip(b"\r").removeprefix(b"\xef\xbb\xbf") for line in head.split(b"\n", ROWS)[:ROWS]]
    texts = [line.decode("utf-8", errors="replace") for line in lines]
    comments = any(re.match(r"\s*(?:#|//)", text) for text in texts)
    content = [(at, text) for at, text in enumerate(texts) if text.strip() and not re.match(r"\s*(?:#|//)", text)]
    quoted = _whole_quotes([text for _, text in content])
    if quoted:
        content = [(at, _inner(text)) for at, text in content]
    commented = [(at, text.lstrip(" #/")) for at, text in enumerate(texts) if re.match(r"\s*(?:#|//)", text)]
    for at, text in [*content, *commented]:
        if at >= FIRST_LINES:
            continue
        delimiter, blanks = separator(text, [other for _, other in content])
        names = split(text, delimiter, blanks)
        if looks_like_header(names) or (len(names) > 2 and _is_declared(names, stems, wanted)):
            rows = [split(other, delimiter, blanks) for below, other in content if below > at][:50]
            return TextForm(delimiter, blanks, quoted, comments, at, at + 1, _widened(names, rows))
    return _without_names(content, quoted, comments, named=named)


def _without_names(content: list[tuple[int, str]], quoted: bool, comments: bool, *, named: bool) -> TextForm:
    """The layout of a file of which no line is known to name columns."""
    texts = [text for _, text in content]
    for place, (at, text) in enumerate(content[:FIRST_LINES]):
        delimiter, blanks = separator(text, texts[place:])
        cells = split(text, delimiter, blanks)
        if len(cells) < 3 or not has_values(cells):
            continue
        above = split(texts[place - 1], delimiter, blanks) if place else ()
        if len(above) == len(cells) and not named:
            return TextForm(delimiter, blanks, quoted, comments, content[place - 1][0], at, above)
        rows = tuple(split(text, delimiter, blanks) for text in texts[place:])
        return TextForm(delimiter, blanks, quoted, comments, None, at, (), rows)
    at, text = content[0] if content else (0, "")
    delimiter, blanks = separator(text, texts)
    return TextForm(delimiter, blanks, quoted, comments, at, at + 1, split(text, delimiter, blanks))


def _widened(names: tuple[str, ...], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names with one more for the empty cell behind a delimiter that ends the rows but not the line of names."""
    longer = [row for row in rows if len(row) == len(names) + 1 and not row[-1]]
    return (*names, "(nothing)") if len(longer) > len(rows) // 2 else names


def _is_declared(names: Sequence[str], stems: Sequence[str], wanted: str | None) -> bool:
    return recognise_names(names, stems, wanted) is not None


def separator(line: str, lines: Sequence[str]) -> tuple[str, Blanks]:
    """What separates the cells of a line, and whether that is blanks.

    Args:
        lines: It and those below; what splits them into as many cells each counts more.
    """
    counts = {mark: line.count(mark) for mark in DELIMITERS}
    found = [mark for mark in DELIMITERS if counts[mark]]
    if found:
        sample = list(lines[:50])

        def alike(mark: str) -> tuple[int, int, int]:
            width = len(split(line, mark, ""))
            same = sum(len(split(other, mark, "")) == width for other in sample)
            # a comma may be the decimal mark between other separators
            return (same if width > 2 else 0, counts[mark], mark != ",")

        return max(found, key=alike), ""
    many = len(re.split(r" {2,}", line.strip()))
    if many >= 5:
        return "\t", "many"
    return ("\t", "some") if len(line.split()) >= 3 else (",", "")


def split(line: str, delimiter: str, blanks: Blanks) -> tuple[str, ...]:
    """The cells of a line."""
    if blanks:
        line = re.sub(r"[ \t]+" if blanks == "some" else r"[ \t]{2,}", "\t", line.strip())
    return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), []))


def _whole_quotes(lines: Sequence[str]) -> bool:
    """Whether most lines are one quoted cell that holds a whole row."""
    rows = [line for line in lines[:50] if len(line) > 2]
    whole = [line for line in rows if _is_whole(line)]
    return bool(whole) and len(whole) >= max(1, len(rows) - 1 - len(rows) // 10)


def _is_whole(line: str) -> bool:
    line = line.strip()
    if not (line.startswith('"') and line.endswith('"')):
        return False
    inside = line[1:-1]
    if re.search(r'(?<!")"(?:"")*(?!")', inside):
        return False
    return max(inside.count(mark) for mark in DELIMITERS) >= 3


def _inner(line: str) -> str:
    line = line.strip()
    return line[1:-1].replace('""', '"') if _is_whole(line) else line


def _inside(match: re.Match[bytes]) -> bytes:
    if re.search(rb'(?<!")"(?:"")*(?!")', match[1]):
        return match[0]
    return match[1].replace(b'""', b'"') + match[2]
