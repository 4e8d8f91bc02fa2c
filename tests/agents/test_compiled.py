"""Compiled strategies: what may be cached, and what is said of code that does not compile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.base import CompiledStrategy
from agents.kernels import MARKET, order
from engine.api.calls import backtest
from engine.base.errors import UsageError
from feeds.memory import MemorySource
from tests.bars import random_bars

SOURCE = """
import grandmodel as gm


class Long(gm.CompiledStrategy):
    @staticmethod
    def decide(i, bars, signals, account, positions, orders, params, memory, out):
        return 0
"""

PROGRAM = """
import sys
from agents.compiled import compile_decide
space = {"__name__": "nowhere"}
path = sys.argv[1]
exec(compile(open(path).read(), path, "exec"), space)
compile_decide(space["Long"].decide, "Long")
"""


def test_code_without_a_module_runs_in_a_second_process_too(tmp_path: Path) -> None:
    source = tmp_path / "cell.py"
    source.write_text(SOURCE, encoding="utf-8")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROGRAM, str(source)], check=True, cwd=Path(__file__).parents[2])


class Eager(CompiledStrategy):
    """Returns one command more than there is room for, or as many as there is."""

    def __init__(self, more: int) -> None:
        self.params = np.array([float(more)])

    @staticmethod
    def decide(
        i: int,
        bars: Any,
        signals: Any,
        account: Any,
        positions: Any,
        orders: Any,
        params: Any,
        memory: Any,
        commands: Any,
    ) -> int:
        n = commands.shape[0]
        for k in range(n):
            order(commands[k], k % positions.shape[0], MARKET, 1.0)
        return n + int(params[0])


@pytest.mark.parametrize("symbols", [1, 50])
def test_commands_have_room_for_two_of_each_symbol_and_more_are_an_error(symbols: int) -> None:
    source = MemorySource(random_bars(5, symbols=tuple(f"S{number}" for number in range(symbols))))
    run = backtest(source, agent=Eager(0), initial_capital=1e9)
    assert run.metrics["fills"] == 4 * max(64, 2 * symbols)
    with pytest.raises(UsageError, match="cannot be obeyed"):
        backtest(source, agent=Eager(1))
