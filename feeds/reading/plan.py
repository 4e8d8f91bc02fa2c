"""What one file holds, found by a look at its head: its columns, the form of its times and its symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from engine.base.errors import DataError, UsageError
from engine.types.blocks import Bools, Ints
from feeds.reading.columns.casting import Array, is_number, is_text, plain, to_floats, to_ints, trimmed, valid_mask
from feeds.reading.columns.names import ColumnMap, match_columns
from feeds.reading.columns.numbers import NumberStyle, settle_numbers
from feeds.reading.files.bar_file import BarFile, FileBatch
from feeds.reading.files.reversed_file import ReversedFile, runs_backwards
from feeds.reading.rows.ordering import NEVER
from feeds.reading.times.column import DateOrder, TimeReader, settle, unreadable_times
from feeds.reading.times.last_instant import LastInstant, settle_instants, to_whole
from feeds.reading.times.zones import LocalClock

HEAD_ROWS = 20_000
MOST_SYMBOLS = 10_000
STRAY = 100  # one row of so many may be out of order before a file counts as sorted otherwise than by time
NO_SYMBOL = -1
OTHER_SYMBOL = -2


@dataclass(frozen=True, slots=True)
class FilePlan:
    """How to read one file.

    Attributes:
        zone: IANA name of the zone of times without an offset.
        head_times: Labels of the readable rows of its head, nanoseconds UTC, shape (n,).
        head_codes: Number of each such row's symbol, in order of appearance, shape (n,).
        head_symbols: The symbols in that order; empty without a symbol column.
        instants: Whether its labels fall on the last instant of a bar, which is taken for the end of it.
        closing: What in the times themselves shows that they are close times; None if nothing does.
        remarks: What was found and is worth a line to the user.
    """

    file: BarFile
    columns: ColumnMap
    times: TimeReader
    zone: str
    head_times: Ints
    head_codes: Ints
    head_symbols: tuple[str, ...]
    numbers: NumberStyle = "plain"
    instants: LastInstant = ""
    closing: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The file, for messages."""
        return self.file.source

    @property
    def name(self) -> str:
        """What its bars are called if no column says."""
        return self.file.symbol

    def stamps(self, batch: FileBatch, clock: LocalClock, codes: Ints | None) -> tuple[Ints, Bools]:
        """Labels of a batch, nanoseconds UTC, and which are good, both of shape (n,)."""
        stamps, good = self.times.read([batch.columns[at] for at in self.columns.time], clock, codes)
        return to_whole(stamps, self.instants), good


def plan_file(file: BarFile, zone: str, order: DateOrder = "auto") -> FilePlan:
    """Look at the head of a file.

    Args:
        zone: IANA name of the zone of times without an offset, unless the name of the column says UTC.
        order: Whether 01/02/2024 is in January or in February, if the dates do not tell.

    Raises:
        DataError: If it is damaged, lacks a column, or none of its times can be read.
    """
    columns = match_columns(file.names, file.source, file.time)
    zone = "UTC" if columns.utc else zone
    spare = [] if columns.spare_volume is None else [columns.spare_volume]
    used = [*columns.time, *columns.values.values(), *([] if columns.symbol is None else [columns.symbol]), *spare]
    head = _head(file, used)
    columns, volume = _choose_volume(head, columns)
    _check_types(head[0], columns, file.source)
    numbers = settle_numbers([_joined(head, at) for at in columns.values.values()], file.source)
    codes, known = np.zeros(sum(len(batch.lines) for batch in head), np.int64), dict[str, int]()
    if columns.symbol is not None:
        codes = np.concatenate([symbol_codes(batch.columns[columns.symbol], known, grow=True) for batch in head])
    labels = [_joined(head, at) for at in columns.time]
    where = f"{file.source}, column {columns.by_role['timestamp']!r}"
    times = settle(labels, where, order)
    stamps, good = times.read(labels, LocalClock(zone), codes)
    if not good.any():
        raise unreadable_times(trimmed(labels[0]).drop_null(), where)
    good &= codes != NO_SYMBOL
    remarks = [*volume, *([] if numbers == "plain" else [f"numbers are written with a {numbers}"])]
    # before labels and widths, which assume that time goes forward
    if runs_backwards(stamps[good], codes[good]):
        file, codes = ReversedFile(file), codes[::-1]
        backwards = pa.array(np.arange(len(codes) - 1, -1, -1))
        stamps, good = times.read([column.take(backwards) for column in labels], LocalClock(zone), codes)
        good &= codes != NO_SYMBOL
        remarks.append("it runs from the newest bar to the oldest, and is read in reverse")
    instants = settle_instants(stamps[good])
    closing = "they name the last instant of a bar" if instants else None
    closing = "midnight is written 24:00" if times.has_midnight(labels) else closing
    stamps = to_whole(stamps[good], instants)
    return FilePlan(
        file, columns, times, zone, stamps, codes[good], tuple(known), numbers, instants, closing, tuple(remarks)
    )


def _joined(head: Sequence[FileBatch], at: int) -> Array:
    parts = [plain(batch.columns[at]) for batch in head]
    return pa.concat_arrays([part.cast(pa.string()) if is_text(part.type) else part for part in parts])


