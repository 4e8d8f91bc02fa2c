"""What commands write into the trial ledger, and what they tell of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.app.backtest import BacktestRun, Watch
    from engine.app.preparing import Prepared
    from engine.app.trials.ledger import Recording
    from engine.types.step import StepBlock


def recording(command: str) -> Recording:
    """Who records, and when."""
    from datetime import UTC, datetime

    from engine.app.trials.ledger import Recording

    return Recording(command, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")


class BacktestRecorder:
    """Watches a backtest, and records it as a trial on its bars.

    Args:
        prepared: Its data.
    """

    def __init__(self, prepared: Prepared) -> None:
        from engine.app.trials.data import DataDigest, EquityReturns

        self._prepared = prepared
        self._digest = DataDigest(prepared.source.symbols)
        self._returns = EquityReturns(prepared.config.initial_capital)

    def watching(self, other: Watch | None) -> Watch:
        """Also tells another watch."""

        def watch(step: StepBlock) -> None:
            self._digest.update(step.bars)
            self._returns.update(step)
            if other is not None:
                other(step)

        return watch

    def record(self, run: BacktestRun, folder: Path) -> None:
        """Append the trial to the ledger, and write the odds into the run folder."""
        from engine.app.manifest import write_json
        from engine.app.trials.ledger import Trial, TrialLedger
        from engine.app.trials.odds import ODDS, odds_of
        from engine.app.trials.recording import kept_metrics

        told, manifest = recording("backtest"), run.manifest
        ledger = TrialLedger(self._digest.hexdigest(), told.folder)
        trial = Trial(
            "backtest", str(manifest["agent"]), told.command, "finished", manifest["config_sha256"],
            manifest["ledger_sha256"], kept_metrics(run.metrics), self._returns.sums(), at=told.at,
        )  # fmt: skip
        ledger.append([trial], self._digest.about([path.name for path in self._prepared.paths]))
        write_json(folder / ODDS, odds_of(run.metrics, ledger))
