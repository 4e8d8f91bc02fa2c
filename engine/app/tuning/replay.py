"""Running one trial of a tuning again, alone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from engine.app.tuning.processes import TuningWorker
from engine.app.tuning.study import TuningPlan, job_of, open_study
from engine.base.aside import held_folder
from engine.base.errors import UsageError


def replay_trial(plan: TuningPlan, number: int) -> dict[str, Any]:
    """Train a trial again from its values, and compare score and weights.

    Raises:
        UsageError: If there is no such trial, or it has not finished.
    """
    with held_folder(plan.folder, "a tuning"):
        known = {one.number: one for one in open_study(plan).get_trials(deepcopy=False)}
    trial = known.get(number)
    if trial is None or trial.value is None:
        finished = [str(one.number) for one in known.values() if one.value is not None]
        raise UsageError(
            "there is no such finished trial", where=str(plan.folder), found=str(number),
            expected=", ".join(finished) or "none has finished",
        )  # fmt: skip
    place = Path(tempfile.mkdtemp(prefix="grandmodel-replay-"))
    worker = TuningWorker(place / "worker.log")
    try:
        # the name of the folder is the version of the networks
        answer = worker.run(job_of(plan, trial.params, place / f"{number:05d}"), lambda _episode, _value: False)
        if answer["status"] != "finished":
            raise UsageError("the trial failed when it was run again", found=str(answer.get("error")))
    finally:
        worker.kill()
        shutil.rmtree(place, ignore_errors=True)
    weights = trial.user_attrs.get("weights_sha256")
    return {
        "number": number,
        "score": answer["score"],
        "then": trial.value,
        "weights_sha256": answer["weights_sha256"],
        "weights_then": weights,
        "same": answer["score"] == trial.value and answer["weights_sha256"] == weights,
    }
