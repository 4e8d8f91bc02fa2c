"""The market and the account as a strategy sees them in one row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from agents.context.views import Bar, Position, WorkingOrder, working_order
from engine.base.errors import UsageError
from engine.types.blocks import BarBlock
from engine.types.contracts import Simulator
from engine.types.instruments import Instrument

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RowView:
    """What a strategy sees of one row. Valid only during `on_bar`."""

    def __init__(self, symbols: Sequence[str], instruments: Sequence[Instrument]) -> None:
        self.symbols = tuple(symbols)
        self.instruments = dict(zip(symbols, instruments, strict=True))
        self._index = {symbol: s for s, symbol in enumerate(symbols)}
        self._block: BarBlock
        self._simulator: Simulator
        self._row = 0

    def enter(self, simulator: Simulator, block: BarBlock) -> None:
        """Called by the strategy's base class before the rows of a block."""
        self._simulator, self._block = simulator, block

    @property
    def seq(self) -> int:
        """Number of the row, counted from 0."""
        return self._block.seq + self._row

    @property
    def ts_event(self) -> int:
        """Close time of the row, nanoseconds UTC."""
        return int(self._block.ts_event.item(self._row))

    @property
    def time(self) -> datetime:
        """Close time of the row, UTC (to the microsecond)."""
        return EPOCH + timedelta(microseconds=self.ts_event // 1000)

    @property
    def cash(self) -> float:
        """Capital plus realised profit minus fees, account currency."""
        return float(self._simulator.account["cash"].item(0))

    @property
    def equity(self) -> float:
        """Cash plus unrealised profit at the marks, account currency."""
        return float(self._simulator.account["equity"].item(0))

    @property
    def halted(self) -> bool:
        """Whether a hard limit has stopped trading."""
        return bool(self._simulator.account["halted"][0])

    def bar(self, symbol: str | None = None) -> Bar | None:
        """The symbol's bar in this row, or None if it has none; by default the first symbol's."""
        s, i, block = self._at(symbol), self._row, self._block
        if not block.present.item(i, s):
            return None
        return Bar(
            self.symbols[s],
            block.ts_event.item(i),
            block.open.item(i, s),
            block.high.item(i, s),
            block.low.item(i, s),
            block.close.item(i, s),
            block.volume.item(i, s),
        )

    def position(self, symbol: str | None = None) -> Position:
        """The position in a symbol."""
        s = self._at(symbol)
        # a whole record at once: a look at one field of it takes as long as this
        quantity, avg_price, mark, _, _, realized, _ = self._simulator.positions[s].item()
        return Position(self.symbols[s], quantity, avg_price, mark, realized)

    def orders(self, symbol: str | None = None) -> list[WorkingOrder]:
        """Working orders, in order of id; of one symbol or of all."""
        s = None if symbol is None else self._at(symbol)
        if not self._simulator.account["orders"].item(0):
            return []
        return [working_order(o, self.symbols) for o in self._simulator.orders if s is None or o["symbol"] == s]

    def _at(self, symbol: str | None) -> int:
        if symbol is None:
            return 0
        if symbol not in self._index:
            raise UsageError(f"no symbol {symbol!r}", expected=", ".join(self.symbols))
        return self._index[symbol]
