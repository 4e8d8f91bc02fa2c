"""Bars and strategies for comparisons, written anew for each test."""

from pathlib import Path

import numpy as np

STRATEGY = """
import os

from agents.strategy import Strategy


class Breakout(Strategy):
    def __init__(self, length=20, fails=False, dies=False):
        if length > 900:
            raise ValueError("length is too long")
        self.length, self.fails, self.dies = length, fails, dies
        self.closes = []

    def on_bar(self, context):
        print("noise on standard output")
        self.closes.append(context.bar().close)
        if len(self.closes) == 100 and self.fails:
            raise RuntimeError("strategy broke")
        if len(self.closes) == 100 and self.dies:
            os._exit(3)
        if len(self.closes) > self.length:
            past = self.closes[-self.length - 1 : -1]
            if self.closes[-1] > max(past):
                context.target(1)
            elif self.closes[-1] < min(past):
                context.target(-1)
"""


def write_bars(path: Path, rows: int = 2000, seed: int = 1, minutes: int = 1) -> Path:
    """A CSV of bars that begins on a Tuesday, labelled by close."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.001, rows)))
    times = np.datetime64("2024-01-02T00:01") + np.arange(rows) * np.timedelta64(minutes, "m")
    before = np.concatenate([[close[0]], close[:-1]])
    lines = ["timestamp,open,high,low,close,volume"]
    for time, first, last in zip(times, before, close, strict=True):
        high, low = max(first, last) * 1.0005, min(first, last) * 0.9995
        lines.append(f"{time}:00Z,{first:.4f},{high:.4f},{low:.4f},{last:.4f},10")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_strategy(folder: Path) -> Path:
    path = folder / "mine.py"
    path.write_text(STRATEGY)
    return path
