"""Which data a training uses: the bytes of its files, and the settings of its generators."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from agents.models.metadata import read_ensemble
from engine.app.manifest import config_sha256, data_entries
from engine.app.seeds.records import SeedRun
from engine.app.trials.data import sums_of
from engine.app.trials.ledger import Recording, Trial, TrialLedger
from engine.base.files import read_json
from engine.types.blocks import Floats
from training.config import HistoricalSource, SyntheticSource, TrainingConfig


def training_data(config: TrainingConfig, part: str) -> tuple[str, dict[str, Any]]:
    """Hash of the data, and what the first line of their ledger says.

    Seeds do not count: trainings with several seeds on the same files or generators are trials on the same data.

    Args:
        part: By which trials are judged, validation or test: other bars, and so other data.
    """
    parts: list[Any] = [part]
    files = []
    for source in config.data.sources:
        tree = source.model_dump(mode="json")
        if isinstance(source, HistoricalSource):
            files.append(Path(source.path).name)
            path = Path(source.path)
            tree["path"] = data_entries([path])[0]["sha256"] if path.is_file() else source.path
        parts.append(tree)
    parts.append(config.data.split.model_dump(mode="json"))
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    made = [one.generator for one in config.data.sources if isinstance(one, SyntheticSource)]
    generators = [f"generator {name}" for name in made]
    return digest, {"symbols": [config.instrument], "files": files + generators, "part": part}


def record_seed(run: SeedRun, config: TrainingConfig, folder: Path, recording: Recording) -> None:
    """Append a training that has finished or failed to the ledger of its data.

    Args:
        config: With the seed of the training.
        folder: Its run folder.
    """
    if run.status not in {"finished", "failed"}:
        return
    returns = np.zeros(0)
    if run.status == "finished":
        tree = read_json(folder / "evaluation" / "evaluation.json")
        returns = np.asarray(tree["per_episode"]["total_return"], np.float64)
    digest, about = training_data(config, run.part or "test")
    trial = Trial(
        "seed",
        f"{folder.parent.name}/{run.folder}",
        recording.command,
        "finished" if run.status == "finished" else "failed",
        config_sha256(config),
        run.weights_sha256,
        episode_metrics(returns),
        sums_of(returns),
        run.error,
        {"models_sha256": read_ensemble(folder / "models")[1]} if run.status == "finished" else {},
        recording.at,
    )
    TrialLedger(digest, recording.folder).append([trial], about)


def episode_metrics(returns: Floats) -> dict[str, float | int | None]:
    """Metrics of the returns of episodes, as a trial keeps them: a period is an episode, and nothing is annualised."""
    if len(returns) < 2 or not returns.std() > 0:
        return {"total_return": float(returns.mean())} if len(returns) else {}
    centred = returns - returns.mean()
    spread = returns.std()
    return {
        "total_return": float(returns.mean()),
        "sharpe": float(returns.mean() / returns.std(ddof=1)),
        "returns": len(returns),
        "skew": float((centred**3).mean() / spread**3),
        "kurtosis": float((centred**4).mean() / spread**4) - 3.0,
        "periods_per_year": 1.0,
    }
