"""The recorder: a lossless tap that writes a run to its folder, or keeps it in memory.

A run folder holds `ledger`, `fills`, `orders`, `decisions`, `agents` (decisions by agent of an ensemble), `trades`,
`sessions`, `chart` and `plots` (what a strategy plotted), as Parquet files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.base.errors import UsageError
from engine.base.restoring import MADE, array_of, check_made, describe, frozen, parts_of
from engine.base.state import State
from engine.record.buffer import RowBuffer
from engine.record.plots import PlotTable
from engine.record.records import CLOSED_ORDER, SESSION_END, TRADE
from engine.record.tables import (
    AGENT_COLUMNS,
    DECISION_COLUMNS,
    FILL_COLUMNS,
    ORDER_COLUMNS,
    SESSION_COLUMNS,
    TRADE_COLUMNS,
    ParquetFile,
    RecordTable,
    chart_table,
    ledger_table,
)
from engine.record.tallies import OrderFolder, RowTallies, Tallies
from engine.types.blocks import Floats, Ints
from engine.types.calendar import Sessions
from engine.types.contracts import TradeFolder
from engine.types.records import ACCOUNT, AGENT_OUTPUT, COMMAND, FILL, LEDGER_COLUMNS, POSITION, Records
from engine.types.step import StepBlock

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TABLES = ("ledger", "fills", "orders", "decisions", "agents", "trades", "sessions", "chart", "plots")
WASTE = 4


class RunRecorder:
    """Records every step of a run.

    With a folder, rows stream to Parquet in constant memory. Without, blocks are kept as they come and
    nothing is copied or computed until `close`. Steps handed to `write` must not change afterwards.

    The figures of a run can be carried from one recorder to another (`snapshot`, `restore`), so that rows once folded
    need not be kept: `tallies` and the statistics of the trades then cover all rows. Of the tables, those that are
    sums (`sessions`, `chart`, and orders and trades that were still open) carry over; the others hold what was
    written only to this recorder.

    Args:
        folder: Where to write, created if need be; None keeps everything in memory.
        symbols: S names.
        initial_capital: Account currency.
        trades: Folds fills into round trips.
        sessions: Where trading days end, for daily returns; None for UTC days.

    Raises:
        UsageError: If the folder cannot be created.
        GrandModelError: If the disk refuses, from any method.
    """

    def __init__(
        self,
        folder: Path | None,
        symbols: Sequence[str],
        initial_capital: float,
        trades: TradeFolder,
        sessions: Sessions | None = None,
    ) -> None:
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"cannot create the run folder: {error}", where=str(folder)) from error
        self._folder = folder
        self._symbols = tuple(symbols)
        self._initial = initial_capital
        self._trade_folder = trades
        self._order_folder = OrderFolder()
        self._row_tallies = RowTallies(len(symbols), initial_capital, sessions)
        self._buffer = RowBuffer(len(symbols))
        self._ledger = ParquetFile(folder / "ledger.parquet") if folder else None
        self._fills = self._table("fills", FILL)
        self._decisions = self._table("decisions", COMMAND)
        self._orders = self._table("orders", CLOSED_ORDER)
        self._trades = self._table("trades", TRADE)
        self._agents = self._table("agents", AGENT_OUTPUT)
        self._sessions = self._table("sessions", SESSION_END)
        self._plots = PlotTable(folder / "plots.parquet" if folder else None, self._symbols)
        self._steps: list[StepBlock] = []
        self._folded = 0
        self._account: Records = np.empty(0, ACCOUNT)
        self._positions: Records = np.zeros(len(symbols), POSITION)
        self._closed = False
        self._benchmark: Callable[[Ints], Floats] | None = None

    def _table(self, name: str, dtype: np.dtype[np.void]) -> RecordTable:
        columns = {
            "fills": FILL_COLUMNS,
            "decisions": DECISION_COLUMNS,
            "orders": ORDER_COLUMNS,
            "trades": TRADE_COLUMNS,
            "agents": AGENT_COLUMNS,
            "sessions": SESSION_COLUMNS,
        }[name]
        path = self._folder / f"{name}.parquet" if self._folder else None
        return RecordTable(path, dtype, columns, self._symbols)

    def write(self, step: StepBlock) -> None:
        """Record one step."""
        if self._folder is None:
            self._steps.append(step)
        else:
            self._take(step)

    def close(self, benchmark: Callable[[Ints], Floats] | None = None) -> None:
        """Record what is still held and end the files; a second call does nothing.

        Args:
            benchmark: Value of a benchmark at given times, account currency; a further line of the chart.
        """
        if self._closed:
            return
        self._closed, self._benchmark = True, benchmark
        self._fold_held()
        self._flush()
        self._orders.add(self._order_folder.working())
        self._sessions.add(self._row_tallies.session_ends())
        for account in self._account[self._account["seq"] > 0]:
            ts_event, last = int(account["ts_event"]), int(account["seq"]) - 1
            self._trades.add(self._trade_folder.open_trades(self._positions, ts_event, last))
        if self._folder is not None:
            for table in (self._fills, self._decisions, self._agents, self._orders, self._trades, self._sessions):
                table.close()
            self._plots.close()
            chart = ParquetFile(self._folder / "chart.parquet")
            chart.write(self._chart())
            chart.close()
        if self._ledger is not None:
            self._ledger.close()

    @property
    def tallies(self) -> Tallies:
        """The run's figures; complete once closed."""
        return Tallies(
            self._initial,
            self._symbols,
            self._row_tallies.session_ends(),
            self._row_tallies.tally.copy(),
            self._row_tallies.finished_drawdowns(),
            self._order_folder.counts.copy(),
            self._order_folder.roles.copy(),
            self._account if len(self._account) else None,
            len(self._order_folder.working()),
            int(np.count_nonzero(self._positions["quantity"])),
        )

    def snapshot(self) -> State:
        """The run's figures so far, without the tables: they are not part of it.

        Rows that wait to be folded or written are folded and written first, so that the state, and the tables of a
        recorder that continues from it, begin behind the last step written here. Equal runs give equal states, however
        their rows were cut.
        """
        self._fold_held()
        if not self._buffer.empty:
            self._flush()
        return {
            MADE: describe(self._made()),
            "rows": self._row_tallies.snapshot(),
            "orders": self._order_folder.snapshot(),
            "trades": self._trade_folder.snapshot(),
            "account": frozen(self._account),
            "positions": frozen(self._positions),
        }

    def restore(self, state: State) -> None:
        """Continue from a snapshot; only before the first step. After an error the recorder is of no use.

        Raises:
            UsageError: If something was written already.
            DataError: If the snapshot is not one of a recorder of these symbols, this capital and these sessions.
        """
        if self._steps or self._closed or len(self._account):
            raise UsageError("this recorder holds a run already", hint="restore into a new one")
        parts = parts_of(state, (MADE, "rows", "orders", "trades", "account", "positions"))
        check_made(parts[MADE], self._made())
        self._row_tallies.restore(parts["rows"])
        self._order_folder.restore(parts["orders"])
        self._trade_folder.restore(parts["trades"])
        self._account = array_of(parts["account"], self._account, "account", grows=True)
        self._positions = array_of(parts["positions"], self._positions, "positions")

    def moved(self, folder: Path) -> None:
        """Find the files of a closed recorder in a folder that was renamed."""
        self._folder = folder

    def _made(self) -> dict[str, Any]:
        return {"symbols": self._symbols, "initial_capital": self._initial}

    def frames(self) -> dict[str, pl.DataFrame]:
        """The tables of a closed recorder as polars frames, by the names in TABLES.

        Raises:
            UsageError: If the recorder has not been closed.
        """
        if not self._closed:
            raise UsageError("the run is still being recorded", hint="close the recorder first")
        import polars as pl  # noqa: PLC0415 - wanted by interactive use only

        if self._folder is not None:
            return {name: pl.read_parquet(self._folder / f"{name}.parquet") for name in TABLES}
        tables: dict[str, pa.Table] = {
            "ledger": self._ledger_in_memory(),
            "fills": self._fills.table(),
            "orders": self._orders.table(),
            "decisions": self._decisions.table(),
            "agents": self._agents.table(),
            "trades": self._trades.table(),
            "sessions": self._sessions.table(),
            "chart": self._chart(),
            "plots": self._plots.table(),
        }
        return {name: pl.DataFrame(table) for name, table in tables.items()}

    def _fold_held(self) -> None:
        for step in self._steps[self._folded :]:
            self._take(step)
        self._folded = len(self._steps)

    def _take(self, step: StepBlock) -> None:
        self._account, self._positions = step.account, step.position_records
        if len(step.fills) or len(step.events) or len(step.decisions):
            self._fills.add(_compact(step.fills))
            self._decisions.add(_compact(step.decisions))
            self._trades.add(self._trade_folder.update(step.fills))
            self._orders.add(self._order_folder.update(step.events))
        if len(step.outputs):
            self._agents.add(_compact(step.outputs))
        self._plots.add(step)
        start = 0
        while start < len(step):
            start += self._buffer.take(step, start)
            if self._buffer.full:
                self._flush()

    def _flush(self) -> None:
        rows = self._buffer.rows()
        self._row_tallies.update(rows)
        if self._ledger is not None:
            self._ledger.write(ledger_table(rows.ts_event, rows.ledger, rows.positions, self._symbols))
        self._buffer.clear()

    def _chart(self) -> pa.Table:
        times, lines, prices, volumes = self._row_tallies.chart()
        return chart_table(times, lines, prices, volumes, self._symbols, self._benchmark and self._benchmark(times))

    def _ledger_in_memory(self) -> pa.Table:
        steps = self._steps
        ts_event = np.concatenate([np.empty(0, np.int64), *(step.bars.ts_event for step in steps)])
        ledger = np.concatenate([np.empty((0, len(LEDGER_COLUMNS))), *(step.ledger for step in steps)])
        positions = np.concatenate([np.empty((0, len(self._symbols))), *(step.positions for step in steps)])
        return ledger_table(ts_event, ledger, positions, self._symbols)


def _compact(records: Records) -> Records:
    """The records themselves, or a copy where they are a small view that keeps a large buffer alive."""
    base = records.base
    return records.copy() if isinstance(base, np.ndarray) and base.nbytes > WASTE * records.nbytes else records