def _choose_volume(head: Sequence[FileBatch], columns: ColumnMap) -> tuple[ColumnMap, list[str]]:
    """The count of ticks in place of a volume that is nothing but zeros, as MetaTrader writes it for spot markets."""
    if "volume" not in columns.values:
        others = [name for name in columns.names if "vol" in name.casefold()]
        return columns, [
            f"the volume is unknown: no column is called volume, but {', '.join(others)}"
        ] if others else []
    if columns.spare_volume is None:
        return columns, []
    volume, ticks = (to_floats(_joined(head, at))[0] for at in (columns.values["volume"], columns.spare_volume))
    if np.nan_to_num(volume).any() or not np.nan_to_num(ticks).any():
        return columns, []
    chosen = replace(columns, values={**columns.values, "volume": columns.spare_volume})
    zeros, used = columns.by_role["volume"], chosen.by_role["volume"]
    return chosen, [f"the volume is that of {used}, because {zeros} is nothing but zeros"]


def symbol_codes(column: Array, known: dict[str, int], *, grow: bool = False) -> Ints:
    """Number of each row's symbol, shape (n,).

    Args:
        known: Number of each symbol; new ones are added where `grow` is true.
        grow: Otherwise an unknown symbol is `OTHER_SYMBOL`. An empty cell always is `NO_SYMBOL`.
    """
    cells = trimmed(plain(column)).dictionary_encode()
    # one more, so that a column of nothing but empty cells has something to look up
    numbers = np.full(len(cells.dictionary) + 1, NO_SYMBOL, np.int64)
    for at, value in enumerate(cells.dictionary.cast(pa.binary()).to_pylist()):
        symbol = value.decode("utf-8", errors="replace")
        numbers[at] = known.setdefault(symbol, len(known)) if grow else known.get(symbol, OTHER_SYMBOL)
    rows = to_ints(cells.indices.cast(pa.int64()))
    return np.where(valid_mask(cells.indices), numbers[rows], NO_SYMBOL)


def scan_symbols(plan: FilePlan) -> tuple[tuple[str, ...], bool]:
    """Read the symbol and time columns of a whole file.

    Returns:
        Symbols in order of appearance, and whether the rows come by time rather than symbol by symbol.

    Raises:
        DataError: If there are too many symbols for the column to be one, or none.
    """
    symbol_at = plan.columns.symbol
    assert symbol_at is not None  # noqa: S101 - only files with such a column are scanned
    known: dict[str, int] = {}
    clock, latest, rows, behind = LocalClock(plan.zone), NEVER, 0, 0
    for batch in plan.file.batches([*plan.columns.time, symbol_at]):
        codes = symbol_codes(batch.columns[symbol_at], known, grow=True)
        stamps, good = plan.stamps(batch, clock, codes)
        stamps = stamps[good & (codes != NO_SYMBOL)]
        if len(stamps):
            reached = np.maximum.accumulate(np.maximum(stamps, latest))
            behind += int(np.count_nonzero(stamps < reached))
            rows, latest = rows + len(stamps), int(reached[-1])
        if len(known) > MOST_SYMBOLS:
            break
    if not 0 < len(known) <= MOST_SYMBOLS:
        raise DataError(
            "the symbol column does not hold symbols",
            where=f"{plan.source}, column {plan.columns.names[symbol_at]!r}",
            expected=f"1 to {MOST_SYMBOLS} different names",
            found=f"more than {MOST_SYMBOLS}" if known else "nothing but empty cells",
            hint="rename or remove the column, and name the symbol instead",
        )
    return tuple(known), behind * STRAY <= rows


def require_symbol(plan: FilePlan, symbol: str) -> None:
    """Make sure that a file with a symbol column has this one.

    Raises:
        UsageError: If it has not; the first ones that it has are listed.
    """
    symbols, _ = scan_symbols(plan)
    if symbol not in symbols:
        raise UsageError(
            f"the file has no symbol {symbol!r}",
            where=plan.source,
            expected=f"one of {', '.join(symbols[:20])}{', ...' if len(symbols) > 20 else ''}",
            found=repr(symbol),
        )


def _head(file: BarFile, used: Sequence[int]) -> list[FileBatch]:
    head: list[FileBatch] = []
    malformed = 0
    for batch in file.batches(used):
        malformed += len(batch.malformed)
        if len(batch.lines):
            head.append(batch)
        if sum(len(batch.lines) for batch in head) >= HEAD_ROWS:
            break
    if not head:
        raise DataError(
            "the file holds no rows",
            where=file.source,
            expected="rows of as many fields as there are columns" if malformed else "rows below the column names",
            found=f"{malformed} lines with another number of fields" if malformed else "column names only",
        )
    return head


def _check_types(batch: FileBatch, columns: ColumnMap, where: str) -> None:
    for name, at in columns.values.items():
        kind = plain(batch.columns[at]).type
        if not (is_number(kind) or is_text(kind) or pa.types.is_null(kind)):
            raise DataError(
                f"the column {columns.names[at]!r} cannot be the {name}",
                where=where,
                expected="numbers, or text that holds numbers",
                found=f"type {kind}",
            )
