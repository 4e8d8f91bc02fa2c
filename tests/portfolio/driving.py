"""Drive the oracle and the compiled simulator with one scenario, and say where they part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace

import numpy as np

from engine.base.errors import UsageError
from engine.types.blocks import BAR_COLUMNS, BarBlock
from engine.types.records import COMMAND, FILL, LEDGER_COLUMNS, ORDER_EVENT, Operation, Records
from portfolio.simulator import Simulator
from tests.portfolio.oracle import OracleSimulator
from tests.portfolio.oracle_records import Bar, Command, Event, Fill, Ledger, dec
from tests.portfolio.strategies_bars import Candle, Scenario
from tests.trees import saved

Row = Mapping[str, float]
COMMAND_FIELDS = tuple(field.name for field in fields(Command))
HUNDREDTH_OF_A_CENT = 1e-4
MONEY = {*LEDGER_COLUMNS, "fee", "realized"}
EXACT = {name for kind in (COMMAND, FILL, ORDER_EVENT) for name in kind.names or () if kind[name].kind == "i"}


@dataclass
class Outcome:
    """What a simulator reported, in plain numbers."""

    fills: Sequence[Row]
    events: Sequence[Row]
    ledger: Sequence[Row]
    positions: Sequence[Sequence[float]]
    decisions: Sequence[Row]
    refused: Sequence[int]  # numbers of an operator's orders that were errors


def plain(records: Iterable[Fill | Event | Ledger | Command], kind: type) -> list[Row]:
    names = [field.name for field in fields(kind)]
    return [{name: float(getattr(record, name)) for name in names} for record in records]


def named(records: Records) -> list[Row]:
    names = records.dtype.names or ()
    return [dict(zip(names, map(float, record), strict=True)) for record in records.tolist()]


def bar(candle: Candle | None) -> Bar | None:
    if candle is None:
        return None
    opened, high, low, closed, volume = candle
    return Bar(dec(opened), dec(high), dec(low), dec(closed), volume)


def oracle_of(scenario: Scenario) -> OracleSimulator:
    return OracleSimulator(scenario.config, scenario.instruments, scenario.session_ends, scenario.bars_per_year)


def kernel_of(scenario: Scenario) -> Simulator:
    ends = np.array(scenario.session_ends, dtype=np.int64)
    return Simulator(scenario.config, scenario.instruments, ends, scenario.bars_per_year)


def block_of(scenario: Scenario) -> BarBlock:
    absent = (math.nan,) * 5
    table = np.array([[candle or absent for candle in row] for row in scenario.bars], dtype=np.float64)
    shape = (len(scenario.bars), len(scenario.instruments), 5)
    columns = {name: table.reshape(shape)[:, :, i].copy() for i, name in enumerate(BAR_COLUMNS)}
    present = np.array([[candle is not None for candle in row] for row in scenario.bars], dtype=np.bool_)
    symbols = [instrument.name for instrument in scenario.instruments]
    return BarBlock.from_columns(symbols, np.array(scenario.ts, dtype=np.int64), columns, present)


def commands_of(commands: Sequence[Command]) -> Records:
    records = np.zeros(len(commands), COMMAND)
    for record, command in zip(records, commands, strict=True):
        for name in COMMAND_FIELDS:
            record[name] = getattr(command, name)
    return records


def run_oracle(scenario: Scenario) -> Outcome:
    oracle = oracle_of(scenario)
    allowed = [oracle.operate(operation, 0) for operation in scenario.operations.get(-1, [])]
    for row, (ts, candles) in enumerate(zip(scenario.ts, scenario.bars, strict=True)):
        oracle.row(ts, [bar(candle) for candle in candles])
        oracle.command([replace(command) for command in scenario.commands[row]])
        allowed += [oracle.operate(operation, ts) for operation in scenario.operations.get(row, [])]
    positions = [[float(quantity) for quantity in row] for row in oracle.position_rows]
    return Outcome(
        plain(oracle.fills, Fill),
        plain(oracle.events, Event),
        [dict(zip(LEDGER_COLUMNS, map(float, astuple(row)), strict=True)) for row in oracle.ledger],
        positions,
        plain(oracle.decisions, Command),
        [number for number, obeyed in enumerate(allowed) if not obeyed],
    )


def operated(simulator: Simulator, operation: Operation, ts: int) -> bool:
    """Whether the simulator allowed an operator's order."""
    before = saved(simulator)
    try:
        simulator.operate(operation, ts)
    except UsageError:
        assert saved(simulator) == before
        return False
    return True


def run_kernel(scenario: Scenario) -> Outcome:
    simulator, block = kernel_of(scenario), block_of(scenario)
    allowed = [operated(simulator, operation, 0) for operation in scenario.operations.get(-1, [])]
    for row, commands in enumerate(scenario.commands):
        simulator.advance(block, row)
        simulator.submit(commands_of(commands))
        allowed += [operated(simulator, operation, scenario.ts[row]) for operation in scenario.operations.get(row, [])]
    step = simulator.take()
    assert step.fills.dtype == FILL and step.events.dtype == ORDER_EVENT
    ledger = [dict(zip(LEDGER_COLUMNS, row, strict=True)) for row in step.ledger.tolist()]
    refused = [number for number, obeyed in enumerate(allowed) if not obeyed]
    return Outcome(
        named(step.fills), named(step.events), ledger, step.positions.tolist(), named(step.decisions), refused
    )


def close(mine: float, theirs: float, allowed: float = 1e-9) -> bool:
    """Equal to a billionth, or to what is allowed; identifiers and times are integers, so equal is equal."""
    if mine == theirs or (math.isnan(mine) and math.isnan(theirs)):
        return True
    return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=allowed)


def parted(left: Row, right: Row) -> list[str]:
    """Names of the fields that differ."""
    return [
        name
        for name in left
        if not (
            left[name] == right[name]
            if name in EXACT
            else close(left[name], right[name], HUNDREDTH_OF_A_CENT if name in MONEY else 1e-9)
        )
    ]


def difference(oracle: Outcome, kernel: Outcome) -> str:
    """The first difference in words; empty where the two agree."""
    streams = ("events", "fills", "ledger", "decisions")
    for stream in streams:
        mine, theirs = getattr(oracle, stream), getattr(kernel, stream)
        for index, (left, right) in enumerate(zip(mine, theirs, strict=False)):
            wrong = parted(left, right)
            if wrong:
                return f"{stream}[{index}] {wrong}:\n  oracle {dict(left)}\n  kernel {dict(right)}"
        if len(mine) != len(theirs):
            extra = (mine if len(mine) > len(theirs) else theirs)[min(len(mine), len(theirs))]
            return f"{stream}: oracle {len(mine)}, kernel {len(theirs)}; first left over {dict(extra)}"
    for row, (held, held_too) in enumerate(zip(oracle.positions, kernel.positions, strict=True)):
        if not all(map(close, held, held_too)):
            return f"positions[{row}]: oracle {held}, kernel {held_too}"
    if oracle.refused != kernel.refused:
        return f"orders of an operator that were refused: oracle {oracle.refused}, kernel {kernel.refused}"
    return ""
