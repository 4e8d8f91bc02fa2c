"""Extra columns of bars into those of larger bars, beside the aggregation of the prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.base.restoring import array_of, parts_of
from engine.base.state import State
from engine.loop.kernels import aggregate_extra
from engine.types.blocks import BarBlock, Floats, Ints
from engine.types.extras import folds_of
from engine.types.records import Bars, Records


class ExtraFold:
    """The extra columns of a stream, folded into the buckets of an `Aggregator`.

    Args:
        names: Of the columns of the first block.
        symbols: Number of symbols, S.
    """

    def __init__(self, names: tuple[str, ...], symbols: int) -> None:
        self.names = names
        self._kinds = folds_of(names)
        self._partial = np.zeros((symbols, len(names), 3))
        self._partial[:, :, 0] = np.nan
        self._out = np.empty((1, symbols, len(names)))

    def admit(self, block: BarBlock) -> None:
        """Begin to fold the columns that a block has and the ones before it did not; they were not known then."""
        more = tuple(name for name in block.extra if name not in self.names)
        if not more:
            return
        known = self._partial
        self.names += more
        self._kinds = folds_of(self.names)
        self._partial = np.zeros((len(known), len(self.names), 3))
        self._partial[:, :, 0] = np.nan
        self._partial[:, : known.shape[1]] = known
        self._out = np.empty((1, len(known), len(self.names)))

    def fold(
        self, timeframe_ns: int, opens: Ints, closes: Ints, clock: Records, bars: Bars, extra: Mapping[str, Floats]
    ) -> None:
        """Take the next rows, before the clock is moved past them.

        Args:
            timeframe_ns: Length of a bucket, nanoseconds.
            opens, closes: Of the sessions, nanoseconds UTC.
            clock: Where the aggregation of the prices stands.
            bars: At least one row.
            extra: The columns, each of shape (rows, S); one that is not there is not known.
        """
        rows = bars.ts_event.shape[0]
        if len(self._out) < rows + 1:
            self._out = np.empty((rows + 1, *self._out.shape[1:]))
        values = np.full((*bars.close.shape, len(self.names)), np.nan)
        for at, name in enumerate(self.names):
            if name in extra:
                values[:, :, at] = extra[name]
        end, held = int(clock["end"][0]), int(clock["held"][0])
        view = Bars(*(_read_only(column) for column in bars))
        aggregate_extra(timeframe_ns, opens, closes, end, held, view, self._kinds, values, self._partial, self._out)

    def done(self, count: int) -> dict[str, Floats]:
        """The columns of the bars that the last rows completed, each of shape (count, S)."""
        return {name: self._out[:count, :, at].copy() for at, name in enumerate(self.names)}

    def unfinished(self, count: int) -> dict[str, Floats]:
        """The columns of the unfinished bar as it stands, each of shape (count, S)."""
        return {name: self._partial[None, :, at, 0][:count].copy() for at, name in enumerate(self.names)}

    def snapshot(self) -> State:
        """The carried state."""
        return {"names": list(self.names), "values": self._partial.copy()}

    @staticmethod
    def restored(state: State, symbols: int) -> ExtraFold:
        """Continue from a snapshot.

        Raises:
            DataError: If it does not fit so many symbols.
        """
        parts = parts_of(state, ("names", "values"))
        names: Sequence[Any] = parts["names"]
        made = ExtraFold(tuple(str(name) for name in names), symbols)
        made._partial = array_of(parts["values"], made._partial, "the extra columns")
        return made


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    view = array.view()
    view.flags.writeable = False
    return view
