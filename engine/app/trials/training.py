"""Which data a training uses: the bytes of its files, and the settings of its generators."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from engine.app.manifest import data_entries
from training.config import HistoricalSource, TrainingConfig


def training_data(config: TrainingConfig) -> tuple[str, dict[str, Any]]:
    """Hash of the data, and what the first line of their ledger says.

    Seeds do not count: trainings with several seeds on the same files or generators are trials on the same data.
    """
    parts, files = [], []
    for source in config.data.sources:
        tree = source.model_dump(mode="json")
        if isinstance(source, HistoricalSource):
            files.append(Path(source.path).name)
            path = Path(source.path)
            tree["path"] = data_entries([path])[0]["sha256"] if path.is_file() else source.path
        parts.append(tree)
    parts.append(config.data.split.model_dump(mode="json"))
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    generators = [f"generator {part['generator']}" for part in parts if part.get("generator")]
    return digest, {"symbols": [config.instrument], "files": files + generators, "training": True}
