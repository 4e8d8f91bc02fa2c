"""The market and the account as a strategy sees them in one row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from agents.context.rolling import Cursor
from agents.context.views import Bar, Position, WorkingOrder, working_order
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.contracts import Simulator
from engine.types.instruments import Instrument
from engine.types.records import Records

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RowView:
    """What a strategy sees of one row. Valid only during `on_bar`."""

    def __init__(self, symbols: Sequence[str], instruments: Sequence[Instrument]) -> None:
        self.symbols = tuple(symbols)
        self.instruments = dict(zip(symbols, instruments, strict=True))
        self._index = {symbol: s for s, symbol in enumerate(symbols)}
        self._block: BarBlock
        self._simulator: Simulator | None = None
        self._money: dict[str, Records] = {}
        self._positions: list[np.void] = []
        self._followed = -1
        self._columns: dict[int, list[list[Any]]] = {}
        self.cursor = Cursor()

    def enter(self, simulator: Simulator, block: BarBlock) -> None:
        """Called by the strategy's base class before the rows of a block."""
        if simulator is not self._simulator:
            # views of its live records: to make them takes longer than to read them
            account = simulator.account
            self._money = {name: account[name] for name in ("cash", "equity", "halted", "orders")}
            self._positions = list(simulator.positions)
        self._simulator, self._block = simulator, block
        self._columns.clear()
        self.cursor.row, self._followed = 0, -1

    @property
    def seq(self) -> int:
        """Number of the row, counted from 0."""
        return self._block.seq + self.cursor.row

    @property
    def ts_event(self) -> int:
        """Close time of the row, nanoseconds UTC."""
        return int(self._block.ts_event.item(self.cursor.row))

    @property
    def time(self) -> datetime:
        """Close time of the row, UTC (to the microsecond)."""
        return EPOCH + timedelta(microseconds=self.ts_event // 1000)

    @property
    def cash(self) -> float:
        """Capital plus realised profit minus fees, account currency."""
        return float(self._of_account("cash"))

    @property
    def equity(self) -> float:
        """Cash plus unrealised profit at the marks, account currency."""
        return float(self._of_account("equity"))

    @property
    def halted(self) -> bool:
        """Whether a hard limit has stopped trading."""
        return bool(self._of_account("halted"))

    def bar(self, symbol: str | None = None) -> Bar | None:
        """The symbol's bar in this row, or None if it has none; by default the first symbol's."""
        s, i = self._at(symbol), self.cursor.row
        present, ts_event, open_, high, low, close, volume = self._columns.get(s) or self._unpacked(s)
        if not present[i]:
            return None
        return Bar(self.symbols[s], ts_event[i], open_[i], high[i], low[i], close[i], volume[i])

    def position(self, symbol: str | None = None) -> Position:
        """The position in a symbol."""
        s = self._at(symbol)
        quantity, avg_price, mark, _, _, realized, _ = self._position(s)
        return Position(self.symbols[s], quantity, avg_price, mark, realized)

    def orders(self, symbol: str | None = None) -> list[WorkingOrder]:
        """Working orders, in order of id; of one symbol or of all."""
        s = None if symbol is None else self._at(symbol)
        if self._simulator is None or not self._of_account("orders"):
            return []
        return [working_order(o, self.symbols) for o in self._simulator.orders if s is None or o["symbol"] == s]

    def _of_account(self, name: str) -> Any:
        if self._followed != self.cursor.row:
            self._follow()
        return self._money[name].item(0)

    def _position(self, symbol: int) -> tuple[Any, ...]:
        """The POSITION record of a symbol: a look at one field of it takes as long as all of them."""
        if self._followed != self.cursor.row:
            self._follow()
        return tuple(self._positions[symbol].item())

    def _follow(self) -> None:
        """Take the simulator to this row; rows in which nobody looked at it are advanced together."""
        assert self._simulator is not None  # noqa: S101 - there is no row before `enter`
        self._followed = self.cursor.row
        self._simulator.catch_up(self._followed)

    def _unpacked(self, symbol: int) -> list[list[Any]]:
        """The symbol's columns of this block as numbers of Python, which take a tenth of the time to pick out."""
        block = self._block
        columns = (block.present, block.open, block.high, block.low, block.close, block.volume)
        present, *bar = [column[:, symbol].tolist() for column in columns]
        found = self._columns[symbol] = [present, block.ts_event.tolist(), *bar]
        return found

    def _at(self, symbol: str | None) -> int:
        if symbol is None:
            return 0
        if symbol not in self._index:
            raise UsageError(f"no symbol {symbol!r}", expected=", ".join(self.symbols))
        return self._index[symbol]
