"""Agents for seats whose decisions are a matter of the time alone, and networks for the risk seat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.base import MarketAgent
from agents.models.graphs import Dense, Normaliser, risk_arrays
from agents.serving.risk_network import RiskNetwork
from engine.types.blocks import BarBlock, Floats

HERE = __file__


def draw(block: BarBlock, seed: int, salt: int) -> Floats:
    """Numbers 0..1 by time and symbol, shape (rows, S): the same however the rows are cut."""
    symbols = np.arange(1, len(block.symbols) + 1, dtype=np.uint64)
    key = (block.ts_event.astype(np.uint64) // np.uint64(60_000_000_000))[:, None] * np.uint64(0x9E3779B97F4A7C15)
    key = key + symbols * np.uint64(0xC2B2AE3D27D4EB4F) + np.uint64(seed * 1000 + salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    return (key >> np.uint64(11)).astype(np.float64) / 2.0**53


class Direction(MarketAgent):
    """Short, neutral, long or no new decision, in stretches."""

    def __init__(self, seed: int = 0, neutral: float = 0.15, silent: float = 0.1) -> None:
        self.seed, self.neutral, self.silent = seed, neutral, silent

    def reset(self) -> None:
        """Nothing is carried."""

    def targets(self, block: BarBlock) -> Floats:
        side = np.where(draw(block, self.seed, 1) < 0.5, -1.0, 1.0) * 3.0
        side[draw(block, self.seed, 2) < self.neutral] = 0.0
        side[draw(block, self.seed, 3) < self.silent] = np.nan
        return side


class Tactics(MarketAgent):
    """Timing, stop distance and scale; timing is at the market in a share of the decisions."""

    def __init__(self, seed: int = 0, market: float = 0.4, stop: float = 0.004, passive: float = 0.0) -> None:
        self.seed, self.market, self.stop, self.passive = seed, market, stop, passive

    def reset(self) -> None:
        """Nothing is carried."""

    def targets(self, block: BarBlock) -> Floats:
        raise AssertionError("an agent with tactics is not asked for targets")

    def tactics(self, block: BarBlock) -> NDArray[np.float64]:
        timing = draw(block, self.seed, 4)
        timing = np.where(draw(block, self.seed, 5) < self.market, 1.0, timing * (1.0 - self.passive))
        stop = self.stop * (0.25 + draw(block, self.seed, 6))
        scale = np.round(0.5 + draw(block, self.seed, 7) * 1.5, 2)
        return np.stack([timing, stop, scale], axis=2)


class Fixed(MarketAgent):
    """The same tactics at every bar."""

    def __init__(self, timing: float = 1.0, stop: float = 0.05, scale: float = 1.0) -> None:
        self.answer = (timing, stop, scale)

    def reset(self) -> None:
        """Nothing is carried."""

    def targets(self, block: BarBlock) -> Floats:
        raise AssertionError("an agent with tactics is not asked for targets")

    def tactics(self, block: BarBlock) -> NDArray[np.float64]:
        return np.broadcast_to(np.array(self.answer), (len(block), len(block.symbols), 3))


class Plan(MarketAgent):
    """Positions by number of the bar, as `1/1/-1`; the last one lasts."""

    def __init__(self, plan: str = "1") -> None:
        self.plan = [float(word) for word in str(plan).split("/")]

    def reset(self) -> None:
        self.bars = 0

    def targets(self, block: BarBlock) -> Floats:
        rows = np.minimum(self.bars + np.arange(len(block)), len(self.plan) - 1)
        self.bars += len(block)
        return np.repeat(np.array(self.plan)[rows][:, None], len(block.symbols), axis=1)


class TacticPlan(Plan):
    """Tactics by number of the bar, as `1;0.05;1/0;0.01;2`; the last ones last."""

    def __init__(self, plan: str = "1;0.05;1") -> None:
        self.rows = [tuple(float(x) for x in word.split(";")) for word in plan.split("/")]
        super().__init__("0")

    def tactics(self, block: BarBlock) -> NDArray[np.float64]:
        rows = np.minimum(self.bars + np.arange(len(block)), len(self.rows) - 1)
        self.bars += len(block)
        return np.repeat(np.array(self.rows)[rows][:, None, :], len(block.symbols), axis=1)


class WrongShape(Fixed):
    """Forgets the symbols."""

    def tactics(self, block: BarBlock) -> NDArray[np.float64]:
        return np.ones((len(block), 3))


class FlatTargets(MarketAgent):
    """Forgets the symbols."""

    def reset(self) -> None:
        """Nothing is carried."""

    def targets(self, block: BarBlock) -> Floats:
        return np.ones(len(block))


def risk_network(seed: int = 0, hidden: tuple[int, int] = (16, 8)) -> RiskNetwork:
    """A network whose answer changes with small movements of the account."""
    rng = np.random.default_rng(seed)

    def layer(inputs: int, outputs: int, activation: str = "") -> Dense:
        weight = rng.normal(0, inputs**-0.5, (inputs, outputs)).astype(np.float32)
        return Dense(weight, rng.normal(0, 0.1, outputs).astype(np.float32), activation)

    normaliser = Normaliser(np.zeros(10, np.float32), np.full(10, 0.01, np.float32))
    layers = [layer(10, hidden[0], "Relu"), layer(*hidden, "Relu")]
    head = layer(hidden[1], 5)
    # level 0 for a flat account would keep it flat for ever
    head = head._replace(bias=np.array([-0.4, 0.0, 0.1, 0.2, 0.3], np.float32))
    return RiskNetwork(risk_arrays(normaliser, layers, layer(hidden[1], 1), head))
