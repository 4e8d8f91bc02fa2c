"""Where the records of a training go besides its history: TensorBoard, Weights & Biases."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.base.errors import UsageError
from training.config import LoggingConfig
from training.trainer.event_file import scalars_event, session_event, version_event
from training.trainer.history import HISTORY, HistorySink, Record, Sink, scalars

Clock = Callable[[], float]


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
