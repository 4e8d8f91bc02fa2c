"""A tuning: trials of a training with other settings, chosen by Optuna, run in processes, continued after any end."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from engine.app.manifest import config_sha256
from engine.app.training import write_config
from engine.app.trials.data import sums_of
from engine.app.trials.ledger import Recording, Status, Trial, TrialLedger
from engine.app.trials.training import episode_metrics, training_data
from engine.app.tuning.processes import TuningWorker
from engine.app.tuning.space import SearchSpace, applied
from engine.base.aside import held_folder
from engine.base.errors import UsageError
from training.config import TrainingConfig

JOURNAL, BEST, TRIALS, SETTINGS = "study.journal", "best.yaml", "trials", "tuning.json"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
STATUS: dict[TrialState, Status] = {
    TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"
}  # fmt: skip
Watch = Callable[[FrozenTrial, int, int], None]
"""Called with a trial that has ended, how many have, and how many are wanted."""


@dataclass(frozen=True)
class TuningPlan:
    """A tuning that has not begun.

    Attributes:
        config: Of the training; what the search space does not name is the same in every trial.
        space: What is varied.
        folder: Of the tuning; continued if it holds one.
        trials: Wanted in all.
        storage: URL of a database; None for a journal file in the folder.
        name: Of the study in the storage.
        workers: Processes at once.
        sampler: tpe or random.
        episodes: Of the validation part, by which a trial is scored.
        prune: Whether a trial that is below the median of the others after the warm-up is ended.
        warm_up: Episodes of training before which nothing is pruned.
        device: Where torch computes.
    """

    config: TrainingConfig
    space: SearchSpace
    folder: Path
    trials: int
    storage: str | None = None
    name: str = "grandmodel"
    workers: int = 1
    sampler: str = "tpe"
    episodes: int = 64
    prune: bool = False
    warm_up: int = 0
    device: str = "cpu"

    def decisive(self) -> dict[str, Any]:
        """What may not change when a tuning is continued."""
        tree = {
            "config": self.config.model_dump(mode="json"), "space": self.space.model_dump(mode="json"),
            "episodes": self.episodes,
        }  # fmt: skip
        return {"sha256": hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest(), **tree}


@dataclass
class TuningRun:
    """What a tuning leaves behind.

    Attributes:
        plan: What was done.
        study: With all trials.
        continued: Trials that had ended before.
        ledger: Into which the trials are written.
    """

    plan: TuningPlan
    study: optuna.Study
    continued: int
    ledger: TrialLedger
    failures: list[FrozenTrial] = field(default_factory=list)

    @property
    def best(self) -> FrozenTrial | None:
        """The finished trial with the highest score; None if none has finished."""
        done = [one for one in self.study.get_trials(deepcopy=False) if one.state == TrialState.COMPLETE]
        return max(done, key=lambda one: (one.value or 0.0, -one.number), default=None)


def run_tuning(plan: TuningPlan, recording: Recording, watch: Watch | None = None) -> TuningRun:
    """Run trials until as many have ended as are wanted; what has ended before is kept.

    A trial that was running when an earlier process was killed is run again with the same values.

    Raises:
        UsageError: If the folder holds a tuning of something else, or another process tunes there.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with held_folder(plan.folder, "a tuning"):
        _check_settings(plan)
        study = open_study(plan)
        _take_up(plan, study)
        ledger = TrialLedger(*_ledger_place(plan, recording))
        _Tuning(plan, study, ledger, recording, watch).run()
        ended = [one for one in study.get_trials(deepcopy=False) if one.state in ENDED]
        run = TuningRun(plan, study, 0, ledger, [one for one in ended if _failed(one)])
        if run.best is not None:
            best = applied(plan.config, plan.space, run.best.params)
            write_config(plan.folder / "best", best)
            shutil.copyfile(plan.folder / "best" / "config.yaml", plan.folder / BEST)
            shutil.rmtree(plan.folder / "best")
    return run


def open_study(plan: TuningPlan) -> optuna.Study:
    """The study of a plan, made if need be.

    Raises:
        UsageError: If the storage cannot be reached.
    """
    storage: Any = plan.storage
    if storage is None:
        journal = plan.folder / JOURNAL
        mend(journal)
        storage = optuna.storages.JournalStorage(
            JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal)))
        )
    try:
        study = optuna.create_study(storage=storage, study_name=plan.name, direction="maximize", load_if_exists=True)
    except Exception as error:  # each database has errors of its own
        raise UsageError(
            "cannot open the storage of the tuning",
            where=plan.storage or str(plan.folder / JOURNAL),
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        ) from error
    seed = plan.config.seed + len(study.get_trials(deepcopy=False))
    study.sampler = (
        optuna.samplers.RandomSampler(seed=seed) if plan.sampler == "random" else optuna.samplers.TPESampler(seed=seed)
    )
    warm_up = plan.warm_up or plan.config.training_params.total_episodes // 3
    study.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=warm_up)
        if plan.prune
        else optuna.pruners.NopPruner()
    )
    return study


def mend(journal: Path) -> None:
    """Cut off a line that a killed process left unfinished, and the lock that it held.

    Optuna refuses a journal in which another line follows a torn one. Call it only where no other process writes.
    """
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.is_file():
        return
    with journal.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


def trial_folder(plan: TuningPlan, number: int) -> Path:
    """Where a trial trains."""
    return plan.folder / TRIALS / f"{number:05d}"


