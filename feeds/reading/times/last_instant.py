"""Labels that name the last instant of a bar: 23:59:59.999 or 23:59:59 where 00:00 is meant."""

from __future__ import annotations

from typing import Literal

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


def to_whole(labels: Ints, found: LastInstant) -> Ints:
    """Move last instants to the whole second or minute that they precede; other labels stay."""
    if not found:
        return labels
    size, _ = _SIZES[found]
    return np.where(_last(labels, found), labels - labels % size + size, labels)


def _last(labels: Ints, kind: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    size, reach = _SIZES[kind]
    within: np.ndarray[tuple[int], np.dtype[np.bool_]] = labels % size >= size - reach
    return within
