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
from feeds.reading.columns.numbers import PLAIN, NumberForm, settle_numbers
from feeds.reading.declared import about_format, check_turn, divisor_of, joined, zone_of
from feeds.reading.files.bar_file import BarFile, FileBatch
from feeds.reading.files.reversed_file import ReversedFile, runs_backwards
from feeds.reading.formats.importing import AS_FOUND, ROLES, Importing
from feeds.reading.formats.recognise import require_day
from feeds.reading.rows.ordering import NEVER
from feeds.reading.times.column import DateOrder, TimeReader, of_day, settle, unreadable_times
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
        divisor: What prices are divided by.
        zone_reason: Why it is that zone, a clause.
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
    numbers: NumberForm = PLAIN
    divisor: float = 1.0
    zone_reason: str = ""
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


def plan_file(file: BarFile, zone: str | None, order: DateOrder = "auto", how: Importing = AS_FOUND) -> FilePlan:
    """Look at the head of a file.

    Args:
        zone: IANA name of the zone of times without an offset, unless they or the name of their column say another;
            None takes that of the file's format, or UTC.
        order: Whether 01/02/2024 is in January or in February, if the dates do not tell.
        how: What the user says of columns.

    Raises:
        DataError: If it is damaged, lacks a column, holds no bars, or none of its times can be read.
        UsageError: If the user asks for what it has not.
    """
    _require_bars(file)
    columns = match_columns(file.names, file.source, file.time, roles_of(file, how), adjusted=how.adjusted)
    return planned(file, columns, zone, order)


def planned(
    file: BarFile, columns: ColumnMap, zone: str | None, order: DateOrder = "auto", *, ticks: bool = False
) -> FilePlan:
    """Look at the head of a file whose columns are known; arguments and errors are those of `plan_file`.

    Args:
        ticks: Whether its times are moments and not those of bars, and its values those of trades or quotes.
    """
    spare = [] if columns.spare_volume is None else [columns.spare_volume]
    used = [*columns.time, *columns.values.values(), *([] if columns.symbol is None else [columns.symbol]), *spare]
    used += [at for at in (columns.settlement, columns.factor, columns.more_volume) if at is not None]
    head = _head(file, list(dict.fromkeys(used)))
    columns, volume = _choose_volume(head, columns)
    columns = _choose_close(head, columns)
    _check_types(head[0], columns, file.source)
    prices = [joined(head, at) for at in columns.values.values()]
    numbers = settle_numbers(prices, file.source)
    codes, known = np.zeros(sum(len(batch.lines) for batch in head), np.int64), dict[str, int]()
    if columns.symbol is not None:
        codes = np.concatenate([symbol_codes(batch.columns[columns.symbol], known, grow=True) for batch in head])
    labels = [joined(head, at) for at in columns.time]
    where = f"{file.source}, column {columns.by_role['timestamp']!r}"
    times = _times(file, labels, where, order)
    zone, zone_reason = zone_of(file, columns, times, zone)
    stamps, good = times.read(labels, LocalClock(zone), codes)
    if not good.any():
        raise unreadable_times(trimmed(labels[0]).drop_null(), where)
    good &= codes != NO_SYMBOL
    divisor = divisor_of(file, columns, head)
    check_turn(file, columns, head, stamps, good)
    remarks = [
        *file.remarks,
        *about_format(file, zone, zone_reason, divisor),
        *columns.remarks,
        *([] if ticks else volume),
        *([f"numbers are written with {numbers.described}"] if numbers.described else []),
    ]
    # before labels and widths, which assume that time goes forward
    if runs_backwards(stamps[good], codes[good]):
        file, codes = ReversedFile(file), codes[::-1]
        backwards = pa.array(np.arange(len(codes) - 1, -1, -1))
        stamps, good = times.read([column.take(backwards) for column in labels], LocalClock(zone), codes)
        good &= codes != NO_SYMBOL
        remarks.append("it runs from the newest bar to the oldest, and is read in reverse")
    instants = "" if ticks else settle_instants(stamps[good])
    closing = "they name the last instant of a bar" if instants else None
    closing = "midnight is written 24:00" if times.has_midnight(labels) else closing
    stamps = to_whole(stamps[good], instants)
    return FilePlan(
        file=file,
        columns=columns,
        times=times,
        zone=zone,
        head_times=stamps,
        head_codes=codes[good],
        head_symbols=tuple(known),
        numbers=numbers,
        divisor=divisor,
        zone_reason=zone_reason,
        instants=instants,
        closing=closing,
        remarks=tuple(remarks),
    )


