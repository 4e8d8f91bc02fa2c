"""A strategy in plain Python whose state cannot be saved: a restarted session runs it over all of its bars again."""

from __future__ import annotations

from collections import deque

from agents.strategy import Context, Strategy


class Channel(Strategy):
    """Long after a close above all of the last ones, flat after one below them.

    Args:
        length: How many closes are used.
    """

    def __init__(self, length: int = 30) -> None:
        self._closes: deque[float] = deque(maxlen=length)

    def on_bar(self, context: Context) -> None:
        """Decide."""
        bar = context.bar()
        if bar is None:
            return
        if len(self._closes) == self._closes.maxlen:
            if bar.close > max(self._closes):
                context.target(1.0)
            elif bar.close < min(self._closes):
                context.target(0.0)
        self._closes.append(bar.close)
