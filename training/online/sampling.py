"""Recent and older episodes in a fixed share (half of each after RLPD: Ball et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.base.state import State
from engine.types.blocks import Ints
from training.trainer.schedule import EpisodeSampler


class MixedSampler:
    """Deals starts of recent and of older episodes, each kind in its own random order.

    Args:
        recent: Rows where recent episodes may begin, shape (n,); at least one.
        older: Likewise; without any, all episodes are recent.
        share: Of the recent ones, 0 to 1.
        seed: Of both orders.
    """

    def __init__(self, recent: Ints, older: Ints, share: float, seed: int) -> None:
        first, second = (int(part.generate_state(1)[0]) for part in np.random.SeedSequence(seed).spawn(2))
        self._recent = EpisodeSampler(recent, first)
        self._older = EpisodeSampler(older, second) if len(older) else None
        self._share, self._owed = share if len(older) else 1.0, 0.0

    def deal(self, count: int) -> Ints:
        """The next starts, shape (count,); however few are dealt at once, the share holds over all of them."""
        dealt = np.empty(count, np.int64)
        for at in range(count):
            self._owed += self._share
            if self._owed >= 1.0 - 1e-9 or self._older is None:
                self._owed -= 1.0
                dealt[at] = self._recent.deal(1)[0]
            else:
                dealt[at] = self._older.deal(1)[0]
        return dealt

    def snapshot(self) -> State:
        """What `restore` takes."""
        older = None if self._older is None else self._older.snapshot()
        return {"recent": self._recent.snapshot(), "older": older, "owed": self._owed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a snapshot."""
        self._recent.restore(state["recent"])
        if self._older is not None:
            self._older.restore(state["older"])
        self._owed = float(state["owed"])
