"""What the declared format of a file means for its zone, its prices and its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.base.errors import DataError
from engine.types.blocks import Bools, Ints
from feeds.reading.columns.casting import Array, is_text, plain, to_floats, trimmed
from feeds.reading.columns.names import ColumnMap
from feeds.reading.files.bar_file import BarFile, FileBatch
from feeds.reading.formats.general import GENERAL
from feeds.reading.times.column import TimeReader

_TURN, _TURN_ROWS = 3, 8  # how much better opens and closes must fit exchanged, and in how many bars at least


def zone_of(file: BarFile, columns: ColumnMap, times: TimeReader, zone: str | None) -> tuple[str, str]:
    """The zone of times without an offset, and why."""
    if times.zone:
        return times.zone, "it stands behind every time"
    if columns.utc:
        return "UTC", f"by the column name {columns.by_role['timestamp']!r}"
    if zone is not None:
        return zone, "as the settings say"
    if file.declared is not None and file.declared.format.zone:
        return file.declared.format.zone, f"as the format {file.declared.format.name} says"
    return "UTC", "assumed"


def divisor_of(file: BarFile, columns: ColumnMap, head: Sequence[FileBatch]) -> float:
    """What the format of the file says that its prices are to be divided by."""
    one = None if file.declared is None else file.declared.format
    if one is None or one.divisor == 1.0:
        return 1.0
    prices = [joined(head, at) for role, at in columns.values.items() if role != "volume"]
    whole = all(_is_whole(cells) for cells in prices)
    return one.divisor if one.divides == "always" or whole else 1.0


def _is_whole(cells: Array) -> bool:
    if is_text(cells.type):
        found = pc.match_substring_regex(trimmed(cells).drop_null(), r"^\d+$")
        return bool(pc.all(found).as_py())
    return bool(pa.types.is_integer(cells.type))


def check_turn(file: BarFile, columns: ColumnMap, head: Sequence[FileBatch], stamps: Ints, good: Bools) -> None:
    """Refuse a file without names whose first price follows on the last one of the bar before as if it were the close.

    High and low tell themselves, open and close do not: but a bar opens near where the one before it closed.

    Raises:
        DataError: If the opens and closes fit together much better the other way round.
    """
    if file.declared is None or file.declared.format not in GENERAL or not good.any() or columns.symbol is not None:
        return
    open_, close = (to_floats(joined(head, columns.values[name]))[0][good] for name in ("open", "close"))
    by_time = np.argsort(stamps[good], kind="stable")
    open_, close = open_[by_time], close[by_time]
    if len(open_) < _TURN_ROWS or not np.isfinite(open_ + close).all():
        return
    as_named = float(np.median(np.abs(open_[1:] - close[:-1])))
    turned = float(np.median(np.abs(close[1:] - open_[:-1])))
    if _TURN * turned < as_named:
        names = ",".join({"open": "close", "close": "open"}.get(name, name) for name in file.names)
        raise DataError(
            "the file has no header line, and its closes seem to come before its opens",
            where=file.source,
            expected="bars that open near where the bar before them closed",
            found=f"a median distance of {as_named:.4g}, and of {turned:.4g} with the two exchanged",
            hint=f"name the columns: --columns {names}, or {','.join(file.names)} if that is right",
        )


def about_format(file: BarFile, zone: str, zone_reason: str, divisor: float) -> list[str]:
    """What the declared format made of the file, a sentence each."""
    if file.declared is None:
        return []
    one = file.declared.format
    remarks = [f"the format is {one.name} ({one.title}), {file.declared.reason}"]
    if one.zone and zone != "UTC":
        fixed = f" ({zone[8:]} hours behind UTC all year)" if zone.startswith("Etc/GMT+") else ""
        remarks.append(f"times are in {zone}{fixed}, {zone_reason}")
    if divisor != 1.0:
        remarks.append(f"prices are divided by {divisor:,.0f}")
    if file.declared.others:
        names = " or ".join(file.declared.others)
        remarks.append(f"if {names} wrote it, say so with --format: zone and labels may differ")
    return remarks


def joined(head: Sequence[FileBatch], at: int) -> Array:
    """One column of the head of a file as one array."""
    parts = [plain(batch.columns[at]) for batch in head]
    return pa.concat_arrays([part.cast(pa.string()) if is_text(part.type) else part for part in parts])
