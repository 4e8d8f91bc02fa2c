"""The same breakout strategy twice: in plain Python, and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.base import CompiledStrategy
from agents.kernels import MARKET, STOP, cancel, close, order
from agents.strategy import Context, Strategy


class Breakout(Strategy):
    """Buys strength with a bracket, shorts weakness by a stop order, gives up after a while."""

    def __init__(self, length: int = 20, patience: int = 15) -> None:
        self.length, self.patience = length, patience
        self.closes: list[float] = []
        self.waiting = 0

    def on_bar(self, context: Context) -> None:
        bar = context.bar()
        if bar is None:
            return
        self.closes.append(bar.close)
        if len(self.closes) <= self.length:
            return
        old = self.closes[-1 - self.length]
        quantity, orders = context.position().quantity, context.orders()
        if quantity == 0 and not orders:
            self.waiting = 0
            if bar.close > old * 1.002:
                context.buy(2, stop_distance=0.002, target_distance=0.004)
            elif bar.close < old * 0.998:
                context.sell(1, stop=bar.low, trail_distance=0.003)
        elif quantity == 0:
            self.waiting += 1
            if self.waiting > self.patience:
                context.cancel(orders[0].id)
        elif quantity > 0 and bar.close < old:
            context.close()


class CompiledBreakout(CompiledStrategy):
    """The same, for the scan."""

    def __init__(self, length: int = 20, patience: int = 15) -> None:
        self.params = np.array([length, patience], dtype=np.float64)
        self.memory = np.zeros(length + 3)

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
        n = int(params[0])
        at, seen = int(memory[n]), memory[n + 1]
        price, old = bars.close[i, 0], memory[at]
        memory[at] = price
        memory[n], memory[n + 1] = (at + 1) % n, seen + 1
        if seen < n:
            return 0
        quantity = positions[0].quantity
        if quantity == 0.0 and orders.shape[0] == 0:
            memory[n + 2] = 0.0
            if price > old * 1.002:
                order(commands[0], 0, MARKET, 2.0)
                commands[0].stop_distance = 0.002
                commands[0].target_distance = 0.004
                return 1
            if price < old * 0.998:
                order(commands[0], 0, STOP, -1.0)
                commands[0].stop = bars.low[i, 0]
                commands[0].trail_distance = 0.003
                return 1
        elif quantity == 0.0:
            memory[n + 2] += 1.0
            if memory[n + 2] > params[1]:
                cancel(commands[0], orders[0].id)
                return 1
        elif quantity > 0.0 and price < old:
            close(commands[0], 0)
            return 1
        return 0
