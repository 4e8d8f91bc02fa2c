"""Strategies in plain Python, called row by row with access to bar, account, positions and open orders."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from agents.base import Ready
from agents.context.context import HISTORY_ROWS, Context
from agents.context.views import Bar, Position, WorkingOrder
from engine.base.errors import GrandModelError, UsageError
from engine.types.blocks import BarBlock
from engine.types.contracts import Simulator
from engine.types.instruments import Instrument
from engine.types.step import StepBlock
from engine.types.timeframe import MINUTE_NS

__all__ = ["Bar", "Context", "Position", "Strategy", "WorkingOrder", "last_place"]


class Strategy(Ready, ABC):
    """Base class of a user's own strategy: override `on_bar`, and `on_start` if there is something to prepare.

    Attributes:
        history_rows: Rows that `context.history` and indicators can look back at.
    """

    history_rows: int = HISTORY_ROWS

    def bind(self, symbols: Sequence[str], instruments: Sequence[Instrument], timeframe_ns: int = MINUTE_NS) -> None:
        """Learn what is traded, and start."""
        self._context = Context(symbols, instruments, timeframe_ns, self.history_rows)
        self.on_start(self._context)

    def on_start(self, context: Context) -> None:
        """Called once before the first bar."""

    @abstractmethod
    def on_bar(self, context: Context) -> None:
        """Called after every row, when its bars are known and marked."""

    @property
    def saved_beside(self) -> Context:
        """History and indicators, which are saved beside what `snapshot` gives."""
        return self._context

    def step(self, simulator: Simulator, block: BarBlock) -> StepBlock:
        """Let `on_bar` decide after each row.

        The simulator follows where it is needed: when the strategy looks at its account or orders, and at the end.
        """
        context = self._context
        context.enter(simulator, block)
        simulator.begin(block)
        cursor, commands = context.cursor, context.commands
        for row in range(len(block)):
            cursor.row = row
            try:
                self.on_bar(context)
            except GrandModelError as error:
                if error.where is None:  # of a call in `on_bar`: the line of the strategy that made it
                    error.where = self._place(calling_place(error))
                raise
            except Exception as error:
                what = f"the strategy fails: {type(error).__name__}: {error}"
                raise UsageError(what, where=self._place(last_place(error))) from error
            if commands:
                simulator.catch_up(row)
                simulator.submit(context.joined_commands())
                commands.clear()
        simulator.catch_up(len(block) - 1)
        step, plots = simulator.take(), context.plotted()
        return step if plots is None else replace(step, plots=plots)

    def _place(self, line: str) -> str:
        context = self._context
        return f"{line}, at row {context.seq} ({context.time:%Y-%m-%d %H:%M} UTC)"


def last_place(error: BaseException) -> str:
    """File and line in which an exception arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "unknown"


def calling_place(error: BaseException) -> str:
    """File and line of the strategy from which an error came that its call raised."""
    _, *inside = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in inside if frame.filename == inside[0].filename]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else "unknown"
