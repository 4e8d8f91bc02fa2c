"""Where the records of a training go: a file of its history, TensorBoard, Weights & Biases.

A record is a dictionary with `kind` and `episode`:

    episode      env_steps, rewards by agent, terms of the team's reward, epsilon, steps_per_second, seconds
    losses       ppo, sac, dqn: what their last updates gave, by name
    evaluation   mean_reward, deviation, sharpe, max_drawdown, best
    checkpoint   path
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.base.errors import UsageError
from training.config import LoggingConfig
from training.trainer.event_file import scalars_event, session_event, version_event

Record = dict[str, Any]
Clock = Callable[[], float]
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


class TensorBoardSink:
    """Scalars for TensorBoard, by episode; an event file for each run, in one folder.

    Args:
        folder: Of the event files.
        resumed: As in `HistorySink`; TensorBoard leaves out what earlier files tell of later episodes.
        clock: Seconds since 1970, for the time axis.
    """

    def __init__(self, folder: Path, resumed: int | None = None, clock: Clock = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._clock, now = clock, clock()
        number = len(list(folder.glob("events.out.tfevents.*")))
        self.path = folder / f"events.out.tfevents.{int(now):010d}.grandmodel.{number}"
        self._file = self.path.open("xb", buffering=0)
        self._file.write(version_event(now))
        self._file.write(session_event(now, 0 if resumed is None else resumed + 1))

    def write(self, record: Record) -> None:
        """Append the scalars of a record."""
        values = scalars(record)
        if values:
            self._file.write(scalars_event(self._clock(), int(record["episode"]), values))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class WandbSink:
    """Scalars for Weights & Biases, by episode.

    Nothing leaves this machine unless WANDB_API_KEY or WANDB_MODE says so: without them the run is kept in the folder
    and `wandb sync` can upload it later. The identity of the run is kept in the folder too, so that a training that is
    resumed is continued in it.

    Args:
        folder: Where files go.
        config: Of the training.
        project: Name of the project.
        resumed: As in `HistorySink`.

    Raises:
        UsageError: If the package is not installed, or the run cannot be opened.
    """

    ID_FILE = "wandb_id.txt"

    def __init__(
        self, folder: Path, config: Mapping[str, Any], project: str = "grandmodel", resumed: int | None = None
    ) -> None:
        if find_spec("wandb") is None:
            raise UsageError(
                "Weights & Biases is not installed",
                where="logging.wandb",
                hint="pip install wandb, or set logging.wandb to false",
            )
        wandb = import_module("wandb")  # optional, and takes half a second
        folder.mkdir(parents=True, exist_ok=True)
        self.mode = wandb_mode(os.environ)
        known = folder / self.ID_FILE
        identity = known.read_text().strip() if resumed is not None and known.exists() else None
        # its own output would spoil the screen; code and repository are not sent
        quiet = wandb.Settings(console="off", silent=True, disable_git=True, save_code=False)
        try:
            self._run: Any = wandb.init(
                project=project,
                dir=str(folder),
                mode=self.mode,
                config=dict(config),
                id=identity,
                resume="allow",
                settings=quiet,
            )
        except Exception as error:
            raise UsageError(
                f"Weights & Biases cannot open a run: {error}",
                where="logging.wandb",
                hint="WANDB_MODE=offline keeps the run on this machine",
            ) from error
        self._run.define_metric("*", step_metric="episode")
        known.write_text(f"{self._run.id}\n")
        self.folder = str(self._run.dir)

    def write(self, record: Record) -> None:
        """Log the scalars of a record."""
        values = scalars(record)
        if values:
            self._run.log({"episode": int(record["episode"]), **values})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def wandb_mode(environment: Mapping[str, str]) -> str:
    """Where a run goes: what WANDB_MODE says, else online if there is a key, else offline."""
    mode = environment.get("WANDB_MODE", "").strip()
    if mode:
        return mode
    return "online" if environment.get("WANDB_API_KEY") else "offline"


class Guarded:
    """A sink whose failure does not stop the training: it is then switched off, with one warning.

    Args:
        sink: Where records go.
        warn: Takes the sentence that says so.
    """

    def __init__(self, sink: Sink, warn: Callable[[str], None]) -> None:
        self._sink: Sink | None = sink
        self._name, self._warn = type(sink).__name__.removesuffix("Sink"), warn

    def write(self, record: Record) -> None:
        """Pass a record on, while that works."""
        if self._sink is None:
            return
        try:
            self._sink.write(record)
        except Exception as error:
            self._sink = None
            self._warn(
                f"{self._name} failed and was switched off; the training continues: {type(error).__name__}: {error}"
            )

    def close(self) -> None:
        """Close the sink, if that works."""
        if self._sink is None:
            return
        try:
            self._sink.close()
        except Exception as error:
            self._warn(f"{self._name} could not be closed: {type(error).__name__}: {error}")
        self._sink = None


def open_sinks(
    logging: LoggingConfig,
    folder: Path,
    config: Mapping[str, Any],
    warn: Callable[[str], None],
    *,
    resumed: int | None = None,
    project: str = "grandmodel",
    clock: Clock = time.time,
) -> list[Sink]:
    """The sinks that a configuration asks for, the history first.

    Args:
        logging: Its part of the configuration.
        folder: `history.jsonl`, `tensorboard/` and `wandb/` go there.
        config: The whole configuration, for Weights & Biases.
        warn: Receives warnings.
        resumed: As in `HistorySink`.
        project: Of Weights & Biases.
        clock: Seconds since 1970.

    Raises:
        UsageError: If Weights & Biases is asked for and not installed.
    """
    optional: list[Sink] = []
    if logging.wandb:  # first: it may refuse, and then nothing was written
        optional.append(WandbSink(folder, config, project, resumed))
    if logging.tensorboard:
        optional.append(TensorBoardSink(folder / "tensorboard", resumed, clock))
    return [HistorySink(folder / HISTORY, resumed), *(Guarded(sink, warn) for sink in optional)]


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


def _set_aside(path: Path) -> None:
    """Move what another training has written out of the way."""
    if not path.exists():
        return
    number = 1
    while (other := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    path.rename(other)
