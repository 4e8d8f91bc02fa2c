"""Rule agents: the yardsticks that every learned agent is held against."""

from __future__ import annotations

import numpy as np

from agents.base import MarketAgent
from agents.kernels import sma_cross
from engine.blocks import BarBlock, Floats
from engine.errors import UsageError


def _positive(name: str, value: float) -> None:
    if not value > 0 or not np.isfinite(value):
        raise UsageError(f"{name} must be above 0", found=str(value))


class Flat(MarketAgent):
    """Never trades."""

    def reset(self) -> None:
        """Carry nothing."""

    def targets(self, block: BarBlock) -> Floats:
        """Zero everywhere."""
        return np.zeros((len(block), len(self.symbols)))


class BuyAndHold(MarketAgent):
    """Buys at the first chance and never sells.

    Args:
        size: Wanted position, units of the base size.
    """

    def __init__(self, size: float = 1.0) -> None:
        _positive("size", size)
        self.size = float(size)

    def reset(self) -> None:
        """Carry nothing."""

    def targets(self, block: BarBlock) -> Floats:
        """`size` everywhere."""
        return np.full((len(block), len(self.symbols)), self.size)


class SmaCross(MarketAgent):
    """Long while a fast simple moving average of closes is above a slow one, short while below.

    Args:
        fast: Bars in the fast mean.
        slow: Bars in the slow mean.
        size: Wanted position, units of the base size.
        short: Whether to go short; otherwise flat.
    """

    def __init__(self, fast: int = 10, slow: int = 30, size: float = 1.0, short: bool = True) -> None:
        if not 1 <= fast < slow:
            raise UsageError("sma_cross needs 1 <= fast < slow", found=f"fast={fast}, slow={slow}")
        _positive("size", size)
        self.fast, self.slow, self.size, self.short = fast, slow, float(size), short
        self.reset()

    def reset(self) -> None:
        """Empty the rings."""
        n = len(self.symbols)
        self._fast, self._slow = np.zeros((n, self.fast)), np.zeros((n, self.slow))
        self._sums, self._places = np.zeros((n, 3)), np.zeros((n, 3), np.int64)

    def targets(self, block: BarBlock) -> Floats:
        """+size, -size (or 0) by the side of the fast mean; 0 until the slow mean exists."""
        out = np.empty((len(block), len(self.symbols)))
        bars = block.kernel_view()
        below = -self.size if self.short else 0.0
        sma_cross(bars.close, bars.present, self._fast, self._slow, self._sums, self._places, self.size, below, out)
        return out


class Random(MarketAgent):
    """Short, flat or long at random, changing its mind once in `hold` bars on average.

    Args:
        seed: Of a PCG64 generator of its own.
        hold: Mean number of bars between draws.
        size: Wanted position, units of the base size.
    """

    def __init__(self, seed: int = 1, hold: float = 30.0, size: float = 1.0) -> None:
        _positive("size", size)
        if not hold >= 1:
            raise UsageError("hold must be at least 1 bar", found=str(hold))
        self.seed, self.hold, self.size = seed, float(hold), float(size)
        self.reset()

    def reset(self) -> None:
        """Seed the generator anew."""
        self._generator = np.random.Generator(np.random.PCG64(self.seed))

    def targets(self, block: BarBlock) -> Floats:
        """A new draw where the coin says so, NaN (keep) elsewhere."""
        # doubles drawn from a carried generator do not depend on how the rows are cut into blocks
        draws = self._generator.random((len(block), len(self.symbols), 2))
        sides = np.floor(draws[:, :, 1] * 3.0) - 1.0
        return np.where(draws[:, :, 0] < 1.0 / self.hold, sides * self.size, np.nan)
