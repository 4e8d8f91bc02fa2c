"""Order books from tables: messages of LOBSTER, levels of Tardis, snapshots in columns (Tardis, Databento MBP-10)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.base.errors import DataError
from engine.types.blocks import Floats, Ints
from engine.types.records import Records
from feeds.books.layout import MESSAGE, NO_PRICE, PRICE_SCALE, Action, Flag, Side
from feeds.reading.columns.casting import plain, to_floats, trimmed
from feeds.reading.files.bar_file import BarFile, FileBatch
from feeds.reading.files.open_file import open_file
from feeds.reading.formats.recognise import require_day
from feeds.reading.times.column import of_day, settle
from feeds.reading.times.window import FOREVER
from feeds.reading.times.zones import LocalClock

_ENDS: Final = np.uint8(Flag.LAST)
SIZE_UNIT: Final = 1e-8
"""Sizes with decimals are counted in units of this."""
_LEVELS: Final = re.compile(r"(?i)^(bid|ask)s?(?:\[(\d+)\][._](price|amount)|_(px|sz)_(\d\d))$")


class TableBook:
    """One open table that holds the order book of one symbol.

    Args:
        file: Its declared format says how it is read.

    Raises:
        DataError: If its times cannot be read, or its form of a book is not known.
    """

    def __init__(self, file: BarFile) -> None:
        declared = file.declared
        assert declared is not None  # noqa: S101 - only such files come here
        self.file, self.source = file, file.source
        self.format = f"{file.format}, {declared.format.title}"
        self.remarks: tuple[str, ...] = file.remarks
        self.end_ns = FOREVER
        self._name = declared.format.name
        self._clock = LocalClock(declared.format.zone or "UTC")
        self._divisor = declared.format.divisor
        if self._name not in {"lobster", "tardis-book", "tardis-snapshots", "databento-mbp-10"}:
            raise DataError(
                f"{declared.format.title} cannot be read as a book alone",
                where=self.source,
                expected="the messages, such as LOBSTER's file of messages, which finds its states beside it",
                found=self.format,
            )
        self.size_unit = SIZE_UNIT if self._name.startswith("tardis") else 1.0
        self._time_at = declared.position("timestamp")
        head = next((batch for batch in file.batches([self._time_at]) if len(batch.lines)), None)
        if head is None:
            raise DataError("the file holds no rows", where=self.source)
        labels = [head.columns[self._time_at]]
        if declared.format.time:
            self._times = of_day(declared.format.time, require_day(declared, self.source))
        else:
            self._times = settle(labels, f"{self.source}, column 'timestamp'")
        self.symbols = (declared.symbol or file.symbol,)
        self.start_ns = int(self._stamps(head)[0])

    def messages(self, symbol: str | None = None) -> Iterator[Records]:
        """Its messages, MESSAGE, in the order of the file; rows that cannot be read are left out."""
        if self._name == "lobster":
            return self._lobster()
        return self._levels() if self._name == "tardis-book" else self._snapshots()

    def _stamps(self, batch: FileBatch) -> Ints:
        stamps, _ = self._times.read([batch.columns[self._time_at]], self._clock, None)
        return stamps

    def _at(self, names: Sequence[str]) -> list[int]:
        declared = self.file.declared
        assert declared is not None  # noqa: S101 - as above
        return [declared.position(name) for name in names]

    def _lobster(self) -> Iterator[Records]:
        columns = self._at(("action", "order_id", "size", "price", "side"))
        seed = self._first_state()
        for batch in self.file.batches([self._time_at, *columns]):
            kind, order, size, price, side = (_numbers(batch.columns[at]).astype(np.int64) for at in columns)
            stamps = self._stamps(batch)
            made = lobster_messages(stamps, kind, order, size, price * int(PRICE_SCALE / self._divisor), side)
            if seed is not None and len(stamps):
                # the state after the first message, in its place
                seed["ts_event"] = seed["ts_recv"] = stamps[0]
                yield seed
                made, seed = made[2 if kind[0] == _EXECUTED else 1 :], None
            yield made

    def _first_state(self) -> Records | None:
        """The first row of the file of states beside the messages, as a snapshot; None if there is none."""
        path = Path(self.source)
        beside = path.with_name(path.name.replace("_message_", "_orderbook_"))
        if beside == path or not beside.is_file():
            return None
        file = open_file(beside)
        batch = next(file.batches(list(range(len(file.names)))))
        cells = np.array([_numbers(batch.columns[at])[0] for at in range(len(file.names))]).reshape(-1, 4)
        rows = [(Side.ASK, ask, size) for ask, size, _, _ in cells] + [(Side.BID, bid, size) for *_, bid, size in cells]
        shown = [(side, price, size) for side, price, size in rows if size > 0]
        made = _blank(len(shown) + 1)
        made["action"][0], made["price"][0], made["side"][0] = Action.CLEAR, NO_PRICE, Side.NONE
        for at, (side, price, size) in enumerate(shown, 1):
            made["side"][at], made["order_id"][at] = side, int(size)
            made["price"][at] = int(price) * int(PRICE_SCALE / self._divisor)
        made["action"][1:], made["flags"] = Action.LEVEL, Flag.SNAPSHOT
        made["flags"][-1] |= _ENDS
        return made

    def _levels(self) -> Iterator[Records]:
        """Levels of Tardis; rows of one message have one time of reception, and end an event together."""
        columns = self._at(("local_timestamp", "is_snapshot", "side", "price", "size"))
        held: Records | None = None
        for batch in self.file.batches([self._time_at, *columns]):
            local, snapshot, side, price, size = (batch.columns[at] for at in columns)
            made = _blank(len(batch.lines))
            made["ts_event"], made["ts_recv"] = self._stamps(batch), _numbers(local).astype(np.int64)
            made["action"], made["price"] = Action.LEVEL, _prices(_numbers(price))
            made["order_id"] = np.rint(np.nan_to_num(_numbers(size)) / SIZE_UNIT).astype(np.uint64)
            made["side"] = np.where(_texts(side) == "bid", Side.BID, Side.ASK)
            made["flags"] = np.where(np.char.lower(_texts(snapshot)) == "true", Flag.SNAPSHOT, 0)
            whole = made if held is None else np.concatenate([held, made])
            ends = np.flatnonzero(whole["ts_recv"][1:] != whole["ts_recv"][:-1])
            whole["flags"][ends] |= _ENDS
            cut = int(ends[-1]) + 1 if len(ends) else 0
            held = whole[cut:]
            if cut:
                yield whole[:cut]
        if held is not None and len(held):
            held["flags"][-1] |= _ENDS
            yield held

    def _snapshots(self) -> Iterator[Records]:
        """A whole book in each row: emptied and set, which is one event."""
        found = {at: match for at, name in enumerate(self.file.names) if (match := _LEVELS.match(name))}
        places = {at: _place(match) for at, match in found.items()}
        for batch in self.file.batches([self._time_at, *places]):
            rows, depth = len(batch.lines), 1 + max(level for _, level, _ in places.values())
            made = _blank(rows * (2 * depth + 1)).reshape(rows, 2 * depth + 1)
            stamps = self._stamps(batch)
            made["ts_event"] = made["ts_recv"] = stamps[:, None]
            made["action"][:, 0], made["price"][:, 0], made["side"][:, 0] = Action.CLEAR, NO_PRICE, Side.NONE
            made["action"][:, 1:], made["price"][:, 1:] = Action.LEVEL, NO_PRICE
            for at, (side, level, is_price) in places.items():
                column = 1 + 2 * level + (side == Side.ASK)
                made["side"][:, column] = side
                values = _numbers(batch.columns[at])
                if is_price:
                    made["price"][:, column] = _prices(values)
                else:
                    made["order_id"][:, column] = np.rint(np.nan_to_num(values) / self.size_unit).astype(np.uint64)
            # a level that is not there sets nothing
            made["action"][:, 1:][made["price"][:, 1:] == NO_PRICE] = Action.NONE
            made["flags"][:, -1] = Flag.LAST
            yield made.reshape(-1)


_EXECUTED: Final = 4


def lobster_messages(stamps: Ints, kind: Ints, order: Ints, size: Ints, price: Ints, side: Ints) -> Records:
    """Rows of LOBSTER as messages: an execution is a trade and then a cancel of what rested.

    Args:
        stamps: Nanoseconds UTC.
        kind: 1 new, 2 cancelled in part, 3 deleted, 4 executed, 5 a hidden order executed, 6 an auction, 7 a halt.
        price: In units of 1e-9.
        side: 1 a bid, -1 an ask: of the order that rests.
    """
    rows = np.repeat(np.arange(len(kind)), np.where(kind == _EXECUTED, 2, 1))
    last = np.ones(len(rows), np.bool_)
    last[:-1] = rows[1:] != rows[:-1]
    made = _blank(len(rows))
    of = kind[rows]
    trades = (of == 5) | ((of == _EXECUTED) & ~last)
    made["ts_event"] = made["ts_recv"] = stamps[rows]
    made["order_id"], made["size"], made["price"] = order[rows], size[rows], price[rows]
    buys = (side[rows] > 0) ^ trades  # who took is the other side
    made["side"] = np.where(buys, Side.BID, Side.ASK)
    cancels = np.isin(of, (2, 3)) | ((of == _EXECUTED) & last)
    made["action"] = np.select(
        [trades, cancels, of == 1], [int(Action.TRADE), int(Action.CANCEL), int(Action.ADD)], int(Action.NONE)
    )
    made["flags"] = np.where(last, Flag.LAST, 0)
    return made


def _place(match: re.Match[str]) -> tuple[Side, int, bool]:
    """Side and level (from 0) of a column, and whether it holds prices."""
    side = Side.BID if match[1].lower() == "bid" else Side.ASK
    return side, int(match[2] or match[5]), (match[3] or match[4]).lower() in {"price", "px"}


def _blank(count: int) -> Records:
    made = np.zeros(count, MESSAGE)
    made["length"], made["rtype"] = MESSAGE.itemsize // 4, 160
    return made


def _prices(values: Floats) -> Ints:
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, values, 0.0) * PRICE_SCALE).astype(np.int64), NO_PRICE)


def _numbers(column: Any) -> Floats:
    return to_floats(column)[0]


def _texts(column: Any) -> Any:
    return np.array(trimmed(plain(column)).to_pylist(), dtype=np.str_)
