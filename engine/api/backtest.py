"""The result of a backtest, as an object for Python and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api.printing import as_html, as_text
from engine.app.backtest import BacktestRun
from engine.base.errors import UsageError
from engine.base.replacing import replaced_file
from engine.record.recorder import TABLES
from engine.report.html import write_report
from engine.report.payload import read_json

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    import polars as pl

INDEXED = frozenset({"ledger", "chart", "sessions"})
"""Tables with one row a time."""


class BacktestResult:
    """The result of a backtest.

    `print(result)` shows the summary of the terminal, a notebook shows it as HTML. Tables: ledger, fills, orders,
    decisions, agents, trades, sessions, chart, plots.

    Args:
        manifest: What decides the result, and the ledger's hash.
        metrics: By name; None where not defined.
        folder: The run folder; None for a run that was kept in memory.
        seconds: Time of the loop; None for a run that was loaded.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        metrics: Mapping[str, Any],
        frames: Callable[[], Mapping[str, pl.DataFrame]],
        folder: Path | None = None,
        seconds: float | None = None,
    ) -> None:
        self._manifest, self._metrics, self._make_frames = manifest, metrics, frames
        self._folder, self._seconds = folder, seconds

    @classmethod
    def of(cls, run: BacktestRun) -> BacktestResult:
        """The result of a run that has just ended."""
        return cls(run.manifest, run.metrics, run.recorder.frames, run.folder, run.timings.loop)

    @classmethod
    def load(cls, folder: str | Path) -> BacktestResult:
        """The result of a finished run, from its folder.

        Raises:
            UsageError: If the folder is not that of a run.
            DataError: If one of its files is damaged.
        """
        path = Path(folder)
        manifest, metrics = read_json(path / "manifest.json"), read_json(path / "metrics.json")
        return cls(manifest, metrics, lambda: _read_tables(path), path)

    @property
    def folder(self) -> Path | None:
        """The run folder, if one was asked for."""
        return self._folder

    @property
    def metrics(self) -> dict[str, float | int | str | None]:
        """Every metric by name; None where it is not defined."""
        return dict(self._metrics)

    @property
    def manifest(self) -> dict[str, Any]:
        """What decides the result, and the ledger's hash."""
        return dict(self._manifest)

    @property
    def ledger_sha256(self) -> str:
        """Hash of every fill and every ledger row."""
        return str(self._manifest["ledger_sha256"])

    @property
    def seconds(self) -> float:
        """Time of the loop, without reading and recording.

        Raises:
            UsageError: If the run was loaded from its folder, which does not keep it.
        """
        if self._seconds is None:
            raise UsageError("a run that was loaded from its folder has no timing")
        return self._seconds

    @cached_property
    def _frames(self) -> Mapping[str, pl.DataFrame]:
        return self._make_frames()

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
        return frame.set_index("ts_event") if table in INDEXED else frame

    @property
    def equity(self) -> pd.Series[float]:
        """Equity after each row, account currency, indexed by close time UTC."""
        return self.pandas("ledger")["equity"]

    @property
    def trades(self) -> pd.DataFrame:
        """Round trips, a row each."""
        return self.pandas("trades")

    @property
    def fills(self) -> pd.DataFrame:
        """Fills, a row each."""
        return self.pandas("fills")

    def plot(self, symbol: str | None = None) -> go.Figure:
        """Candles with fills and what the strategy plotted, equity and drawdown, as a plotly Figure.

        Args:
            symbol: By default the first.

        Raises:
            UsageError: If there is no such symbol.
        """
        from engine.api.figure import figure  # noqa: PLC0415 - plotly takes a moment

        return figure(self._frames, self._manifest, symbol)

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
        with replaced_file(copied) as part:
            part.write_bytes(written.read_bytes())
        return copied

    @property
    def _curve(self) -> Sequence[float]:
        curve: list[float] = self.polars("sessions")["equity"].to_list()
        return curve

    def __str__(self) -> str:
        return as_text(self._metrics, self._manifest, self._curve)

    def _repr_html_(self) -> str:
        return as_html(self._metrics, self._manifest, self._curve)

    def __repr__(self) -> str:
        shown = ("total_return", "sharpe", "max_drawdown", "trades", "final_equity")
        return "BacktestResult(" + ", ".join(f"{name}={self._metrics.get(name)}" for name in shown) + ")"


def _read_tables(folder: Path) -> dict[str, pl.DataFrame]:
    """The tables of a run folder; one that an earlier release did not write is left out."""
    import polars as pl  # noqa: PLC0415 - wanted only once a table is asked for

    from engine.record.reading import read_table  # noqa: PLC0415 - likewise

    paths = {name: folder / f"{name}.parquet" for name in TABLES}
    found: dict[str, pl.DataFrame] = {}
    for name, path in paths.items():
        if path.exists() or name == "ledger":
            frame = pl.from_arrow(read_table(path))
            assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is never a series
            found[name] = frame
    return found
