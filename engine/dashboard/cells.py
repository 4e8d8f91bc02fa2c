"""Lines of an exact width: cropping, padding, rules and tables, measured in terminal cells.

Rich's own tables and layouts measure everything again in every frame, which costs more than the run can spare;
here a line is a list of rich segments, and its width is right by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

Line = list[Segment]

PLAIN = Style.null()
DIM = Style(dim=True)
BOLD = Style(bold=True)
TITLE = Style(bold=True, color="cyan")
GOOD = Style(color="green")
BAD = Style(color="red")
WARN = Style(color="yellow")
ALARM = Style(bold=True, color="red")
GAP = 2


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes:
        title: What it holds.
        right: Whether it is aligned to the right, as numbers are; numbers are never cropped.
        rank: Where the table is too wide, the column of the highest rank leaves first.
        least: Cells it takes at least, so that the columns keep their places while numbers change.
    """

    title: str
    right: bool = False
    rank: int = 0
    least: int = 0


def width_of(line: Line) -> int:
    """Cells that a line takes."""
    return sum(segment.cell_length for segment in line)


def crop(text: str, width: int) -> str:
    """At most `width` cells of a text, with an ellipsis where some of it is left out."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


def fit(line: Line, width: int) -> Line:
    """The line cropped or padded to exactly `width` cells."""
    fitted: Line = []
    left = width
    for segment in line:
        if segment.cell_length > left:
            fitted.append(Segment(crop(segment.text, left), segment.style))
            left -= fitted[-1].cell_length
            break
        fitted.append(segment)
        left -= segment.cell_length
    if left > 0:
        fitted.append(Segment(" " * left))
    return fitted


def spread(left: Line, right: Line, width: int) -> Line:
    """Two lines in one, at both ends; where they do not fit the left one is cropped, then the right one."""
    room = width - width_of(right)
    if room < 1:
        return fit(right, width)
    if width_of(left) >= room:
        left = [*fit(left, room - 1), Segment(" ")]
    return fit(left, room) + right


def rule(title: str, note: str, width: int) -> Line:
    """A horizontal line with a title near its start and a note near its end."""
    left = [Segment("── ", DIM), Segment(title, TITLE), Segment(" ")]
    right = [Segment(" "), Segment(note, DIM), Segment(" ──", DIM)] if note else []
    dashes = width - width_of(left) - width_of(right)
    if dashes < 2 and note:
        return rule(title, "", width)
    return fit([*left, Segment("─" * max(0, dashes), DIM), *right], width)


def two_columns(left: Sequence[Line], right: Sequence[Line]) -> list[Line]:
    """Two columns of equally many lines in one."""
    return [[*one, Segment(" " * GAP), *other] for one, other in zip(left, right, strict=True)]


def fill_up(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    """Exactly `height` lines of exactly `width` cells."""
    fitted = [fit(line, width) for line in lines[:height]]
    return fitted + [[Segment(" " * width)] for _ in range(height - len(fitted))]


def table(columns: Sequence[TableColumn], rows: Sequence[Sequence[Segment]], width: int) -> list[Line]:
    """A header and the rows, in columns as wide as what they hold.

    Args:
        columns: The columns; the first keeps its place whatever happens.
        rows: A segment for every column.
        width: Cells available. Columns leave by rank until the rest fits; then texts are cropped.
    """
    widths = [
        max([cell_len(column.title), column.least, *(row[at].cell_length for row in rows)])
        for at, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while len(kept) > 1 and _total(widths, kept) > width:
        if _squeeze(columns, widths, kept, width):
            break
        kept.remove(max(kept[1:], key=lambda at: columns[at].rank))
    header = [Segment(column.title, DIM) for column in columns]
    lines = []
    for row in (header, *rows):
        line: Line = []
        for at in kept:
            line += _cell(row[at], widths[at], columns[at].right)
            line.append(Segment(" " * GAP))
        lines.append(fit(line[:-1], width))
    return lines


def _total(widths: list[int], kept: list[int]) -> int:
    return sum(widths[at] for at in kept) + GAP * (len(kept) - 1)


def _squeeze(columns: Sequence[TableColumn], widths: list[int], kept: list[int], width: int) -> bool:
    """Make the widest text column narrower, down to 12 cells, if that is all it takes."""
    texts = [at for at in kept if not columns[at].right]
    widest = max(texts, key=lambda at: widths[at], default=None)
    excess = _total(widths, kept) - width
    if widest is None or widths[widest] - excess < max(12, cell_len(columns[widest].title)):
        return False
    widths[widest] -= excess
    return True


def _cell(content: Segment, width: int, right: bool) -> Line:
    text = crop(content.text, width)
    padding = Segment(" " * (width - cell_len(text)))
    cell = Segment(text, content.style)
    return [padding, cell] if right else [cell, padding]