def job_of(plan: TuningPlan, params: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a worker is told of a trial: all that decides its result."""
    return {
        "config": applied(plan.config, plan.space, params).model_dump(mode="json"),
        "judged_by": plan.config.model_dump(mode="json"),
        "folder": str(folder),
        "device": plan.device,
        "episodes": plan.episodes,
    }


class _Tuning:
    """Hands trials to workers; only this process touches the study."""

    def __init__(
        self, plan: TuningPlan, study: optuna.Study, ledger: TrialLedger, recording: Recording, watch: Watch | None
    ) -> None:
        self._plan, self._study, self._ledger = plan, study, ledger
        self._recording, self._watch, self._lock = recording, watch, threading.Lock()
        self._workers: list[TuningWorker] = []
        self._known = {trial.name for trial in ledger.read().trials if trial.kind == "trial"}
        for trial in study.get_trials(deepcopy=False):  # ended, but killed before it was recorded
            if trial.state in ENDED and not _stale(trial):
                self._record(trial)

    def run(self) -> None:
        """Run until enough trials have ended."""
        pool = ThreadPoolExecutor(self._plan.workers)
        try:
            futures = [pool.submit(self._work, number) for number in range(self._plan.workers)]
            for future in futures:
                future.result()
        finally:
            for worker in self._workers:
                worker.kill()
            pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, number: int) -> None:
        worker = TuningWorker(self._plan.folder / f"worker-{number}.log")
        self._workers.append(worker)
        while (trial := self._next()) is not None:
            folder = trial_folder(self._plan, trial.number)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

            def validated(episode: int, value: float, trial: optuna.Trial = trial) -> bool:
                with self._lock:
                    trial.report(value, episode)
                    return self._plan.prune and trial.should_prune()

            try:
                answer = worker.run(job_of(self._plan, trial.params, folder), validated)
            except Exception as error:  # values that the configuration refuses, say
                answer = {"status": "failed", "error": str(error)}
            self._end(trial, answer)

    def _next(self) -> optuna.Trial | None:
        with self._lock:
            held = self._study.get_trials(deepcopy=False, states=(*ENDED, TrialState.RUNNING))
            if sum(not _stale(one) for one in held) >= self._plan.trials:
                return None
            trial = self._study.ask()
            trial.set_user_attr("owner", owner(self._plan))
            for name, dimension in self._plan.space.parameters.items():
                dimension.suggest(name, trial)
            return trial

    def _end(self, trial: optuna.Trial, answer: dict[str, Any]) -> None:
        states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        with self._lock:
            for name in ("error", "weights_sha256", "models_sha256", "returns", "seconds"):
                if name in answer:
                    trial.set_user_attr(name, answer[name])
            state = states[answer["status"]]
            frozen = self._study.tell(trial, answer.get("score") if state == TrialState.COMPLETE else None, state=state)
            self._record(frozen)
            held = self._study.get_trials(deepcopy=False, states=ENDED)
            if self._watch is not None:
                self._watch(frozen, sum(not _stale(one) for one in held), self._plan.trials)

    def _record(self, trial: FrozenTrial) -> None:
        """Append a trial to the ledger, if it is not there."""
        name = f"{self._plan.folder.name}/{trial.number}"
        if name in self._known:
            return
        self._known.add(name)
        returns = np.asarray(trial.user_attrs.get("returns", ()), np.float64)
        config = applied(self._plan.config, self._plan.space, trial.params) if trial.params else self._plan.config
        entry = Trial(
            "trial",
            name,
            self._recording.command,
            STATUS[trial.state],
            config_sha256(config),
            trial.user_attrs.get("weights_sha256"),
            episode_metrics(returns),
            sums_of(returns),
            trial.user_attrs.get("error"),
            {
                "score": trial.value,
                "params": trial.params,
                "models_sha256": trial.user_attrs.get("models_sha256"),
            },
            self._recording.at,
        )
        self._ledger.append([entry], training_data(self._plan.config, "validation")[1])


def owner(plan: TuningPlan) -> str:
    """Which machine and folder runs a trial: several may share a database."""
    return f"{socket.gethostname()}:{plan.folder.resolve()}"


def _take_up(plan: TuningPlan, study: optuna.Study) -> None:
    """Run what was running when an earlier process of this folder ended again: no other can be, the folder is held."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if plan.storage is not None and trial.user_attrs.get("owner") != owner(plan):
            continue
        study._storage.set_trial_user_attr(trial._trial_id, "stale", True)  # noqa: SLF001 - there is no public way
        study.tell(trial.number, state=TrialState.FAIL)
        if set(trial.params) == set(plan.space.parameters):
            study.enqueue_trial(trial.params)


def _stale(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("stale"))


def _failed(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and not _stale(trial)


def _check_settings(plan: TuningPlan) -> None:
    path, now = plan.folder / SETTINGS, plan.decisive()
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")).get("sha256") != now["sha256"]:
            raise UsageError(
                "the folder holds a tuning of another configuration or search space", where=str(plan.folder),
                hint="choose another folder (--out)",
            )  # fmt: skip
        return
    if any(plan.folder.iterdir()):
        raise UsageError(
            "the folder holds other files than a tuning", where=str(plan.folder), hint="choose another folder (--out)"
        )
    path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def _ledger_place(plan: TuningPlan, recording: Recording) -> tuple[str, Path | None]:
    return training_data(plan.config, "validation")[0], recording.folder
