"""Which episode comes next: every start once, in random order, then all of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.blocks import Ints
from engine.errors import UsageError
from training.environment.market import Market
from training.randomness import State, generator_state, load_generator


class EpisodeSampler:
    """Deals the starts of training episodes.

    Args:
        starts: Rows where episodes may begin, shape (n,).
        seed: Of the order.

    Raises:
        UsageError: If there is none.
    """

    def __init__(self, starts: Ints, seed: int) -> None:
        if not len(starts):
            raise UsageError("no episode fits into the training range", hint="lower training_params.episode_length")
        self.starts = starts
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._order = self._generator.permutation(len(starts))
        self._dealt = 0

    def deal(self, count: int) -> Ints:
        """The next starts, shape (count,)."""
        dealt = np.empty(count, np.int64)
        for at in range(count):
            if self._dealt == len(self._order):
                self._order = self._generator.permutation(len(self.starts))
                self._dealt = 0
            dealt[at] = self.starts[self._order[self._dealt]]
            self._dealt += 1
        return dealt

    def state(self) -> State:
        """What `load` takes."""
        return {"generator": generator_state(self._generator), "order": self._order.copy(), "dealt": self._dealt}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        load_generator(self._generator, state["generator"])
        self._order, self._dealt = np.asarray(state["order"]).copy(), int(state["dealt"])


def evaluation_starts(market: Market, ranges: tuple[tuple[int, int], ...], length: int, count: int) -> Ints:
    """Starts of evaluation episodes, spread evenly over the ranges; fewer than asked for where there are fewer.

    Args:
        market: Tells where a strategic decision falls due.
        ranges: First row and row after the last of each.
        length: Bars of an episode.
        count: How many are wanted.
    """
    possible = np.concatenate([decision_rows(market, start, stop - length - 1) for start, stop in ranges])
    if len(possible) <= count:
        return possible
    picked: Ints = possible[np.linspace(0, len(possible) - 1, count).round().astype(np.int64)]
    return picked


def decision_rows(market: Market, start: int, last: int) -> Ints:
    """Rows from `start` to `last` in which a strategic decision falls due and every window is complete."""
    rows = np.arange(start, max(last + 1, start), dtype=np.int64)
    due = (market.due[rows] & 1) > 0
    rows_due: Ints = rows[due & (market.strategic_end[rows] >= 0) & (market.tactical_end[rows] >= 0)]
    return rows_due
