"""GrandModel from Python: `from engine.api import backtest`.

>>> result = backtest("bars.csv.gz", instrument="ES", agent="sma_cross:fast=10,slow=30")  # doctest: +SKIP
>>> result.metrics["sharpe"], result.pandas("trades")  # doctest: +SKIP
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.agent import Agent
from engine.app.backtest import BacktestRun, Prepared, check_folder, prepare, run_backtest
from engine.app.config import BacktestConfig
from engine.config import merge, parse, read_yaml
from engine.errors import UsageError
from engine.report.html import write_report
from feeds.memory import MemorySource
from feeds.quarantine import Quarantine
from feeds.reading.frames import ACCEPTED, frame_files, is_frame
from feeds.replay import ReplayConfig

FRAME_SYMBOL = "X"  # what the bars of a frame are called if nothing says

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class BacktestResult:
    """What a backtest came to. Tables: ledger, fills, orders, trades, decisions, sessions, chart."""

    def __init__(self, run: BacktestRun) -> None:
        self._run = run

    @property
    def folder(self) -> Path | None:
        """The run folder, if one was asked for."""
        return self._run.folder

    @property
    def metrics(self) -> dict[str, float | int | str | None]:
        """Every metric by name; None where it is not defined."""
        return dict(self._run.metrics)

    @property
    def manifest(self) -> dict[str, Any]:
        """What decides the result, and the ledger's hash."""
        return dict(self._run.manifest)

    @property
    def ledger_sha256(self) -> str:
        """Hash of every fill and every ledger row."""
        return str(self._run.manifest["ledger_sha256"])

    @property
    def seconds(self) -> float:
        """Time of the loop, without reading and recording."""
        return self._run.timings.loop

    @cached_property
    def _frames(self) -> dict[str, pl.DataFrame]:
        return self._run.recorder.frames()

    def polars(self, table: str) -> pl.DataFrame:
        """One table as a polars frame.

        Raises:
            UsageError: If there is no such table.
        """
        if table not in self._frames:
            raise UsageError(f"no table {table!r}", expected=", ".join(self._frames))
        return self._frames[table]

    def pandas(self, table: str) -> pd.DataFrame:
        """One table as a pandas frame, indexed by time where it has one row a time."""
        frame = self.polars(table).to_pandas()
        return frame.set_index("ts_event") if table in {"ledger", "chart"} else frame

    @property
    def equity(self) -> pd.Series[float]:
        """Equity after each row, account currency, indexed by close time UTC."""
        return self.pandas("ledger")["equity"]

    def plot(self) -> Any:
        """Equity and drawdown as a plotly Figure."""
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        equity = self.equity
        figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04)
        figure.add_trace(go.Scatter(x=equity.index, y=equity, name="equity"), row=1, col=1)
        drawdown = equity / equity.cummax() - 1.0
        figure.add_trace(go.Scatter(x=equity.index, y=drawdown, name="drawdown", fill="tozeroy"), row=2, col=1)
        return figure.update_layout(title=str(self.manifest["agent"]), hovermode="x unified")

    def report(self, path: str | Path | None = None) -> Path:
        """Write report.html for a run with a folder, and copy it to `path` if one is given.

        Raises:
            UsageError: If the run kept no folder; pass `out=` to `backtest`.
        """
        if self.folder is None:
            raise UsageError("this run kept no folder", hint="call backtest(..., out='runs/name')")
        written = write_report(self.folder)
        if path is None:
            return written
        copied = Path(path)
        copied.write_bytes(written.read_bytes())
        return copied

    def __repr__(self) -> str:
        shown = ("total_return", "sharpe", "max_drawdown", "trades", "final_equity")
        return "BacktestResult(" + ", ".join(f"{name}={self.metrics.get(name)}" for name in shown) + ")"


def backtest(
    data: Any = None,
    instrument: str | Mapping[str, str] | None = None,
    agent: str | Agent | None = None,
    *,
    config: str | Path | Sequence[str | Path] = (),
    out: str | Path | None = None,
    **settings: Any,
) -> BacktestResult:
    """Backtest an agent on bars.

    Args:
        data: A file, several files, a frame (pandas, polars, Arrow, a mapping of arrays; read and checked like a
            file), a mapping from symbol to frame, or a BarSource; by default what the configuration names.
        instrument: Name, YAML file, or a mapping from symbol to either; by default the configuration's, else GENERIC.
        agent: A specification as on the command line, or an agent object, which is copied, so that every run starts
            from the object as it is; by default the configuration's, else sma_cross:fast=10,slow=30.
        config: YAML files, later ones over earlier ones.
        out: Run folder; by default everything stays in memory.
        **settings: Keys of BacktestConfig, for example `initial_capital=50_000`, `limits={"max_drawdown": 0.2}`,
            `replay={"labels": "close"}` (of ReplayConfig: how files and frames are read).

    Raises:
        GrandModelError: Whatever is wrong with data or configuration.
    """
    files = [config] if isinstance(config, str | Path) else list(config)
    tree: dict[str, Any] = {}
    for file in files:
        tree = merge(tree, read_yaml(Path(file)))
    if isinstance(agent, type):
        raise UsageError("the agent is a class", expected="an object of it", found=agent.__name__)
    given = None if agent is None or isinstance(agent, str) else copy.deepcopy(agent)
    names = [str(name) for name in _paths(data)]
    chosen: dict[str, Any] = {
        "instrument": dict(instrument) if isinstance(instrument, Mapping) else instrument,
        "agent": type(given).__name__ if given is not None else agent,
        "data": names or None,
    }
    tree = merge(tree, {**settings, **{key: value for key, value in chosen.items() if value is not None}})
    validated = parse(BacktestConfig, tree, where="backtest()")
    folder = Path(out) if out is not None else None
    if folder is not None:
        check_folder(folder)
    quarantine = Quarantine(folder / "quarantine.jsonl" if folder else None, validated.replay.strict)
    prepared = _prepared(validated, None if names else data, quarantine)
    return BacktestResult(run_backtest(validated, folder, prepared=prepared, agent=given))


def _paths(data: Any) -> list[str | Path]:
    if isinstance(data, str | Path):
        return [data]
    if isinstance(data, list | tuple) and all(isinstance(item, str | Path) for item in data):
        return list(data)
    return []


def _prepared(config: BacktestConfig, data: Any, quarantine: Quarantine) -> Prepared:
    if data is None:
        return prepare(config, quarantine)
    if is_frame(data):
        return prepare(config, quarantine, frames=frame_files(data, FRAME_SYMBOL))
    if not hasattr(data, "blocks"):
        raise UsageError("no data", expected=f"files, {ACCEPTED}, or a BarSource", found=repr(data)[:80])
    if config.replay != ReplayConfig():
        raise UsageError(
            "the blocks of a BarSource are taken as they are: by their close times, all of them",
            found="settings of `replay`",
            hint="pass a frame or a file instead",
        )
    instruments = {symbol: config.instrument_for(symbol) for symbol in data.symbols}
    timeframe = data.timeframe_ns if isinstance(data, MemorySource) else 60_000_000_000
    reason = "the blocks of a BarSource are labelled by close"
    return Prepared(config, data, quarantine, instruments, timeframe, "close", reason, ())
