"""The ensemble's orders once more, in plain Python from the rules as they are told to users.

Reads what the agents said (row, seat, symbol) and decides row by row. What the compiled code infers from positions and
working orders is known here from the simulator's own fills and events.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.types.blocks import BarBlock
from engine.types.records import (
    COMMAND,
    CommandKind,
    OrderEventKind,
    OrderType,
    Records,
    Role,
    SeatName,
    TimeInForce,
)
from portfolio.simulator import Simulator

TACTICAL_NS = 300_000_000_000
FORCED = (Role.STOP_LOSS, Role.KILL_SWITCH, Role.LIQUIDATION)


@dataclass
class Desk:
    """What is known of one symbol."""

    direction: float | None = None
    tactics: tuple[float, float, float] | None = None
    scale: float = 0.0
    level: float | None = None
    atr: float = 0.0
    wanted: float = 0.0
    reached: float = 0.0
    position: float = 0.0
    stopped: bool = False
    due: bool = False
    lapsed: bool = False
    flipping: bool = False
    hit: bool = False


class Oracle:
    """Decides for a simulator, row by row.

    Args:
        outputs: AGENT_OUTPUT records of a run.
        ranges: Average true range of the tactical bars by (row, symbol).
        ticks: Tick sizes by symbol.
        rebalance: Threshold.
    """

    def __init__(
        self, outputs: Records, ranges: dict[tuple[int, int], float], ticks: Sequence[float], rebalance: float
    ) -> None:
        self.said: dict[int, list[Any]] = {}
        for record in outputs:
            self.said.setdefault(int(record["seq"]), []).append(record)
        self.ranges, self.ticks, self.rebalance = ranges, ticks, rebalance
        self.desks = [Desk() for _ in ticks]
        self.level: float | None = None

    def run(self, simulator: Simulator, bars: BarBlock) -> tuple[list[Any], list[Any], np.ndarray[Any, Any]]:
        """Decisions, fills and ledger."""
        decisions, fills, ledger = [], [], []
        for row in range(len(bars)):
            block = bars.slice(row, row + 1)
            simulator.begin(block)
            simulator.advance(block, 0)
            step = simulator.take()
            decisions += list(step.decisions)
            fills += list(step.fills)
            ledger.append(step.ledger[0].copy())
            commands = list(self.decide(simulator, block, step.fills, step.events))
            if commands:
                simulator.submit(np.array(commands, COMMAND))
        block = bars.slice(len(bars) - 1, len(bars))
        simulator.begin(block)
        decisions += list(simulator.take().decisions)
        return decisions, fills, np.array(ledger)

    def decide(self, simulator: Simulator, block: BarBlock, fills: Records, events: Records) -> Iterable[Any]:
        """Commands after one row."""
        row, ts = block.seq, int(block.ts_event[0])
        said = self.said.get(row, [])
        for record in said:
            if record["seat"] == SeatName.RISK:
                self.level = float(record["action_0"]) / 4
        asked = any(record["seat"] == SeatName.RISK for record in said)
        for s, desk in enumerate(self.desks):
            orders = [o for o in simulator.orders if o["symbol"] == s and o["role"] == Role.ENTRY]
            alive = [o for o in orders if o["tif"] != TimeInForce.GTD or o["expire_ts"] > ts]
            expired = (events["symbol"] == s) & (events["kind"] == OrderEventKind.EXPIRED)
            desk.lapsed |= desk.wanted != 0 and bool((expired & (events["role"] == Role.ENTRY)).any())
            calls_off = False
            if block.present[0, s]:
                calls_off = self.happened(desk, s, simulator, fills, orders, alive)
            desk.position = float(simulator.positions[s]["quantity"])
            fresh = self.listen(desk, s, said, row) or asked
            if not block.present[0, s]:
                desk.due |= fresh
                continue
            if calls_off or fresh or desk.due:
                yield from self.act(desk, s, ts, float(block.close[0, s]), bool(alive), calls_off, fresh or desk.due)

    def happened(
        self, desk: Desk, s: int, simulator: Simulator, fills: Records, orders: list[Any], alive: list[Any]
    ) -> bool:
        """What became of the position in the row; returns whether an entry must be called off."""
        desk.position = float(simulator.positions[s]["quantity"])
        own = fills[fills["symbol"] == s]
        desk.hit |= any(int(fill["role"]) in FORCED for fill in own)
        emptied = desk.position == 0 and desk.wanted != 0 and len(own) > 0
        desk.lapsed |= len(orders) > 0 and not alive
        stopped = emptied and ((desk.hit and not (desk.flipping and alive)) or (desk.flipping and not alive))
        if not alive:
            desk.flipping = False
        if not stopped:
            return False
        desk.stopped, desk.wanted, desk.lapsed = True, 0.0, False
        return bool(alive)

    def listen(self, desk: Desk, s: int, said: list[Any], row: int) -> bool:
        """Take over what strategic and tactical agents said of the symbol."""
        fresh = strategic = False
        for record in said:
            if record["symbol"] != s:
                continue
            fresh = True
            strategic |= record["seat"] == SeatName.STRATEGIC
            if record["seat"] == SeatName.STRATEGIC:
                desk.direction, desk.stopped = float(record["action_0"]), False
            else:
                desk.tactics = tuple(float(record[f"action_{k}"]) for k in range(3))  # type: ignore[assignment] # three
                desk.atr = self.ranges[row, s]
        if desk.tactics is not None and (strategic or desk.position == 0):
            desk.scale = desk.tactics[2]
        if self.level is not None and (strategic or desk.level is None):
            desk.level = self.level
        elif self.level is not None and desk.level is not None:
            desk.level = min(desk.level, self.level)
        return fresh

    def act(self, desk: Desk, s: int, ts: int, close: float, alive: bool, calls_off: bool, due: bool) -> Iterable[Any]:
        """The commands that a decision leads to."""
        if desk.direction is None or desk.tactics is None or desk.level is None:
            desk.due = False
            return
        if not (due or calls_off):
            return
        desk.due = False
        timing, stop, _ = desk.tactics
        units = 0.0 if desk.stopped else desk.direction * desk.scale * desk.level
        again = desk.lapsed or (desk.wanted != 0 and desk.position == 0 and not alive)
        if not self.matters(units, desk.wanted) and not again and not calls_off:
            return
        if desk.position * units < 0 and timing < 1:
            desk.due = True
            if desk.wanted == 0:
                return
            units = 0.0
        if desk.position == 0:
            desk.reached = 0.0
        elif not desk.lapsed and not alive:
            desk.reached = desk.wanted
        grows = units != 0 and (desk.position == 0 or abs(units) > abs(desk.reached))
        desk.flipping = desk.position * units < 0
        desk.wanted, desk.lapsed, desk.hit = units, False, False
        if desk.flipping:
            yield command(CommandKind.CANCEL_ALL, s)
        reduce_only = not grows and not desk.flipping
        asked = command(CommandKind.TARGET, s, quantity=units, stop_distance=stop, reduce_only=reduce_only)
        if grows and timing < 1 and desk.atr > 0:
            asked["type"], asked["tif"] = OrderType.LIMIT, TimeInForce.GTD
            asked["limit"] = away(close, units, (1 - timing) * desk.atr, self.ticks[s])
            asked["expire_ts"] = ts + TACTICAL_NS
        yield asked

    def matters(self, units: float, wanted: float) -> bool:
        """Whether the change is worth a trade."""
        if units == 0 or wanted == 0 or (units > 0) != (wanted > 0):
            return units != wanted
        return abs(units - wanted) > self.rebalance * max(abs(units), abs(wanted))


def away(close: float, units: float, offset: float, tick: float) -> float:
    """A limit below (buying) or above (selling) the close, on the tick that is further away."""
    if units > 0:
        return math.floor((close - offset) / tick + 1e-9) * tick
    return math.ceil((close + offset) / tick - 1e-9) * tick


def command(kind: CommandKind, symbol: int, **fields: Any) -> Any:
    record = np.zeros(1, COMMAND)[0]
    record["kind"], record["symbol"], record["type"] = kind, symbol, OrderType.MARKET
    for name, value in fields.items():
        record[name] = value
    return record


def average_true_ranges(bars: Sequence[tuple[float, float, float] | None]) -> list[float]:
    """Wilder's average over 14 bars (high, low, close); the mean of the ranges so far before; the range of the first.

    Args:
        bars: None where the symbol has none; the value there is that of the bar before, or NaN.
    """
    out: list[float] = []
    ranges: list[float] = []
    before: float | None = None
    average = math.nan
    for bar in bars:
        if bar is not None:
            high, low, close = bar
            if before is None:
                average = high - low
            else:
                ranges.append(max(high, before) - min(low, before))
                if len(ranges) <= 14:
                    average = sum(ranges) / len(ranges)
                else:
                    average += (ranges[-1] - average) * (1.0 / 14)
            before = close
        out.append(average)
    return out
