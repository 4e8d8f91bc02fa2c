"""Labels that name the last instant of a bar: 23:59:59.999 or 23:59:59 where 00:00 is meant."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np

from engine.types.blocks import Ints
from engine.types.timeframe import MINUTE_NS, SECOND_NS

LastInstant = Literal["", "fraction", "second"]
_MOST = 0.9  # of the labels of a head
# the unit of the labels, and how far before it a last instant may be
_SIZES: dict[str, tuple[int, int]] = {"fraction": (SECOND_NS, 1_000_000), "second": (MINUTE_NS, SECOND_NS)}


def settle_instants(labels: Ints) -> LastInstant:
    """Find out whether labels fall on the last instant of a second or a minute.

    Args:
        labels: Those of a file's head, nanoseconds UTC, shape (n,).
    """
    if not len(labels):
        return ""
    if np.mean(_last(labels, "fraction")) >= _MOST:
        return "fraction"
    # one label in sixty of bars of a second falls on :59 as well
    return "second" if len(labels) > 1 and np.mean(_last(labels, "second")) >= _MOST else ""


@overload
def to_whole(labels: int, found: LastInstant) -> int: ...
@overload
def to_whole(labels: Ints, found: LastInstant) -> Ints: ...
def to_whole(labels: int | Ints, found: LastInstant) -> int | Ints:
    """Move last instants to the whole second or minute that they precede; other labels stay."""
    if not found:
        return labels
    size, reach = _SIZES[found]
    ahead = -labels % size  # of the whole second or minute, 0 on it
    return labels + ahead * (ahead <= reach)


def whole_close(time_ns: int, timeframe_ns: int) -> int:
    """The close of a bar whose time may name its last instant, for bars that come one by one.

    No head of a file tells how it is meant, but the length of the bars does: only what is off their grid moves, and
    only onto it.

    Args:
        time_ns: Its close time as given, nanoseconds UTC.
        timeframe_ns: Length of the bars, nanoseconds.
    """
    if time_ns % timeframe_ns:
        whole = to_whole(time_ns, "fraction")
        if whole % timeframe_ns and not timeframe_ns % MINUTE_NS:
            whole = to_whole(time_ns, "second")
        return time_ns if whole % timeframe_ns else whole
    return time_ns


def _last(labels: Ints, kind: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    size, reach = _SIZES[kind]
    within: np.ndarray[tuple[int], np.dtype[np.bool_]] = labels % size >= size - reach
    return within
