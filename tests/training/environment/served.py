"""A backtest with networks that note what they saw: what the environment is held against."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.ensemble import Ensemble, Networks
from agents.serving.risk_network import RiskNetwork
from agents.spec import AgentSpec, spec_of
from engine.app.backtest import run_backtest
from engine.app.config import BacktestConfig
from engine.app.preparing import Prepared
from engine.types.blocks import BarBlock, Floats
from engine.types.records import Records, SeatName
from engine.types.step import StepBlock
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine


class Hashed:
    """A network that answers each window by a hash of its bytes: one other bit, and it answers something else.

    Args:
        seat: strategic or tactical, by name or as it is with declared features.
        seed: Another number, other answers.
    """

    def __init__(self, seat: str | AgentSpec, seed: int = 0) -> None:
        self.seat, self.seed = spec_of(seat), seed

    def run(self, observations: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        drawn = np.array([self._draw(window) for window in observations]).reshape(-1, 3)
        if self.seat.name == "strategic":
            action = np.floor(drawn[:, 0] * 3).astype(np.int64)
            return {"action": action, "probabilities": np.full((len(drawn), 3), 1 / 3, np.float32)}
        timing = np.where(drawn[:, 0] < 0.5, 1.0, drawn[:, 0])
        action = np.stack([timing, 0.002 + 0.01 * drawn[:, 1], 0.1 + 1.9 * drawn[:, 2]], axis=1).astype(np.float32)
        return {"action": action, "deviation": np.ones((len(drawn), 3), np.float32)}

    def _draw(self, window: NDArray[np.float32]) -> list[float]:
        content = np.ascontiguousarray(window).tobytes()
        return [zlib.crc32(content, self.seed * 10 + k) / 2**32 for k in range(3)]


@dataclass
class Played:
    """What a backtest left behind: everything by row of its bars."""

    strategic: list[NDArray[np.float32]]
    tactical: list[NDArray[np.float32]]
    fills: Records
    ledger: Floats
    positions: Floats
    outputs: Records

    @property
    def first(self) -> int:
        """Row of the first decision of all three: that of the strategic agent, who needs the most bars."""
        return int(self.outputs["seq"][self.outputs["seat"] == SeatName.STRATEGIC][0])

    def rows(self, seat: SeatName) -> NDArray[np.int64]:
        """Rows in which the agent of a seat spoke, from the first decision on."""
        rows = self.outputs["seq"][self.outputs["seat"] == seat]
        return np.asarray(rows[rows >= self.first], np.int64)


def backtest(
    bars: BarBlock, config: BacktestConfig, strategic: Any, tactical: Any, risk: RiskNetwork, timeframe_ns: int
) -> Played:
    """Bars through `run_backtest`, with these networks in the seats."""
    seats = [Noting(strategic), Noting(tactical)]
    models = Networks("test", "0" * 64, strategic=seats[0], tactical=seats[1], risk=risk)  # type: ignore[arg-type] # what a seat needs of a network
    steps: list[StepBlock] = []
    instruments = {name: config.instrument_for(name) for name in bars.symbols}
    source, quarantine = MemorySource(bars), Quarantine(None, strict=False)
    prepared = Prepared(config, source, quarantine, instruments, timeframe_ns, "close", "", ())
    run_backtest(config, watch=steps.append, prepared=prepared, agent=Ensemble(models, config.ensemble))
    parts = (np.concatenate([getattr(step, name) for step in steps]) for name in ("fills", "ledger", "positions"))
    return Played(seats[0].seen, seats[1].seen, *parts, outputs=np.concatenate([step.outputs for step in steps]))


class Noting:
    """Any network, and the windows that it was shown."""

    def __init__(self, model: Any) -> None:
        self.model, self.seat = model, getattr(model, "seat", None)
        self.seen: list[NDArray[np.float32]] = []

    def run(self, observations: NDArray[np.float32]) -> Any:
        self.seen += [window.copy() for window in observations]
        return self.model.run(observations)
