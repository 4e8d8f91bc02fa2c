"""Which episode comes next: every start once, in random order, then all of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import Ints
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
