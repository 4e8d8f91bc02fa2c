"""Rule agents: the yardsticks that every learned agent is held against."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import MarketAgent, saves_all
from agents.kernels import sma_cross
from engine.base.errors import UsageError
from engine.base.restoring import arrays_of, snapshot_of
from engine.base.state import State
from engine.types.blocks import BarBlock, Floats

HALF = 2**64


def _positive(name: str, value: float) -> None:
    if not value > 0 or not np.isfinite(value):
        raise UsageError(f"{name} must be above 0", found=str(value))


class RuleAgent(MarketAgent):
    """A market agent whose whole state is a few arrays."""

    PARAMETERS: ClassVar[tuple[str, ...]]
    """Attributes that say how it was made."""

    @abstractmethod
    def carried(self) -> dict[str, NDArray[Any]]:
        """The carried state by name."""

    def take(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go on from other arrays of the same types and shapes; writes them into those of `carried`."""
        for name, array in self.carried().items():
            array[...] = arrays[name]

    def snapshot(self) -> State | None:
        """The carried arrays; None where a class overrides a method that may carry more, but not `carried`."""
        if not saves_all(self, "snapshot", "carried"):
            return None
        return snapshot_of(self._made(), self.carried())

    def restore(self, state: State) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If class, symbols or parameters are others.
        """
        self.take(arrays_of(state, self._made(), self.carried()))

    def _made(self) -> dict[str, Any]:
        parameters = {name: getattr(self, name) for name in self.PARAMETERS}
        return {"agent": type(self).__name__, "symbols": self.symbols, **parameters}


class Flat(RuleAgent):
    """Never trades."""

    PARAMETERS = ()

    def reset(self) -> None:
        """Carry nothing."""

    def carried(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def targets(self, block: BarBlock) -> Floats:
        """Zero everywhere."""
        return np.zeros((len(block), len(self.symbols)))


class BuyAndHold(RuleAgent):
    """Buys at the first chance and never sells.

    Args:
        size: Wanted position, units of the base size.
    """

    PARAMETERS = ("size",)

    def __init__(self, size: float = 1.0) -> None:
        _positive("size", size)
        self.size = float(size)

    def reset(self) -> None:
        """Carry nothing."""

    def carried(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def targets(self, block: BarBlock) -> Floats:
        """`size` everywhere."""
        return np.full((len(block), len(self.symbols)), self.size)


class SmaCross(RuleAgent):
    """Long while a fast simple moving average of closes is above a slow one, short while below.

    Args:
        fast: Bars in the fast mean.
        slow: Bars in the slow mean.
        size: Wanted position, units of the base size.
        short: Whether to go short; otherwise flat.
        reverse: Whether to trade against the crossing: short (or flat) while the fast mean is above, long while below.
    """

    PARAMETERS = ("fast", "slow", "size", "short", "reverse")

    def __init__(
        self, fast: int = 10, slow: int = 30, size: float = 1.0, short: bool = True, reverse: bool = False
    ) -> None:
        if not 1 <= fast < slow:
            raise UsageError("sma_cross needs 1 <= fast < slow", found=f"fast={fast}, slow={slow}")
        _positive("size", size)
        self.fast, self.slow, self.size, self.short, self.reverse = fast, slow, float(size), short, reverse
        self.reset()

    def reset(self) -> None:
        """Empty the rings."""
        n = len(self.symbols)
        self._fast, self._slow = np.zeros((n, self.fast)), np.zeros((n, self.slow))
        self._sums, self._places = np.zeros((n, 4)), np.zeros((n, 3), np.int64)

    def carried(self) -> dict[str, NDArray[Any]]:
        """Rings, sums and places."""
        return {"fast_ring": self._fast, "slow_ring": self._slow, "sums": self._sums, "places": self._places}

    def targets(self, block: BarBlock) -> Floats:
        """+size, -size (or 0) by the side of the fast mean, reversed on demand; 0 until the slow mean exists."""
        out = np.empty((len(block), len(self.symbols)))
        bars = block.kernel_view()
        other = -self.size if self.short else 0.0
        above, below = (other, self.size) if self.reverse else (self.size, other)
        sma_cross(bars.close, bars.present, self._fast, self._slow, self._sums, self._places, above, below, out)
        return out


class Random(RuleAgent):
    """Short, flat or long at random, changing its mind once in `hold` bars on average.

    Args:
        seed: Seed of the agent's own PCG64 generator.
        hold: Mean number of bars between draws.
        size: Wanted position, units of the base size.
    """

    PARAMETERS = ("seed", "hold", "size")

    def __init__(self, seed: int = 1, hold: float = 30.0, size: float = 1.0) -> None:
        _positive("size", size)
        if not hold >= 1:
            raise UsageError("hold must be at least 1 bar", found=str(hold))
        self.seed, self.hold, self.size = seed, float(hold), float(size)
        self.reset()

    def reset(self) -> None:
        """Seed the generator again."""
        self._bits = np.random.PCG64(self.seed)
        self._generator = np.random.Generator(self._bits)

    def carried(self) -> dict[str, NDArray[Any]]:
        """State and increment of the generator, 128 bits each, the lower half first."""
        # doubles are drawn whole, so that no half of a draw waits for the next one
        state = self._bits.state["state"]
        halves = [part for name in ("state", "inc") for part in divmod(state[name], HALF)[::-1]]
        return {"pcg64": np.array(halves, np.uint64)}

    def take(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Set the generator."""
        low, high, increment_low, increment_high = (int(part) for part in arrays["pcg64"])
        self._bits.state = {
            **self._bits.state,
            "state": {"state": high * HALF + low, "inc": increment_high * HALF + increment_low},
        }

    def targets(self, block: BarBlock) -> Floats:
        """A new draw where the coin says so, NaN (keep) elsewhere."""
        # doubles drawn from a carried generator do not depend on how the rows are cut into blocks
        draws = self._generator.random((len(block), len(self.symbols), 2))
        sides = np.floor(draws[:, :, 1] * 3.0) - 1.0
        return np.where(draws[:, :, 0] < 1.0 / self.hold, sides * self.size, np.nan)
