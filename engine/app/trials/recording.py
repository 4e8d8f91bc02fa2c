"""Writing backtests and variants into the trial ledger of their bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.app.comparison.evaluation import Setting, VariantOutcome
from engine.app.comparison.parts import IN_SAMPLE, WHOLE
from engine.app.manifest import config_sha256
from engine.app.trials.data import data_digest
from engine.app.trials.ledger import KEPT, LedgerContents, Recording, Trial, TrialLedger
from engine.types.blocks import BarBlock


def kept_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics that a trial keeps."""
    return {name: metrics[name] for name in KEPT if name in metrics}


class VariantRecorder:
    """Records the variants of a comparison as they end; those that are in the ledger already are left out.

    A variant that its agent refused has seen no data: it is no trial.

    Args:
        recording: Who records; None records nothing.
        setting: Of the comparison.
        bars: Of the comparison.
        files: Where they come from.
    """

    def __init__(self, recording: Recording | None, setting: Setting, bars: BarBlock, files: list[str]) -> None:
        self._recording, self._setting, self._files = recording, setting, files
        self._ledger: TrialLedger | None = None
        self._known: set[str] = set()
        if recording is not None:
            digest = data_digest(bars)
            self._about = digest.about(files)
            self._ledger = TrialLedger(digest.hexdigest(), recording.folder)
            self._known = {trial.identity for trial in self._ledger.read().trials}

    def add(self, spec: str, outcome: VariantOutcome) -> None:
        """Record one variant."""
        if self._ledger is None or self._recording is None or outcome.status == "refused":
            return
        trial = Trial(
            "variant",
            spec,
            self._recording.command,
            "finished" if outcome.status == "done" else "failed",
            outcome.config_sha256 or config_sha256(self._setting.config.model_copy(update={"agent": spec})),
            outcome.ledger_sha256,
            kept_metrics((outcome.parts or {}).get(WHOLE, {})),
            outcome.blocks,
            outcome.error,
            at=self._recording.at,
        )
        if trial.identity not in self._known:
            self._known.add(trial.identity)
            self._ledger.append([trial], self._about)

    def contents(self) -> LedgerContents | None:
        """All that was ever tried on these bars; None if nothing is recorded."""
        return None if self._ledger is None else self._ledger.read()


class FoldRecorder:
    """Records what was tried in the folds of a walk-forward analysis.

    A fold sees a part of the bars only, so that its returns have no place in the cross-validation of whole runs: no
    block sums are kept.

    Args:
        recording: Who records; None records nothing.
        bars: All of them.
        files: Where they come from.
    """

    def __init__(self, recording: Recording | None, bars: BarBlock, files: list[str]) -> None:
        self._recording = recording
        self._ledger: TrialLedger | None = None
        if recording is not None:
            digest = data_digest(bars)
            self._about = digest.about(files)
            self._ledger = TrialLedger(digest.hexdigest(), recording.folder)

    def add(self, spec: str, fold: int, outcome: VariantOutcome, setting: Setting) -> None:
        """Record one variant in one fold."""
        if self._ledger is None or self._recording is None or outcome.status == "refused":
            return
        trial = Trial(
            "fold",
            spec,
            self._recording.command,
            "finished" if outcome.status == "done" else "failed",
            outcome.config_sha256 or config_sha256(setting.config.model_copy(update={"agent": spec})),
            outcome.ledger_sha256,
            kept_metrics((outcome.parts or {}).get(IN_SAMPLE, {})),
            error=outcome.error,
            detail={"fold": fold},
            at=self._recording.at,
        )
        self._ledger.append([trial], self._about)
