"""Comparing variants: specifications in, one judged list out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.grid import Variant, expand
from agents.registry import check_parameters, factory_of
from engine.app.benchmark import BenchmarkPrices
from engine.app.comparison.bars import read_bars
from engine.app.comparison.differences import flat
from engine.app.comparison.evaluation import Build, Setting, VariantOutcome, curve_rows
from engine.app.comparison.parts import IN_SAMPLE, WHOLE, parts_of
from engine.app.comparison.selection import FoldStep, Selection, select, walk_forward
from engine.app.comparison.store import (
    RUNS,
    Keys,
    OutcomeStore,
    bars_sha256,
    check_comparison_folder,
    check_continues,
    series_sha256,
)
from engine.app.comparison.workers import Job, run_jobs
from engine.app.preparing import Prepared
from engine.app.trials.ledger import Recording
from engine.app.trials.recording import VariantRecorder
from engine.base.errors import GrandModelError, UsageError
from engine.types.blocks import BarBlock, Floats
from portfolio.benchmark import BUY_AND_HOLD

BY_OPTION = {"data", "instrument", "agent", "block", "speed"}
Watch = Callable[[int, int, str, VariantOutcome], None]
"""Called with finished, total, specification and outcome."""


@dataclass(frozen=True, slots=True)
class Given:
    """One agent of a comparison: a specification, or what builds it where none can.

    Attributes:
        variant: Specification and parameters.
        build: Builds the agent from the seed.
        group: Number of the `--agent` that it came from.
    """

    variant: Variant
    build: Build | None = None
    group: int = 0


@dataclass
class Comparison:
    """The result of a comparison.

    Attributes:
        setting: What all variants share.
        given: The variants, in order.
        outcomes: Of each.
        selection: The winner, and what luck would show.
        steps: Walking forward over the folds, if there are any.
        times: Of the curves' points, nanoseconds UTC.
        benchmark: Its return at these points.
        benchmark_name: What is compared with.
        bars_sha256: Hash of the bars.
        continued: Variants whose outcomes were there already.
        folders: Run folders kept, by number.
        unsteady: Variants that gave another ledger when they were run again.
        warnings: What is probably a mistake, a sentence each.
    """

    setting: Setting
    given: list[Given]
    outcomes: list[VariantOutcome]
    selection: Selection
    steps: list[FoldStep]
    times: list[int]
    benchmark: list[float]
    benchmark_name: str
    bars_sha256: str
    continued: int = 0
    folders: dict[int, Path] = field(default_factory=dict)
    unsteady: list[int] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    @property
    def failures(self) -> list[int]:
        """Variants that failed; those refused by their agent count where it refused the whole of its range."""
        alive = {one.group for one, outcome in zip(self.given, self.outcomes, strict=True) if outcome.status == "done"}
        return [
            number
            for number, (one, outcome) in enumerate(zip(self.given, self.outcomes, strict=True))
            if outcome.status == "failed" or (outcome.status == "refused" and one.group not in alive)
        ]

    def tree(self) -> dict[str, Any]:
        """As `comparison.json` and `--json` hold it; the same whatever the number of workers."""
        config = self.setting.config.model_dump(mode="json")
        return {
            "kind": "comparison",
            "symbols": list(self.setting.instruments),
            "timeframe_ns": self.setting.timeframe_ns,
            "labels": self.setting.labels,
            "synthetic": list(self.setting.synthetic),
            "warnings": list(self.warnings),
            "config": {key: value for key, value in config.items() if key != "agent"},
            "settings": self._settings(),
            "bars_sha256": self.bars_sha256,
            "parts": [asdict(part) for part in self.setting.parts],
            "selection": asdict(self.selection),
            "walk_forward": [asdict(step) for step in self.steps],
            "variants": [self._variant(number) for number in range(len(self.given))],
            "times": self.times,
            "benchmark": self.benchmark,
            "benchmark_name": self.benchmark_name,
        }

    def _settings(self) -> dict[str, Any]:
        """Settings that differ from the defaults, by dotted key; with them a single variant is run alike."""
        changed = flat(self.setting.config.model_dump(mode="json", exclude_defaults=True))
        return {key: value for key, value in changed.items() if key.partition(".")[0] not in BY_OPTION}

    def _variant(self, number: int) -> dict[str, Any]:
        variant, outcome = self.given[number].variant, self.outcomes[number]
        folder = self.folders.get(number)
        return {
            "number": number + 1,
            "variant": variant.spec,
            "agent": variant.agent,
            "parameters": {name: _number(value) for name, value in variant.parameters},
            "varied": list(variant.varied),
            "run": None if folder is None else f"{RUNS}/{folder.name}",
            **{name: value for name, value in asdict(outcome).items() if name != "blocks"},
        }


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def variants_of(specs: Sequence[str]) -> list[Given]:
    """The variants that specifications stand for, without duplicates.

    Raises:
        UsageError: If a range cannot be read, an agent does not exist or takes no such parameter.
    """
    found: dict[str, Given] = {}
    for group, spec in enumerate(specs):
        expanded = expand(spec)
        first = expanded[0]
        if first.agent.partition(":")[0] != "ensemble":
            check_parameters(spec, factory_of(first.spec), [name for name, _ in first.parameters])
        for variant in expanded:
            found.setdefault(variant.spec, Given(variant, None, group))
    return list(found.values())


def compare(
    prepared: Prepared,
    given: Sequence[Given],
    *,
    split: str | None = None,
    folds: int | None = None,
    workers: int | None = None,
    folder: Path | None = None,
    keep: bool = False,
    watch: Watch | None = None,
    recording: Recording | None = None,
) -> Comparison:
    """Run every variant on the same bars and judge them.

    Args:
        prepared: The data, opened; its configuration is that of every variant but for the agent.
        split: In-sample before this date or time, out-of-sample after.
        folds: As many consecutive parts, in place of a split.
        workers: Processes; None decides by the work there is. The result is the same.
        folder: Keeps what is finished, so that the same call continues; None keeps nothing.
        keep: Whether to keep the run folder of every variant.
        watch: Told of every variant that has ended.
        recording: Writes the variants into the trial ledger of the bars, and judges the winner by all that it holds.

    Raises:
        UsageError: If there is no variant, split or folds do not fit the bars, or the folder holds another comparison.
        DataError: If the bars cannot be read.
    """
    if not given:
        raise UsageError("nothing to compare", expected="at least one agent")
    if folder is not None:
        check_comparison_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    bars = read_bars(prepared)
    parts = parts_of(bars.ts_event, split, folds, prepared.config.replay.period_zone)
    setting = Setting(
        prepared.config, dict(prepared.instruments), prepared.timeframe_ns, prepared.labels, prepared.labels_reason,
        tuple(parts), prepared.synthetic, prepared.benchmark,
    )  # fmt: skip
    prices = BenchmarkPrices(prepared)  # before anything runs: it may not exist
    prices.watch(bars)
    series = prices.series()
    digest = bars_sha256(bars)
    if folder is not None:
        check_continues(folder, setting, digest, [one.variant.spec for one in given])
    recorder = VariantRecorder(recording, setting, bars, [path.name for path in prepared.paths])
    outcomes, continued, folders = _run_all(
        setting, bars, given, (digest, series_sha256(series)), workers, folder if keep else None, folder, recorder,
        watch,
    )  # fmt: skip
    rows = curve_rows(len(bars))
    times = bars.ts_event[rows]
    curve = buy_and_hold(bars)[rows] if series is None else series.growth(times, int(times[0])) - 1
    selected = next((part for part in parts if part.name == IN_SAMPLE), parts[0])
    share = float((rows < selected.stop).mean()) if selected.name != WHOLE else 1.0
    return Comparison(
        setting,
        list(given),
        outcomes,
        select(outcomes, share, recorder.contents()),
        walk_forward(outcomes, folds) if folds else [],
        times.tolist(),
        [float(f"{value:.6g}") for value in curve],
        BUY_AND_HOLD if series is None else series.name,
        digest,
        continued,
        folders,
        warnings=(*prepared.warnings, *prices.warnings()),
    )


def _run_all(
    setting: Setting,
    bars: BarBlock,
    given: Sequence[Given],
    digests: tuple[str, ...],
    workers: int | None,
    keep: Path | None,
    folder: Path | None,
    recorder: VariantRecorder,
    watch: Watch | None,
) -> tuple[list[VariantOutcome], int, dict[int, Path]]:
    keys, store = Keys(setting, digests), OutcomeStore(folder)
    outcomes: list[VariantOutcome | None] = [None] * len(given)
    jobs, names, folders = [], {}, {}
    for number, one in enumerate(given):
        run = None if keep is None else run_folder(keep, number, one.variant.spec)
        if run is not None:
            folders[number] = run
        if one.build is None:
            names[number] = keys.key(one.variant.spec)
            outcomes[number] = store.found.get(names[number])
            known = outcomes[number]
            if run is not None and known is not None and not _holds(run, known):
                outcomes[number] = None
        if outcomes[number] is None:
            jobs.append(Job(number, one.variant.spec, one.build, run))
        elif (finished_before := outcomes[number]) is not None:
            recorder.add(one.variant.spec, finished_before)
    continued = finished = len(given) - len(jobs)

    def done(job: Job, outcome: VariantOutcome) -> None:
        nonlocal finished
        finished += 1
        outcomes[job.number] = outcome
        recorder.add(job.spec, outcome)
        if job.number in names:
            store.add(names[job.number], job.spec, outcome)
        if outcome.status != "done":
            folders.pop(job.number, None)
        if watch is not None:
            watch(finished, len(given), job.spec, outcome)

    run_jobs(setting, bars, jobs, workers, done)
    return [outcome for outcome in outcomes if outcome is not None], continued, folders


def run_folder(folder: Path, number: int, spec: str) -> Path:
    """Where the run of a variant is kept within a comparison's folder."""
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in Path(spec).name)[:80]
    return folder / RUNS / f"{number + 1:04d}-{name.strip('-.')}"


