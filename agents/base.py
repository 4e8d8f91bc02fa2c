"""Base classes of agents: those that depend only on the market, and compiled strategies inside the scan."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from agents.compiled import compile_decide
from engine.base.errors import DataError, UsageError
from engine.base.restoring import arrays_of, snapshot_of
from engine.types.blocks import BarBlock, Floats
from engine.types.contracts import Simulator
from engine.types.instruments import Instrument
from engine.types.step import StepBlock
from engine.types.timeframe import MINUTE_NS

CARRIERS = ("step", "targets", "tactics", "signals")
"""Methods that carry state from block to block."""


def saves_all(agent: object, *savers: str) -> bool:
    """Whether the methods that save an agent's state know all of it.

    A class that inherits them but overrides a method that may carry state of its own is not known by them.
    """
    order = type(agent).__mro__

    def first(names: tuple[str, ...]) -> int:
        return next((at for at, kind in enumerate(order) if any(name in vars(kind) for name in names)), len(order))

    return first(savers) <= first(CARRIERS)


class Ready:
    """Shared by agents without models, without a history to wait for and, by default, with a state that stays here."""

    @property
    def unready_because(self) -> str | None:
        """Nothing."""
        return None

    @property
    def model_provenance(self) -> Mapping[str, Any]:
        """No models."""
        return {}

    def snapshot(self) -> Any:
        """None: what a class of the user's carries is not known here. Override it together with `restore`."""
        return None

    def restore(self, state: Any) -> None:
        """Refuse.

        Raises:
            DataError: Always.
        """
        raise DataError(
            f"{type(self).__name__} cannot be restored from a snapshot",
            expected="a class with `snapshot` and `restore`, or one that runs over all bars again",
            found=f"a snapshot, {type(state).__name__}",
        )


class MarketAgent(Ready, ABC):
    """An agent whose wanted position depends only on the bars; mapped over a block before the scan."""

    symbols: tuple[str, ...] = ()
    instruments: tuple[Instrument, ...] = ()

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Learn what is traded; resets the carried state."""
        self.symbols, self.instruments = tuple(symbols), tuple(instruments)
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Reset the carried state for `self.symbols`."""

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
    """A strategy compiled with Numba and called inside the scan, with access to position and open orders.

    Subclasses set `params` and `memory` (float64 arrays) in `__init__` and define the static method
    `decide(i, bars, signals, account, positions, orders, params, memory, commands) -> int`, which may read everything,
    writes only `memory` and the first n `commands` (all blank on entry), and returns n. It may not allocate arrays.
    The functions of agents.kernels (`order`, `target`, ...) fill in commands.
    """

    params: Floats
    memory: Floats
    decide: Callable[..., int]
    columns: tuple[str, ...] = ()
    """Extra columns of the bars, such as economic indicators, that `decide` sees as signals, in this order."""

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Compile `decide` and reset `memory`.

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
        """What depends only on the market, computed before the scan, shape (rows, S, K); by default `columns`.

        Raises:
            UsageError: If the bars lack one of these.
        """
        found = np.empty((len(block), len(block.symbols), len(self.columns)))
        for place, name in enumerate(self.columns):
            if name not in block.extra:
                raise UsageError(
                    f"the bars have no column {name!r}",
                    where=f"{type(self).__name__}.columns",
                    expected=", ".join(block.extra) or "an indicator of that name in the configuration of the run",
                )
            found[:, :, place] = block.extra[name]
        return found

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Scan the block with the compiled function."""
        signals = np.ascontiguousarray(self.signals(block), dtype=np.float64)
        return simulator.run_compiled(block, signals, self._decide, self._params, self._memory)

    def snapshot(self) -> Any:
        """The memory; None where a class overrides `signals` or `step`, which may carry more, but not this."""
        return snapshot_of(self._made(), {"memory": self._memory}) if saves_all(self, "snapshot") else None

    def restore(self, state: Any) -> None:
        """Continue from a snapshot.

        Raises:
            DataError: If class, symbols, parameters or the size of the memory are others.
        """
        self._memory = arrays_of(state, self._made(), {"memory": self._memory})["memory"]

    def _made(self) -> dict[str, Any]:
        params = hashlib.sha256(self._params.tobytes()).hexdigest()
        return {"agent": type(self).__name__, "symbols": self.symbols, "params": params}
