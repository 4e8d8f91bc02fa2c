"""The equity curve drawn in braille: two dots across and four down in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from rich.segment import Segment

from engine.challengers.takeovers import Takeover
from engine.dashboard.cells import BAD, DIM, GOOD, Line, crop, fit
from engine.dashboard.history import EquityHistory
from engine.dashboard.text import clean, money_within
from engine.types.blocks import Bools, Floats, Ints

BRAILLE = 0x2800
# bit of each dot by its row and column in the cell (Unicode, block "Braille Patterns")
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.int64)


def equity_chart(
    history: EquityHistory, initial: float, width: int, height: int, takeovers: Sequence[Takeover] = ()
) -> list[Line]:
    """The curve with its scale on the left, exactly `height` lines of `width` cells.

    Above the initial capital it is green, below red; a dim line marks the initial capital where it is in
    sight, and an upright one each row from which others decided, with their name as far as there is room.
    """
    if width < 16 or height < 1 or not len(history):
        return [fit([], width) for _ in range(height)]
    bottom, top = float(np.nanmin(history.low)), float(np.nanmax(history.high))
    labels = scale_labels(bottom, top, height, width // 3)
    label_width = max(len(label) for label in labels)
    cells = width - label_width - 2
    low, high, last = resample(history, 2 * cells)
    codes = dots(low, high, last, bottom, top, height)
    level = _level(initial, bottom, top, 4 * height)
    ahead = last[1::2] >= initial
    upright, names = _marks(history, takeovers, cells)
    lines = []
    for row in range(height):
        # every cell of the line that marks the initial capital, where the curve does not cover it
        filler = "┈" if level is not None and level // 4 == row else " "
        lead = [Segment(labels[row].rjust(label_width), DIM), Segment(" │", DIM)]
        behind = [mark if mark != " " else filler for mark in (names if row == 0 else upright)]
        lines.append(fit(lead + _coloured(codes[row], ahead, behind), width))
    return lines


def _marks(history: EquityHistory, takeovers: Sequence[Takeover], cells: int) -> tuple[str, str]:
    """What stands behind the curve on every line, and on the first one: upright lines, and names beside them."""
    upright, names = [" "] * cells, [" "] * cells
    placed = [(history.place(one.seq), clean(one.name)) for one in takeovers]
    starts = [(int(place * cells), name) for place, name in placed if place is not None]
    for number, (at, name) in enumerate(starts):
        upright[at] = names[at] = "│"
        end = starts[number + 1][0] if number + 1 < len(starts) else cells
        before = max((index for index in range(at) if names[index] != " "), default=-1)
        if len(name) > end - at - 1 and len(name) < at - before:  # on the side where there is room
            names[at - len(name) : at] = name
            continue
        words = crop(name, end - at - 1)
        names[at + 1 : at + 1 + len(words)] = words
    return "".join(upright), "".join(names)


def resample(history: EquityHistory, columns: int) -> tuple[Floats, Floats, Floats]:
    """Lowest, highest and last equity of each of `columns` equal parts of the history, shape (columns,) each.

    Parts without rows repeat the last equity before them.
    """
    count = len(history)
    start = np.arange(columns) * count // columns
    stop = np.maximum(start + 1, np.arange(1, columns + 1) * count // columns)
    last = _carried(history.last)
    low, high = np.fmin(history.low, last), np.fmax(history.high, last)
    if columns > count:
        return low[start], high[start], last[start]
    return np.minimum.reduceat(low, start), np.maximum.reduceat(high, start), last[stop - 1]


def dots(low: Floats, high: Floats, last: Floats, bottom: float, top: float, height: int) -> Ints:
    """Braille bits of a connected curve, shape (height, columns / 2), row 0 at the top.

    Args:
        low: Lowest value of each column of dots, shape (columns,), an even number.
        high: Highest value of each column.
        last: Last value of each column; the next column is joined to it.
        bottom: Value at the lowest dot.
        top: Value at the highest dot.
        height: Lines of text; a line is four dots high.
    """
    count = 4 * height
    before = np.concatenate([last[:1], last[:-1]])
    upper = _dot(np.maximum(high, before), bottom, top, count)
    lower = _dot(np.minimum(low, before), bottom, top, count)
    row = np.arange(count)[:, None]
    lit: Bools = (row >= upper) & (row <= lower)
    grid = lit.reshape(height, 4, len(last) // 2, 2)
    codes: Ints = np.einsum("hrcd,rd->hc", grid.astype(np.int64), DOTS)
    return codes


def scale_labels(bottom: float, top: float, height: int, width: int) -> list[str]:
    """What stands beside each line: the value at its middle, at the top, in the middle and at the bottom."""
    marked = {0, height - 1} if top > bottom else set()
    if height >= 5 or not marked:
        marked.add(height // 2)
    labels = []
    for row in range(height):
        share = row / (height - 1) if height > 1 else 0.0
        labels.append(money_within(top + (bottom - top) * share, width) if row in marked else "")
    return labels


def _dot(values: Floats, bottom: float, top: float, count: int) -> Ints:
    """Row of dots of each value, 0 at the top; a flat curve runs through the middle."""
    span = top - bottom
    if span <= 0:
        return np.full(len(values), count // 2, dtype=np.int64)
    return np.rint((top - values) / span * (count - 1)).astype(np.int64)


def _level(value: float, bottom: float, top: float, count: int) -> int | None:
    return int(_dot(np.array([value]), bottom, top, count)[0]) if bottom < value < top else None


def _carried(values: Floats) -> Floats:
    seen = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return values[seen]


def _coloured(codes: Ints, ahead: Bools, behind: Sequence[str]) -> Line:
    cells = zip(codes.tolist(), ahead.tolist(), behind, strict=True)
    line = []
    for (drawn, good), group in groupby(cells, key=lambda cell: (cell[0] != 0, cell[1])):
        members = list(group)
        text = "".join(chr(BRAILLE + code) if drawn else filler for code, _, filler in members)
        line.append(Segment(text, (GOOD if good else BAD) if drawn else DIM))
    return line
