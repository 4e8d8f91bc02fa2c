"""A process that trains one seed: standard input says which, standard output how it ended, the error output is its log.

`python -m engine.app.seeds.worker` is started by `engine.app.seeds.processes`. When its standard input ends, because
the parent asks for a stop or is gone, the training saves a checkpoint and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.app.training import finish_training, wire, write_config
from engine.app.training_plan import CHECKPOINT_FOLDER, held, plan_training, training_files
from engine.base.errors import GrandModelError
from engine.base.log import configure_logging
from training.checkpoint import checkpoints
from training.trainer.trainer import Trainer

STOPPED = 130


class _Stop:
    """What to do when the parent wants no more: while a trainer runs, ask it; otherwise end at once.

    Nothing is lost then: a training that has ended has its checkpoint, and its evaluation is made again.
    """

    def __init__(self) -> None:
        self.trainer: Trainer | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        sys.stdin.read()
        if self.trainer is None:
            os._exit(STOPPED)
        self.trainer.stop_requested = True


def main() -> None:
    """Train, and say how it ended."""
    # the channel is set apart, so that nothing else that is printed is taken for the answer
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    configure_logging(job["verbose"])
    try:
        answer = _train(job, _Stop())
    except GrandModelError as error:
        answer = {"error": str(error), "exit_code": error.exit_code}
    except Exception as error:  # the parent names the log, which holds all of it
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}", "exit_code": 1}
    with contextlib.suppress(OSError):  # the parent may be gone
        channel.write(json.dumps(answer) + "\n")
        channel.flush()


def _train(job: dict[str, Any], stop: _Stop) -> dict[str, Any]:
    folder, warn = Path(job["folder"]), _warn
    begun = checkpoints(folder / CHECKPOINT_FOLDER)
    plan = plan_training(
        (), (), seed=job["seed"], resume=folder if begun else None, out=folder, warn=warn, base=job["config"]
    )
    with ExitStack() as stack:
        stack.enter_context(held(plan))
        trainer = wire(
            plan.config, plan.checkpoints, (), resume=plan.resume, run=folder, device=job["device"],
            compiled=job["compiled"],
        )  # fmt: skip
        trainer.listen(stack.enter_context(training_files(plan, job["project"], warn)))
        write_config(folder, plan.config)
        stop.trainer = trainer
        outcome = trainer.run()
        stop.trainer = None
        if outcome.stopped != "interrupted":
            finish_training(trainer, outcome, folder)
    return {
        "stopped": outcome.stopped,
        "episodes": outcome.episodes,
        "seconds": round(outcome.seconds, 3),
        "weights_sha256": outcome.weights_sha256,
    }


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
