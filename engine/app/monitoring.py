"""What the performance monitor says of a session, running or ended, or of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.app.drift import drift_of_run
from engine.app.journal.monitoring import recover_monitor
from engine.app.live.control import ask
from engine.app.live.folder import is_running
from engine.app.live.open_or_resume import stored_setup
from engine.base.errors import CheckFailed, DataError, UsageError
from engine.base.nearest import nearest_folder
from engine.journal.entries import letters_by_reason
from engine.journal.files import FILE
from engine.journal.reading import JournalReader
from engine.monitor.drift.detector import DriftDetector
from engine.monitor.drift.reference import read_reference
from engine.monitor.performance.advice import ACCEPTABLE
from engine.monitor.performance.monitor import PerformanceMonitor
from engine.monitor.performance.words import advice_text
from engine.report.monitoring import monitor_run, of_ensemble
from engine.report.payload import read_json
from engine.report.presentation import currency
from engine.types.moments import iso


@dataclass(frozen=True)
class Monitored:
    """A monitor, and what it watched.

    Attributes:
        folder: Of the session or run.
        kind: `session` or `run`.
        running: Whether the session is at work.
        rows: How many there were.
        last_bar: Close of the last row, ISO 8601; None where the folder does not say.
        currency: Of the account.
        agent: What decides.
        monitor: After the last row.
        drift: Likewise; None where there is no reference.
        calibration: Of the strategic network's confidence; empty for a run, whose tables have no prices.
        latency: Milliseconds from receipt to commit, median and 99th percentile (p50, p99), since a running session
            started; None for others, which keep none.
        quality: Of the data: bars, gaps, messages or rows refused by reason.
    """

    folder: Path
    kind: str
    running: bool
    rows: int
    last_bar: str | None
    currency: str
    agent: str
    monitor: PerformanceMonitor
    drift: DriftDetector | None
    calibration: list[dict[str, Any]]
    latency: dict[str, float | None] | None
    quality: dict[str, Any]

    def tree(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "folder": str(self.folder),
            "kind": self.kind,
            "running": self.running,
            "rows": self.rows,
            "last_bar": self.last_bar,
            "currency": self.currency,
            "agent": self.agent,
            **self.monitor.tree(),
            "drift": None if self.drift is None else self.drift.tree(),
            "calibration": self.calibration,
            "latency_ms": self.latency,
            "data": self.quality,
        }

    @property
    def trained(self) -> bool:
        """Whether the agent is an ensemble of networks."""
        return of_ensemble(self.agent)

    @property
    def alerting(self) -> bool:
        """Whether a figure is proved to be below its threshold."""
        monitor = self.monitor
        return bool(monitor.alerts("proved")) or monitor.advice("proved") not in {None, ACCEPTABLE}

    def check(self) -> None:
        """Pass where no figure is proved to be below its threshold.

        Raises:
            CheckFailed: Naming the alerts that stand.
        """
        if not self.alerting:
            return
        alerts, below = self.monitor.alerts("proved"), self.monitor.config.win_rate.retrain_below
        raise CheckFailed(
            f"proved: {', '.join(alerts)}" if alerts else f"the win rate is proved to be below {below:g}",
            where=str(self.folder),
            expected="no figure that is proved to be below its threshold",
            found=advice_text(self.monitor, "proved"),
            hint=self._hint,
        )

    @property
    def _hint(self) -> str:
        """What to do about a proof."""
        if self.monitor.advice("proved") == ACCEPTABLE:
            return "look at the figure; whether to act is for you to decide (docs/monitoring.md)"
        if self.trained:
            return "train the ensemble again on newer bars (docs/monitoring.md)"
        return f"{self.agent} has nothing to train: change its parameters, or stop trading it (docs/monitoring.md)"


def monitored(folder: Path, reference: Path | None = None) -> Monitored:
    """Look at a session folder, or at the folder of a finished run.

    Args:
        reference: What to compare with, in place of `monitor.drift.reference` of the session or run.

    Raises:
        UsageError: If it is neither.
        DataError: If what it holds is damaged, or the session has no bar yet.
    """
    if (folder / FILE).is_file():
        return _session(folder, reference)
    if (folder / "manifest.json").is_file():
        return _run(folder, reference)
    raise UsageError(
        "this folder holds neither a session nor a run" if folder.is_dir() else "no such folder",
        where=str(folder),
        expected="a folder that `grandmodel paper` or `grandmodel backtest` wrote",
        hint=nearest_folder(folder, FILE) or nearest_folder(folder, "manifest.json"),
    )


def _session(folder: Path, reference: Path | None) -> Monitored:
    with JournalReader(folder) as reader:
        setup = stored_setup(reader)
        followed = recover_monitor(reader, setup, reference=reference)
        counters = reader.counters()
        if followed is None:
            raise DataError("the session has no bar yet", where=str(folder))
        return Monitored(
            folder,
            "session",
            is_running(folder),
            followed.next_seq,
            iso(followed.last_ns),
            setup.config.currency,
            str(setup.config.agent),
            followed.monitor,
            followed.drift,
            followed.calibration.rows(),
            _latency(folder),
            {
                "bars": counters.get("bars", 0),
                "gaps": counters.get("gaps", 0),
                "missing_bars": counters.get("missing", 0),
                "refused": letters_by_reason(counters),
            },
        )


def _latency(folder: Path) -> dict[str, float | None] | None:
    """Ask a running session how long its decisions take."""
    if not is_running(folder):
        return None
    try:
        status = ask(folder, "status", by="monitor")
    except UsageError:  # it has just ended, or is busy
        return None
    return {"p50": status["milliseconds_50"], "p99": status["milliseconds_99"]}


def _run(folder: Path, reference: Path | None) -> Monitored:
    manifest, metrics = read_json(folder / "manifest.json"), read_json(folder / "metrics.json")
    refused = manifest.get("quarantined")
    quality = {"bars": manifest.get("rows"), "gaps": manifest.get("gaps"), "refused": refused or {}}
    monitor = monitor_run(folder, manifest, metrics)
    chosen = reference or monitor.config.drift.reference
    end, rows = metrics.get("end"), metrics.get("rows")
    return Monitored(
        folder,
        "run",
        running=False,
        rows=int(rows or 0),
        last_bar=str(end) if end else None,
        currency=currency(manifest),
        agent=str(manifest.get("agent") or "the agent"),
        monitor=monitor,
        drift=None if chosen is None else drift_of_run(folder, read_reference(Path(chosen))),
        calibration=[],
        latency=None,
        quality=quality,
    )
