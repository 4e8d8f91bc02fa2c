"""A process that trains trials: each line of standard input is one, each line of standard output what comes of it.

`python -m engine.app.tuning.worker` is started by `engine.app.tuning.processes`. It ends with its parent.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.models.metadata import read_ensemble
from engine.app.evaluation import run_evaluation
from engine.app.training import wire, write_config
from engine.base.config import parse
from engine.base.errors import GrandModelError
from engine.base.log import configure_logging
from training.checkpoint import load as load_checkpoint
from training.config import TrainingConfig
from training.export import export
from training.trainer.history import Record

Say = Callable[[dict[str, Any]], None]


class _Validations:
    """A sink that reports every evaluation on the validation part."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def write(self, record: Record) -> None:
        """Report the mean return; rewards of trials that weight them differently cannot be compared."""
        if record["kind"] == "evaluation":
            self._say({"kind": "validation", "episode": record["episode"], "value": record["mean_return"]})

    def close(self) -> None:
        """Nothing to close."""


def main() -> None:
    """Train until standard input ends."""
    # the channel is set apart, so that nothing else that is printed is taken for an answer
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    configure_logging(0)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    running: dict[str, Any] = {"trainer": None, "pruned": False}

    def listen() -> None:
        for line in sys.stdin:
            if json.loads(line).get("kind") == "prune":
                running["pruned"] = True
                if running["trainer"] is not None:
                    running["trainer"].stop_requested = True
            else:
                lines.put(line)
        os._exit(0)  # the parent is gone: a trial that runs is begun anew when the tuning continues

    def say(answer: dict[str, Any]) -> None:
        channel.write(json.dumps(answer) + "\n")
        channel.flush()

    threading.Thread(target=listen, daemon=True).start()
    while True:
        job = json.loads(lines.get())
        try:
            answer = _trial(job, say, running)
        except GrandModelError as error:
            answer = {"status": "failed", "error": str(error)}
        except Exception as error:  # a trial that fails does not end the tuning
            traceback.print_exc()
            answer = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        say({"kind": "ended", **answer})


def _trial(job: dict[str, Any], say: Say, running: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate one trial; it depends on nothing but its configuration."""
    config = parse(TrainingConfig, job["config"], where="trial")
    judged_by = parse(TrainingConfig, job["judged_by"], where="tuning")
    folder = Path(job["folder"])
    write_config(folder, config)
    running["pruned"] = False
    trainer = wire(config, folder / "checkpoints", (_Validations(say),), run=folder, device=job["device"])
    running["trainer"] = trainer
    outcome = trainer.run()
    running["trainer"] = None
    if outcome.stopped == "interrupted":
        return {"status": "pruned", "weights_sha256": outcome.weights_sha256}
    models = folder / "models"
    export(load_checkpoint(outcome.checkpoint), models, folder.name, overwrite=True)
    rewards = config.model_copy(update={"reward_shaping": judged_by.reward_shaping})
    part = "validation" if trainer.setup.parts.validation else "training"
    found = run_evaluation(
        rewards, str(models), part=part, episodes=job["episodes"], contributions=False,
        loaded=(trainer.setup.market, trainer.setup.parts),
    )  # fmt: skip
    each = found.tree["per_episode"]
    return {
        "status": "finished",
        "score": sum(each["reward"]) / len(each["reward"]),
        "returns": [float(value) for value in each["total_return"]],
        "weights_sha256": outcome.weights_sha256,
        "models_sha256": read_ensemble(models)[1],
        "episodes": outcome.episodes,
        "seconds": round(outcome.seconds, 3),
    }


if __name__ == "__main__":
    main()
