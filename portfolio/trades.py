"""Round trips: fills folded into trades that last from flat to flat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.record.records import TRADE, TRADE_STATS
from engine.types.blocks import Floats
from engine.types.records import Records
from portfolio.roundtrip.kernels import fold_fills, value_trades


class TradeBook:
    """Folds FILL records into TRADE records, block by block.

    A trade starts when the position of a symbol leaves zero and ends when it returns there; a fill that turns
    the position round ends one and starts the next, its fee split by quantity. Prices are averages over the
    entering and the leaving fills. How fills are cut into blocks does not show in the result.

    Args:
        multipliers: Account value of one contract per unit of price, one per symbol.
    """

    def __init__(self, multipliers: Sequence[float] | Floats) -> None:
        self._multipliers = np.array(multipliers, dtype=np.float64)
        self._held = np.zeros(len(self._multipliers))
        self._trades = np.zeros(len(self._multipliers), TRADE)
        self.stats = np.zeros(1, TRADE_STATS)

    def update(self, fills: Records) -> Records:
        """TRADE records of the trades that ended with these fills, in order of their ends."""
        if not len(fills):
            return np.empty(0, TRADE)
        done = np.empty(len(fills), TRADE)
        ended = fold_fills(fills, self._multipliers, self._held, self._trades, done, self.stats)
        return done[:ended].copy()

    def open_trades(self, positions: Records, ts_event: int, seq: int) -> Records:
        """Trades that have not ended, flagged `open` and valued at the last close; the state stays as it is.

        Args:
            positions: POSITION records now, shape (S,).
            ts_event: Time of the last row, nanoseconds UTC.
            seq: Number of the last row.
        """
        # copies, since a trade that is only valued goes on
        lasting = np.flatnonzero(self._held)
        trades = self._trades[lasting].copy()
        for trade, symbol in zip(trades, lasting, strict=True):
            position, multiplier = positions[symbol], self._multipliers[symbol]
            size = abs(position["quantity"])
            trade["realized"] += position["quantity"] * (position["mark"] - position["avg_price"]) * multiplier
            trade["exit_quantity"] += size
            trade["exit_value"] += size * position["mark"]
            trade["exit_ts"], trade["exit_seq"] = ts_event, seq
            trade["exit_role"] = trade["exit_reason"] = trade["exit_tag"] = 0
        value_trades(trades, self._multipliers)
        return trades

    def snapshot(self) -> State:
        """The carried state."""
        return snapshot_of(self._made(), self._carried())

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one of a book with these multipliers.
        """
        found = arrays_of(state, self._made(), self._carried())
        self._held, self._trades = found["held"], found["trades"]
        self.stats[:] = found["stats"]

    def _made(self) -> dict[str, Any]:
        return {"multipliers": self._multipliers.tolist()}

    def _carried(self) -> dict[str, NDArray[Any]]:
        return {"held": self._held, "trades": self._trades, "stats": self.stats}
