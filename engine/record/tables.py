"""The tables of a run folder: which columns each has, and how records become Arrow tables and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from engine.base.errors import GrandModelError
from engine.record.records import CHART_LINES
from engine.types.blocks import Floats, Ints
from engine.types.records import (
    LEDGER_COLUMNS,
    CommandKind,
    OrderEventKind,
    OrderType,
    Reason,
    Records,
    Role,
    SeatName,
    TimeInForce,
)

Kind = Literal["time", "symbol", "number", "price", "word", "flag"]
TIME = pa.timestamp("ns", tz="UTC")
BATCH = 65_536
NO_WORDS: Mapping[int, str] = MappingProxyType({})


class Column(NamedTuple):
    """One column: its name, the record field behind it and how to show it.

    A `price` of 0 and a `time` of 0 become null; a `word` is looked up in `words`.
    """

    name: str
    field: str
    kind: Kind = "number"
    words: Mapping[int, str] = NO_WORDS


def _words(enum: type[IntEnum]) -> dict[int, str]:
    return {int(member): member.name.lower() for member in enum}


STATUS = {**_words(OrderEventKind), int(OrderEventKind.SUBMITTED): "working"}
BUY_SELL = {-1: "sell", 1: "buy"}
LONG_SHORT = {-1: "short", 1: "long"}
TYPE, ROLE, REASON = _words(OrderType), _words(Role), _words(Reason)

FILL_COLUMNS = (
    Column("ts_event", "ts_event", "time"),
    Column("row", "seq"),
    Column("order_id", "order_id"),
    Column("symbol", "symbol", "symbol"),
    Column("side", "side", "word", BUY_SELL),
    Column("role", "role", "word", ROLE),
    *(Column(name, name) for name in ("quantity", "price", "fee", "realized", "position", "avg_price")),
    Column("reason", "reason", "word", REASON),
    Column("tag", "tag"),
)
DECISION_COLUMNS = (
    Column("ts_event", "ts_event", "time"),
    Column("symbol", "symbol", "symbol"),
    Column("kind", "kind", "word", _words(CommandKind)),
    Column("type", "type", "word", TYPE),
    Column("quantity", "quantity"),
    *(Column(name, name, "price") for name in ("limit", "stop", "trail", "stop_loss", "take_profit")),
    *(Column(name, name, "price") for name in ("stop_distance", "target_distance", "trail_distance")),
    Column("time_in_force", "tif", "word", _words(TimeInForce)),
    Column("expires", "expire_ts", "time"),
    Column("reduce_only", "reduce_only", "flag"),
    Column("order_id", "order_id"),
    Column("tag", "tag"),
)
ORDER_COLUMNS = (
    Column("id", "id"),
    Column("symbol", "symbol", "symbol"),
    Column("side", "side", "word", BUY_SELL),
    Column("type", "type", "word", TYPE),
    Column("role", "role", "word", ROLE),
    Column("parent", "parent"),
    Column("quantity", "quantity"),
    Column("filled", "filled"),
    Column("limit_or_stop", "price", "price"),
    Column("price", "average", "price"),
    Column("status", "status", "word", STATUS),
    Column("reason", "reason", "word", REASON),
    Column("submitted", "submitted", "time"),
    Column("closed", "closed", "time"),
    Column("tag", "tag"),
)
TRADE_COLUMNS = (
    Column("symbol", "symbol", "symbol"),
    Column("side", "side", "word", LONG_SHORT),
    Column("entry_time", "entry_ts", "time"),
    Column("exit_time", "exit_ts", "time"),
    *(Column(name, name) for name in ("quantity", "entry_price", "exit_price", "profit", "return", "fees")),
    Column("bars", "bars"),
    Column("entry_role", "entry_role", "word", ROLE),
    Column("exit_role", "exit_role", "word", ROLE),
    Column("exit_reason", "exit_reason", "word", REASON),
    Column("entry_tag", "entry_tag"),
    Column("exit_tag", "exit_tag"),
    Column("fills", "fills"),
    Column("open", "open", "flag"),
)
AGENT_COLUMNS = (
    Column("ts_event", "ts_event", "time"),
    Column("row", "seq"),
    Column("seat", "seat", "word", _words(SeatName)),
    Column("symbol", "symbol", "symbol"),
    Column("first_bar", "first_ts", "time"),
    Column("last_bar", "last_ts", "time"),
    *(Column(name, name) for name in ("action_0", "action_1", "action_2", "confidence")),
)
SESSION_COLUMNS = (
    Column("ts_event", "ts_event", "time"),
    Column("equity", "equity"),
    Column("buy_and_hold", "buy_and_hold"),
)


def _values(records: Records, name: str) -> Any:
    """A record field, or one that follows from others."""
    if name == "average":
        filled = records["filled"]
        return np.divide(records["value"], filled, out=np.zeros(len(records)), where=filled > 0)
    if name == "bars":
        return records["exit_seq"] - records["entry_seq"]
    return np.ascontiguousarray(records[name])


def _times(values: Ints) -> pa.Array:
    return pa.array(values.view("datetime64[ns]"), type=TIME, mask=values == 0)


def _array(records: Records, column: Column, symbols: Sequence[str]) -> pa.Array:
    values = _values(records, column.field)
    match column.kind:
        case "time":
            return _times(values)
        case "price":
            return pa.array(values, mask=values == 0)
        case "flag":
            return pa.array(values != 0)
        case "symbol":
            indices = pa.array(values.astype(np.int32), mask=values < 0)  # below 0: the whole book
            return pa.DictionaryArray.from_arrays(indices, pa.array(list(symbols), pa.string()))
        case "word":
            low, high = min(column.words), max(column.words)
            names = pa.array([column.words.get(value, "") for value in range(low, high + 1)])
            # a command that names no order type leaves the field 0, which no word stands for
            known = (values >= low) & (values <= high)
            return pa.DictionaryArray.from_arrays(pa.array((values - low).astype(np.int8), mask=~known), names)
        case _:
            return pa.array(values)


def records_table(records: Records, columns: Sequence[Column], symbols: Sequence[str]) -> pa.Table:
    """Records as an Arrow table; symbols and enums as dictionary-encoded lower-case words."""
    return pa.table({column.name: _array(records, column, symbols) for column in columns})


def ledger_table(ts_event: Ints, ledger: Floats, positions: Floats, symbols: Sequence[str]) -> pa.Table:
    """Ledger rows as an Arrow table: ts_event, LEDGER_COLUMNS and `position.SYMBOL`."""
    arrays = {"ts_event": _times(ts_event)}
    arrays |= {name: pa.array(np.ascontiguousarray(ledger[:, c])) for c, name in enumerate(LEDGER_COLUMNS)}
    arrays |= {f"position.{name}": pa.array(np.ascontiguousarray(positions[:, s])) for s, name in enumerate(symbols)}
    return pa.table(arrays)


def chart_table(
    times: Ints,
    lines: Floats,
    prices: Floats,
    volumes: Floats,
    symbols: Sequence[str],
    benchmark: Floats | None = None,
) -> pa.Table:
    """Chart points as an Arrow table: ts_event, CHART_LINES, `benchmark` if any, `open.SYMBOL` to `volume.SYMBOL`.

    Prices are null where a symbol has no bar, volumes also where they are unknown.
    """
    arrays = {"ts_event": _times(times)}
    arrays |= {name: pa.array(np.ascontiguousarray(lines[:, c])) for c, name in enumerate(CHART_LINES)}
    if benchmark is not None:
        arrays["benchmark"] = pa.array(benchmark)
    for s, symbol in enumerate(symbols):
        for p, name in enumerate(("open", "high", "low", "close")):
            arrays[f"{name}.{symbol}"] = pa.array(np.ascontiguousarray(prices[:, s, p]), from_pandas=True)
        arrays[f"volume.{symbol}"] = pa.array(np.ascontiguousarray(volumes[:, s]), from_pandas=True)
    return pa.table(arrays)


class ParquetFile:
    """A Parquet file that grows by tables.

    Raises:
        GrandModelError: If the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # Arrow takes a relative name with a colon for a URI
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        """Append a table as one row group; the first fixes the columns."""
        if self._writer is not None and not table.num_rows:
            return
        import pyarrow.parquet as pq  # noqa: PLC0415 - only a run that is written needs it

        words = [entry.name for entry in table.schema if pa.types.is_dictionary(entry.type)]
        # rows are a bar apart: their times take next to no room, so that files of quick LZ4 are no larger than of zstd
        steady = {entry.name: "DELTA_BINARY_PACKED" for entry in table.schema if entry.name == "ts_event"}
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(
                    self._path, table.schema, compression="lz4", use_dictionary=words, column_encoding=steady
                )
            self._writer.write_table(table)
        except OSError as error:
            raise GrandModelError(f"cannot write the run: {error}", where=str(self._path)) from error

    def close(self) -> None:
        """Write the footer, without which the file cannot be read."""
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as error:
                raise GrandModelError(f"cannot write the run: {error}", where=str(self._path)) from error
            self._writer = None


class RecordTable:
    """Collects records, and writes them to a Parquet file batch by batch if there is one.

    Args:
        path: The file; None keeps all records in memory.
        dtype: Of the records.
        columns: Of the table.
        symbols: Names behind symbol numbers.
    """

    def __init__(
        self, path: Path | None, dtype: np.dtype[np.void], columns: Sequence[Column], symbols: Sequence[str]
    ) -> None:
        self._file = ParquetFile(path) if path else None
        self._empty: Records = np.empty(0, dtype)
        self._columns, self._symbols = columns, symbols
        self._parts: list[Records] = []
        self._held = 0

    def add(self, records: Records) -> None:
        """Append records."""
        if not len(records):
            return
        self._parts.append(records)
        self._held += len(records)
        if self._file and self._held >= BATCH:
            self._flush(self._file)

    def table(self) -> pa.Table:
        """The records held as an Arrow table."""
        return records_table(np.concatenate([self._empty, *self._parts]), self._columns, self._symbols)

    def close(self) -> None:
        """Write what is held and end the file; a table without records gets a file with its columns."""
        if self._file:
            self._flush(self._file)
            self._file.close()

    def _flush(self, file: ParquetFile) -> None:
        file.write(self.table())
        self._parts, self._held = [], 0
