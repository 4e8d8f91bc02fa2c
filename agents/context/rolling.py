"""The last values of several channels in one array, handed out as views."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.types.blocks import Floats

ROOM = 4


class Cursor:
    """The row of the current block that a strategy is in."""

    __slots__ = ("row",)

    def __init__(self) -> None:
        self.row = 0


class Seen(Protocol):
    """Which bars a strategy sees in the row that it is in."""

    cursor: Cursor

    def offset(self) -> int:
        """Bars of the current block up to that row."""
        ...

    def by_row(self, values: Floats, start: int) -> list[float]:
        """Values of bars as they are seen in each row of the block; at `start` is the one before its first bar."""
        ...


class Rolling:
    """Keeps the last values of some channels; before the first there is nothing but NaN (NaT for times).

    Views that were handed out never change: where room runs out, the last values move to a new array.

    Args:
        channels: How many.
        keep: Values that can be looked back at.
        empty: What stands before the first value.

    Attributes:
        shown: All channels, read-only, shape (channels, room).
        end: Place behind the last value.
        base: Place of the first value of the last `append`.
    """

    def __init__(self, channels: int, keep: int, empty: float | int = np.nan) -> None:
        self.keep = keep
        self._values: NDArray[Any] = np.full((channels, keep), empty)
        self.shown = _read_only(self._values)
        self.base = self.end = keep

    def room(self, count: int) -> NDArray[Any]:
        """A place for the next values, shape (channels, count), to be filled in."""
        if self.end + count > self._values.shape[1]:
            channels, keep = self._values.shape[0], self.keep
            fresh = np.empty((channels, keep + max(count, ROOM * keep)), self._values.dtype)
            fresh[:, :keep] = self._values[:, self.end - keep : self.end]
            self._values, self.end = fresh, keep
            self.shown = _read_only(fresh)
        self.base, self.end = self.end, self.end + count
        return self._values[:, self.base : self.end]

    def past(self, count: int) -> NDArray[Any]:
        """The last `count` values of every channel."""
        return self.shown[:, self.end - count : self.end]

    def append(self, values: NDArray[Any]) -> None:
        """Make these the last values."""
        self.room(values.shape[1])[:] = values
        self.base = self.end


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view
