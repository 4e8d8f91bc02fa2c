"""One rule in three forms: long after a higher close than the last one seen, short after a lower one."""

from typing import Any

import numpy as np

from agents.base import CompiledStrategy, MarketAgent
from agents.context.context import Context
from agents.kernels import target
from agents.strategy import Strategy
from engine.types.blocks import BarBlock, Floats


class Compiled(CompiledStrategy):
    """Inside the scan."""

    def __init__(self) -> None:
        self.memory = np.array([np.nan, 0.0])

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
        if not bars.present[i, 0]:
            return 0
        last, close = memory[0], bars.close[i, 0]
        memory[0] = close
        wanted = 1.0 if close > last else -1.0 if close < last else memory[1]
        if wanted == memory[1]:
            return 0
        memory[1] = wanted
        target(commands[0], 0, wanted)
        return 1


class Mapped(MarketAgent):
    """Before the scan."""

    def reset(self) -> None:
        self.last, self.wanted = np.nan, 0.0

    def targets(self, block: BarBlock) -> Floats:
        found = np.full((len(block), 1), np.nan)
        for row in range(len(block)):
            if block.present[row, 0]:
                close = block.close[row, 0]
                self.wanted = 1.0 if close > self.last else -1.0 if close < self.last else self.wanted
                self.last = close
                found[row, 0] = self.wanted
        return found


class Plain(Strategy):
    """Row by row."""

    def on_start(self, context: Context) -> None:
        self.last, self.wanted = np.nan, 0.0

    def on_bar(self, context: Context) -> None:
        bar = context.bar()
        if bar is None:
            return
        wanted = 1.0 if bar.close > self.last else -1.0 if bar.close < self.last else self.wanted
        self.last = bar.close
        if wanted != self.wanted:
            self.wanted = wanted
            context.target(wanted)