def _require_bars(file: BarFile) -> None:
    """Refuse trades, quotes and books.

    Raises:
        DataError: If the file's format holds those.
    """
    if file.messages_only:
        raise DataError(
            "the file holds an order book, not bars",
            where=file.source,
            expected="bars: open, high, low and close of a period",
            found=file.format,
            hint="commands that read bars make them of its messages: --bars time:1min",
        )
    if file.declared is not None and file.declared.format.holds != "bars":
        one = file.declared.format
        what = {"book": "an order book"}.get(one.holds, one.holds)
        raise DataError(
            f"the file holds {what}, not bars",
            where=file.source,
            expected="bars: open, high, low and close of a period",
            found=f"{one.title} ({one.name}), {file.declared.reason}",
            hint="make bars of them first; if they are bars, name the columns: --columns timestamp,open,high,low,close",
        )


def roles_of(file: BarFile, how: Importing) -> dict[str, int]:
    """Positions of the columns that the format or the user names; the user counts more."""
    declared = () if file.declared is None or not file.declared.format.header else file.declared.columns
    found = {name: at for at, name in enumerate(declared) if name in ROLES}
    if "timestamp" in found:
        found = {name: at for name, at in found.items() if name not in {"date", "time"}}
    said = how.roles(file.names, file.source)
    if not {"timestamp", "date", "time", "open_time", "close_time"}.isdisjoint(said):
        found = {name: at for name, at in found.items() if name not in {"timestamp", "date", "time", "open_time"}}
    return found | said


def _times(file: BarFile, labels: Sequence[Array], where: str, order: DateOrder) -> TimeReader:
    if file.declared is not None and file.declared.format.time:
        return of_day(file.declared.format.time, require_day(file.declared, file.source))
    declared = "auto" if file.declared is None else file.declared.format.date_order
    return settle(labels, where, declared if order == "auto" else order)


def _missing(cells: Array) -> int:
    """How many cells hold nothing."""
    return int((trimmed(cells) if is_text(cells.type) else cells).null_count)


def _choose_volume(head: Sequence[FileBatch], columns: ColumnMap) -> tuple[ColumnMap, list[str]]:
    """The count of ticks in place of a volume that is nothing but zeros, as MetaTrader writes it for spot markets."""
    if "volume" not in columns.values:
        others = [name for name in columns.names if "vol" in name.casefold()]
        return columns, [
            f"the volume is unknown: no column is called volume, but {', '.join(others)}"
        ] if others else []
    if columns.spare_volume is None:
        return columns, []
    volume, ticks = (to_floats(joined(head, at))[0] for at in (columns.values["volume"], columns.spare_volume))
    if np.nan_to_num(volume).any() or not np.nan_to_num(ticks).any():
        return columns, []
    chosen = replace(columns, values={**columns.values, "volume": columns.spare_volume})
    zeros, used = columns.by_role["volume"], chosen.by_role["volume"]
    return chosen, [f"the volume is that of {used}, because {zeros} is nothing but zeros"]


def _choose_close(head: Sequence[FileBatch], columns: ColumnMap) -> ColumnMap:
    """The settlement price in place of a last price that most rows lack, as in files of futures."""
    if columns.settlement is None or columns.settlement == columns.values["close"]:
        return columns
    closes, settled = (joined(head, at) for at in (columns.values["close"], columns.settlement))
    if _missing(closes) <= len(closes) // 2 or _missing(settled) > len(settled) // 2:
        return columns
    empty, used = columns.names[columns.values["close"]], columns.names[columns.settlement]
    return replace(
        columns,
        values={**columns.values, "close": columns.settlement},
        remarks=(f"the close is the settlement price {used}, because {empty} is mostly empty",),
    )


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
