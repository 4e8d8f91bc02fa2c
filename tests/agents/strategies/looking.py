"""Decides by history, indicators and larger bars, and saves only what it carries itself."""

from __future__ import annotations

import json

from agents.strategy import Context, Strategy


class Looking(Strategy):
    history_rows = 60

    def __init__(self, length: int = 5) -> None:
        self.length, self.turns = length, 0

    def on_start(self, context: Context) -> None:
        self.mean = context.indicator("ema", self.length)

    def on_bar(self, context: Context) -> None:
        frame = context.bars("3min")
        calm = frame.indicator("sma", 2)
        oldest = context.history("high", self.length)[0]
        rising = self.mean.crossed_above(oldest) or calm.value > self.mean.value
        if rising != (context.position().quantity > 0):
            self.turns += 1
            context.target(1.0 + self.turns % 3 if rising else -1.0)

    def snapshot(self) -> bytes:
        return json.dumps([self.length, self.turns]).encode()

    def restore(self, state: bytes) -> None:
        self.length, self.turns = json.loads(state)