def keep_runs(
    comparison: Comparison, prepared: Prepared, folder: Path, numbers: Sequence[int], workers: int | None = None
) -> None:
    """Keep the run folders of some variants, by running them again as backtests.

    Raises:
        GrandModelError: If a variant that had run fails now.
    """
    setting, jobs = comparison.setting, []
    for number in numbers:
        one = comparison.given[number]
        run = run_folder(folder, number, one.variant.spec)
        if not _holds(run, comparison.outcomes[number]):
            jobs.append(Job(number, one.variant.spec, one.build, run))
        comparison.folders[number] = run

    def done(job: Job, outcome: VariantOutcome) -> None:
        if outcome.status != "done":
            raise GrandModelError(f"{job.spec} failed when it was run again", found=outcome.error)
        if outcome.ledger_sha256 != comparison.outcomes[job.number].ledger_sha256:
            comparison.unsteady.append(job.number)

    if jobs:
        run_jobs(setting, read_bars(prepared), jobs, workers, done)


def _holds(run: Path, outcome: VariantOutcome) -> bool:
    try:
        return bool(outcome.ledger_sha256) and str(outcome.ledger_sha256) in (run / "manifest.json").read_text("utf-8")
    except OSError:
        return False


def buy_and_hold(bars: BarBlock) -> Floats:
    """Return since the start of the capital spread equally over the symbols at their first closes, shape (rows,)."""
    present = bars.present & ~np.isnan(bars.close)
    place = np.maximum.accumulate(np.where(present, np.arange(len(bars))[:, None], -1), axis=0)
    close = np.take_along_axis(bars.close, np.maximum(place, 0), axis=0)
    first = np.take_along_axis(bars.close, present.argmax(axis=0)[None, :], axis=0)
    growth = np.where(place >= 0, close / first, 1.0)
    mean: Floats = growth.mean(axis=1) - 1
    return mean
