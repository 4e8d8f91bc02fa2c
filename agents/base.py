"""Base classes of agents: those that depend on the market alone, and compiled strategies inside the scan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from agents.compiled import compile_decide
from engine.blocks import BarBlock, Floats
from engine.errors import UsageError
from engine.instruments import Instrument
from engine.simulator import Simulator
from engine.step import StepBlock
from engine.timeframe import MINUTE_NS


class Ready:
    """Shared by agents without models and without a history to wait for."""

    @property
    def unready_because(self) -> str | None:
        """Nothing."""
        return None

    @property
    def model_provenance(self) -> Mapping[str, Any]:
        """No models."""
        return {}


class MarketAgent(Ready, ABC):
    """An agent whose wanted position depends on the bars alone; mapped over a block before the scan."""

    symbols: tuple[str, ...] = ()
    instruments: tuple[Instrument, ...] = ()

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Learn what is traded; carried state starts anew."""
        self.symbols, self.instruments = tuple(symbols), tuple(instruments)
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Start carried state anew for `self.symbols`."""

    @abstractmethod
    def targets(self, block: BarBlock) -> Floats:
        """Wanted positions after each row, in units of the base size, shape (rows, S); NaN keeps the last."""

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Map the block, then scan it."""
        return simulator.run_targets(block, self._checked(self.targets(block), block))

    def _checked(self, targets: Any, block: BarBlock) -> Floats:
        shape = (len(block), len(block.symbols))
        try:
            checked = np.ascontiguousarray(targets, dtype=np.float64)
        except (TypeError, ValueError):
            checked = np.empty(0)
        if checked.shape != shape:
            raise UsageError(
                f"{type(self).__name__}.targets gave no wanted positions",
                expected=f"an array of shape {shape}: rows, symbols",
                found=f"shape {checked.shape}" if isinstance(targets, np.ndarray) else type(targets).__name__,
            )
        return checked


class CompiledStrategy(Ready):
    """A strategy compiled with Numba and called inside the scan, with position and open orders at hand.

    Subclasses set `params` and `memory` (float64 arrays) in `__init__` and define the static method
    `decide(i, bars, signals, account, positions, orders, params, memory, commands) -> int`, which may read everything,
    writes only `memory` and the first n `commands` (all blank on entry), and returns n. It may not allocate arrays.
    The functions of agents.kernels (`order`, `target`, ...) fill in commands.
    """

    params: Floats
    memory: Floats
    decide: Callable[..., int]

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Compile `decide` and start `memory` anew.

        Raises:
            UsageError: If there is no `decide`, or Numba cannot compile it.
        """
        if not hasattr(type(self), "decide"):
            raise UsageError(
                f"{type(self).__name__} has no static method decide", expected="decide(i, bars, ...) -> int"
            )
        self._decide: Any = compile_decide(type(self).decide, type(self).__name__)
        self._params = np.ascontiguousarray(getattr(self, "params", np.zeros(0)), dtype=np.float64)
        self._memory = np.array(getattr(self, "memory", np.zeros(0)), dtype=np.float64)
        self.symbols = tuple(symbols)

    def signals(self, block: BarBlock) -> Floats:
        """What depends on the market alone, computed before the scan, shape (rows, S, K); K is 0 by default."""
        return np.empty((len(block), len(block.symbols), 0))

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Scan the block with the compiled function."""
        signals = np.ascontiguousarray(self.signals(block), dtype=np.float64)
        return simulator.run_compiled(block, signals, self._decide, self._params, self._memory)
