"""Local times into UTC, through the hours that a clock change repeats or leaves out."""

from __future__ import annotations

import numpy as np

from engine.types.blocks import Bools, Ints
from engine.types.timeframe import DAY_NS

_NAT = np.iinfo(np.int64).min


class LocalClock:
    """Turns local times into UTC, one stream of rows at a time.

    In an hour that the clock goes through twice, a symbol's times belong to the first pass until they stop going
    forward, and to the second from there on. State is carried per symbol, so that a stream may be cut anywhere.

    Args:
        zone: IANA name.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._folds: dict[int, tuple[int, int, bool]] = {}

    def to_utc(self, local: Ints, codes: Ints | None) -> tuple[Ints, Bools | None]:
        """Convert.

        Args:
            local: Local times, nanoseconds since 1970 on the local clock, shape (n,).
            codes: Number of each row's symbol, shape (n,); None if there is but one.

        Returns:
            Times in nanoseconds UTC, shape (n,), and which of them exist; None if all do.
        """
        if self._zone == "UTC":
            return local, None
        import pandas as pd  # noqa: PLC0415 - UTC, the usual case, need not wait for it

        index = pd.DatetimeIndex(local.view("datetime64[ns]"))
        passes = [
            index.tz_localize(self._zone, ambiguous=np.full(len(local), summer), nonexistent="NaT")
            .to_numpy("datetime64[ns]")
            .view(np.int64)
            for summer in (True, False)
        ]
        # they differ in the hour that comes twice; one that never comes is NaT in both
        early, late = np.minimum(*passes), np.maximum(*passes)
        exists = early != _NAT
        for row in np.flatnonzero(early != late):
            if self._in_second_pass(0 if codes is None else int(codes[row]), int(local[row])):
                early[row] = late[row]
        return early, None if exists.all() else exists

    def _in_second_pass(self, code: int, local: int) -> bool:
        day = local // DAY_NS
        known_day, last, second = self._folds.get(code, (day, local - 1, False))
        if known_day != day:
            last, second = local - 1, False
        second = second or local <= last
        self._folds[code] = (day, local, second)
        return second
