"""What a training records, and the file of it.

A record is a dictionary with `kind` and `episode`:

    episode      env_steps, rewards by agent, terms of the team's reward, epsilon, steps_per_second, seconds
    losses       ppo, sac, dqn: what their last updates gave, by name
    evaluation   mean_reward, deviation, sharpe, max_drawdown, best
    checkpoint   path
    imitation    text, and the fields of `training.trainer.imitating.Imitated`: what the first network does as
    verdict      text, and the fields of `training.trainer.seats.Verdict`: who takes an agent's seat, and why
    collapse     agent, name, text, and the answer: a sign of `training.trainer.watch`, and what was done about it
    alert        severity, text
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Record = dict[str, Any]
HISTORY = "history.jsonl"


class Sink(Protocol):
    """Takes records."""

    def write(self, record: Record) -> None:
        """Take one record."""
        ...

    def close(self) -> None:
        """No more will come."""
        ...


class HistorySink:
    """One JSON object a line, each on its way to the disk when `write` returns.

    Args:
        path: The file. The history of another training is kept beside it, under a number.
        resumed: Episode of the checkpoint from which the training resumes: what was written after it is cut off, since
            it will be written again. None for a new training.
    """

    def __init__(self, path: Path, resumed: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if resumed is None:
            _set_aside(path)
        elif path.exists():
            os.truncate(path, history_bytes(path, resumed))
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, record: Record) -> None:
        """Append a line; numbers that JSON has not become null."""
        self._file.write(json.dumps(plain(record), allow_nan=False, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def history_bytes(path: Path, episode: int) -> int:
    """How many bytes of a history tell of episodes up to this one; a line that is not whole ends it."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
                later = record["episode"] > episode
            except (ValueError, KeyError, TypeError):
                break
            if later or not line.endswith(b"\n"):
                break
            end += len(line)
    return end


def read_history(path: Path) -> list[Record]:
    """The records of a history, for tables and plots; a last line that is not whole is left out."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def _set_aside(path: Path) -> None:
    """Move what another training has written out of the way."""
    if not path.exists():
        return
    number = 1
    while (other := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    path.rename(other)


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a record by name, as "rewards/risk", "ppo/entropy" or "evaluation/sharpe"."""
    found: dict[str, float] = {}
    for key, value in plain(record).items():
        if key in {"kind", "episode"}:
            continue
        inner = value if isinstance(value, dict) else {key: value}
        head = key if isinstance(value, dict) else record["kind"]
        for name, number in inner.items():
            if isinstance(number, int | float) and not isinstance(number, bool):
                found[f"{head}/{name}"] = float(number)
    return found


def plain(value: Any) -> Any:
    """A record as JSON can hold it; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
