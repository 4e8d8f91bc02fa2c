"""The environment once more, slow and obvious: the very Ensemble and Simulator that trade, one row at a time.

Seats that answer what they are told take the place of networks; what agents see comes from the feature streams, fed
row by row; rewards are recomputed from equity and fees by the formulas, term by term.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.ensemble.config import EnsembleConfig, SeatsConfig
from agents.ensemble.ensemble import Ensemble
from agents.ensemble.seats import Decisions, Ranges
from agents.features.kernels.risk import RISK_STATE, risk_metrics, update_risk
from agents.features.stream import FeatureStream
from agents.features.windows import Windows
from agents.spec import TACTICAL_AGENT
from engine.base.state import decode
from engine.types.blocks import BarBlock
from engine.types.calendar import sessions_for
from engine.types.instruments import Instrument
from portfolio.config import PortfolioConfig
from portfolio.simulator import Simulator
from tests.trees import saved
from training.config import RewardShaping

Array = NDArray[Any]
SHAPES = {"strategic": (48, 13), "tactical": (60, 7)}
STRATEGIC, TACTICAL, RISK = 0, 1, 2
PROFIT, COST, RISK_TERM, SHARPE, DRAWDOWN = range(5)
RATE = 1.0 / 240.0


@dataclass
class View:
    """What is known of the market at the close of one row; windows are None before the first complete one."""

    strategic: Array | None
    tactical: Array | None
    due: tuple[bool, bool, bool]
    atr: float


def views(instrument: Instrument, block: BarBlock, cadence: str) -> list[View]:
    """The market as the seats see it, one source, pushed row by row."""
    sessions = sessions_for([instrument], int(block.ts_event[0]))
    streams = {name: FeatureStream(name, block.symbols, sessions) for name in SHAPES}
    windows = {name: Windows(*shape, 1) for name, shape in SHAPES.items()}
    latest: dict[str, Array | None] = dict.fromkeys(SHAPES)
    atr, found = 0.0, []
    for i in range(len(block)):
        new, completed = {}, False
        for name in SHAPES:
            rows = streams[name].push(block.slice(i, i + 1))
            if name == "tactical" and len(rows):
                completed = True
                known = rows.atr[np.isfinite(rows.atr)]
                atr = float(known[-1]) if len(known) else atr
            batch = windows[name].push(rows)
            new[name] = len(batch) > 0
            if new[name]:
                latest[name] = batch.observations[-1].copy()
        due = (new["strategic"], new["tactical"], completed or cadence == "bar")
        found.append(View(latest["strategic"], latest["tactical"], due, atr))
    return found


class Told:
    """A seat that answers what it is told to, in the row in which it is told."""

    def __init__(self, components: int) -> None:
        self.components = components
        self.answer: Array | None = None
        self.atr: float | None = None
        self.unready_because = None

    @property
    def ranges(self) -> Ranges:
        if self.atr is None:
            return Ranges(np.empty(0, np.int64), np.empty((0, 1)))
        return Ranges(np.array([self.seq]), np.array([[self.atr]]))

    def push(self, block: BarBlock) -> Decisions:
        self.seq = block.seq
        count = 0 if self.answer is None else 1
        action = np.empty((0, self.components)) if self.answer is None else self.answer.reshape(1, self.components)
        ts = block.ts_event[:count]
        none = np.zeros(count, np.int64)
        return Decisions(np.full(count, block.seq), none, action, np.ones(count), ts, ts)


class OracleEnv:
    """One environment.

    Args:
        instrument: What is traded.
        blocks: Bars of each source, one symbol.
        portfolio, shaping, ensemble: As the environment takes them.
        bars_per_year: Of the simulator.
        seen: What `views` gives for all blocks, if it is at hand.
    """

    def __init__(
        self,
        instrument: Instrument,
        blocks: Sequence[BarBlock],
        portfolio: PortfolioConfig,
        shaping: RewardShaping,
        ensemble: EnsembleConfig,
        bars_per_year: float = 365.0 * 1440.0,
        seen: list[View] | None = None,
    ) -> None:
        self.instrument, self.blocks = instrument, list(blocks)
        self.portfolio, self.shaping, self.bars_per_year = portfolio, shaping, bars_per_year
        seats = SeatsConfig(strategic="buy_and_hold", tactical="buy_and_hold", risk="level:4")
        self.config = ensemble.model_copy(update={"seats": seats})
        self.views = seen or [view for block in self.blocks for view in views(instrument, block, ensemble.risk_cadence)]
        self.starts = np.cumsum([0] + [len(block) for block in self.blocks])

    def reset(self, start: int, length: int) -> None:
        """Begin an episode: an account that stood idle since the first bar of its source is marked at `start`."""
        source = int(np.searchsorted(self.starts, start, side="right")) - 1
        self.block, self.first = self.blocks[source], int(self.starts[source])
        self.simulator = self._simulator()
        self.ensemble = Ensemble(None, self.config)
        self.ensemble.bind(self.block.symbols, [self.instrument])
        self.told = {"strategic": Told(1), "tactical": Told(3)}
        self.ensemble._seats = dict(self.told)
        self.risk_state = np.zeros(1, RISK_STATE)
        if start > self.first:
            idle = self.ensemble.step(self.simulator, self.block.slice(0, start - self.first))
            for _ in range(start - self.first):
                update_risk(self.risk_state[0], idle.account[0])
        self.copy = self._simulator()
        self.length, self.row, self.steps = length, start, 0
        self.terminated = self.truncated = False
        self.terms = [[0.0] * 5 for _ in range(3)]
        self.fills: list[Any] = []
        self.equity: list[float] = []
        self.mean = self.squares = self.depth = 0.0
        self._enter()
        self.fees = float(self.account["fees"][0])
        self.due = (True, True, True)

    def step(self, strategic: int, tactical: Array, risk: int) -> None:
        """Decide at the present row where due, and enter the next one; everything but its due agents is over then."""
        self._decide(strategic, tactical, risk)
        for agent in range(3):
            if self.due[agent]:
                self.terms[agent] = [0.0] * 5
        before = self.equity[-1]
        self.row += 1
        self.steps += 1
        self._enter()
        fees = float(self.account["fees"][0])
        bar = self._rewards(before, fees)
        self.fees = fees
        for own in self.terms:
            for k in range(5):
                own[k] += bar[k]
        self.due = self.views[self.row].due
        self.terminated = int(self.account["halted"][0]) != 0
        self.truncated = not self.terminated and self.steps == self.length

    @property
    def over(self) -> bool:
        return self.terminated or self.truncated

    @property
    def view(self) -> View:
        return self.views[self.row]

    def _simulator(self) -> Simulator:
        sessions = sessions_for([self.instrument], int(self.block.ts_event[0]))
        return Simulator(self.portfolio, [self.instrument], sessions.closes, self.bars_per_year)

    def _row(self, row: int) -> BarBlock:
        return self.block.slice(row - self.first, row - self.first + 1)

    def _enter(self) -> None:
        """Look at the present row: on a copy of the simulator, since the ensemble advances and decides at once."""
        copy = self.copy
        copy.restore(decode(saved(self.simulator)))
        copy.advance(self._row(self.row), 0)
        self.account = copy.account.copy()
        self.orders = copy.orders.copy()
        self.fills += list(copy.take().fills)
        self.equity.append(float(self.account["equity"][0]))
        update_risk(self.risk_state[0], self.account[0])
        self.risk = np.empty(10, np.float32)
        risk_metrics(self.risk_state[0], self.account[0], self.risk)

    def _decide(self, strategic: int, tactical: Array, risk: int) -> None:
        first, second = self.told["strategic"], self.told["tactical"]
        first.answer = np.array([strategic - 1.0]) if self.due[STRATEGIC] else None
        given = np.asarray(tactical, np.float32).astype(np.float64)
        second.answer = given.clip(TACTICAL_AGENT.low, TACTICAL_AGENT.high) if self.due[TACTICAL] else None
        # the clock of the risk agent is the tactical bar
        second.atr = self.view.atr if self.due[RISK] or self.due[TACTICAL] else None
        seats = self.config.seats.model_copy(update={"risk": f"level:{risk}"})
        self.ensemble.config = self.config.model_copy(update={"seats": seats})
        block = self._row(self.row)
        step = self.ensemble.step(self.simulator, block)
        assert step.ledger[0, 1] == self.equity[-1]

    def _rewards(self, before: float, fees: float) -> list[float]:
        shaping, initial = self.shaping, self.portfolio.initial_capital
        x = 100.0 * (self.equity[-1] - before) / initial
        cost = 100.0 * (fees - self.fees) / initial
        terms = [0.0] * 5
        terms[PROFIT] = shaping.profit_weight * (x + cost)
        terms[COST] = -shaping.profit_weight * cost
        terms[RISK_TERM] = -shaping.risk_penalty * 0.5 * x * x
        terms[SHARPE] = shaping.sharpe_bonus * math.sqrt(240.0) * RATE * self._differential_sharpe(x)
        depth = 100.0 * (1.0 - self.equity[-1] / max(self.equity))
        terms[DRAWDOWN] = -shaping.max_drawdown_penalty * (depth - self.depth)
        self.depth = depth
        return terms

    def _differential_sharpe(self, x: float) -> float:
        """Moody & Saffell (1998), equation for D_t with moving estimates A of x and B of x^2 before this bar."""
        change_a, change_b = x - self.mean, x * x - self.squares
        variance = self.squares - self.mean * self.mean
        value = 0.0
        if variance > 1e-12 * self.squares:  # else rounding, or nothing has moved yet
            value = (self.squares * change_a - 0.5 * self.mean * change_b) / variance**1.5
        self.mean += RATE * change_a
        self.squares += RATE * change_b
        return min(max(value, -10.0), 10.0)
