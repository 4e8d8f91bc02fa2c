"""Closed trades of a run that may be seen only from its middle on."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.base.restoring import parts_of
from engine.base.state import State
from engine.types.contracts import TradeFolder
from engine.types.records import Records


class WholeTrades:
    """Folds fills into trades, of which those whose beginning was not seen are left out.

    Args:
        trades: Folds fills into round trips; a new one.
        symbols: Number of symbols.
    """

    def __init__(self, trades: TradeFolder, symbols: int) -> None:
        self._trades = trades
        self._symbols = symbols
        self._unseen: set[int] = set()
        self._partial: set[int] = set()

    def begin_late(self) -> None:
        """The first rows are missing: any symbol may hold a position already."""
        self._unseen = set(range(self._symbols))

    def update(self, fills: Records) -> Records:
        """TRADE records of the trades that ended with these FILL records, in order of their ends."""
        if self._unseen and len(fills):
            self._hold(fills)
        done = self._trades.update(fills)
        if self._partial and len(done):
            done = done[[self._is_whole(int(symbol)) for symbol in done["symbol"]]]
        return done

    def _hold(self, fills: Records) -> None:
        """Let the folder know what a symbol held before the first fill that was seen of it."""
        for fill in fills:
            symbol = int(fill["symbol"])
            if symbol not in self._unseen:
                continue
            self._unseen.discard(symbol)
            held = float(fill["position"] - fill["side"] * fill["quantity"])
            if held:
                opening = np.array([fill])
                opening["quantity"], opening["side"], opening["position"] = abs(held), np.sign(held), held
                opening["fee"] = opening["realized"] = 0.0
                self._trades.update(opening)
                self._partial.add(symbol)

    def _is_whole(self, symbol: int) -> bool:
        """Whether a trade that ended began within what was seen; the first of a symbol that held one did not."""
        whole = symbol not in self._partial
        self._partial.discard(symbol)
        return whole

    def snapshot(self) -> State:
        """The carried state."""
        return {"trades": self._trades.snapshot(), "unseen": sorted(self._unseen), "partial": sorted(self._partial)}

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If it is not one.
        """
        parts = parts_of(state, ("trades", "unseen", "partial"))
        self._trades.restore(parts["trades"])
        self._unseen, self._partial = set(parts["unseen"]), set(parts["partial"])
