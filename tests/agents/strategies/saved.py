"""Classes that carry a state of their own, and say how it is saved."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from agents.base import CompiledStrategy
from agents.kernels import target
from engine.types.blocks import BarBlock, Floats
from tests.agents.ensemble import scripted
from tests.agents.strategies.breakout import Breakout


class Momentum(CompiledStrategy):
    """Signals with a state of their own, saved with the memory."""

    def __init__(self) -> None:
        self.memory = np.zeros(1)
        self.last = np.zeros(2)

    def signals(self, block: BarBlock) -> Floats:
        known = np.where(block.present, block.close, np.nan)
        out = np.empty((*known.shape, 1))
        for i, row in enumerate(known):
            out[i, :, 0] = np.sign(row - self.last)
            self.last = np.where(np.isnan(row), self.last, row)
        return out

    @staticmethod
    def decide(
        i: int,
        bars: Any,
        signals: Any,
        account: Any,
        positions: Any,
        orders: Any,
        params: Any,
        memory: Any,
        commands: Any,
    ) -> int:
        memory[0] += 1.0
        if memory[0] % 7.0 != 0.0 or np.isnan(signals[i, 0, 0]):
            return 0
        target(commands[0], 0, signals[i, 0, 0])
        return 1


class SavedMomentum(Momentum):
    """The same with both methods."""

    def snapshot(self) -> Any:
        return [self._memory.copy(), self.last]

    def restore(self, state: Any) -> None:
        self._memory[:], self.last = state


class SavedBreakout(Breakout):
    """The strategy of the documentation, with both methods."""

    def snapshot(self) -> bytes:
        return json.dumps({"closes": self.closes[-self.length :], "waiting": self.waiting}).encode()

    def restore(self, state: bytes) -> None:
        saved = json.loads(state)
        self.closes, self.waiting = saved["closes"], saved["waiting"]


class SavedPlan(scripted.Plan):
    """A class of the user's for a seat, with both methods."""

    def snapshot(self) -> bytes:
        return str(self.bars).encode()

    def restore(self, state: bytes) -> None:
        self.bars = int(state)
